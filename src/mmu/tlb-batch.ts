import { checkInteger } from '../core/errors.ts';
import { type AccessArgument, accessOf } from './access.ts';
import { BatchArrays } from './batch-arrays.ts';
import type { Tlb } from './tlb.ts';

/**
 * Like {@link Batch}, but through a {@link Tlb}: fill `addresses`, `access`, read `outcomes`.
 *
 * @example
 * ```ts
 * import { FlatMemory, isTranslated, Mmu, Tlb } from 'hugewalk';
 * const tlb = new Tlb(new Mmu(new FlatMemory({ bytes: 65536 }), { cr3: 0n }));
 * const batch = tlb.batch(1024);
 * batch.addresses.fill(0x40_0000n);
 * batch.access();
 * batch.outcomes.every(isTranslated);                   // false: nothing is mapped
 * tlb.counts.misses;                                    // 1024n: faults are not cached
 * batch.release();
 * ```
 */
export class TlbBatch extends BatchArrays {
  readonly #tlb: Tlb;

  constructor(tlb: Tlb, capacity: number) {
    super(tlb.mmu.memory, capacity);
    this.#tlb = tlb;
  }

  /** @throws TypeError when the batch, the TLB or its memory was released */
  protected override get places(): { readonly from: number; readonly to: number } {
    this.#tlb.select();
    return super.places;
  }

  /** Makes the accesses to the first `count` addresses, in order. */
  access(count: number = this.capacity, ...access: AccessArgument): void {
    checkInteger('count', count, 0, this.capacity);
    const { from, to } = this.places;
    this.#tlb.select().tlbTranslateMany(from, count, accessOf(access), to);
  }
}
