/**
 * A page-table entry as Linux writes it on x86-64. arch/x86/include/asm/pgtable_types.h, pgtable.h,
 * pgtable-invert.h of Linux 6.1.
 *
 *    63 62:59 58  57:52  51                              12  11 10  9   8 7   6 5 4 3 2   1 0
 *   ┌──┬─────┬───┬──────┬──────────────────────────────────┬──┬──┬───┬───┬───┬─┬─┬─┬─┬───┬─┬─┐
 *   │NX│ PK  │DEV│      │ page frame number                │SD│WP│SPC│PN │PSE│D│A│C│T│U/S│W│P│   P = 1: the MMU's
 *   └──┴─────┴───┴──────┴──────────────────────────────────┴──┴──┴───┴───┴───┴─┴─┴─┴─┴───┴─┴─┘
 *
 *   SD  soft-dirty       WP  userfaultfd write-protected     SPC  special     PN  PROT_NONE
 *
 * An entry of a PROT_NONE mapping has P = 0 and PN = 1: present to Linux, not to the MMU. PN is the MMU's G, which means
 * nothing where P is 0. Its frame number is stored inverted, so that a processor that looks past P (L1TF) finds no memory.
 *
 * Where there is no page, there may be something else, a swap-like entry: neither P nor PN, a type, and an offset that is stored
 * inverted, too. arch/x86/include/asm/pgtable_64.h, include/linux/swapops.h.
 *
 *    63   59 58                                            9 8 7 6:3   2    1 0
 *   ┌───────┬────────────────────────────────────────────────┬─┬─┬────┬────┬──┬─┐
 *   │ type  │ offset, inverted                               │0│0│    │ WP │SD│0│   22: bad memory, the offset is its frame number
 *   └───────┴────────────────────────────────────────────────┴─┴─┴────┴────┴──┴─┘   30: a marker, the offset says of what
 *
 * Which type is what depends on the configuration: swap files have the lowest numbers, as many as are left over (MAX_SWAPFILES,
 * include/linux/swap.h). With memory failure, migration, device memory, markers and swap-in errors, as distributions build it, 22 are.
 *
 * Two halves of 32 bits, since most bits lie in the lower one and bigints would cost more than the rest of a fault.
 */

import { checkBigint, checkInteger, wrongKind } from '../../core/errors.ts';

/** Frames that there can be: of 52 bits of physical address. */
const MOST_FRAMES = 2 ** 40 - 1;

/** P: the MMU may use the entry. */
export const PAGE_PRESENT: number = 1 << 0;
/** R/W: writes are allowed. */
export const PAGE_RW: number = 1 << 1;
/** U/S: user mode may use it. */
export const PAGE_USER: number = 1 << 2;
/** A: the MMU has used the entry. */
export const PAGE_ACCESSED: number = 1 << 5;
/** D: the MMU has written through it. */
export const PAGE_DIRTY: number = 1 << 6;
/** PS: a leaf of 2 MiB or 1 GiB, not a pointer to a table. In a 4 KiB leaf this bit is PAT. */
export const PAGE_PSE: number = 1 << 7;
/** Linux's own, where P is 0: the mapping is PROT_NONE, the page is there. */
export const PAGE_PROTNONE: number = 1 << 8;
/** Linux's own: write-protected by userfaultfd. */
export const PAGE_UFFD_WP: number = 1 << 10;
/** Linux's own: written since somebody asked. */
export const PAGE_SOFT_DIRTY: number = 1 << 11;
/** XD, in the upper half: no instruction may be fetched. */
export const PAGE_NX_HIGH: number = 1 << 31;

/** An entry that points to a table: P, R/W, U/S, A, D, as `_PAGE_TABLE`. */
export const PAGE_TABLE: number = PAGE_PRESENT | PAGE_RW | PAGE_USER | PAGE_ACCESSED | PAGE_DIRTY;

const PFN_LOW = 0xffff_f000 | 0;
const PFN_HIGH = 0x000f_ffff;
/* What pte_modify keeps, `_PAGE_CHG_MASK`: the frame, PCD, PWT, A, D, PAT or PSE, special, soft-dirty, uffd-wp, devmap. */
const KEPT_LOW = PFN_LOW | 0xef8;
const KEPT_HIGH = PFN_HIGH | (1 << 26);
/** `SWP_HWPOISON`, the first type behind the swap files'. */
const SWP_HWPOISON = 22;
/* Where type and offset stand in the halves: 5 bits above 27 of the upper one, 23 bits of the lower one. */
const TYPE_SHIFT = 27;
const OFFSET_HIGH = (1 << TYPE_SHIFT) - 1;
const OFFSET_SHIFT = 9;
const OFFSET_LOW = (1 << (32 - OFFSET_SHIFT)) - 1;

