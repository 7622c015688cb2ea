/**
 * hugewalk/linux: how Linux 6.1 fills page tables with huge pages.
 *
 * @module
 */

export { CORE_FILE_HOLE } from './coredump.ts';
export type { Blocked, Errno, Hang, Result, Signal } from './errno.ts';
export type { Folio } from './folio.ts';
export type { Locked } from './follow-hugetlb-page.ts';
export type { GupResult } from './gup.ts';
export * from './gup-flags.ts';
export * from './hgm.ts';
export type { Hstate } from './hstate.ts';
export type { HugetlbFile, Hugetlbfs, MountOptions } from './hugetlb-file.ts';
export type { HugetlbfsInode } from './inode.ts';
export type { Lock, LockMode } from './lock.ts';
export { Machine, type MachineOptions, type PoolOptions } from './machine.ts';
export type { MemoryFailure } from './memory-failure.ts';
export type { Migrated } from './migrate.ts';
export { type MigrationEntry, type MigrationKind, readMigrationEntry } from './migration-entry.ts';
export type { Mm } from './mm.ts';
export type { PageCache } from './page-cache.ts';
export { type MappedPage, PM_FILE, PM_MMAP_EXCLUSIVE, PM_PRESENT, PM_SOFT_DIRTY, PM_UFFD_WP } from './pagemap.ts';
export type { PageList } from './pin.ts';
export type { Pipe } from './pipe.ts';
export type { Process } from './process.ts';
export { Pte } from './pte.ts';
export type { Region } from './regions.ts';
export type { ReserveMap } from './reserve-map.ts';
export type { FolioMapping } from './rmap.ts';
export { BUS_ADRERR, BUS_MCEERR_AR, SEGV_ACCERR, SEGV_MAPERR, type SignalInfo } from './siginfo.ts';
export type { Smaps } from './smaps.ts';
export type { Subpool } from './subpool.ts';
export type { MmapOptions, Syscalls } from './syscalls.ts';
export { type Awaited, interleave, type Path, type Pause, run, runAlone, type Task, type Work } from './task.ts';
export { describeTraceEvent, type TraceEvent } from './trace.ts';
export * from './uapi.ts';
export type { UffdFill } from './uffd-fill.ts';
export type { PagefaultMessage } from './uffd-read.ts';
export * from './uffd-uapi.ts';
export type {
  ApiResult,
  FillResult,
  ForkMessage,
  RegisterResult,
  UffdMessage,
  UserfaultFile,
} from './userfault-file.ts';
export type { Userfaultfd } from './userfaultfd.ts';
export * from './vm-flags.ts';
export type { Vma } from './vma.ts';
