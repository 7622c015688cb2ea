/**
 * The model's side of a sequence: a machine, and its processes and files by the numbers that the sequence gives them.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import { keepMap } from '../../linux/base/checkpoint.ts';
import type { Path } from '../../linux/base/task.ts';
import { type Shared, Touch, watch } from '../../linux/base/watch.ts';
import type { HugetlbFile } from '../../linux/machine/hugetlb-file.ts';
import { Machine } from '../../linux/machine/machine.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { UserfaultFile } from '../../linux/machine/userfault-file.ts';
import { addressOf, MOST_PROCESSES, type Setting } from '../line/setting.ts';
import type { PoolCounts } from '../line/states.ts';
import type { Answer } from './answer.ts';
import { type Caller, mainThread } from './caller.ts';
import { PageLists } from './page-lists.ts';
import { Threads } from './threads.ts';

/** The number of the userfaultfd that a fork's event brought: it is for the child's memory, and process 0 has it. */
export const DELIVERED = 2;

/** What a scenario's numbers mean, for a watch: tasks share it. */
const USERFAULTFDS: Shared = { name: 'which userfaultfds are open' };
const PROCESSES: readonly Shared[] = Array.from({ length: MOST_PROCESSES }, (_, number) => ({
  name: `whether there is a process ${number}`,
}));

/** What operations act on. */
export class Stage {
  readonly setting: Setting;
  readonly machine: Machine;
  readonly files: readonly HugetlbFile[];
  /** The threads that may wait. */
  readonly threads: Threads<Answer> = new Threads((result) => ({ result }));
  /** What GUP has given. */
  readonly pageLists: PageLists = new PageLists();
  readonly #processes = new Map<number, Process>();
  readonly #mains = new Map<Process, Caller>();
  readonly #userfaultfds = new Map<number, UserfaultFile>();

  /** @param tables memory for page tables, which nobody else uses meanwhile */
  constructor(setting: Setting, tables: FlatMemory) {
    const { hugePageSize, pool, overcommit, files, hgm, bugs, fixes, flushes } = setting;
    this.setting = setting;
    this.machine = new Machine({
      pools: [{ hugePageSize, pages: pool, overcommit }],
      tables,
      hgm,
      bugs,
      fixes,
      flushes,
      checks: true,
      defersWork: true,
    });
    this.#processes.set(0, this.machine.createProcess());
    this.files = files.map((pages) => {
      const file = this.machine.memfdCreate({ hugePageSize });
      file.ftruncate(pages * hugePageSize);
      return file;
    });
  }

  /** Whether a process is there. */
  has(number: number): boolean {
    watch?.touch(Touch.read, PROCESSES[number]!, 0);
    return this.#processes.has(number);
  }

  /** A process that is there. */
  process(number: number): Process {
    return this.#processes.get(number)!;
  }

  /** The processes by their numbers, in ascending order. */
  processes(): [number, Process][] {
    return [...this.#processes].sort(([a], [b]) => a - b);
  }

  /** Who reads and writes a process's memory from outside. */
  stranger(number: number): Process {
    return this.process(number);
  }

  /** A process that no scenario can name: it has no number. */
  protected outsider(): Process {
    return this.machine.createProcess({ name: 'the observer' });
  }

  /** The main thread of a process. */
  main(process: Process): Caller {
    let main = this.#mains.get(process);
    if (!main) {
      main = mainThread(process);
      this.#mains.set(process, main);
    }
    return main;
  }

  /** Who does what is no process's doing: what is done to files, which all have open, and to pages that GUP gave. */
  get anyone(): Caller {
    return this.main(this.process(0));
  }

  /** The userfaultfds that are open, or were delivered by the event of a fork. */
  protected get userfaultfds(): Map<number, UserfaultFile> {
    return this.#userfaultfds;
  }

  /**
   * A userfaultfd, if it was opened, or delivered.
   *
   * @param number undefined: the one that `proc` has without opening it, where the format has such
   */
  userfaultfd(number: number | undefined, _proc: number): UserfaultFile | undefined {
    if (number === undefined) return undefined;
    watch?.touch(Touch.read, USERFAULTFDS, 0);
    return this.#userfaultfds.get(number);
  }

  /** Opens one. */
  openUserfaultfd(number: number, process: Process, features: number): string {
    const file = process.userfaultfd();
    const { result } = file.api(features);
    if (result === 'OK') this.#setUserfaultfd(number, file);
    return result;
  }

  /** Closes one. */
  closeUserfaultfd(number: number): void {
    this.#setUserfaultfd(number, undefined);
  }

  /** The event of a fork has brought one. */
  deliverUserfaultfd(file: UserfaultFile): void {
    this.#setUserfaultfd(DELIVERED, file);
  }

  #setUserfaultfd(number: number, file: UserfaultFile | undefined): void {
    watch?.touch(Touch.write, USERFAULTFDS, 0);
    if (file) this.#userfaultfds.set(number, file);
    else this.#userfaultfds.delete(number);
  }