/* Beside A and D, which KNL's erratum may set in an empty entry: `pte_none`. */
const NOT_NONE_LOW = ~(PAGE_ACCESSED | PAGE_DIRTY);

/** `SWP_MIGRATION_READ`, the first of three types of entries that stand for a page that moves: see migration-entry.ts. */
export const SWP_MIGRATION_READ = 23;
const SWP_MIGRATION_WRITE = 25;

/** The protection of a VMA's entries, both halves: `pgprot_t`. */
export interface PageProtection {
  readonly lo: number;
  readonly hi: number;
}

/** An entry's value. Never changed: every `mk` and `wr` makes another. */
export class Pte {
  /** Bits 31:0, signed. */
  readonly lo: number;
  /** Bits 63:32, signed. */
  readonly hi: number;

  private constructor(lo: number, hi: number) {
    this.lo = lo;
    this.hi = hi;
  }

  /** From both halves, signed or not, unchecked: an entry is made at every access to one. @internal */
  static halves(lo: number, hi: number): Pte {
    return new Pte(lo, hi);
  }

  /** `mk_huge_pte`: a page's frame number with a protection; a leaf larger than 4 KiB needs {@link mkhuge}, too. @internal */
  static of(pfn: number, protection: PageProtection): Pte {
    if (protection === undefined) throw wrongKind('protection', 'both halves of a protection', protection);
    const lo = (pfn % 0x10_0000) << 12;
    const hi = Math.floor(pfn / 0x10_0000);
    return protection.lo & PAGE_PRESENT
      ? new Pte(lo | protection.lo, hi | protection.hi)
      : new Pte((~lo & PFN_LOW) | protection.lo, (~hi & PFN_HIGH) | protection.hi);
  }

  /** `make_hwpoison_entry`: nothing may be mapped here, since the memory at this frame number is bad. */
  static hwpoison(pfn: number): Pte {
    checkInteger('pfn', pfn, 0, MOST_FRAMES);
    const low = pfn % (OFFSET_LOW + 1);
    const high = Math.floor(pfn / (OFFSET_LOW + 1));
    return new Pte((~low & OFFSET_LOW) << OFFSET_SHIFT, (~high & OFFSET_HIGH) | (SWP_HWPOISON << TYPE_SHIFT));
  }

