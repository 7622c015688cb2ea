/**
 * What a VMA is and permits. include/linux/mm.h, include/linux/mman.h, arch/x86/mm/pgprot.c of Linux 6.1.
 */
import {
  PAGE_ACCESSED,
  PAGE_NX_HIGH,
  PAGE_PRESENT,
  PAGE_PROTNONE,
  PAGE_RW,
  PAGE_USER,
  type PageProtection,
} from './pte.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from './uapi.ts';

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

/** `calc_vm_prot_bits`: PROT_ to VM_; the values happen to be the same. */
export function protectionFlags(prot: number): number {
  return (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0) | (prot & PROT_EXEC ? VM_EXEC : 0);
}

/** `is_cow_mapping`: private, and may be written now or after an mprotect. */
export function isCowMapping(flags: number): boolean {
  return (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
}

/**
 * `vm_get_page_prot`, the table `protection_map`: what a fault writes into an entry. Private mappings never get R/W from
 * here: the write fault comes first, and decides about the copy.
 */
const PROTECTIONS: readonly PageProtection[] = Array.from({ length: 16 }, (_, flags) => {
  if ((flags & VM_ACCESS_FLAGS) === 0) return { lo: PAGE_ACCESSED | PAGE_PROTNONE, hi: 0 };
  const write = flags & VM_SHARED && flags & VM_WRITE ? PAGE_RW : 0;
  return { lo: PAGE_PRESENT | PAGE_USER | PAGE_ACCESSED | write, hi: flags & VM_EXEC ? 0 : PAGE_NX_HIGH };
});

/** The protection of entries under a VMA with these flags. */
export function pageProtection(flags: number): PageProtection {
  return PROTECTIONS[flags & (VM_ACCESS_FLAGS | VM_SHARED)]!;
}
