/**
 * The model's side of a sequence: a machine, and its processes and files by the numbers that the sequence gives them.
 */
import type { FlatMemory } from '../core/flat-memory.ts';
import type { HugetlbFile } from '../linux/hugetlb-file.ts';
import { Machine } from '../linux/machine.ts';
import type { Process } from '../linux/process.ts';
import { UFFD_FEATURE_SIGBUS } from '../linux/uffd-uapi.ts';
import type { UserfaultFile } from '../linux/userfault-file.ts';
import { addressOf, type Setting } from './setting.ts';

/** What operations act on. */
export class Stage {
  readonly setting: Setting;
  readonly machine: Machine;
  readonly files: readonly HugetlbFile[];
  readonly #processes = new Map<number, Process>();
  readonly #userfaultfds = new Map<number, UserfaultFile>();

  /** @param tables memory for page tables, which nobody else uses meanwhile */
  constructor(setting: Setting, tables: FlatMemory) {
    const { hugePageSize, pool, overcommit, files } = setting;
    this.setting = setting;
    this.machine = new Machine({
      pools: [{ hugePageSize, pages: pool, overcommit }],
      tables,
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

  /** The userfaultfd of a process, with the features that recordings have: nothing waits. */
  userfaultfd(number: number): UserfaultFile {
    let file = this.#userfaultfds.get(number);
    if (!file) {
      file = this.process(number).userfaultfd();
      file.api(UFFD_FEATURE_SIGBUS);
      this.#userfaultfds.set(number, file);
    }
    return file;
  }

  /** A process that fork has made. */
  enter(number: number, process: Process): void {
    this.#processes.set(number, process);
  }

  /** Ends a process, if it is there. */
  leave(number: number): void {
    this.#processes.get(number)?.exit();
    this.#userfaultfds.delete(number);
    this.#processes.delete(number);
  }

  /** Ends all processes and closes all files. */
  clear(): void {
    for (const [number] of this.processes()) this.leave(number);
    this.machine.runDeferredWork();
    for (const file of this.files) file.close();
  }

  /** The address of a byte of a slot's page. */
  address(slot: number, page: number, at: number = 0): number {
    return addressOf(this.setting, slot, page, at);
  }

  /** Bytes of huge pages. */
  bytes(pages: number): number {
    return pages * this.setting.hugePageSize;
  }
}
