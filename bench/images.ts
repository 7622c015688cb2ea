/**
 * Page-table images to measure with: a given shape of mapping, a given number of bytes of tables.
 *
 * Every image maps the linear addresses from 0 up to some end without a gap. Its tables lie in shuffled frames, so that
 * the hardware's prefetchers cannot guess the next one, and its leaves point to random pages of 52-bit physical memory.
 *
 * A leaf of 1 GiB takes 8 bytes of tables: the lower half of a 48-bit address space fills no more than 1 MiB of them.
 * Images that need more room than 47 bits have 5 levels.
 */
import { Access, FlatMemory, type Registers } from '../src/index.ts';
import { Random } from './random.ts';

/**
 * What an image maps with: leaves of one size, or `mixed`, a hugetlb mapping of high granularity: slots of 1 GiB, half
 * of them one leaf each, the others 2 MiB leaves with up to eight of them broken into 4 KiB leaves.
 */
export type Shape = (typeof SHAPES)[number];
export const SHAPES = ['4k', '2m', '1g', 'mixed'] as const;

/** The access that is measured; every leaf permits it. */
export const BENCH_ACCESS: number = Access.user;

/** Leaves of one level that follow each other in linear memory. */
interface Run {
  /** First linear address >> 12. */
  readonly page: number;
  readonly level: number;
  /** How many leaves lie before it in its list. */
  readonly before: number;
  count: number;
}

/** Linear memory of one leaf, in pages of 4 KiB. */
export interface Leaf {
  readonly page: number;
  readonly pages: number;
}

/** Leaves in ascending order, found by number. */
export class Leaves {
  count = 0;
  readonly #runs: Run[] = [];

  append(page: number, level: number, count: number): void {
    const last = this.#runs.at(-1);
    if (last?.level === level && last.page + last.count * pagesOf(level) === page) last.count += count;
    else if (count) this.#runs.push({ page, level, count, before: this.count });
    this.count += count;
  }

  at(index: number): Leaf {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#runs[middle]!.before <= index) low = middle;
      else high = middle - 1;
    }
    const run = this.#runs[low]!;
    const pages = pagesOf(run.level);
    return { page: run.page + (index - run.before) * pages, pages };
  }
}

/** An image, and what is in it. */
export interface Image {
  readonly shape: Shape;
  readonly levels: 4 | 5;
  readonly registers: Pick<Registers, 'cr3' | 'cr4'>;
  /** Physical memory from address 0 on. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many tables there are, of 4096 bytes each. */
  readonly tables: number;
  readonly leaves: Leaves;
  /** The same leaves by level, for the levels that have any. */
  readonly leavesByLevel: readonly Leaves[];
  /** Pages of 4 KiB that are mapped, from linear address 0 on. */
  readonly pages: number;
}

/** What to build. */
export interface ImageOptions {
  readonly shape: Shape;
  /** Bytes of tables at most; the image comes as close as whole tables allow. */
  readonly tableBytes: number;
  readonly seed?: number;
}

const ENTRIES = 512;
const LOWER_HALF_PAGES = 2 ** 35;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;

/* P, W, U, A; a leaf also D, and PS where it is large. XD is bit 63. */
const TABLE_BITS = 0x27;
const LEAF_BITS = 0x67;
const PAGE_SIZE_BIT = 0x80;
const EXECUTE_DISABLE_HIGH = 0x8000_0000;

/** Pages of 4 KiB that an entry of a level maps. */
function pagesOf(level: number): number {
  return ENTRIES ** (level - 1);
}

/** Builds an image. */
export function buildImage({ shape, tableBytes, seed = 1 }: ImageOptions): Image {
  const tables = Math.floor(tableBytes / 4096);
  const level = { '4k': 1, '2m': 2, '1g': 3, mixed: 2 }[shape];
  const levels = tables * pagesOf(level + 1) > LOWER_HALF_PAGES ? 5 : 4;
  const builder = new Builder(levels, tables, new Random(seed));
  if (shape === 'mixed') builder.fillMixed();
  else builder.fill(level);
  return builder.image(shape);
}

/** The same image as physical memory that an Mmu walks. */
export function flatMemoryOf({ bytes }: Image): FlatMemory {
  const memory = new FlatMemory({ bytes: bytes.length });
  memory.view().set(bytes);
  return memory;
}

