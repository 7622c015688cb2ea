/**
 * Page-table entries in words, by the kernel's names of their bits. arch/x86/include/asm/pgtable_types.h, include/linux/swapops.h of Linux 6.1.
 *
 *   0x80000001004008e7 in a page directory   pfn 0x100400 PRESENT|RW|USER|ACCESSED|DIRTY|PSE|SOFT_DIRTY|NX
 */
import { checkBigint, checkInteger, hex } from '../../core/errors.ts';
import { readMigrationEntry } from './migration-entry.ts';
import {
  PAGE_ACCESSED,
  PAGE_DIRTY,
  PAGE_NX_HIGH,
  PAGE_PRESENT,
  PAGE_PROTNONE,
  PAGE_PSE,
  PAGE_RW,
  PAGE_SOFT_DIRTY,
  PAGE_UFFD_WP,
  PAGE_USER,
  Pte,
} from './pte.ts';

/** `_PAGE_PWT`, `_PAGE_PCD`: how the page is cached. The model sets neither, an embedder may. */
const PAGE_PWT = 1 << 3;
const PAGE_PCD = 1 << 4;

/** Bits of the lower half by their names, less the _PAGE_. */
const NAMES: readonly (readonly [number, string])[] = [
  [PAGE_PRESENT, 'PRESENT'],
  [PAGE_RW, 'RW'],
  [PAGE_USER, 'USER'],
  [PAGE_PWT, 'PWT'],
  [PAGE_PCD, 'PCD'],
  [PAGE_ACCESSED, 'ACCESSED'],
  [PAGE_DIRTY, 'DIRTY'],
  [PAGE_PSE, 'PSE'],
  [PAGE_PROTNONE, 'PROTNONE'],
  [PAGE_UFFD_WP, 'UFFD_WP'],
  [PAGE_SOFT_DIRTY, 'SOFT_DIRTY'],
];

/** The bits of an entry that maps a page, by name. @param level 1: a 4 KiB leaf, in which bit 7 is PAT */
function bitsOf({ lo, hi }: Pte, level: number): string[] {
  const names = NAMES.filter(([bit]) => lo & bit).map(([bit, name]) =>
    bit === PAGE_PSE && level === 1 ? 'PAT' : name,
  );
  /* Bit 8 is the MMU's G where P is set. */
  const global = names.map((name) => (name === 'PROTNONE' && lo & PAGE_PRESENT ? 'GLOBAL' : name));
  return hi & PAGE_NX_HIGH ? [...global, 'NX'] : global;
}

/** What stands where no page is mapped. */
function swapWords(pte: Pte, levels: 4 | 5): string {
  if (pte.none) return 'none';
  if (pte.isMarker) return 'marker: UFFD_WP';
  if (pte.isHwpoison) return `swap entry: HWPOISON pfn ${hex(pte.hwpoisonPfn)}`;
  if (!pte.isMigration) return `swap entry: ${hex(pte.value)}`;
  const { kind, pfn, young, dirty, softDirty, uffdWp } = readMigrationEntry({ levels }, pte);
  const type = { read: 'MIGRATION_READ', exclusive: 'MIGRATION_READ_EXCLUSIVE', write: 'MIGRATION_WRITE' }[kind];
  const marks = [young && 'ACCESSED', dirty && 'DIRTY', softDirty && 'SOFT_DIRTY', uffdWp && 'UFFD_WP'].filter(Boolean);
  return [`swap entry: ${type} pfn ${hex(pfn)}`, marks.join('|')].filter(Boolean).join(' ');
}

/** What an entry that is present points to. */
function target(pte: Pte, level: number): string {
  return level > 1 && !pte.huge ? `table ${hex(pte.pfn * 4096)}` : `pfn ${hex(pte.pfn)}`;
}

/**
 * An entry in words: what it points to, and its bits by the kernel's names, less the `_PAGE_`; markers and swap-like entries by what they mean.
 *
 * @param entry its 64 bits
 * @param level the SDM's: 1 for an entry of a page table, 2 of a page directory, ...
 * @param levels of the page tables: with 5, frame numbers in swap-like entries have more bits
 *
 * @example
 * ```ts
 * import { describeEntry } from 'hugewalk/linux';
 * describeEntry(0x80000001004008e5n, 2);
 * // 'pfn 0x100400 PRESENT|USER|ACCESSED|DIRTY|PSE|SOFT_DIRTY|NX'
 * describeEntry(0n, 2);                               // 'none'
 * ```
 */
export function describeEntry(entry: bigint, level: number, levels: 4 | 5 = 4): string {
  checkEntry('entry', entry, level, levels);
  const pte = Pte.from(entry);
  return pte.present ? `${target(pte, level)} ${bitsOf(pte, level).join('|')}` : swapWords(pte, levels);
}

/**
 * What becomes of an entry, in words: which bits were set and cleared, and to what it points now; then the whole entry.
 *
 * @param level, levels as of {@link describeEntry}
 *
 * @example
 * ```ts
 * import { describeEntryChange } from 'hugewalk/linux';
 * describeEntryChange(0x80000001004008e7n, 0x80000001004008e5n, 2);
 * // 'RW cleared; now pfn 0x100400 PRESENT|USER|ACCESSED|DIRTY|PSE|SOFT_DIRTY|NX'
 * ```
 */
export function describeEntryChange(before: bigint, after: bigint, level: number, levels: 4 | 5 = 4): string {
  checkEntry('before', before, level, levels);
  checkEntry('after', after, level, levels);
  const now = describeEntry(after, level, levels);
  if (before === after) return `unchanged: ${now}`;
  const [old, fresh] = [Pte.from(before), Pte.from(after)];
  if (!old.present || !fresh.present) return `was ${describeEntry(before, level, levels)}; now ${now}`;
  const [had, has] = [bitsOf(old, level), bitsOf(fresh, level)];
  const changes = [
    target(old, level) === target(fresh, level) ? '' : `was ${target(old, level)}`,
    verb(
      has.filter((bit) => !had.includes(bit)),
      'set',
    ),
    verb(
      had.filter((bit) => !has.includes(bit)),
      'cleared',
    ),
  ];
  return [...changes.filter(Boolean), `now ${now}`].join('; ');
}

function verb(bits: readonly string[], what: string): string {
  return bits.length === 0 ? '' : `${bits.join(', ')} ${what}`;
}

function checkEntry(name: string, entry: bigint, level: number, levels: number): void {
  checkBigint(name, entry);
  checkInteger('level', level, 1, 5);
  checkInteger('levels', levels, 4, 5);
}
