/**
 * Faults of Linux itself that only an interleaving shows, each at the one place where its fix is: to have one back that was mended, or to mend one that
 * 6.1.192 has. The search of interleavings (src/explore) finds them.
 */

/** Page faults do not take the VMA lock, as before 6.1: an unshare takes the table away under the fault. "hugetlb: use new vma_lock for pmd sharing synchronization" */
export const LINUX_BUG_FAULT_WITHOUT_VMA_LOCK = 1;
/** A page that a fault has mapped again stays mapped when a hole is punched, or a file is cut: remove_inode_single_folio without hugetlb_unmap_file_folio. */
export const LINUX_BUG_PUNCH_LEAVES_MAPPED = 2;
/** GUP-fast takes a page without looking at the entry again. */
export const LINUX_BUG_GUP_FAST_LOOKS_ONCE = 4;
/** GUP-fast does not look whether a fork came in between: mm->write_protect_seq. "mm/gup: prevent gup_fast from racing with COW during fork" */
export const LINUX_BUG_GUP_FAST_MISSES_FORK = 8;
/** A fault that finds nothing believes it without the page-table lock: no hugetlb_pte_stable. "hugetlb: fix races when handling missing/minor faults" */
export const LINUX_BUG_FAULT_TRUSTS_NONE = 16;
/** CVE-2025-38084, as it was before the fix: a VMA's tables are given up before the split, with the locks dropped again before the VMA has become smaller. */
export const LINUX_BUG_SPLIT_UNSHARES_EARLY = 32;
/**
 * CVE-2024-27022: fork links the child's VMA with its file while it still has the parent's VMA lock. "fork: defer linking file vma until vma is fully
 * initialized"
 */
export const LINUX_BUG_FORK_LINKS_EARLY = 64;
/**
 * CVE-2024-57883: who else uses a table of 2 MiB entries is told by its page's reference count, in which also a walk over all frames has a part.
 * "mm: hugetlb: independent PMD page table shared count"
 */
export const LINUX_BUG_TABLE_REFERENCE_IS_SHARER = 128;

/**
 * CVE-2025-38085: who gives up a shared table does not wait for GUP-fast, which may walk it still when its last user puts other mappings there. It needs a hypervisor
 * that flushes TLBs without interrupts. "mm/hugetlb: fix huge_pmd_unshare() vs GUP-fast race"
 */
export const LINUX_BUG_UNSHARE_WITHOUT_IPI = 256;

/** All of them. */
export const LINUX_BUG_ALL = 511;

/** hugetlb_wp keeps the page-cache page locked while it drops the fault mutex and takes it again; mended in 6.17: "mm,hugetlb: change mechanism to detect a COW on private mapping". */
export const LINUX_FIX_WP_DEADLOCK = 1;
/**
 * __vma_adjust of 6.1.192 calls hugetlb_split, which gives up shared tables, before it takes i_mmap_rwsem, which hugetlb_split relies on (CVE-2025-38084's fix,
 * put back into 6.1): mended, it is called with the lock held.
 */
export const LINUX_FIX_SPLIT_UNDER_LOCK = 2;

/**
 * GUP, follow_page and smaps of 6.1.192 walk page tables that processes share without the VMA lock. "mm/hugetlb: make walk_hugetlb_range() safe to pmd unshare" and
 * its like, 6.2: they take it.
 */
export const LINUX_FIX_WALKS_TAKE_VMA_LOCK = 4;

/** All of them. */
export const LINUX_FIX_ALL = 7;

/** By name, less the prefix. */
export const LINUX_BUGS: Readonly<Record<string, number>> = {
  FAULT_WITHOUT_VMA_LOCK: LINUX_BUG_FAULT_WITHOUT_VMA_LOCK,
  PUNCH_LEAVES_MAPPED: LINUX_BUG_PUNCH_LEAVES_MAPPED,
  GUP_FAST_LOOKS_ONCE: LINUX_BUG_GUP_FAST_LOOKS_ONCE,
  GUP_FAST_MISSES_FORK: LINUX_BUG_GUP_FAST_MISSES_FORK,
  FAULT_TRUSTS_NONE: LINUX_BUG_FAULT_TRUSTS_NONE,
  SPLIT_UNSHARES_EARLY: LINUX_BUG_SPLIT_UNSHARES_EARLY,
  UNSHARE_WITHOUT_IPI: LINUX_BUG_UNSHARE_WITHOUT_IPI,
  FORK_LINKS_EARLY: LINUX_BUG_FORK_LINKS_EARLY,
  TABLE_REFERENCE_IS_SHARER: LINUX_BUG_TABLE_REFERENCE_IS_SHARER,
};

/** By name, less the prefix. */
export const LINUX_FIXES: Readonly<Record<string, number>> = {
  WP_DEADLOCK: LINUX_FIX_WP_DEADLOCK,
  SPLIT_UNDER_LOCK: LINUX_FIX_SPLIT_UNDER_LOCK,
  WALKS_TAKE_VMA_LOCK: LINUX_FIX_WALKS_TAKE_VMA_LOCK,
};
