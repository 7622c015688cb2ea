/**
 * What a caller of GUP asks for. include/linux/mm.h of Linux 6.1.
 */

/** The page will be written. */
export const FOLL_WRITE = 0x01;
/** Mark it accessed. */
export const FOLL_TOUCH = 0x02;
/** Take a reference to each page. */
export const FOLL_GET = 0x04;
/** For a core file: where a hole is, and the file has no page, do not make one. */
export const FOLL_DUMP = 0x08;
/** Also what the VMA does not permit now, if it might: what ptrace needs. Not for writes to hugetlb. */
export const FOLL_FORCE = 0x10;
/** Do not wait for a fault. */
export const FOLL_NOWAIT = 0x20;
/** Do not fault. The hugetlb path of 6.1 does not look at it. */
export const FOLL_NOFAULT = 0x80;
/** Tell a poisoned page from others. */
export const FOLL_HWPOISON = 0x100;
/** Wait for a page that is being migrated; the model migrates none. */
export const FOLL_MIGRATION = 0x400;
/** The second try, after a fault that dropped mmap_lock. */
export const FOLL_TRIED = 0x800;
/** Another process's memory. */
export const FOLL_REMOTE = 0x2000;
/** Anonymous memory only, which hugetlb never is: it has a file behind it. */
export const FOLL_ANON = 0x8000;
/** The pin lasts: the page must be one that may stay where it is. Only with FOLL_PIN. */
export const FOLL_LONGTERM = 0x1_0000;
/** Split transparent huge pages; nothing to hugetlb. */
export const FOLL_SPLIT_PMD = 0x2_0000;
/** Pin each page: somebody reads or writes it, and a fork copies it. Set by the pin functions alone. */
export const FOLL_PIN = 0x4_0000;
/** GUP-fast, and nothing else. */
export const FOLL_FAST_ONLY = 0x8_0000;
