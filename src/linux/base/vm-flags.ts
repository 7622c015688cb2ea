/**
 * What a VMA is and permits. include/linux/mm.h, include/linux/mman.h, arch/x86/mm/pgprot.c of Linux 6.1.
 */

export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
/** Writes are everybody's. A private file mapping has neither this nor VM_MAYSHARE. */
export const VM_SHARED = 0x8;
/** mprotect may give VM_READ, and so on. */
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_MAYEXEC = 0x40;
/** Was mapped MAP_SHARED, whether or not it may write: its reservations are the file's. */
export const VM_MAYSHARE = 0x80;
/** MADV_DONTFORK: a child does not get it. */
export const VM_DONTCOPY = 0x2_0000;
/** userfaultfd: faults on pages that are missing are somebody's to handle. */
export const VM_UFFD_MISSING = 0x200;
/** userfaultfd: so are writes to pages that it protects. */
export const VM_UFFD_WP = 0x1000;
/** userfaultfd: so are faults on pages that are in the page cache. Linux's bit 37, here one of 32. */
export const VM_UFFD_MINOR = 0x4000_0000;
/** All of userfaultfd's. */
export const VM_UFFD_FLAGS: number = VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR;
/** Cannot grow with mremap; every hugetlb VMA has it, hence none is ever merged with a neighbour. */
export const VM_DONTEXPAND = 0x4_0000;
/** MAP_NORESERVE. */
export const VM_NORESERVE = 0x20_0000;
/** From the pools of huge pages. */
export const VM_HUGETLB = 0x40_0000;
/** High-granularity mapping: leaves may be smaller than the huge page. The series' bit 38, here one of 32. */
export const VM_HUGETLB_HGM = 0x2000_0000;

/** The bits that mprotect changes. */
export const VM_ACCESS_FLAGS: number = VM_READ | VM_WRITE | VM_EXEC;
