/**
 * Where a root table is mapped by its own tables. A kernel that edits its tables has them mapped, mostly by a direct map of all
 * memory: a linear address less a constant is the physical one. So the constant that one root was found by serves all others.
 */
import { type AddressRule, addressAt, ENTRIES, TABLE_BYTES } from './entry-halves.ts';
import { isLeaf, isPointer, pointersOf } from './table-check.ts';
import type { TableReader } from './table-reader.ts';

/** Searches through all tables of a root, and tables that one of them may read. */
const MOST_SEARCHES = 8;
const MOST_TABLES = 8192;
/** Tables read at a time. */
const BATCH = 512;

/** Finds the roots that map themselves. Linear addresses are counted in pages here, which are exact as numbers. */
export class OwnFrames {
  readonly #tables: TableReader;
  readonly #rule: AddressRule;
  readonly #offsets = new Set<number>();
  #searches = 0;

  constructor(tables: TableReader, rule: AddressRule) {
    this.#tables = tables;
    this.#rule = rule;
  }

  /** The lowest linear address found at which a root maps its own frame; undefined where none was found. */
  async find(root: number, levels: 4 | 5): Promise<bigint | undefined> {
    const page = root / TABLE_BYTES;
    for (const offset of this.#offsets) {
      const linear = page + offset;
      if ((await this.#pageAt(root, levels, linear)) === page) return addressOf(linear, levels);
    }
    if (this.#searches >= MOST_SEARCHES) return undefined;
    this.#searches++;
    const linear = await this.#search(root, levels);
    if (linear === undefined) return undefined;
    this.#offsets.add(linear - page);
    return addressOf(linear, levels);
  }

  /** The number of the physical page that a linear page is mapped to. */
  async #pageAt(root: number, levels: number, linear: number): Promise<number | undefined> {
    if (linear < 0 || linear >= 512 ** levels) return undefined;
    for (let level = levels, table = root; level > 0; level--) {
      const [words] = await this.#tables.read([table]);
      if (!words) return undefined;
      const span = 512 ** (level - 1);
      const index = Math.floor(linear / span) % ENTRIES;
      if (isLeaf(words, index, level)) return this.#firstPage(words, index, span) + (linear % span);
      if (!isPointer(words, index, level)) return undefined;
      table = addressAt(words, index, this.#rule);
    }
    return undefined;
  }

  /** Level by level, larger pages first; a table is looked at once a level. */
  async #search(root: number, levels: number): Promise<number | undefined> {
    let tables: { readonly frame: number; readonly linear: number }[] = [{ frame: root, linear: 0 }];
    let read = 0;
    for (let level = levels; level > 0; level--) {
      const span = 512 ** (level - 1);
      const below = new Map<number, number>();
      for (let at = 0; at < tables.length && read < MOST_TABLES; at += BATCH) {
        const batch = tables.slice(at, at + BATCH);
        read += batch.length;
        const contents = await this.#tables.read(batch.map(({ frame }) => frame));
        for (const [i, { linear }] of batch.entries()) {
          const words = contents[i];
          if (!words) continue;
          const found = this.#leafOf(words, level, root / TABLE_BYTES);
          if (found !== undefined) return linear + found;
          if (below.size > MOST_TABLES) continue;
          for (const { index, frame } of pointersOf(words, level, this.#rule, root)) {
            if (!below.has(frame)) below.set(frame, linear + index * span);
          }
        }
      }
      tables = Array.from(below, ([frame, linear]) => ({ frame, linear }));
    }
    return undefined;
  }

  /** The page of a table's range at which it maps a physical page as part of a leaf. */
  #leafOf(words: Int32Array, level: number, page: number): number | undefined {
    const span = 512 ** (level - 1);
    for (let index = 0; index < ENTRIES; index++) {
      if (!isLeaf(words, index, level)) continue;
      const first = this.#firstPage(words, index, span);
      if (first <= page && page < first + span) return index * span + (page - first);
    }
    return undefined;
  }

  #firstPage(words: Int32Array, index: number, span: number): number {
    const page = addressAt(words, index, this.#rule) / TABLE_BYTES;
    /* Bit 12 of a large page is its PAT. */
    return page - (page % span);
  }
}

/** The linear address of a page, canonical. */
function addressOf(page: number, levels: 4 | 5): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(levels === 5 ? 57 : 48, BigInt(page) * BigInt(TABLE_BYTES)));
}
