/**
 * Who makes a system call: the main thread of a process, which nothing wakes once it sleeps, or another thread, which may wait.
 *
 * Operations are written once, as paths over a Caller. Those of the main thread end at once: its calls are a Process's.
 */
import type { Hang } from '../../linux/base/errno.ts';
import type { Path, Pause } from '../../linux/base/task.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { Syscalls } from '../../linux/machine/syscalls.ts';
import type { FillResult, UserfaultFile } from '../../linux/machine/userfault-file.ts';
import type { UffdFill } from '../../linux/userfaultfd/uffd-fill.ts';

/** What an operation ends with that has to wait where nobody could wake it; and what ends never. */
type Stuck = Hang | 'BLOCKED';

/** Calls that may have to wait. */
type Waiting =
  | 'mmap'
  | 'munmap'
  | 'mprotect'
  | 'mremap'
  | 'madvise'
  | 'mlock'
  | 'read'
  | 'write'
  | 'processVm'
  | 'procMem'
  | 'vmsplice'
  | 'registerBuffer'
  | 'ftruncate'
  | 'fallocate'
  | 'fork'
  | 'exit'
  | 'getUserPages'
  | 'pinUserPages'
  | 'getUserPagesFast'
  | 'pinUserPagesFast'
  | 'getUserPagesRemote'
  | 'pinUserPagesRemote'
  | 'dumpPages'
  | 'uffdUnregister'
  | 'uffdWriteprotect'
  | 'uffdRead';

/** Calls that go through without waiting. */
type GoingThrough =
  | 'mincore'
  | 'pagemap'
  | 'munlock'
  | 'getUserPagesFastOnly'
  | 'followPage'
  | 'migrate'
  | 'uffdRegister'
  | 'uffdFill'
  | 'uffdWake'
  | 'uffdClose'
  | 'memoryFailure'
  | 'splitHugePages'
  | 'putPages'
  | 'unpinUserPages'
  | 'unpinUserPageRange'
  | 'unregisterBuffer'
  | 'pipeRead'
  | 'pipeClose';

/** A thread's call, as one of the main thread may end, too. */
type OrStuck<Call> = Call extends (...args: infer Args) => Path<infer Answer>
  ? (...args: Args) => Path<Answer | Stuck>
  : never;

/** The calls that operations make, whoever makes them: those of a thread, with their signatures. */
export type Caller = { [Name in Waiting]: OrStuck<Syscalls[Name]> } & Pick<Syscalls, GoingThrough>;

/** What a path that is at its end when it begins waits for. */
export const NOTHING: readonly Pause[] = [];

function* atOnce<T>(call: () => T): Path<T> {
  yield* NOTHING;
  return call();
}

/** The main thread of a process. What is nobody's system call, as a page that moves, the machine does. */
export function mainThread(process: Process): Caller {
  const { machine } = process;
  return {
    mmap: (...args) => atOnce(() => process.mmap(...args)),
    munmap: (...args) => atOnce(() => process.munmap(...args)),
    mprotect: (...args) => atOnce(() => process.mprotect(...args)),
    mremap: (...args) => atOnce(() => process.mremap(...args)),
    madvise: (...args) => atOnce(() => process.madvise(...args)),
    pagemap: (...args) => atOnce(() => process.pagemap(...args)),
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
    exit: () => atOnce(() => process.exit()),
    getUserPages: (...args) => atOnce(() => process.getUserPages(...args)),
    pinUserPages: (...args) => atOnce(() => process.pinUserPages(...args)),
    getUserPagesFast: (...args) => atOnce(() => process.getUserPagesFast(...args)),
    getUserPagesFastOnly: (...args) => atOnce(() => process.getUserPagesFastOnly(...args)),
    pinUserPagesFast: (...args) => atOnce(() => process.pinUserPagesFast(...args)),
    getUserPagesRemote: (...args) => atOnce(() => process.getUserPagesRemote(...args)),
    pinUserPagesRemote: (...args) => atOnce(() => process.pinUserPagesRemote(...args)),
    followPage: (...args) => atOnce(() => process.followPage(...args)),
    dumpPages: (...args) => atOnce(() => process.dumpPages(...args)),
    migrate: (frame) => atOnce(() => machine.migrate(frame)),
    memoryFailure: (frame) => atOnce(() => machine.memoryFailure(frame)),
    splitHugePages: () => atOnce(() => machine.splitHugePages()),
    putPages: (...args) => atOnce(() => machine.putPages(...args)),
    unpinUserPages: (...args) => atOnce(() => machine.unpinUserPages(...args)),
    unpinUserPageRange: (...args) => atOnce(() => machine.unpinUserPageRange(...args)),
    pipeRead: (pipe, buffer) => atOnce(() => pipe.read(buffer)),
    pipeClose: (pipe) => atOnce(() => pipe.close()),
    registerBuffer: (...args) => atOnce(() => process.registerBuffer(...args)),
    unregisterBuffer: () => atOnce(() => process.unregisterBuffer()),
    uffdRegister: (file, ...args) => atOnce(() => file.register(...args)),
    uffdUnregister: (file, ...args) => atOnce(() => file.unregister(...args)),
    uffdFill: (file, start, length, fill) => atOnce(() => filled(file, start, length, fill)),
    uffdWriteprotect: (file, ...args) => atOnce(() => file.writeprotect(...args)),
    uffdRead: (file) => atOnce(() => file.read()),
    uffdWake: (file, ...args) => atOnce(() => file.wake(...args)),
    uffdClose: (file) => atOnce(() => file.close()),
  };
}

function filled(file: UserfaultFile, start: number, length: number, fill: UffdFill): FillResult {
  if (fill.kind === 'copy') return file.copy(start, fill.bytes ?? new Uint8Array(), fill.mode, length);
  return file[fill.kind](start, length, fill.mode);
}
