/**
 * Records of a scan as numbers: bigints, an object a leaf, would cost more than the scan. Pages are counted in units of
 * 4 KiB; the number of a page (address / 4096) has 52 bits, which a number holds exactly. The layout is in
 * assembly/scan.ts.
 */
import {
  RECORD_BYTES,
  RECORD_KIND_SHIFT,
  RECORD_LEAF,
  RECORD_LEVEL_MASK,
  RECORD_MISSING_TABLE,
  RECORD_REPEATED_TABLE,
  RECORD_RESERVED,
  RECORD_RIGHTS_SHIFT,
} from '../core/generated/layout.ts';
import type { RecordBlock } from '../mmu/scan.ts';

export const LEAF: number = Number(RECORD_LEAF);
export const RESERVED: number = Number(RECORD_RESERVED);
export const MISSING_TABLE: number = Number(RECORD_MISSING_TABLE);
export const REPEATED_TABLE: number = Number(RECORD_REPEATED_TABLE);

const KIND_SHIFT = Number(RECORD_KIND_SHIFT);
const LEVEL_MASK = Number(RECORD_LEVEL_MASK);
const RIGHTS_SHIFT = Number(RECORD_RIGHTS_SHIFT);
/** 32-bit words a record has. */
const HALVES = RECORD_BYTES / 4;
/** 4 KiB pages in 4 GiB. */
const PAGES_OF_4G = 2 ** 20;

/** Which bits of a leaf's low half are its address, by level. */
const ADDRESS_LOW = [0, 0xffff_f000, 0xffe0_0000, 0xc000_0000] as const;

/** The records of a block, one after the other; its properties tell of the one that `next` went to. */
export class RecordReader {
  #halves: Uint32Array = new Uint32Array(0);
  #at = 0;

  /** Begins with a block, before its first record. */
  open({ count, words }: RecordBlock): void {
    this.#halves = new Uint32Array(words.buffer, words.byteOffset, count * HALVES);
    this.#at = -HALVES;
  }

  /** Goes to the next record; false when there is none. */
  next(): boolean {
    this.#at += HALVES;
    return this.#at < this.#halves.length;
  }

  get kind(): number {
    return (this.#halves[this.#at]! >>> KIND_SHIFT) & 3;
  }

  get level(): number {
    return this.#halves[this.#at]! & LEVEL_MASK;
  }

  /** Over all levels: 1 writable, 2 user, 4 executable. */
  get rights(): number {
    return (this.#halves[this.#at]! >>> RIGHTS_SHIFT) & 7;
  }

  /** Number of the first linear page. */
  get page(): number {
    return this.#halves[this.#at + 1]! * PAGES_OF_4G + (this.#halves[this.#at]! >>> 12);
  }

  /** Bits 31:0 of the entry, as an unsigned number. */
  get entryLow(): number {
    return this.#halves[this.#at + 2]!;
  }

  /** Bits 63:32 of the entry, as an unsigned number. */
  get entryHigh(): number {
    return this.#halves[this.#at + 3]!;
  }

  /** Number of the first physical page of a leaf. */
  get physicalPage(): number {
    return (this.entryHigh & 0xf_ffff) * PAGES_OF_4G + ((this.entryLow & ADDRESS_LOW[this.level]!) >>> 12);
  }

  /** 4 KiB pages of linear address space that the record covers. */
  get pages(): number {
    return this.#halves[this.#at + 5]! * PAGES_OF_4G + (this.#halves[this.#at + 4]! >>> 12);
  }
}
