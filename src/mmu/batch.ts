import { checkInteger } from '../core/errors.ts';
import type { CoreExports } from '../core/exports.ts';
import { ACCESS_MARK } from '../core/generated/layout.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { Access, checkAccess } from './access.ts';

/**
 * Arrays in linear memory for many translations a call, without a copy: fill `addresses`, `run`, read `outcomes`.
 *
 * @example
 * ```ts
 * import { FlatMemory, isTranslated, Mmu } from 'hugewalk';
 * const mmu = new Mmu(new FlatMemory({ bytes: 65536 }), { cr3: 0n });
 * const batch = mmu.batch(1024);
 * batch.addresses.fill(0x40_0000n);
 * batch.run();
 * batch.outcomes.every(isTranslated);                   // false: nothing is mapped
 * batch.release();
 * ```
 */
export class Batch {
  /** How many addresses it has room for. */
  readonly capacity: number;
  readonly #core: CoreExports;
  readonly #memory: PhysicalMemory;
  readonly #at: number;
  #views: { addresses: BigUint64Array; outcomes: BigUint64Array; buffer: ArrayBufferLike } | undefined;

  constructor(core: CoreExports, memory: PhysicalMemory, capacity: number) {
    checkInteger('capacity', capacity, 1, 2 ** 27);
    this.capacity = capacity;
    this.#core = core;
    this.#memory = memory;
    this.#at = memory.arena.allocate(capacity * 16);
  }

  /** Linear addresses to translate. Take it anew after anything that may grow the memory. */
  get addresses(): BigUint64Array {
    return this.#current().addresses;
  }

  /** One outcome word for each address, after `run`. Take it anew after anything that may grow the memory. */
  get outcomes(): BigUint64Array {
    return this.#current().outcomes;
  }

  /** Translates the first `count` addresses for one kind of access. Changes nothing: A and D bits stay. */
  run(count: number = this.capacity, access: number = Access.read): void {
    checkInteger('count', count, 0, this.capacity);
    checkAccess(access);
    this.#core.translateMany(this.#at, count, access, this.#at + this.capacity * 8);
  }

  /** Like {@link run}, but the accesses are really made, in order: A and D are set. */
  access(count: number = this.capacity, access: number = Access.read): void {
    checkInteger('count', count, 0, this.capacity);
    checkAccess(access);
    this.#core.translateMany(this.#at, count, access | ACCESS_MARK, this.#at + this.capacity * 8);
  }

  /** Gives the arrays back; the batch must not be used afterwards. */
  release(): void {
    this.#memory.arena.release(this.#at, this.capacity * 16);
  }

  #current(): { addresses: BigUint64Array; outcomes: BigUint64Array } {
    const { buffer } = this.#memory.wasm;
    if (this.#views?.buffer !== buffer) {
      this.#views = {
        addresses: new BigUint64Array(buffer, this.#at, this.capacity),
        outcomes: new BigUint64Array(buffer, this.#at + this.capacity * 8, this.capacity),
        buffer,
      };
    }
    return this.#views;
  }
}
