/**
 * A page-table assembler for tests: says what should be mapped where, and lays the tables out.
 *
 *   const tables = new Tables();
 *   tables.map(0x40_0000n, 0x1234_5000n, { bits: USER });
 *   tables.entry(2, 0x40_0000n);                       // address of the entry at level 2 on the way there
 */

/** Bits of an entry, as the SDM's tables name them; written here apart from both walks. */
export const P = 1n << 0n;
export const W = 1n << 1n;
export const U = 1n << 2n;
export const A = 1n << 5n;
export const D = 1n << 6n;
export const PS = 1n << 7n;
export const G = 1n << 8n;
export const XD = 1n << 63n;

export interface MapOptions {
  /** Level of the leaf: 1 (4 KiB, default), 2 (2 MiB), 3 (1 GiB). */
  readonly level?: number;
  /** Bits of the leaf besides P and PS. Default W | U. */
  readonly bits?: bigint;
  /** Bits of the entries above, besides P, where they are new. Default W | U. */
  readonly above?: bigint;
}

/** An image under construction: 4 KiB frames of entries, by physical address. */
export class Tables {
  readonly frames = new Map<bigint, BigUint64Array>();
  readonly root: bigint;
  readonly levels: 4 | 5;
  #next: bigint;

  constructor(levels: 4 | 5 = 4, root = 0x1000n) {
    this.levels = levels;
    this.root = root;
    this.#next = root;
    this.newTable();
  }

  /** Physical address of a new, empty table. */
  newTable(at: bigint = this.#next): bigint {
    this.frames.set(at, new BigUint64Array(512));
    if (at === this.#next) this.#next += 0x1000n;
    return at;
  }

  /** Maps one page, making the tables that are missing on the way. */
  map(va: bigint, pa: bigint, { level = 1, bits = W | U, above = W | U }: MapOptions = {}): this {
    for (let l: number = this.levels; l > level; l--) {
      const at = this.entry(l, va);
      if (!(this.read(at) & P)) this.write(at, this.newTable() | above | P);
    }
    this.write(this.entry(level, va), pa | bits | P | (level > 1 ? PS : 0n));
    return this;
  }

  /** Physical address of the entry that translates `va` at a level, found through the levels above. */
  entry(level: number, va: bigint): bigint {
    let table = this.root;
    for (let l: number = this.levels; ; l--) {
      const at = table + ((va >> BigInt(12 + 9 * (l - 1))) & 511n) * 8n;
      if (l === level) return at;
      table = this.read(at) & 0x000f_ffff_ffff_f000n;
    }
  }

  read(physical: bigint): bigint {
    const frame = this.frames.get(physical & ~0xfffn);
    if (!frame) throw new RangeError(`no table at 0x${physical.toString(16)}`);
    return frame[Number(physical & 0xfffn) / 8]!;
  }

  write(physical: bigint, entry: bigint): this {
    this.read(physical);
    this.frames.get(physical & ~0xfffn)![Number(physical & 0xfffn) / 8] = entry;
    return this;
  }

  /** Sets and clears bits of one entry. */
  change(physical: bigint, { set = 0n, clear = 0n }: { set?: bigint; clear?: bigint }): this {
    return this.write(physical, (this.read(physical) & ~clear) | set);
  }
}
