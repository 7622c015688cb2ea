/**
 * What an operating system means by an entry that is not present: the processor ignores all of it but P.
 *
 * Linux 6.x on x86-64, arch/x86/include/asm/pgtable_64.h, pgtable-invert.h, include/linux/swapops.h:
 *
 *   63   59 58                                           9 8 7 6     3 2 1 0
 *   +------+----------------------------------------------+-+-+-------+-+-+-+
 *   | type | offset, inverted                             |0|0|E|  |SD|W|  0|    a swap entry: of memory, a migration, bad memory, a marker
 *   +------+----------------------------------------------+-+-+-------+-+-+-+
 *   | NX   | frame, inverted                              |1| |            0|    PROT_NONE: G is set, which means nothing where P is 0
 *   +------+----------------------------------------------+-+-+-------+-+-+-+
 *
 * Windows 10 and 11 on x64, as public symbols of ntkrnlmp name it (MMPTE_SOFTWARE, MMPTE_TRANSITION, MMPTE_PROTOTYPE):
 *
 *   bit 10 Prototype, bit 11 Transition; 5:9 protection
 *     transition   bits 47:12 the frame: the page is still in memory, on a list
 *     prototype    bits 63:16 the address of the prototype entry, all ones where the VAD has it
 *     software     bits 63:32 the place in the page file, 1:4 which; nothing of both: demand zero
 */
import { checkBigint, checkInteger, checkOptions, hex, type OptionNames, shown } from '../../core/errors.ts';

/** What an entry is that is not present. */
export interface OsEntry {
  readonly kind:
    | 'empty'
    | 'prot-none'
    | 'swap'
    | 'migration'
    | 'hwpoison'
    | 'device'
    | 'marker'
    | 'transition'
    | 'prototype'
    | 'page-file'
    | 'demand-zero';
  /** Physical address of the page that it still names; undefined where it names none. */
  readonly pa: bigint | undefined;
  /** In words. */
  readonly words: string;
}

/** Whose entries. */
export type EntryOs = 'linux' | 'windows';

const PRESENT = 1n;
const LARGE = 1n << 7n;
/** _PAGE_PROTNONE: G. */
const PROT_NONE = 1n << 8n;
const PHYSICAL_MASK = 0xf_ffff_ffff_f000n;
const TYPE_SHIFT = 59n;
const OFFSET_SHIFT = 9n;
const OFFSET_BITS = 50n;

/**
 * The types above those of swap files, with CONFIG_MIGRATION, CONFIG_DEVICE_PRIVATE, CONFIG_MEMORY_FAILURE, markers and swap-in errors, as distributions
 * build 6.1: include/linux/swap.h. MAX_SWAPFILES_SHIFT is 5.
 */
const LINUX_TYPES: readonly (readonly [from: number, kind: OsEntry['kind'], words: string])[] = [
  [31, 'marker', 'a swap-in error'],
  [30, 'marker', 'a marker (userfaultfd)'],
  [26, 'device', 'memory of a device'],
  [23, 'migration', 'a page that is being moved'],
  [22, 'hwpoison', 'bad memory'],
];

/** Where an entry stands. */
export interface OsEntryPlace {
  /** The SDM's level of its table: 1 where an entry covers 4 KiB. Default 1. */
  readonly level?: number;
  /** Levels of the address space, which decide how many bits Linux's frame numbers have. Default 4. */
  readonly levels?: 4 | 5;
}

const PLACE: OptionNames<OsEntryPlace> = { level: true, levels: true };

/**
 * What an entry means to an operating system; undefined for one that is present, which means what it says.
 *
 * @param os whose entries: Linux 6.x or Windows 10 and later, both for x86-64
 * @throws TypeError or RangeError for an entry that is none, or another system
 *
 * @example
 * ```ts
 * import { describeOsEntry } from 'hugewalk';
 * console.log(describeOsEntry(0x1000_0000_0000_0862n, 'windows')?.words);   // in transition: the page is still at 0x0
 * ```
 */
export function describeOsEntry(entry: bigint, os: EntryOs, place: OsEntryPlace = {}): OsEntry | undefined {
  checkBigint('entry', entry);
  checkOptions('place', place, PLACE);
  const { level = 1, levels = 4 } = place;
  checkInteger('place.level', level, 1, 5);
  if (levels !== 4 && levels !== 5) throw new RangeError(`place.levels: expected 4 or 5, got ${shown(levels)}`);
  if (os !== 'linux' && os !== 'windows') {
    throw new RangeError(`os: expected 'linux' or 'windows', got ${shown(os)}`);
  }
  if (entry & PRESENT) return undefined;
  if (entry === 0n) return { kind: 'empty', pa: undefined, words: 'nothing' };
  return os === 'linux' ? linuxEntry(entry, level, levels) : windowsEntry(entry);
}

function linuxEntry(entry: bigint, level: number, levels: 4 | 5): OsEntry {
  if (entry & PROT_NONE || (level > 1 && entry & LARGE)) {
    const pa = ~entry & PHYSICAL_MASK & -BigInt(2 ** (12 + 9 * (level - 1)));
    return { kind: 'prot-none', pa, words: `PROT_NONE, the page is at ${hex(pa)}` };
  }
  const type = Number(entry >> TYPE_SHIFT);
  const offset = BigInt.asUintN(Number(OFFSET_BITS), ~(entry >> OFFSET_SHIFT));
  for (const [from, kind, words] of LINUX_TYPES) {
    if (type < from) continue;
    if (kind === 'marker') return { kind, pa: undefined, words };
    /* `SWP_PFN_BITS`; above it stands whether the page had A and D. */
    const pa = BigInt.asUintN(levels === 5 ? 40 : 34, offset) << 12n;
    return { kind, pa, words: `${words}, at ${hex(pa)}` };
  }
  return { kind: 'swap', pa: undefined, words: `swapped out: file ${type}, page ${hex(offset)}` };
}

const PROTOTYPE = 1n << 10n;
const TRANSITION = 1n << 11n;
const WINDOWS_FRAME = 0xffff_ffff_f000n;

function windowsEntry(entry: bigint): OsEntry {
  if (entry & PROTOTYPE) {
    const where = entry >> 16n;
    const words = where === 0xffff_ffff_ffffn ? 'a prototype entry, which the VAD knows' : 'a prototype entry';
    return { kind: 'prototype', pa: undefined, words };
  }
  if (entry & TRANSITION) {
    const pa = entry & WINDOWS_FRAME;
    return { kind: 'transition', pa, words: `in transition: the page is still at ${hex(pa)}` };
  }
  const page = entry >> 32n;
  if (page !== 0n) {
    const file = (entry >> 1n) & 15n;
    return { kind: 'page-file', pa: undefined, words: `in page file ${file}, page ${hex(page)}` };
  }
  return { kind: 'demand-zero', pa: undefined, words: 'demand zero' };
}
