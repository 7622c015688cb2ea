/**
 * What one thread of a process can ask of the kernel, as kernel paths: they run when `run` or `interleave` drives them.
 */
import { hex } from '../../core/errors.ts';
import type { Errno, Hang, Result, Signal } from '../base/errno.ts';
import { mapWords, protWords } from '../base/flag-words.ts';
import { refuse, shown } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { MAP_ANONYMOUS, MAP_HUGE_SHIFT } from '../base/uapi.ts';
import { UFFD_EVENT_FORK } from '../base/uffd-uapi.ts';
import { USER_READ, USER_WRITE, userAccess } from '../fault/page-fault.ts';
import { putInode, sysFtruncate } from '../hugetlb/truncate.ts';
import { type MemoryFailure, memoryFailure } from '../memory-failure/memory-failure.ts';
import { type Migrated, migratePage } from '../migration/migrate.ts';
import type { Userfaultfd } from '../mm/userfaultfd.ts';
import { sysFallocate } from '../syscalls/fallocate.ts';
import { dupMmap } from '../syscalls/fork.ts';
import { sysMadvise } from '../syscalls/madvise.ts';
import { sysMincore } from '../syscalls/mincore.ts';
import { sysMmap } from '../syscalls/mmap.ts';
import { sysMprotect } from '../syscalls/mprotect.ts';
import { sysMremap } from '../syscalls/mremap.ts';
import { mmput, sysMunmap, usingMm } from '../syscalls/munmap.ts';
import { readPagemap } from '../syscalls/pagemap.ts';
import type { Pipe } from '../syscalls/pipe.ts';
import { registerBuffer, unregisterBuffer } from '../syscalls/registered-buffer.ts';
import { type Direction, processVmAccess, procMemAccess } from '../syscalls/remote-memory.ts';
import { readSmaps, type Smaps } from '../syscalls/smaps.ts';
import { splitHugePagesAll } from '../syscalls/split-huge-pages.ts';
import { type UffdFill, uffdFill } from '../userfaultfd/uffd-fill.ts';
import { uffdRead } from '../userfaultfd/uffd-read.ts';
import { uffdRegister, uffdRelease, uffdUnregister, uffdWake } from '../userfaultfd/uffd-register.ts';
import { uffdWriteprotect } from '../userfaultfd/uffd-wp.ts';
import {
  checkAddress,
  checkAdvice,
  checkBits,
  checkBuffer,
  checkByte,
  checkDirection,
  checkFallocate,
  checkFill,
  checkFrame,
  checkFtruncate,
  checkMmap,
  checkPagemap,
  checkPipe,
  checkProcess,
  checkRange,
  checkUserfaultFile,
  checkUserfaultRange,
} from './arguments.ts';
import { type Caller, GupCalls } from './gup-calls.ts';
import type { HugetlbFile } from './hugetlb-file.ts';
import type { Machine } from './machine.ts';
import type { Process } from './process.ts';
import {
  type FillResult,
  fillResult,
  type RegisterResult,
  registerResult,
  type UffdMessage,
  UserfaultFile,
} from './userfault-file.ts';

const MAP_HUGE_MASK = 0x3f;

/** Arguments of mmap. Bytes. */
export interface MmapOptions {
  /** Where, or a hint where. Default 0: the kernel chooses. */
  readonly address?: number;
  readonly length: number;
  /** PROT_ bits. */
  readonly prot: number;
  /** MAP_ bits: MAP_SHARED or MAP_PRIVATE; MAP_ANONYMOUS and MAP_HUGETLB, or a `file`. */
  readonly flags: number;
  readonly file?: HugetlbFile;
  /** Where in the file. Default 0. */
  readonly offset?: number;
}

/**
 * A thread of a process. Every method makes a path, for {@link interleave}; those of {@link Process} run theirs at once.
 *
 * @example Two threads fault on one page: one of them finds it
 * ```ts
 * import { interleave, MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, Machine, PROT_READ, PROT_WRITE } from 'hugewalk/linux';
 * const machine = new Machine({ pools: [{ hugePageSize: 2 << 20, pages: 1 }] });
 * const process = machine.createProcess();
 * const at = process.mmap({
 *   length: 2 << 20,
 *   prot: PROT_READ | PROT_WRITE,
 *   flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
 * }) as number;
 * const [a, b] = [process.thread(), process.thread()];
 * const works = [{ task: a.task, path: a.write(at, 1) }, { task: b.task, path: b.write(at + 1, 2) }];
 * interleave(works, (count) => count - 1);            // ['OK', 'OK']
 * ```
 */
