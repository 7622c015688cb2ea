/**
 * hugewalk/linux: how Linux 6.1 fills page tables with huge pages.
 *
 * @module
 */
export { describeEntry, describeEntryChange } from './base/entry-words.ts';
export type { Blocked, Errno, Hang, Result, Signal } from './base/errno.ts';
export * from './base/gup-flags.ts';
export * from './base/hgm.ts';
export * from './base/linux-bugs.ts';
export type { Lock, LockMode } from './base/lock.ts';
export { type MigrationEntry, type MigrationKind, readMigrationEntry } from './base/migration-entry.ts';
export { Pte } from './base/pte.ts';
export { BUS_ADRERR, BUS_MCEERR_AR, SEGV_ACCERR, SEGV_MAPERR, type SignalInfo } from './base/siginfo.ts';
export { type Awaited, interleave, type Path, type Pause, run, runAlone, type Task, type Work } from './base/task.ts';
export type { TraceEvent } from './base/trace.ts';
export { describeTrace, describeTraceEvent } from './base/trace-words.ts';
export * from './base/uapi.ts';
export * from './base/uffd-uapi.ts';
export * from './base/vm-flags.ts';
export type { Locked } from './gup/follow-hugetlb-page.ts';
export type { GupResult } from './gup/gup.ts';
export type { HugetlbFile, Hugetlbfs, MountOptions } from './machine/hugetlb-file.ts';
export { type FolioMapping, Machine } from './machine/machine.ts';
export type { MachineOptions, PoolOptions } from './machine/machine-options.ts';
export type { Process } from './machine/process.ts';
export type { MmapOptions, Syscalls } from './machine/syscalls.ts';
export type {
  ApiResult,
  FillResult,
  ForkMessage,
  RegisterResult,
  UffdMessage,
  UserfaultFile,
} from './machine/userfault-file.ts';
export type { MemoryFailure } from './memory-failure/memory-failure.ts';
export type { Migrated } from './migration/migrate.ts';
export type { Mm } from './mm/mm.ts';
export type { Userfaultfd } from './mm/userfaultfd.ts';
export type { Vma } from './mm/vma.ts';
export type { Folio } from './pool/folio.ts';
export type { Hstate } from './pool/hstate.ts';
export type { HugetlbfsInode } from './pool/inode.ts';
export type { PageCache } from './pool/page-cache.ts';
export type { PageList } from './pool/pin.ts';
export type { Region } from './pool/regions.ts';
export type { ReserveMap } from './pool/reserve-map.ts';
export type { Subpool } from './pool/subpool.ts';
export { CORE_FILE_HOLE } from './syscalls/coredump.ts';
export {
  type MappedPage,
  PM_FILE,
  PM_MMAP_EXCLUSIVE,
  PM_PRESENT,
  PM_SOFT_DIRTY,
  PM_UFFD_WP,
} from './syscalls/pagemap.ts';
export type { Pipe } from './syscalls/pipe.ts';
export type { Smaps } from './syscalls/smaps.ts';
export type { UffdFill } from './userfaultfd/uffd-fill.ts';
export type { PagefaultMessage } from './userfaultfd/uffd-read.ts';
