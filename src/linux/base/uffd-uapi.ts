/**
 * The numbers that programs hand to a userfaultfd and get from it, with Linux's names and values:
 * include/uapi/linux/userfaultfd.h of Linux 6.1. UFFDIO_POISON, UFFDIO_MOVE and later features do not exist there.
 */

/** userfaultfd(2): only faults of user mode are handled; the kernel's own, on a program's behalf, are SIGBUS. */
export const UFFD_USER_MODE_ONLY = 1;
/** userfaultfd(2): a read does not wait; without it, nor does poll tell anything. O_NONBLOCK. */
export const UFFD_NONBLOCK = 0x800;
/** userfaultfd(2): closed by exec, which the model has not. O_CLOEXEC. */
export const UFFD_CLOEXEC = 0x8_0000;

/** Write-protection exists. */
export const UFFD_FEATURE_PAGEFAULT_FLAG_WP = 0x1;
/** A fork's child has a userfaultfd, too; the fork waits until it is read. */
export const UFFD_FEATURE_EVENT_FORK = 0x2;
/** A moved mapping stays registered, with its protection; mremap waits until the event is read. */
export const UFFD_FEATURE_EVENT_REMAP = 0x4;
/** MADV_DONTNEED and MADV_REMOVE tell before they take pages away, and wait until the event is read. */
export const UFFD_FEATURE_EVENT_REMOVE = 0x8;
/** Huge pages can be registered for missing pages. */
export const UFFD_FEATURE_MISSING_HUGETLBFS = 0x10;
/** So can shared memory of small pages, which the model has not. */
export const UFFD_FEATURE_MISSING_SHMEM = 0x20;
/** munmap tells, and waits until the event is read. */
export const UFFD_FEATURE_EVENT_UNMAP = 0x40;
/** A fault that nobody has handled ahead is SIGBUS: no fault ever waits. */
export const UFFD_FEATURE_SIGBUS = 0x80;
/** Messages say which thread faults. */
export const UFFD_FEATURE_THREAD_ID = 0x100;
/** Huge pages can be registered for minor faults. */
export const UFFD_FEATURE_MINOR_HUGETLBFS = 0x200;
/** So can shared memory of small pages, which the model has not. */
export const UFFD_FEATURE_MINOR_SHMEM = 0x400;
/** Messages have the address that was accessed, not that of its huge page. */
export const UFFD_FEATURE_EXACT_ADDRESS = 0x800;
/** Files can be write-protected: huge pages, and shared memory. */
export const UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 0x1000;
/** HGM RFC v2: what is registered can be mapped in pieces, by UFFDIO_CONTINUE of 4 KiB. */
export const UFFD_FEATURE_MINOR_HUGETLBFS_HGM = 0x2000;
/** All features of Linux 6.1. */
export const UFFD_API_FEATURES = 0x1fff;

/** Register for faults on pages that are missing. */
export const UFFDIO_REGISTER_MODE_MISSING = 1;
/** Register for writes to pages that are protected. */
export const UFFDIO_REGISTER_MODE_WP = 2;
/** Register for faults on pages that the file has. */
export const UFFDIO_REGISTER_MODE_MINOR = 4;

/** UFFDIO_COPY wakes nobody. */
export const UFFDIO_COPY_MODE_DONTWAKE = 1;
/** The copied page is write-protected. */
export const UFFDIO_COPY_MODE_WP = 2;
/** UFFDIO_ZEROPAGE wakes nobody. */
export const UFFDIO_ZEROPAGE_MODE_DONTWAKE = 1;
/** UFFDIO_CONTINUE wakes nobody. */
export const UFFDIO_CONTINUE_MODE_DONTWAKE = 1;
/** UFFDIO_WRITEPROTECT protects; without it, it ends the protection and wakes who waits. */
export const UFFDIO_WRITEPROTECT_MODE_WP = 1;
/** UFFDIO_WRITEPROTECT wakes nobody; not together with protecting, which wakes nobody anyway. */
export const UFFDIO_WRITEPROTECT_MODE_DONTWAKE = 2;

/** Bit of UFFDIO_REGISTER among the ioctls that UFFDIO_API and UFFDIO_REGISTER promise. */
export const _UFFDIO_REGISTER = 0x00;
/** Bit of UFFDIO_UNREGISTER. */
export const _UFFDIO_UNREGISTER = 0x01;
/** Bit of UFFDIO_WAKE. */
export const _UFFDIO_WAKE = 0x02;
/** Bit of UFFDIO_COPY. */
export const _UFFDIO_COPY = 0x03;
/** Bit of UFFDIO_ZEROPAGE: never set for huge pages. */
export const _UFFDIO_ZEROPAGE = 0x04;
/** Bit of UFFDIO_WRITEPROTECT. */
export const _UFFDIO_WRITEPROTECT = 0x06;
/** Bit of UFFDIO_CONTINUE. */
export const _UFFDIO_CONTINUE = 0x07;
/** Bit of UFFDIO_API, the 64th. */
export const _UFFDIO_API = 0x3f;

/** A message: somebody faults, and waits. */
export const UFFD_EVENT_PAGEFAULT = 0x12;
/** A message: the process has forked; the child's userfaultfd comes with it. */
export const UFFD_EVENT_FORK = 0x13;
/** A message: a mapping was moved. */
export const UFFD_EVENT_REMAP = 0x14;
/** A message: pages will be taken away. */
export const UFFD_EVENT_REMOVE = 0x15;
/** A message: a range was unmapped. */
export const UFFD_EVENT_UNMAP = 0x16;

/** The fault is a write. */
export const UFFD_PAGEFAULT_FLAG_WRITE = 1;
/** The page is there, and write-protected. */
export const UFFD_PAGEFAULT_FLAG_WP = 2;
/** The file has the page, and it is not mapped. Without this and UFFD_PAGEFAULT_FLAG_WP: it is missing. */
export const UFFD_PAGEFAULT_FLAG_MINOR = 4;