export class Syscalls extends GupCalls<'path'> {
  /** The thread. */
  readonly task: Task;
  readonly #process: Process;

  constructor(process: Process, task: Task) {
    super();
    this.#process = process;
    this.task = task;
  }

  *mmap(options: MmapOptions): Path<number | Errno> {
    checkMmap(options);
    const { address = 0, length, prot, flags } = options;
    const path = this.#mmap(options);
    if (!this.task.machine.trace) return yield* path;
    const args = `addr=${hex(address)}, len=${hex(length)}, prot=${protWords(prot)}, flags=${mapWords(flags)}`;
    return yield* shown(this.task, 'ksys_mmap_pgoff', args, path);
  }

  *#mmap(options: MmapOptions): Path<number | Errno> {
    const mm = this.#mm;
    const machine = this.#machine;
    const { address = 0, length, prot, flags, file, offset = 0 } = options;
    if (offset % PAGE_SIZE !== 0) return refuse(this.task, 'EINVAL', `offset ${hex(offset)} is not aligned to a page`);
    const request = { address, length, prot, flags, offset };
    if (!(flags & MAP_ANONYMOUS)) {
      if (!file) return refuse(this.task, 'EBADF', 'no file, and no MAP_ANONYMOUS');
      return this.#exit(yield* sysMmap(this.task, mm, { ...request, inode: file.inode }));
    }
    const log = (flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
    const hstate = log === 0 ? machine.hstate() : machine.hstates.find(({ shift }) => shift === log);
    if (!hstate) return refuse(this.task, 'EINVAL', `there are no huge pages of 2^${log} bytes`);
    /* An anonymous mapping has a file of its own, as long as itself, which lives as long as its VMAs. */
    const inode = machine.newAnonymousFile(hstate, mm.process);
    inode.size = Math.ceil(length / hstate.size) * hstate.size;
    const result = yield* sysMmap(this.task, mm, { ...request, inode });
    yield* putInode(this.task, inode);
    return this.#exit(result);
  }

  *munmap(address: number, length: number): Path<Result> {
    checkRange(address, length);
    return this.#exit(yield* sysMunmap(this.task, this.#mm, address, length));
  }

  *mprotect(address: number, length: number, prot: number): Path<Result> {
    checkRange(address, length);
    checkBits('prot', prot);
    return this.#exit(yield* sysMprotect(this.task, this.#mm, address, length, prot));
  }

  *mremap(
    address: number,
    oldLength: number,
    newLength: number,
    flags: number,
    newAddress: number,
  ): Path<number | Errno | Hang> {
    checkRange(address, oldLength);
    checkRange(newAddress, newLength);
    checkBits('flags', flags);
    const request = { address, oldLength, newLength, flags, newAddress };
    return this.#exit(yield* sysMremap(this.task, this.#mm, request));
  }

  *madvise(address: number, length: number, advice: number): Path<Result | Hang> {
    checkRange(address, length);
    checkAdvice(advice);
    return this.#exit(yield* sysMadvise(this.task, this.#mm, address, length, advice));
  }

  *mincore(address: number, length: number): Path<Uint8Array | Errno> {
    checkRange(address, length);
    return this.#exit(yield* sysMincore(this.task, this.#mm, address, length));
  }

  /** /proc/PID/pagemap of the process's own, an entry a 4 KiB page. */
  *pagemap(address: number, pages = 1): Path<BigUint64Array> {
    checkPagemap(address, pages);
    const mm = this.#mm;
    yield* mm.mmapLock.read(this.task);
    const entries = readPagemap(mm, address - (address % PAGE_SIZE), pages);
    mm.mmapLock.unlock(this.task);
    return this.#exit(entries);
  }

  /** /proc/PID/smaps of the process's own. */
  *smaps(address: number, length: number): Path<Smaps[]> {
    checkRange(address, length);
    return this.#exit(yield* readSmaps(this.task, this.#mm, address, length));
  }

  /** {@link Machine.migrate}, by this thread. */
  *migrate(frame: number): Path<Migrated> {
    const folio = this.#machine.folio(frame);
    return this.#exit(yield* migratePage(this.task, folio));
  }

  /** {@link Machine.memoryFailure}, by this thread. */
  *memoryFailure(frame: number): Path<MemoryFailure> {
    checkFrame(frame);
    return this.#exit(yield* memoryFailure(this.task, this.#machine, frame));
  }

  /** {@link Machine.splitHugePages}, by this thread. */
  *splitHugePages(): Path<'OK'> {
    return this.#exit(yield* splitHugePagesAll(this.task, this.#machine));
  }

