/**
 * From what a VMA permits to what its entries say. include/linux/mman.h (calc_vm_prot_bits), include/linux/mm.h (is_cow_mapping),
 * arch/x86/mm/pgprot.c (protection_map) of Linux 6.1.
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
import { VM_ACCESS_FLAGS, VM_EXEC, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE } from './vm-flags.ts';

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
