/**
 * A process: system calls, and accesses to its memory.
 */
import { checkInteger } from '../../core/errors.ts';
import type { Mmu } from '../../mmu/mmu.ts';
import { type Checkpoint, type Kept, keepArray, type PutBack } from '../base/checkpoint.ts';
import type { Blocked, Errno, Hang, Result, Signal } from '../base/errno.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { SignalInfo } from '../base/siginfo.ts';
import { type Path, run, runAlone, Task } from '../base/task.ts';
import { UFFD_CLOEXEC, UFFD_NONBLOCK, UFFD_USER_MODE_ONLY } from '../base/uffd-uapi.ts';
import { USER_READ, USER_WRITE, walkUser } from '../fault/page-fault.ts';
import type { Mm } from '../mm/mm.ts';
import { Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { type MappedPage, mappedPages, readPagemap } from '../syscalls/pagemap.ts';
import { Ring, unpinBuffer } from '../syscalls/registered-buffer.ts';
import type { Smaps } from '../syscalls/smaps.ts';
import { checkAddress, checkByte, checkPagemap } from './arguments.ts';
import { type Caller, GupCalls } from './gup-calls.ts';
import type { Machine } from './machine.ts';
import { type MmapOptions, Syscalls } from './syscalls.ts';
import { UserfaultFile } from './userfault-file.ts';

const USERFAULTFD_FLAGS = UFFD_CLOEXEC | UFFD_NONBLOCK | UFFD_USER_MODE_ONLY;

/**
 * A process of a {@link Machine}. Addresses and lengths are bytes; what the kernel refuses is the name of an errno. What
 * would sleep until a userfaultfd is read is 'BLOCKED', and given up as if a SIGKILL had come: of system calls that are
 * done all the same, munmap for one, only the event is lost; of a fork, the child.
 *
 * @example Copy-on-write after a fork
 * ```ts
 * import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 2 }] });
 * const parent = machine.createProcess();
 * const at = parent.mmap({
 *   length: 2 << 20,
 *   prot: PROT_READ | PROT_WRITE,
 *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
 * }) as number;
 * parent.write(at, 1);
 * const child = parent.fork();
 * if (typeof child === 'string') throw new Error(child);
 * child.write(at, 2);                                 // 'OK': takes the second page
 * parent.read(at);                                    // 1
 * ```
 */
export class Process extends GupCalls<'now'> implements Kept {
  /** Processes are counted from 0; -1 of one that was given a name instead. */
  readonly number: number;
  /** VMAs, page tables, locks. */
  readonly mm: Mm;
  /** The machine that it runs on. */
  readonly machine: Machine;
  readonly #main: Syscalls;
  #alive = true;
  /** What it has of io_uring. @internal */
  readonly ring: Ring;
  /** Of the other threads. */
  readonly #tasks: Task[] = [];

  constructor(machine: Machine, number: number, mm: Mm) {
    super();
    this.machine = machine;
    this.number = number;
    this.mm = mm;
    this.ring = new Ring(mm.process);
    this.#main = new Syscalls(this, new Task(machine, mm.process));
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.add(this.mm);
    const tasks = keepArray(this.#tasks);
    const alive = this.#alive;
    checkpoint.add(this.ring);
    return () => {
      this.#alive = alive;
      tasks();
    };
  }

  /** What messages and traces call it: 'process 0'. */
  get name(): string {
    return this.mm.process;
  }

  /** False after {@link exit}. */
  get alive(): boolean {
    return this.#alive;
  }

  /** The VMAs, in ascending order of their addresses. */
  get vmas(): readonly Vma[] {
    return this.mm.vmas;
  }

  /** The processor's view of the page tables: translate, explain, list what is mapped. */
  get mmu(): Mmu {
    return this.mm.mmu;
  }

  /** What came with the last signal that {@link read} or {@link write} has got. */
  get siginfo(): SignalInfo | undefined {
    return this.#main.task.siginfo;
  }

  /** Another thread, whose system calls are paths for `interleave`. */
  thread(): Syscalls {
    this.checkAlive();
    const task = new Task(this.machine, `${this.mm.process}, thread ${this.#tasks.length + 1}`);
    this.#tasks.push(task);
    return new Syscalls(this, task);
  }

  /**
   * Maps huge pages. The length is rounded up to them; a fixed address must be a multiple of their size.
   *
   * @returns the address, or 'ENOMEM' where the pool cannot promise the pages, 'EINVAL', 'EEXIST', 'EBADF'
   * @throws RangeError for a mapping without huge pages, which the model has not
   */
  mmap(options: MmapOptions): number | Errno | Hang | Blocked {
    return runAlone(this.#main.mmap(options));
  }

  /** Unmaps a range; its ends must lie between huge pages, or nothing be mapped there. */
  munmap(address: number, length: number): Result | Hang | Blocked {
    return runAlone(this.#main.munmap(address, length));
  }

  /** Changes rights. @param prot PROT_ bits */
  mprotect(address: number, length: number, prot: number): Result | Hang | Blocked {
    return runAlone(this.#main.mprotect(address, length, prot));
  }

  /**
   * Moves a mapping, or cuts it short; huge pages cannot be grown.
   *
   * @param flags MREMAP_ bits
   * @returns the new address, an errno, or 'HANG': Linux 6.1 waits for a lock that it holds, where the moved mapping could
   *   share a page table
   */
  mremap(
    oldAddress: number,
    oldLength: number,
    newLength: number,
    flags: number,
    newAddress = 0,
  ): number | Errno | Hang | Blocked {
    return runAlone(this.#main.mremap(oldAddress, oldLength, newLength, flags, newAddress));
  }

  /**
   * MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_HWPOISON.
   *
   * @throws RangeError for an advice that the model does not know
   */
  madvise(address: number, length: number, advice: number): Result | Hang | Blocked {
    return runAlone(this.#main.madvise(address, length, advice));
  }

  /** One byte a 4 KiB page: 1 where it is in memory. */
  mincore(address: number, length: number): Uint8Array | Errno {
    return run(this.#main.mincore(address, length));
  }

  /**
   * Reads one byte as the program would: the processor walks the tables, and the kernel handles the fault if there is one.
   *
   * @returns the byte; or the signal that ends the process otherwise; or 'HANG', if it would fault for ever; or 'BLOCKED',
   *   if it would wait for a userfaultfd's reader, as nobody else is there
   */
  read(address: number): number | Signal | Hang | Blocked {
    this.checkAlive();
    checkAddress(address);
    const reached = walkUser(this.mm, address, USER_READ);
    return reached >= 0 ? this.machine.frames.readByte(reached) : runAlone(this.#main.read(address));
  }

  /** Writes one byte, likewise. @param value 0 to 255 */
  write(address: number, value: number): 'OK' | Signal | Hang | Blocked {
    this.checkAlive();
    checkAddress(address);
    checkByte(value);
    const reached = walkUser(this.mm, address, USER_WRITE);
    if (reached < 0) return runAlone(this.#main.write(address, value));
    this.machine.frames.writeByte(reached, value);
    return 'OK';
  }

  /**
   * process_vm_readv: this process reads another's memory into `buffer`. Private pages that the other shares with a relative
   * become its own: they are pinned while they are read.
   *
   * @returns bytes; fewer than asked for where the memory ends, or 'EFAULT' if there are none
   */
  processVmRead(target: Process, address: number, buffer: Uint8Array): number | Errno | Hang | Blocked {
    return runAlone(this.#main.processVm(target, address, buffer, 'read'));
  }

  /** process_vm_writev: writes `buffer` into another's memory. */
  processVmWrite(target: Process, address: number, buffer: Uint8Array): number | Errno | Hang | Blocked {
    return runAlone(this.#main.processVm(target, address, buffer, 'write'));
  }

  /** Reads another's /proc/PID/mem, PROT_NONE or not; 'EIO' where nothing can be read. */
  procMemRead(target: Process, address: number, buffer: Uint8Array): number | Errno | Hang | Blocked {
    return runAlone(this.#main.procMem(target, address, buffer, 'read'));
  }

  /** Writes another's /proc/PID/mem; a read-only hugetlb mapping cannot be written that way. */
  procMemWrite(target: Process, address: number, buffer: Uint8Array): number | Errno | Hang | Blocked {
    return runAlone(this.#main.procMem(target, address, buffer, 'write'));
  }

  /**
   * Registers a buffer with io_uring: its pages are pinned for as long as it lasts, beyond munmap. The end of the process lets it go.
   *
   * @returns 'EBUSY' if there is one already; 'EFAULT' where not all of it can be pinned for writing
   */
  registerBuffer(address: number, length: number): Result | Hang | Blocked {
    return runAlone(this.#main.registerBuffer(address, length));
  }

  /** Lets the buffer go. */
  unregisterBuffer(): Result {
    return run(this.#main.unregisterBuffer());
  }

  /**
   * userfaultfd(2): a file by which faults of this process can be handled. {@link UserfaultFile} says how; it begins
   * with `api`.
   *
   * @param flags UFFD_USER_MODE_ONLY, UFFD_NONBLOCK, UFFD_CLOEXEC
   * @throws RangeError for flags that Linux 6.1 has not
   *
   * @example
   * ```ts
   * import { Machine, UFFD_FEATURE_EVENT_REMAP, UFFD_NONBLOCK } from 'hugewalk/linux';
   * const uffd = new Machine().createProcess().userfaultfd(UFFD_NONBLOCK);
   * uffd.api(UFFD_FEATURE_EVENT_REMAP).result;        // 'OK'
   * uffd.read();                                      // 'EAGAIN'
   * ```
   */
  userfaultfd(flags = 0): UserfaultFile {
    this.checkAlive();
    checkInteger('flags', flags, 0, 2 ** 31 - 1);
    if (flags & ~USERFAULTFD_FLAGS) {
      throw new RangeError(`flags: expected UFFD_ bits, got 0x${flags.toString(16)}`);
    }
    return new UserfaultFile(new Userfaultfd(this.mm, flags), this.#main);
  }

  /** A child with the same mappings: 'ENOMEM' where a pinned page cannot be copied, or page tables do not fit. */
  fork(): Process | Errno | Hang | Blocked {
    return runAlone(this.#main.fork());
  }

  /** Ends the process: everything is unmapped. @returns what stands in the way: 'HANG', 'BUG'; undefined if it has ended */
  exit(): Hang | undefined {
    this.checkAlive();
    const stuck = runAlone(this.#main.exit());
    return stuck === 'HANG' || stuck === 'BUG' ? stuck : undefined;
  }

  /** /proc/PID/pagemap: one entry a 4 KiB page, with frame numbers. @param pages 4 KiB pages */
  pagemap(address: number, pages = 1): BigUint64Array {
    this.checkAlive();
    checkPagemap(address, pages);
    return readPagemap(this.mm, address - (address % PAGE_SIZE), pages);
  }

  /** /proc/PID/smaps: what the mappings that overlap a range have of huge pages, and whether others have them, too. */
  smaps(address: number, length: number): Smaps[] {
    return run(this.#main.smaps(address, length));
  }

  /** The page-table entries under the VMAs that are not empty, in ascending order of the address. */
  mappedPages(): Generator<MappedPage, void, undefined> {
    this.checkAlive();
    return mappedPages(this.mm);
  }

  /** All its threads. @internal */
  get tasks(): readonly Task[] {
    return [this.#main.task, ...this.#tasks];
  }

  /** `zap_other_threads`: called when one of them exits for all. @internal */
  killOthers(than: Task): void {
    for (const task of this.tasks) if (task !== than) task.killed = true;
  }

  /** Called at the end of exit. @internal */
  ended(): void {
    const { machine, ring } = this;
    const { buffer } = ring;
    ring.buffer = undefined;
    this.#alive = false;
    machine.forget(this);
    /* io_ring_exit_work: the ring is a file, and goes when nobody uses it any more. */
    if (buffer) machine.queueWork((task) => unpinBuffer(task, machine.frames, buffer));
  }

  protected override caller(): Caller {
    this.checkAlive();
    return { task: this.#main.task, mm: this.mm, frames: this.machine.frames };
  }

  /** Alone, and what was done before it had to wait counts. */
  protected override ran<T>(path: Path<T>): T | Hang | Blocked {
    let told: T | undefined;
    const result = runAlone(
      (function* (): Path<T> {
        told = yield* path;
        return told;
      })(),
    );
    return result === 'BLOCKED' && typeof told === 'number' && told > 0 ? told : result;
  }

  protected override ranThrough<T>(path: Path<T>): T {
    return run(path);
  }

  /** @throws TypeError when the process has ended @internal */
  checkAlive(): void {
    if (this.#alive) return;
    throw new TypeError(`process: expected a live process, got ${this.mm.process}, which has ended`);
  }
}
