/**
 * Page tables of a dump by their physical addresses, some of which are kept. What is kept is bounded, whatever the dump holds.
 */
import type { Dump } from '../dump.ts';
import { wordsOf } from './entry-halves.ts';

/** Tables kept: 32 MiB. */
const MOST_KEPT = 8192;

export class TableReader {
  readonly #dump: Dump;
  readonly #kept = new Map<number, Int32Array | undefined>();

  constructor(dump: Dump) {
    this.#dump = dump;
  }

  /** The tables, in the order asked; undefined where the dump has no whole frame. One pass over the file. */
  async read(addresses: readonly number[]): Promise<(Int32Array | undefined)[]> {
    const wanted = [...new Set(addresses)].filter((address) => !this.#kept.has(address)).sort((a, b) => a - b);
    if (wanted.length === 0) return addresses.map((address) => this.#kept.get(address));
    const found = new Map<number, Int32Array | undefined>();
    const frames = await this.#dump.readFrames(wanted.map(BigInt));
    for (const [i, address] of wanted.entries()) {
      const frame = frames[i];
      found.set(address, frame && wordsOf(frame).slice());
    }
    const tables = addresses.map((address) => (found.has(address) ? found.get(address) : this.#kept.get(address)));
    if (this.#kept.size + found.size > MOST_KEPT) this.#kept.clear();
    for (const [address, table] of found) if (this.#kept.size < MOST_KEPT) this.#kept.set(address, table);
    return tables;
  }
}
