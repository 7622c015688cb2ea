/**
 * What stands in page tables while a page moves: a swap-like entry with the frame number of the page that is still there.
 * include/linux/swapops.h, include/linux/swap.h, arch/x86/include/asm/pgtable_64.h of Linux 6.1.
 *
 *    63  59 58    9 + B + 2                        9 8 7 6:3  2   1  0
 *   ┌──────┬────────┬─┬─┬───────────────────────────┬─┬─┬───┬───┬───┬─┐
 *   │ type │reserved│D│A│ frame number, B bits      │0│0│ 0 │WP │SD │0│     bits 58:9 are stored inverted
 *   └──────┴────────┴─┴─┴───────────────────────────┴─┴─┴───┴───┴───┴─┘
 *
 *   type 23  readable             B  34; with 5 levels of tables, where physical addresses have 52 bits, 40
 *        24  readable, exclusive  A, D    whether the leaf had them
 *        25  writable             SD, WP  soft-dirty, userfaultfd's write protection
 *
 * Types depend on the configuration; these are those of a kernel with all of memory failure, migration, device memory and markers.
 */
import { wrongKind } from '../../core/errors.ts';
import { PAGE_RW, PAGE_USER, Pte, SWP_MIGRATION_READ } from './pte.ts';

/** What the page's owner may do when it is back. 'exclusive': only read, but the page is nobody else's. */
export type MigrationKind = 'read' | 'exclusive' | 'write';

const KINDS: readonly MigrationKind[] = ['read', 'exclusive', 'write'];
/** _PAGE_SWP_SOFT_DIRTY, _PAGE_SWP_UFFD_WP: bits that mean something else in an entry that is present. */
const SWP_SOFT_DIRTY = PAGE_RW;
const SWP_UFFD_WP = PAGE_USER;
const TYPE_SHIFT = 27;
/** Bits of the offset in the lower half, from bit 9 on. */
const OFFSET_LOW_BITS = 23;
const OFFSET_HIGH_MASK = 2 ** TYPE_SHIFT - 1;

/** What an entry says. */
export interface MigrationEntry {
  readonly kind: MigrationKind;
  /** Of the leaf's first 4 KiB page. */
  readonly pfn: number;
  readonly young: boolean;
  readonly dirty: boolean;
  readonly softDirty: boolean;
  readonly uffdWp: boolean;
}

/** How many levels page tables have: a machine. */
interface Levels {
  readonly levels: 4 | 5;
}

/** `SWP_PFN_BITS`. */
function pfnBits({ levels }: Levels): number {
  return levels === 5 ? 40 : 34;
}

/** `make_readable_migration_entry` and its like, with `swp_entry_to_pte`. */
export function makeMigrationEntry(
  machine: Levels,
  { kind, pfn, young, dirty, softDirty, uffdWp }: MigrationEntry,
): Pte {
  const bits = pfnBits(machine);
  const offset = pfn + (young ? 2 ** bits : 0) + (dirty ? 2 ** (bits + 1) : 0);
  const low = offset % 2 ** OFFSET_LOW_BITS;
  const high = Math.floor(offset / 2 ** OFFSET_LOW_BITS);
  const flags = (softDirty ? SWP_SOFT_DIRTY : 0) | (uffdWp ? SWP_UFFD_WP : 0);
  const type = SWP_MIGRATION_READ + KINDS.indexOf(kind);
  return Pte.halves((~low << 9) | flags, (~high & OFFSET_HIGH_MASK) | (type << TYPE_SHIFT));
}

/** The same backwards, of an entry that {@link Pte.isMigration}. */
export function readMigrationEntry(machine: Levels, pte: Pte): MigrationEntry {
  if (!(pte instanceof Pte)) throw wrongKind('pte', 'a Pte', pte);
  if (machine?.levels !== 4 && machine?.levels !== 5) throw wrongKind('machine', 'a Machine, or its levels', machine);
  const { lo, hi } = pte;
  const bits = pfnBits(machine);
  const offset = (~hi & OFFSET_HIGH_MASK) * 2 ** OFFSET_LOW_BITS + (~lo >>> 9);
  const used = Math.floor(offset / 2 ** bits);
  return {
    kind: KINDS[(hi >>> TYPE_SHIFT) - SWP_MIGRATION_READ]!,
    pfn: offset % 2 ** bits,
    young: (used & 1) !== 0,
    dirty: (used & 2) !== 0,
    softDirty: (lo & SWP_SOFT_DIRTY) !== 0,
    uffdWp: (lo & SWP_UFFD_WP) !== 0,
  };
}

/** `make_readable_migration_entry` of an entry's own offset: userfaultfd's bit and soft-dirty are lost. */
export function wrprotectMigrationEntry({ lo, hi }: Pte, kind: 'read' | 'exclusive'): Pte {
  const type = SWP_MIGRATION_READ + KINDS.indexOf(kind);
  return Pte.halves(lo & ~(SWP_SOFT_DIRTY | SWP_UFFD_WP), (hi & OFFSET_HIGH_MASK) | (type << TYPE_SHIFT));
}

/** `pte_swp_uffd_wp`. */
export function swpUffdWp({ lo }: Pte): boolean {
  return (lo & SWP_UFFD_WP) !== 0;
}

/** `pte_swp_mkuffd_wp`. */
export function swpMkuffdWp({ lo, hi }: Pte): Pte {
  return Pte.halves(lo | SWP_UFFD_WP, hi);
}

/** `pte_swp_clear_uffd_wp`. */
export function swpClearUffdWp({ lo, hi }: Pte): Pte {
  return Pte.halves(lo & ~SWP_UFFD_WP, hi);
}
