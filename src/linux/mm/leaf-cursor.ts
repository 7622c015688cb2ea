/**
 * Going through the runs of entries of a range. The core lists them (assembly/leaf.ts), up to a thousand at a time; without room
 * for a list they are found here, one by one.
 *
 * One object is the cursor and the run that it stands on, as a program may go over hundreds of thousands.
 */
import { InvariantError } from '../../core/errors.ts';
import { LEAF_RUN_BYTES } from '../../core/generated/layout.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PAGE_ACCESSED, PAGE_DIRTY, PAGE_PRESENT, PAGE_PROTNONE, Pte } from '../base/pte.ts';
import type { CoreList } from './core-list.ts';
import type { Mm } from './mm.ts';
import { TABLE } from './tables.ts';

const ENTRY = 8;
const NUMBER = 8;
const WORD = 4;
/** Entries of a run may differ in what a processor sets. */
const LOOSE = PAGE_ACCESSED | PAGE_DIRTY;
const STRICT = ~BigInt(LOOSE);

/**
 * Neighbouring entries of one table: leaves whose pages follow each other, PROT_NONE or not; or entries that are all the same, empty
 * or not present in another way. They may differ in A and D.
 */
export interface LeafRun {
  /** Where it begins and ends: cut off where the range does, in the middle of an entry. */
  readonly address: number;
  readonly end: number;
  /** How many entries. */
  readonly entries: number;
  /** Binary logarithm of what each covers: 12, 21, 30; 39 or 48 in a hole that is larger than any leaf. */
  readonly shift: number;
  /** Physical address of the first. */
  readonly ptep: number;
  /** Both halves of the first, with A and D if any has them: as {@link Pte} has them. */
  readonly lo: number;
  readonly hi: number;
  /** Bytes that each entry covers. */
  readonly size: number;
  /** The first, with A and D if any has them. */
  readonly pte: Pte;
  /** Whether pages are mapped, though perhaps not for the MMU. */
  readonly present: boolean;
  /** Whether any was written to. */
  readonly dirty: boolean;
}

/** By how much an entry is more than the one before it, in a run of those that cover 2^shift bytes. @param lo low half of one */
export function stepOf(lo: number, shift: number): number {
  if (lo & PAGE_PRESENT) return 2 ** shift;
  return lo & PAGE_PROTNONE ? -(2 ** shift) : 0;
}

/** A place in a range, and the run there. */
export class LeafCursor implements LeafRun {
  address: number;
  end: number;
  entries = 0;
  shift = 0;
  ptep = 0;
  lo = 0;
  hi = 0;
  readonly #mm: Mm;
  readonly #list: CoreList;
  /** Behind the range. */
  readonly #until: number;
  /** Linear address of the run's record, while the list is ours, and how many follow. */
  #record = 0;
  #left = 0;

  constructor(mm: Mm, list: CoreList, start: number, end: number) {
    this.#mm = mm;
    this.#list = list;
    this.#until = end;
    this.address = start;
    this.end = start;
  }

  get size(): number {
    return 2 ** this.shift;
  }

  get pte(): Pte {
    return Pte.halves(this.lo, this.hi);
  }

  get present(): boolean {
    return (this.lo & (PAGE_PRESENT | PAGE_PROTNONE)) !== 0;
  }

  get dirty(): boolean {
    return (this.lo & PAGE_DIRTY) !== 0;
  }

  /** Goes on to the next run, the first one at first; false where the range ends. */
  next(): boolean {
    if (this.end >= this.#until) return false;
    const list = this.#list;
    if (list.capacity === 0) {
      this.#find();
      return true;
    }
    if (this.#left > 0 && list.owner === this) this.#record += LEAF_RUN_BYTES;
    else this.#fetch();
    this.#left--;
    const { numbers, words } = list;
    const number = this.#record / NUMBER;
    const word = this.#record / WORD;
    this.address = numbers[number]! * PAGE_SIZE;
    /* Where the next record begins, or the list ends. */
    this.end = numbers[number + LEAF_RUN_BYTES / NUMBER]! * PAGE_SIZE;
    this.ptep = numbers[number + 1]!;
    this.lo = words[word + 4]!;
    this.hi = words[word + 5]!;
    this.entries = words[word + 6]!;
    this.shift = 3 + 9 * words[word + 7]!;
    return true;
  }

  /** A list from here on, which is ours until another cursor needs one. */
  #fetch(): void {
    const list = this.#list;
    const { machine, pgd, topShift } = this.#mm;
    const { core } = machine.cpu;
    const first = this.end / PAGE_SIZE;
    const pages = this.#until / PAGE_SIZE - first;
    this.#left = core.leafRuns(pgd.address / PAGE_SIZE, topShift, first, pages, LOOSE, list.at, list.capacity);
    if (this.#left === 0) throw outside('LeafCursor.next', this.end);
    list.owner = this;
    this.#record = list.at;
  }

  /** The next run, without a list. */
  #find(): void {
    const { machine, pgd, topShift } = this.#mm;
    const { tables } = machine;
    this.address = this.end;
    const found = machine.cpu.core.leafAt(pgd.address / PAGE_SIZE, topShift, this.address / PAGE_SIZE, 0);
    if (found === 0) throw outside('LeafCursor.next', this.address);
    const level = found % ENTRY;
    this.ptep = found - level;
    this.shift = 3 + 9 * level;
    const { size } = this;
    const covered = Math.floor(this.address / size) * size;
    const most = Math.min((TABLE - (this.ptep % TABLE)) / ENTRY, Math.ceil((this.#until - covered) / size));
    const first = tables.read(this.ptep);
    const step = BigInt(stepOf(first.lo, this.shift));
    let expected = first.value;
    let used = first.lo;
    for (this.entries = 1; this.entries < most; this.entries++) {
      expected = BigInt.asUintN(64, expected + step);
      const entry = tables.read(this.ptep + this.entries * ENTRY);
      if ((entry.value ^ expected) & STRICT) break;
      used |= entry.lo;
    }
    this.lo = first.lo | (used & LOOSE);
    this.hi = first.hi;
    this.end = Math.min(covered + this.entries * size, this.#until);
  }
}

/** Tables are the kernel's own: they lie where there is memory. */
export function outside(where: string, address: number): InvariantError {
  return new InvariantError(`${where}: a table above 0x${address.toString(16)} lies outside memory`);
}
