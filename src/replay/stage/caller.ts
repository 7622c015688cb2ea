/**
 * Who makes a system call: the main thread of a process, which nothing wakes once it sleeps, or another thread, which may wait.
 *
 * Operations are written once, as paths over a Caller. Those of the main thread end at once: its calls are a Process's.
 */
import type { Errno, Hang, Result, Signal } from '../../linux/base/errno.ts';
import type { Path, Pause } from '../../linux/base/task.ts';
import type { GupResult } from '../../linux/gup/gup.ts';
import type { HugetlbFile } from '../../linux/machine/hugetlb-file.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { MmapOptions } from '../../linux/machine/syscalls.ts';
import type { FillResult, RegisterResult, UffdMessage, UserfaultFile } from '../../linux/machine/userfault-file.ts';
import type { PageList } from '../../linux/pool/pin.ts';
import type { Pipe } from '../../linux/syscalls/pipe.ts';
import type { UffdFill } from '../../linux/userfaultfd/uffd-fill.ts';

/** What an operation ends with that has to wait where nobody could wake it; and what ends never. */
type Stuck = Hang | 'BLOCKED';

/** The calls that operations make, whoever makes them: `Syscalls` of `hugewalk/linux` has them for a thread. */
export interface Caller {
  mmap(options: MmapOptions): Path<number | Errno | Stuck>;
  munmap(address: number, length: number): Path<Result | Stuck>;
  mprotect(address: number, length: number, prot: number): Path<Result | Stuck>;
  mremap(from: number, oldLength: number, newLength: number, flags: number, to: number): Path<number | Errno | Stuck>;
  madvise(address: number, length: number, advice: number): Path<Result | Stuck>;
  mincore(address: number, length: number): Path<Uint8Array | Errno>;
  mlock(address: number, length: number): Path<Result | Stuck>;
  munlock(address: number, length: number): Path<Result>;
  read(address: number): Path<number | Signal | Stuck>;
  write(address: number, value: number): Path<'OK' | Signal | Stuck>;
  processVm(target: Process, address: number, buffer: Uint8Array, way: 'read' | 'write'): Path<number | Errno | Stuck>;
  procMem(target: Process, address: number, buffer: Uint8Array, way: 'read' | 'write'): Path<number | Errno | Stuck>;
  vmsplice(pipe: Pipe, address: number, length: number): Path<number | Errno | Stuck>;
  ftruncate(file: HugetlbFile, bytes: number): Path<Result | Stuck>;
  fallocate(file: HugetlbFile, offset: number, length: number, mode?: number): Path<Result | Stuck>;
  fork(): Path<Process | Errno | Stuck>;

  getUserPages(start: number, nrPages: number, flags: number, pages?: PageList): Path<GupResult | Stuck>;
  pinUserPages(start: number, nrPages: number, flags: number, pages?: PageList): Path<GupResult | Stuck>;
  getUserPagesFast(start: number, nrPages: number, flags: number, pages: PageList): Path<GupResult | Stuck>;
  getUserPagesFastOnly(start: number, nrPages: number, flags: number, pages: PageList): Path<number>;
  pinUserPagesFast(start: number, nrPages: number, flags: number, pages?: PageList): Path<GupResult | Stuck>;
  getUserPagesRemote(
    target: Process,
    start: number,
    nrPages: number,
    flags: number,
    pages?: PageList,
  ): Path<GupResult | Stuck>;
  pinUserPagesRemote(
    target: Process,
    start: number,
    nrPages: number,
    flags: number,
    pages?: PageList,
  ): Path<GupResult | Stuck>;
  followPage(address: number, flags: number): Path<number | undefined>;
  dumpPages(start: number, nrPages: number): Path<Float64Array | Stuck>;
  migrate(frame: number): Path<Result>;

