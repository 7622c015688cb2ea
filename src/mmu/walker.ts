import type { CoreExports } from '../core/exports.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { TableCache } from './table-cache.ts';

/** Walks lists of addresses that lie in linear memory, on one core. */
export class Walker {
  readonly memory: PhysicalMemory;
  readonly cache: TableCache;
  readonly #core: CoreExports;

  constructor(core: CoreExports, memory: PhysicalMemory) {
    this.#core = core;
    this.memory = memory;
    this.cache = TableCache.of(memory);
  }

  /**
   * Walks `count` addresses of the list that was begun last, from linear address `from` on, and writes their outcomes from
   * `to` on.
   *
   * @param access ACCESS_ bits, ACCESS_MARK among them or not
   */
  translate(from: number, count: number, access: number, to: number): void {
    const { at, log2Slots, epoch } = this.cache;
    this.#core.translateMany(from, count, access, to, at, log2Slots, epoch);
  }
}