  /** Forks. @param child the number of the new process @param thread who forks; default: the main thread */
  *fork(number: number, child: number, thread?: Caller): Path<string> {
    this.machine.nextProcess = child;
    const forked = thread ? yield* thread.fork() : this.copy(this.process(number));
    if (typeof forked === 'string') return forked;
    watch?.touch(Touch.write, PROCESSES[child]!, 0);
    this.#processes.set(child, forked);
    return 'OK';
  }

  /** Ends a process, as one of its threads does, the last one. */
  *exit(number: number, thread: Caller): Path<string> {
    const result = yield* thread.exit();
    this.forget(number);
    return result ?? 'OK';
  }

  /** A process has ended. */
  protected forget(number: number): void {
    watch?.touch(Touch.write, PROCESSES[number]!, 0);
    const process = this.#processes.get(number);
    this.#processes.delete(number);
    if (process) this.#mains.delete(process);
  }

  /** The system call. */
  protected copy(parent: Process): Process | string {
    return parent.fork();
  }

  /** Ends a process, if it is there. */
  leave(number: number): string {
    const process = this.#processes.get(number);
    this.forget(number);
    if (!process) return 'OK';
    this.threads.kill(process);
    return ended(process);
  }

  /** Ends all processes and closes all files; but not where a process never ends. */
  clear(): string {
    for (const [number] of this.processes()) {
      const result = this.leave(number);
      if (result !== 'OK') return result;
    }
    this.machine.runDeferredWork();
    for (const file of this.files) file.close();
    return 'OK';
  }

  /**
   * What puts the stage, and its machine, back to where they are now.
   *
   * @throws TypeError where somebody is under way in the kernel
   */
  checkpoint(): () => void {
    const machine = this.machine.checkpoint();
    const lists = this.pageLists.checkpoint();
    const processes = keepMap(this.#processes);
    const mains = keepMap(this.#mains);
    const userfaultfds = keepMap(this.#userfaultfds);
    return () => {
      machine.restore();
      lists();
      processes();
      mains();
      userfaultfds();
    };
  }

  /** The counts of the pool. */
  get pool(): PoolCounts {
    const { nrHugePages, freeHugePages, resvHugePages, surplusHugePages } = this.machine.hstate(
      this.setting.hugePageSize,
    );
    return [nrHugePages, freeHugePages, resvHugePages, surplusHugePages];
  }

  /** The address of a byte of a slot's page. */
  address(slot: number, page: number, at: number = 0): number {
    return addressOf(this.setting, slot, page, at);
  }

  /** Bytes of pages, as `pages` counts them. */
  bytes(pages: number): number {
    return pages * this.setting.pageBytes;
  }

  /** Bytes of huge pages. */
  hugeBytes(pages: number): number {
    return pages * this.setting.hugePageSize;
  }
}

/** Ends a process: OK, or HANG or BUG where that never comes to its end. */
export function ended(process: Process): string {
  const result: unknown = process.exit();
  return typeof result === 'string' ? result : 'OK';
}
