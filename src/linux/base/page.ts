/**
 * What Linux counts memory in. arch/x86/include/asm/page_types.h of Linux 6.1: PAGE_SHIFT, PAGE_SIZE.
 */

/** Bytes of a small page: frames, offsets in files (`pgoff`) and GUP are counted in these. */
export const PAGE_SIZE = 4096;