  /** From the 64 bits. */
  static from(value: bigint): Pte {
    checkBigint('value', value);
    return new Pte(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** All 64 bits. */
  get value(): bigint {
    return (BigInt(this.hi >>> 0) << 32n) | BigInt(this.lo >>> 0);
  }

  /** `huge_pte_none`: nothing is here. */
  get none(): boolean {
    return (this.lo & NOT_NONE_LOW) === 0 && this.hi === 0;
  }

  /** `huge_pte_none_mostly`: nothing is mapped, and no page is anywhere else; a marker may be there. */
  get noneMostly(): boolean {
    return this.none || this.isMarker;
  }

  /** `pte_marker_uffd_wp`. */
  get isMarker(): boolean {
    return this.lo === PTE_UFFD_WP_MARKER.lo && this.hi === PTE_UFFD_WP_MARKER.hi;
  }

  /** `is_hugetlb_entry_hwpoisoned`: what was mapped here is bad memory. */
  get isHwpoison(): boolean {
    return !this.present && this.hi >>> TYPE_SHIFT === SWP_HWPOISON;
  }

  /** `swp_offset_pfn` of such an entry: the frame number of what was mapped, a large leaf's first. */
  get hwpoisonPfn(): number {
    return (~this.hi & OFFSET_HIGH) * (OFFSET_LOW + 1) + (~this.lo >>> OFFSET_SHIFT);
  }

  /** `is_hugetlb_entry_migration`: the page that was mapped here is being moved. */
  get isMigration(): boolean {
    const type = this.hi >>> 27;
    return !this.present && type >= SWP_MIGRATION_READ && type <= SWP_MIGRATION_WRITE;
  }

  /** `pte_present`: a page is mapped, though perhaps not for the MMU. */
  get present(): boolean {
    return (this.lo & (PAGE_PRESENT | PAGE_PROTNONE)) !== 0;
  }

  /** `pte_huge`. With {@link present}: a leaf of more than 4 KiB. */
  get huge(): boolean {
    return (this.lo & PAGE_PSE) !== 0;
  }

  get write(): boolean {
    return (this.lo & PAGE_RW) !== 0;
  }

  get dirty(): boolean {
    return (this.lo & PAGE_DIRTY) !== 0;
  }

  get young(): boolean {
    return (this.lo & PAGE_ACCESSED) !== 0;
  }

  get softDirty(): boolean {
    return (this.lo & PAGE_SOFT_DIRTY) !== 0;
  }

  get uffdWp(): boolean {
    return (this.lo & PAGE_UFFD_WP) !== 0;
  }

  /** `pte_pfn`: the frame number, turned back where it is stored inverted. */
  get pfn(): number {
    const inverted = (this.lo & PAGE_PRESENT) === 0 && (this.lo | this.hi) !== 0;
    const lo = inverted ? ~this.lo : this.lo;
    const hi = inverted ? ~this.hi : this.hi;
    return (hi & PFN_HIGH) * 0x10_0000 + (lo >>> 12);
  }

  /** `pte_same`. @internal */
  same(other: Pte): boolean {
    return this.lo === other.lo && this.hi === other.hi;
  }

  mkwrite(): Pte {
    return new Pte(this.lo | PAGE_RW, this.hi);
  }

  wrprotect(): Pte {
    return new Pte(this.lo & ~PAGE_RW, this.hi);
  }

  /** D, and soft-dirty with it. */
  mkdirty(): Pte {
    return new Pte(this.lo | PAGE_DIRTY | PAGE_SOFT_DIRTY, this.hi);
  }

  mkyoung(): Pte {
    return new Pte(this.lo | PAGE_ACCESSED, this.hi);
  }

  mkold(): Pte {
    return new Pte(this.lo & ~PAGE_ACCESSED, this.hi);
  }

  mksoftDirty(): Pte {
    return new Pte(this.lo | PAGE_SOFT_DIRTY, this.hi);
  }

  mkuffdWp(): Pte {
    return new Pte(this.lo | PAGE_UFFD_WP, this.hi);
  }

  clearUffdWp(): Pte {
    return new Pte(this.lo & ~PAGE_UFFD_WP, this.hi);
  }

  /** `arch_make_huge_pte`: PS, except in a 4 KiB leaf, where that bit would be PAT. @internal */
  mkhuge(shift: number): Pte {
    return shift === 12 ? this : new Pte(this.lo | PAGE_PSE, this.hi);
  }

  /** The same rights and marks for another page, in a leaf of 2^shift bytes. @internal */
  withPage(pfn: number, shift: number): Pte {
    return Pte.of(pfn, { lo: this.lo & ~PFN_LOW & ~PAGE_PSE, hi: this.hi & ~PFN_HIGH }).mkhuge(shift);
  }

  /** `pte_modify`: another protection for the same page; the frame number is inverted when P goes or comes. @internal */
  modify(protection: PageProtection): Pte {
    let lo = (this.lo & KEPT_LOW) | (protection.lo & ~KEPT_LOW);
    let hi = (this.hi & KEPT_HIGH) | (protection.hi & ~KEPT_HIGH);
    if ((this.lo & PAGE_PRESENT) !== (lo & PAGE_PRESENT)) {
      lo = (lo & ~PFN_LOW) | (~lo & PFN_LOW);
      hi = (hi & ~PFN_HIGH) | (~hi & PFN_HIGH);
    }
    return new Pte(lo, hi);
  }
}

/**
 * `make_pte_marker(PTE_MARKER_UFFD_WP)`: nothing is mapped, but what will be is to be write-protected. A swap-like entry: its type,
 * 30, stands in bits 63:59, its offset, 1, inverted in bits 58:9. arch/x86/include/asm/pgtable_64.h, include/linux/swapops.h.
 */
export const PTE_UFFD_WP_MARKER: Pte = Pte.halves(0xffff_fc00 | 0, 0xf7ff_ffff | 0);

/** The empty entry. */
export const PTE_NONE: Pte = Pte.halves(0, 0);
