/**
 * What states list: see docs/replay.md.
 */

/** Huge pages of the pool: total, free, reserved, surplus. */
export type PoolCounts = readonly [total: number, free: number, reserved: number, surplus: number];

/**
 * A huge page in a process's page tables. Entries of one state have the same class when they map the same physical
 * page; class -1 is an entry that is not present.
 */
export type PageEntry = readonly [
  proc: number,
  slot: number,
  page: number,
  physical: number,
  mapcount: number,
  flags: number,
];

/** A process, and how many 4 KiB pages of huge pages it has mapped: HugetlbPages of /proc/PID/status. */
export type Usage = readonly [proc: number, pages: number];

/** Neighbouring 4 KiB pages that are mapped equally often: first page, how many, `page_mapcount`. */
export type MapcountRun = readonly [page: number, count: number, mapcount: number];

/**
 * A huge page in the page cache: file, place in the file, map count, reference count. In v2 the map count is that of the whole
 * page, mapped by one entry, and those of its 4 KiB pages follow.
 */
export type CacheEntry = readonly [
  file: number,
  index: number,
  mapcount: number,
  refcount: number,
  mapcounts?: readonly MapcountRun[],
];

/**
 * Neighbouring entries of one size that map neighbouring pages: page of the slot, how many entries, 4 KiB pages that each maps, file
 * (-1: none), page of the file, and flags. A page that is not a file's has its place in its huge page; where nothing is
 * mapped it is -1.
 */
export type MapRun = readonly [
  page: number,
  count: number,
  size: number,
  file: number,
  filepage: number,
  flags: string,
];

/** What a slot of a process has in its page tables. */
export type SlotMap = readonly [proc: number, slot: number, runs: readonly MapRun[]];