  *ftruncate(file: HugetlbFile, bytes: number): Path<Result> {
    checkFtruncate(file, bytes);
    return this.#exit(yield* sysFtruncate(this.task, file.inode, bytes));
  }

  *fallocate(file: HugetlbFile, offset: number, length: number, mode = 0): Path<Result> {
    checkFallocate(file, offset, length, mode);
    return this.#exit(yield* sysFallocate(this.task, file.inode, mode, offset, length));
  }

  *read(address: number): Path<number | Signal | Hang> {
    checkAddress(address);
    const reached = yield* userAccess(this.task, this.#mm, address, USER_READ);
    this.#exit(undefined);
    return typeof reached === 'number' ? this.#machine.frames.readByte(reached) : reached;
  }

  *write(address: number, value: number): Path<'OK' | Signal | Hang> {
    checkAddress(address);
    checkByte(value);
    const reached = yield* userAccess(this.task, this.#mm, address, USER_WRITE);
    this.#exit(undefined);
    if (typeof reached !== 'number') return reached;
    this.#machine.frames.writeByte(reached, value);
    return 'OK';
  }

  /** process_vm_readv or process_vm_writev with one range of `target`'s memory. */
  *processVm(target: Process, address: number, buffer: Uint8Array, direction: Direction): Path<number | Errno | Hang> {
    this.#process.checkAlive();
    checkProcess('target', target);
    checkAddress(address);
    checkBuffer('buffer', buffer);
    checkDirection(direction);
    if (!target.alive || target.mm.exited) return refuse(this.task, 'ESRCH', `${target.name} has ended`);
    return this.#exit(yield* this.#remotely(target, processVmAccess(this.task, target.mm, address, buffer, direction)));
  }

  /** pread or pwrite of /proc/PID/mem. */
  *procMem(target: Process, address: number, buffer: Uint8Array, direction: Direction): Path<number | Errno | Hang> {
    this.#process.checkAlive();
    checkProcess('target', target);
    checkAddress(address);
    checkBuffer('buffer', buffer);
    checkDirection(direction);
    if (!target.alive || target.mm.exited) return refuse(this.task, 'ESRCH', `${target.name} has ended`);
    return this.#exit(yield* this.#remotely(target, procMemAccess(this.task, target.mm, address, buffer, direction)));
  }

  /** IORING_REGISTER_BUFFERS of one buffer: pins it. */
  *registerBuffer(address: number, length: number): Path<Result | Hang> {
    checkRange(address, length);
    return this.#exit(yield* registerBuffer(this.task, this.#mm, this.#process.ring, address, length));
  }

  /** IORING_UNREGISTER_BUFFERS: unpins it. */
  *unregisterBuffer(): Path<Result> {
    this.#process.checkAlive();
    return this.#exit(yield* unregisterBuffer(this.task, this.#machine, this.#process.ring));
  }

  /** read(2) of a pipe. */
  *pipeRead(pipe: Pipe, buffer: Uint8Array): Path<number> {
    checkPipe(pipe);
    return yield* pipe.readBy(this.task, buffer);
  }

  /** close(2) of both ends of a pipe. */
  *pipeClose(pipe: Pipe): Path<void> {
    checkPipe(pipe);
    yield* pipe.closeBy(this.task);
  }

  /** UFFDIO_REGISTER; see {@link UserfaultFile} for these. */
  *uffdRegister(file: UserfaultFile, start: number, length: number, mode: number): Path<RegisterResult> {
    const context = contextOf(file);
    checkUserfaultRange(start, length, mode);
    const result =
      context.features === undefined
        ? this.#beforeApi()
        : yield* this.#ioctl(context, uffdRegister(this.task, context, start, length, mode));
    return this.#exit(registerResult(result, mode));
  }

  /** UFFDIO_UNREGISTER. */
  *uffdUnregister(file: UserfaultFile, start: number, length: number): Path<Result> {
    const context = contextOf(file);
    checkUserfaultRange(start, length, 0);
    if (context.features === undefined) return this.#beforeApi();
    return this.#exit(yield* this.#ioctl(context, uffdUnregister(this.task, context, start, length)));
  }

  /** UFFDIO_COPY, UFFDIO_CONTINUE, UFFDIO_ZEROPAGE. */
  *uffdFill(file: UserfaultFile, start: number, length: number, fill: UffdFill): Path<FillResult> {
    const context = contextOf(file);
    checkFill(fill);
    checkUserfaultRange(start, length, fill.mode);
    const done =
      context.features === undefined
        ? this.#beforeApi()
        : yield* this.#ioctl(context, uffdFill(this.task, context, start, length, fill));
    return this.#exit(fillResult(done, length));
  }

  /** UFFDIO_WRITEPROTECT. */
  *uffdWriteprotect(file: UserfaultFile, start: number, length: number, mode: number): Path<Result> {
    const context = contextOf(file);
    checkUserfaultRange(start, length, mode);
    if (context.features === undefined) return this.#beforeApi();
    return this.#exit(yield* this.#ioctl(context, uffdWriteprotect(this.task, context, start, length, mode)));
  }

  /** read(2) of one message; without UFFD_NONBLOCK it waits for one. */
  *uffdRead(file: UserfaultFile): Path<UffdMessage | 'EINVAL' | 'EAGAIN' | 'EINTR'> {
    const context = contextOf(file);
    const message = yield* this.#fd(context, uffdRead(this.task, context));
    this.#exit(undefined);
    if (typeof message === 'string' || message.event !== UFFD_EVENT_FORK) return message;
    return { event: UFFD_EVENT_FORK, ufd: new UserfaultFile(message.child, this) };
  }

  /** UFFDIO_WAKE. */
  *uffdWake(file: UserfaultFile, start: number, length: number): Path<Result> {
    const context = contextOf(file);
    checkUserfaultRange(start, length, 0);
    yield* preemptionPoint(this.task, context);
    return this.#exit(uffdWake(this.task, context, start, length));
  }

  /** close(2). */
  *uffdClose(file: UserfaultFile): Path<void> {
    yield* this.#fput(contextOf(file));
    this.#exit(undefined);
  }

  *fork(): Path<Process | Errno> {
    const path = this.#fork();
    if (!this.task.machine.trace) return yield* path;
    const words = (result: Process | Errno): string => (typeof result === 'string' ? `-${result}` : result.name);
    return yield* shown(this.task, 'kernel_clone', this.#mm.process, path, words);
  }

  *#fork(): Path<Process | Errno> {
    const mm = this.#mm;
    const child = this.#machine.newProcess();
    if (!child) return refuse(this.task, 'ENOMEM', 'no memory for a root table');
    const result = yield* dupMmap(this.task, child.mm, mm);
    if (result === 'OK' && !this.task.killed) return this.#exit(child);
    yield* mmput(this.task, child.mm);
    child.ended();
    /* What the copy failed with is not told: copy_mm knows one error. */
    if (result === 'OK') return this.#exit(refuse(this.task, 'EINTR', 'a SIGKILL is pending'));
    return this.#exit(refuse(this.task, 'ENOMEM', `dup_mmap failed with ${result}`));
  }

  *exit(): Path<void> {
    this.#process.killOthers(this.task);
    yield* mmput(this.task, this.#mm);
    this.#process.ended();
    this.#exit(undefined);
  }

  protected override caller(): Caller {
    return { task: this.task, mm: this.#mm, frames: this.#machine.frames };
  }

  protected override ran<T>(path: Path<T>): Path<T> {
    return path;
  }

  protected override ranThrough<T>(path: Path<T>): Path<T> {
    return path;
  }

  *#remotely<T>(target: Process, path: Path<T>): Path<T> {
    return yield* usingMm(this.task, target.mm, path);
  }

  *#ioctl<T>(context: Userfaultfd, path: Path<T>): Path<T> {
    return yield* this.#fd(context, usingMm(this.task, context.mm, path));
  }

  /** `fdget`, and `fput` at the end: the file stays until then, also if another thread closes it. */
  *#fd<T>(context: Userfaultfd, path: Path<T>): Path<T> {
    context.references++;
    const result = yield* path;
    yield* this.#fput(context);
    return result;
  }

  /** `fput`: with its last reference, a userfaultfd is released. */
  *#fput(context: Userfaultfd): Path<void> {
    context.references--;
    if (context.references === 0) yield* uffdRelease(this.task, context);
  }

  /** `userfaultfd_ioctl`: before UFFDIO_API nothing else goes. */
  #beforeApi(): 'EINVAL' {
    return refuse(this.task, 'EINVAL', 'before UFFDIO_API');
  }

  get #machine(): Machine {
    return this.#process.machine;
  }

  get #mm(): Process['mm'] {
    this.#process.checkAlive();
    return this.#process.mm;
  }

  #exit<T>(result: T): T {
    return this.task.machine.kernelExit(this.task, result);
  }
}

function contextOf(file: UserfaultFile): UserfaultFile['context'] {
  checkUserfaultFile(file);
  return file.context;
}
