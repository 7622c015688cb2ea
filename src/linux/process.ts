/**
 * A process: system calls, and accesses to its memory.
 */
import { checkInteger } from '../core/errors.ts';
import type { Mmu } from '../mmu/mmu.ts';
import { checkAddress, checkByte } from './arguments.ts';
import type { Errno, Hang, Result, Signal } from './errno.ts';
import type { Machine } from './machine.ts';
import type { Mm } from './mm.ts';
import { USER_READ, USER_WRITE, walkUser } from './page-fault.ts';
import { type MappedPage, mappedPages, readPagemap } from './pagemap.ts';
import { type MmapOptions, Syscalls } from './syscalls.ts';
import { run, Task } from './task.ts';
import type { Vma } from './vma.ts';

/**
 * A process of a {@link Machine}. Addresses and lengths are bytes; what the kernel refuses is the name of an errno.
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
export class Process {
  /** Processes are counted from 0. */
  readonly number: number;
  /** VMAs, page tables, locks. */
  readonly mm: Mm;
  readonly #machine: Machine;
  readonly #main: Syscalls;
  #alive = true;
  #threads = 1;

  constructor(machine: Machine, number: number, mm: Mm) {
    this.#machine = machine;
    this.number = number;
    this.mm = mm;
    this.#main = new Syscalls(this, new Task(machine, `process ${number}`));
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

  /** Another thread, whose system calls are paths for `interleave`. */
  thread(): Syscalls {
    this.checkAlive();
    return new Syscalls(this, new Task(this.#machine, `process ${this.number}, thread ${this.#threads++}`));
  }

  /**
   * Maps huge pages. The length is rounded up to them; a fixed address must be a multiple of their size.
   *
   * @returns the address, or 'ENOMEM' where the pool cannot promise the pages, 'EINVAL', 'EEXIST', 'EBADF'
   * @throws RangeError for a mapping without huge pages, which the model has not
   */
  mmap(options: MmapOptions): number | Errno {
    return run(this.#main.mmap(options));
  }

  /** Unmaps a range; its ends must lie between huge pages, or nothing be mapped there. */
  munmap(address: number, length: number): Result {
    return run(this.#main.munmap(address, length));
  }

  /** Changes rights. @param prot PROT_ bits */
  mprotect(address: number, length: number, prot: number): Result {
    return run(this.#main.mprotect(address, length, prot));
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
  ): number | Errno | Hang {
    return run(this.#main.mremap(oldAddress, oldLength, newLength, flags, newAddress));
  }

  /**
   * MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK.
   *
   * @throws RangeError for an advice that the model does not know
   */
  madvise(address: number, length: number, advice: number): Result {
    return run(this.#main.madvise(address, length, advice));
  }

  /** One byte a 4 KiB page: 1 where it is in memory. */
  mincore(address: number, length: number): Uint8Array | Errno {
    return run(this.#main.mincore(address, length));
  }

  /**
   * Reads one byte as the program would: the processor walks the tables, and the kernel handles the fault if there is one.
   *
   * @returns the byte; or the signal that ends the process otherwise; or 'HANG', if it would fault for ever
   */
  read(address: number): number | Signal | Hang {
    this.checkAlive();
    checkAddress(address);
    const reached = walkUser(this.mm, address, USER_READ);
    return reached >= 0 ? this.#machine.frames.readByte(reached) : run(this.#main.read(address));
  }

  /** Writes one byte, likewise. @param value 0 to 255 */
  write(address: number, value: number): 'OK' | Signal | Hang {
    this.checkAlive();
    checkAddress(address);
    checkByte(value);
    const reached = walkUser(this.mm, address, USER_WRITE);
    if (reached < 0) return run(this.#main.write(address, value));
    this.#machine.frames.writeByte(reached, value);
    return 'OK';
  }

  /** A child with the same mappings: 'ENOMEM' where a pinned page cannot be copied, or page tables do not fit. */
  fork(): Process | Errno {
    return run(this.#main.fork());
  }

  /** Ends the process: everything is unmapped. */
  exit(): void {
    run(this.#main.exit());
  }

  /** /proc/PID/pagemap: one entry a 4 KiB page, with frame numbers. @param pages 4 KiB pages */
  pagemap(address: number, pages = 1): BigUint64Array {
    this.checkAlive();
    checkAddress(address);
    checkInteger('pages', pages, 0, 2 ** 24);
    return readPagemap(this.mm, address - (address % 4096), pages);
  }

  /** The page-table entries under the VMAs that are not empty, in ascending order of the address. */
  mappedPages(): Generator<MappedPage, void, undefined> {
    this.checkAlive();
    return mappedPages(this.mm);
  }

  /** Called at the end of exit. */
  ended(): void {
    this.#alive = false;
    this.#machine.forget(this);
  }

  /** @throws TypeError when the process has ended */
  checkAlive(): void {
    if (this.#alive) return;
    throw new TypeError(`process: expected a live process, got process ${this.number}, which has ended`);
  }
}
