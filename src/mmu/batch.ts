import { checkInteger } from '../core/errors.ts';
import { ACCESS_MARK } from '../core/generated/layout.ts';
import { type AccessArgument, accessOf } from './access.ts';
import { BatchArrays } from './batch-arrays.ts';
import type { Walker } from './walker.ts';

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
export class Batch extends BatchArrays {
  readonly #walker: Walker;

  constructor(walker: Walker, capacity: number) {
    super(walker.memory, capacity);
    this.#walker = walker;
    /* Now, since it may grow the memory: a run must not, or it would detach the arrays that it is made on. */
    walker.cache.prepare();
  }

  /** Translates the first `count` addresses for one kind of access. Changes nothing: A and D bits stay. */
  run(count: number = this.capacity, ...access: AccessArgument): void {
    checkInteger('count', count, 0, this.capacity);
    this.#walk(count, accessOf(access));
  }

  /** Like {@link run}, but the accesses are really made, in order: A and D are set. */
  access(count: number = this.capacity, ...access: AccessArgument): void {
    checkInteger('count', count, 0, this.capacity);
    this.#walk(count, accessOf(access) | ACCESS_MARK);
  }

  #walk(count: number, access: number): void {
    const { from, to } = this.places;
    this.#walker.cache.begin();
    this.#walker.translate(from, count, access, to);
  }
}
