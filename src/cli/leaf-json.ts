/**
 * Leaves and runs as lines of JSON: the machine-readable contract of `hugewalk map --json`.
 */
import type { RecordReader } from './record.ts';
import {
  EXECUTABLE as ALL_EXECUTABLE,
  USER as ALL_USER,
  WRITABLE as ALL_WRITABLE,
  hexOfPage,
  PAGES_OF_LEVEL,
} from './text.ts';

/** Bits of an entry's low half: tables 4-17 to 4-20 of the SDM, vol. 3A. */
const WRITABLE = 1 << 1;
const USER = 1 << 2;
const WRITE_THROUGH = 1 << 3;
const CACHE_DISABLE = 1 << 4;
const ACCESSED = 1 << 5;
const DIRTY = 1 << 6;
const GLOBAL = 1 << 8;
/** Those of the above that the line tells of. */
const TOLD = 0x17e;

/** Three hexadecimal digits of every 12-bit number. */
const DIGITS = Array.from({ length: 4096 }, (_, n) => n.toString(16).padStart(3, '0'));

/** Writes pages' addresses; those that follow each other share their upper digits. */
class PageHex {
  #upper = 0;
  #digits = '';

  of(page: number): string {
    const upper = Math.floor(page / 4096);
    if (upper === 0) return hexOfPage(page);
    if (upper !== this.#upper) {
      this.#upper = upper;
      this.#digits = `0x${upper.toString(16)}`;
    }
    return `${this.#digits}${DIGITS[page % 4096]}000`;
  }
}

/** Writes leaves, or with `runs` runs of leaves, as JSON. Keeps what consecutive lines have in common. */
export class LeafJson {
  readonly #runs: boolean;
  readonly #linear = new PageHex();
  readonly #physical = new PageHex();
  readonly #ends: string[] = [];

  constructor(runs: boolean) {
    this.#runs = runs;
  }

  /** The line of the leaf that a reader is at, with its newline. */
  line(leaf: RecordReader): string {
    const { level } = leaf;
    const va = this.#linear.of(leaf.page);
    const pa = this.#physical.of(leaf.physicalPage);
    const size = PAGES_OF_LEVEL[level]! * 4096;
    /* A run may be longer than 2^53 bytes. */
    const bytes = this.#runs ? `,"bytes":${BigInt(leaf.pages) * 4096n}` : '';
    const bits = (leaf.entryLow & TOLD) | (leaf.entryHigh >>> 31);
    const key = bits * 8 + leaf.rights;
    this.#ends[key] ??= endOfLine(bits, leaf.rights);
    return `{"va":"${va}","pa":"${pa}","size":${size}${bytes}${this.#ends[key]}`;
  }
}

/** The bits of an entry, where bit 0 stands for XD, and the rights over all levels. */
function endOfLine(bits: number, rights: number): string {
  const own = {
    present: true,
    write: (bits & WRITABLE) !== 0,
    user: (bits & USER) !== 0,
    execute: (bits & 1) === 0,
    accessed: (bits & ACCESSED) !== 0,
    dirty: (bits & DIRTY) !== 0,
    global: (bits & GLOBAL) !== 0,
    pwt: (bits & WRITE_THROUGH) !== 0,
    pcd: (bits & CACHE_DISABLE) !== 0,
    rights: {
      write: (rights & ALL_WRITABLE) !== 0,
      user: (rights & ALL_USER) !== 0,
      execute: (rights & ALL_EXECUTABLE) !== 0,
    },
  };
  return `,${JSON.stringify(own).slice(1)}\n`;
}
