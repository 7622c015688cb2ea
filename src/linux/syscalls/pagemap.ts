/**
 * What /proc/PID/pagemap shows, and the entries behind it. fs/proc/task_mmu.c of Linux 6.1: pagemap_hugetlb_range;
 * Documentation/admin-guide/mm/pagemap.rst.
 *
 *    63      62    61         57        56           55          54:0
 *   ┌───────┬─────┬────┬─────┬─────────┬────────────┬───────────┬──────────────────┐
 *   │present│swap │file│  0  │uffd-wp  │ exclusive  │ soft-dirty│ page frame number│
 *   └───────┴─────┴────┴─────┴─────────┴────────────┴───────────┴──────────────────┘
 */
import { swpUffdWp } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Pte } from '../base/pte.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Mm } from '../mm/mm.ts';
import { endOfTable, hugePteOffset, hugetlbFullWalkContinue, levelOf, walkToLeaf } from '../page-tables/page-table.ts';
import type { Folio } from '../pool/folio.ts';

/** A page is mapped, be it for the processor or, under PROT_NONE, for nobody. */
export const PM_PRESENT: bigint = 1n << 63n;
/** The page is a file's, or shared memory: not this process's own. */
export const PM_FILE: bigint = 1n << 61n;
/** Write-protected by userfaultfd. */
export const PM_UFFD_WP: bigint = 1n << 57n;
/** Mapped once, here. */
export const PM_MMAP_EXCLUSIVE: bigint = 1n << 56n;
/** The mapping is new, or was written: of hugetlb always. */
export const PM_SOFT_DIRTY: bigint = 1n << 55n;

/** An entry under a VMA that is not empty. */
export interface MappedPage {
  /** First linear address that it maps. */
  readonly address: number;
  /** Bytes that it maps. */
  readonly bytes: number;
  /** The huge page that it points into; undefined where the entry is no mapping, but a swap-like one. */
  readonly folio: Folio | undefined;
  /** The entry's 64 bits. */
  readonly entry: bigint;
  /** The SDM's level of its table: 3 maps 1 GiB, 2 maps 2 MiB, 1 maps 4 KiB. */
  readonly level: number;
  /** Physical address of the entry. */
  readonly entryAddress: number;
  /** What /proc/PID/pagemap has for its first 4 KiB. */
  readonly pagemap: bigint;
}

/** Every entry that is not empty, in ascending order of the address. */
export function* mappedPages(mm: Mm): Generator<MappedPage, void, undefined> {
  for (const { address, hpte, pte } of leaves(mm)) {
    const folio = pte.present ? mm.machine.frames.folio(pte.pfn) : undefined;
    yield {
      address,
      bytes: hpte.size,
      folio,
      entry: pte.value,
      level: levelOf(hpte.shift),
      entryAddress: hpte.ptep,
      pagemap: pagemapEntry(pte, folio, 0),
    };
  }
}

/** A leaf's place, with what it holds. */
export interface Leaf {
  readonly address: number;
  readonly hpte: HugetlbPte;
  readonly pte: Pte;
}

/** Like {@link mappedPages}, for the kernel's own use. */
export function* leaves(mm: Mm): Generator<Leaf, void, undefined> {
  const { tables } = mm.machine;
  for (const vma of mm.vmas) {
    for (let address = vma.start; address < vma.end; ) {
      const top = hugePteOffset(vma, address);
      if (!top) {
        address = endOfTable(address, vma.hstate.shift);
        continue;
      }
      const hpte = walkToLeaf(mm, top, address);
      const pte = tables.read(hpte.ptep);
      if (!pte.none) yield { address, hpte, pte };
      address += hpte.size;
    }
  }
}

/** /proc/PID/pagemap for `pages` 4 KiB pages. */
export function readPagemap(mm: Mm, address: number, pages: number): BigUint64Array {
  const entries = new BigUint64Array(pages);
  for (let page = 0; page < pages; page++) entries[page] = pagemapOf(mm, address + page * PAGE_SIZE);
  return entries;
}

function pagemapOf(mm: Mm, address: number): bigint {
  const vma = mm.vmaLookup(address);
  if (!vma) return 0n;
  const top = hugePteOffset(vma, address);
  if (!top) return PM_SOFT_DIRTY;
  const hpte = hugetlbFullWalkContinue(vma, top, address);
  const pte = mm.machine.tables.read(hpte.ptep);
  const folio = pte.present ? mm.machine.frames.folio(pte.pfn) : undefined;
  return pagemapEntry(pte, folio, Math.floor((address % hpte.size) / PAGE_SIZE));
}

/** @param page which 4 KiB of the leaf */
function pagemapEntry(pte: Pte, folio: Folio | undefined, page: number): bigint {
  if (!folio) return PM_SOFT_DIRTY | (pte.isMarker || (pte.isMigration && swpUffdWp(pte)) ? PM_UFFD_WP : 0n);
  return (
    PM_PRESENT |
    PM_SOFT_DIRTY |
    (folio.anon ? 0n : PM_FILE) |
    (folio.pageMapcount(pte.pfn - folio.pfn) === 1 ? PM_MMAP_EXCLUSIVE : 0n) |
    (pte.uffdWp ? PM_UFFD_WP : 0n) |
    BigInt(pte.pfn + page)
  );
}
