/**
 * The numbers that programs hand to the kernel, with Linux's names and x86-64's values:
 * include/uapi/asm-generic/{mman,mman-common}.h, include/uapi/linux/{mman,falloc}.h.
 */

/** Pages may be read. */
export const PROT_READ = 0x1;
/** Pages may be written. */
export const PROT_WRITE = 0x2;
/** Pages may be executed. */
export const PROT_EXEC = 0x4;
/** Pages may be used for atomic operations: means nothing on x86-64. */
export const PROT_SEM = 0x8;
/** Pages may not be touched at all. */
export const PROT_NONE = 0x0;

/** Writes reach the file and every other mapping of it. */
export const MAP_SHARED = 0x01;
/** Writes are this process's own: copy-on-write. */
export const MAP_PRIVATE = 0x02;
/** MAP_SHARED that refuses flags which it does not know. */
export const MAP_SHARED_VALIDATE = 0x03;
/** At exactly this address; whatever is mapped there goes. */
export const MAP_FIXED = 0x10;
/** Without a file. */
export const MAP_ANONYMOUS = 0x20;
/** A stack, which grows: never of huge pages. */
export const MAP_GROWSDOWN = 0x0100;
/** Do not reserve huge pages: a later fault may fail with SIGBUS. */
export const MAP_NORESERVE = 0x4000;
/** From the pool of huge pages; without a size, of the default one, 2 MiB. */
export const MAP_HUGETLB = 0x4_0000;
/** At exactly this address, or EEXIST. */
export const MAP_FIXED_NOREPLACE = 0x10_0000;
/** With MAP_HUGETLB: the binary logarithm of the page size stands from this bit on. */
export const MAP_HUGE_SHIFT = 26;
/** With MAP_HUGETLB: pages of 2 MiB. */
export const MAP_HUGE_2MB: number = 21 << MAP_HUGE_SHIFT;
/** With MAP_HUGETLB: pages of 1 GiB. */
export const MAP_HUGE_1GB: number = 30 << MAP_HUGE_SHIFT;

/** mremap may choose another address. */
export const MREMAP_MAYMOVE = 1;
/** mremap to exactly this address; whatever is mapped there goes. */
export const MREMAP_FIXED = 2;
/** mremap leaves the old range mapped, and empty. */
export const MREMAP_DONTUNMAP = 4;

/** Drop the pages of a range; a file's stay in the file. */
export const MADV_DONTNEED = 4;
/** Punch a hole into the file that a shared mapping shows. */
export const MADV_REMOVE = 9;
/** A fork's child does not get the range. */
export const MADV_DONTFORK = 10;
/** A fork's child gets the range again. */
export const MADV_DOFORK = 11;
/** Fault pages in for reading. */
export const MADV_POPULATE_READ = 22;
/** Fault pages in for writing: private pages become the process's own. */
export const MADV_POPULATE_WRITE = 23;
/** Like MADV_DONTNEED, also for locked ranges. */
export const MADV_DONTNEED_LOCKED = 24;

/** Map with the largest leaves there can be: HGM's way back. */
export const MADV_COLLAPSE = 25;
/** High-granularity mapping from now on, for good: HGM v1 and v2. */
export const MADV_SPLIT = 26;

/** As if the memory under each huge page of the range had turned bad, at the 4 KiB page where it is met: for tests. */
export const MADV_HWPOISON = 100;

/** fallocate does not change the file's size. */
export const FALLOC_FL_KEEP_SIZE = 0x01;
/** fallocate takes pages away instead. */
export const FALLOC_FL_PUNCH_HOLE = 0x02;