  uffdRegister(file: UserfaultFile, start: number, length: number, mode: number): Path<RegisterResult>;
  uffdUnregister(file: UserfaultFile, start: number, length: number): Path<Result | Stuck>;
  uffdFill(file: UserfaultFile, start: number, length: number, fill: UffdFill): Path<FillResult>;
  uffdWriteprotect(file: UserfaultFile, start: number, length: number, mode: number): Path<Result | Stuck>;
  uffdRead(file: UserfaultFile): Path<UffdMessage | Errno | Stuck>;
  uffdClose(file: UserfaultFile): Path<void>;
}

/** What a path that is at its end when it begins waits for. */
export const NOTHING: readonly Pause[] = [];

function* atOnce<T>(call: () => T): Path<T> {
  yield* NOTHING;
  return call();
}

/** The main thread of a process. @param migrate moves a page: nobody's system call here */
export function mainThread(process: Process, migrate: (frame: number) => Result): Caller {
  return {
    mmap: (...args) => atOnce(() => process.mmap(...args)),
    munmap: (...args) => atOnce(() => process.munmap(...args)),
    mprotect: (...args) => atOnce(() => process.mprotect(...args)),
    mremap: (...args) => atOnce(() => process.mremap(...args)),
    madvise: (...args) => atOnce(() => process.madvise(...args)),
    mincore: (...args) => atOnce(() => process.mincore(...args)),
    mlock: (...args) => atOnce(() => process.mlock(...args)),
    munlock: (...args) => atOnce(() => process.munlock(...args)),
    read: (address) => atOnce(() => process.read(address)),
    write: (address, value) => atOnce(() => process.write(address, value)),
    processVm: (target, address, buffer, way) =>
      atOnce(() => process[way === 'read' ? 'processVmRead' : 'processVmWrite'](target, address, buffer)),
    procMem: (target, address, buffer, way) =>
      atOnce(() => process[way === 'read' ? 'procMemRead' : 'procMemWrite'](target, address, buffer)),
    vmsplice: (...args) => atOnce(() => process.vmsplice(...args)),
    ftruncate: (file, bytes) => atOnce(() => file.ftruncate(bytes)),
    fallocate: (file, offset, length, mode) => atOnce(() => file.fallocate(offset, length, mode)),
    fork: () => atOnce(() => process.fork()),
    getUserPages: (...args) => atOnce(() => process.getUserPages(...args)),
    pinUserPages: (...args) => atOnce(() => process.pinUserPages(...args)),
    getUserPagesFast: (...args) => atOnce(() => process.getUserPagesFast(...args)),
    getUserPagesFastOnly: (...args) => atOnce(() => process.getUserPagesFastOnly(...args)),
    pinUserPagesFast: (...args) => atOnce(() => process.pinUserPagesFast(...args)),
    getUserPagesRemote: (...args) => atOnce(() => process.getUserPagesRemote(...args)),
    pinUserPagesRemote: (...args) => atOnce(() => process.pinUserPagesRemote(...args)),
    followPage: (...args) => atOnce(() => process.followPage(...args)),
    dumpPages: (...args) => atOnce(() => process.dumpPages(...args)),
    migrate: (frame) => atOnce(() => migrate(frame)),
    uffdRegister: (file, ...args) => atOnce(() => file.register(...args)),
    uffdUnregister: (file, ...args) => atOnce(() => file.unregister(...args)),
    uffdFill: (file, start, length, fill) => atOnce(() => filled(file, start, length, fill)),
    uffdWriteprotect: (file, ...args) => atOnce(() => file.writeprotect(...args)),
    uffdRead: (file) => atOnce(() => file.read()),
    uffdClose: (file) => atOnce(() => file.close()),
  };
}

function filled(file: UserfaultFile, start: number, length: number, fill: UffdFill): FillResult {
  if (fill.kind === 'copy') return file.copy(start, fill.bytes ?? new Uint8Array(), fill.mode, length);
  return file[fill.kind](start, length, fill.mode);
}
