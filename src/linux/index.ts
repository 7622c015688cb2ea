/**
 * hugewalk/linux: how Linux 6.1 fills page tables with huge pages.
 *
 * @module
 */

export type { Errno, Hang, Result, Signal } from './errno.ts';
export type { Folio } from './folio.ts';
export type { Hstate } from './hstate.ts';
export type { HugetlbFile, Hugetlbfs, MountOptions } from './hugetlb-file.ts';
export type { HugetlbfsInode } from './inode.ts';
export type { Lock, LockMode } from './lock.ts';
export { Machine, type MachineOptions, type PoolOptions } from './machine.ts';
export type { Mm } from './mm.ts';
export type { PageCache } from './page-cache.ts';
export { type MappedPage, PM_FILE, PM_MMAP_EXCLUSIVE, PM_PRESENT, PM_SOFT_DIRTY, PM_UFFD_WP } from './pagemap.ts';
export type { Process } from './process.ts';
export { Pte } from './pte.ts';
export type { Region } from './regions.ts';
export type { ReserveMap } from './reserve-map.ts';
export type { Subpool } from './subpool.ts';
export type { MmapOptions, Syscalls } from './syscalls.ts';
export { interleave, type Path, type Pause, run, type Task, type Work } from './task.ts';
export { describeTraceEvent, type TraceEvent } from './trace.ts';
export * from './uapi.ts';
export * from './vm-flags.ts';
export type { Vma } from './vma.ts';