/** Lays out leaves in ascending order of their addresses, taking a new table whenever one is needed. */
class Builder {
  readonly #levels: 4 | 5;
  readonly #random: Random;
  readonly #frames: Uint32Array;
  readonly #words: Uint32Array<ArrayBuffer>;
  /** The table of each level that is being filled: its frame, and which of all possible ones it is. */
  readonly #open = Array.from({ length: 6 }, () => ({ frame: 0, key: -1 }));
  readonly #leaves = new Leaves();
  readonly #leavesByLevel = [new Leaves(), new Leaves(), new Leaves()];
  #used = 0;
  #page = 0;

  constructor(levels: 4 | 5, tables: number, random: Random) {
    this.#levels = levels;
    this.#random = random;
    this.#frames = random.order(tables);
    this.#words = new Uint32Array(tables * 1024);
    this.#table(levels);
  }

  /** Fills all tables with leaves of one level. */
  fill(level: number): void {
    while (this.#missing(level) <= this.#left) this.#add(level, ENTRIES);
  }

  /** Fills all tables with slots of 1 GiB, mapped in different ways. */
  fillMixed(): void {
    while (this.#left > 0) {
      if (this.#random.below(2) === 0) {
        if (this.#missing(3) > this.#left) return;
        this.#add(3, 1);
      } else {
        const spare = this.#left - this.#missing(2);
        if (spare < 0) return;
        this.#addFineSlot(Math.min(spare, 1 + this.#random.below(8)));
      }
    }
  }

  image(shape: Shape): Image {
    const bytes = new Uint8Array(this.#words.buffer);
    const cr3 = BigInt(this.#open[this.#levels]!.frame) << 12n;
    const cr4 = this.#levels === 5 ? CR4_PAE | CR4_LA57 : CR4_PAE;
    return {
      shape,
      levels: this.#levels,
      registers: { cr3, cr4 },
      bytes,
      tables: this.#used,
      leaves: this.#leaves,
      leavesByLevel: this.#leavesByLevel.filter(({ count }) => count > 0),
      pages: this.#page,
    };
  }

  get #left(): number {
    return this.#frames.length - this.#used;
  }

  /** How many tables a leaf of a level would need next, before it can be written. */
  #missing(level: number): number {
    let missing = 0;
    for (let l = level; l <= this.#levels; l++) if (this.#open[l]!.key !== this.#keyOf(l)) missing++;
    return missing;
  }

  #keyOf(level: number): number {
    return Math.floor(this.#page / pagesOf(level + 1));
  }

  /** A slot of 1 GiB: a page directory, of which some entries, spread over it, point to page tables. */
  #addFineSlot(pageTables: number): void {
    const broken = new Set<number>();
    while (broken.size < pageTables) broken.add(this.#random.below(ENTRIES));
    for (let index = 0; index < ENTRIES; index++) {
      if (broken.has(index)) this.#add(1, ENTRIES);
      else this.#add(2, 1);
    }
  }

  #add(level: number, count: number): void {
    this.#leaves.append(this.#page, level, count);
    this.#leavesByLevel[level - 1]!.append(this.#page, level, count);
    for (let i = 0; i < count; i++) {
      this.#writeLeaf(level);
      this.#page += pagesOf(level);
    }
  }

  #writeLeaf(level: number): void {
    const frameLow = (this.#random.bits() & -pagesOf(level)) << 12;
    const frameHigh = this.#random.bits() >>> 12;
    const bits = level > 1 ? LEAF_BITS | PAGE_SIZE_BIT : LEAF_BITS;
    this.#write(this.#table(level), level, frameLow | bits, frameHigh | EXECUTE_DISABLE_HIGH);
  }

  /** Frame of the table that holds the entry of a level for the present page, made when there is none yet. */
  #table(level: number): number {
    const open = this.#open[level]!;
    const key = this.#keyOf(level);
    if (open.key !== key) {
      open.key = key;
      open.frame = this.#frames[this.#used++]!;
      if (level < this.#levels) {
        const at = this.#table(level + 1);
        this.#write(at, level + 1, (open.frame << 12) | TABLE_BITS, open.frame >>> 20);
      }
    }
    return open.frame;
  }

  #write(frame: number, level: number, low: number, high: number): void {
    const word = frame * 1024 + (Math.floor(this.#page / pagesOf(level)) % ENTRIES) * 2;
    this.#words[word] = low;
    this.#words[word + 1] = high;
  }
}
