/**
 * Outcome words, decoded. The picture of the bits stands in assembly/outcome.ts.
 */
import { InvariantError } from '../core/errors.ts';
import {
  ADDRESS_MASK,
  FAILURE_CODE_MASK,
  FAILURE_KIND_SHIFT,
  FAILURE_LEVEL_SHIFT,
  KIND_LASS,
  KIND_MISSING_TABLE,
  KIND_NON_CANONICAL,
  KIND_PAGE_FAULT,
  OUTCOME_ADDRESS_MASK,
  OUTCOME_FAILED,
  OUTCOME_LEVEL_SHIFT,
  OUTCOME_PAT_SHIFT,
  OUTCOME_RIGHTS_SHIFT,
} from '../core/generated/layout.ts';
import type { Outcome, PageSize } from '../reference/outcome.ts';

/** Whether an outcome word is that of an access that reached a page. */
export function isTranslated(word: bigint): boolean {
  return (word & OUTCOME_FAILED) === 0n;
}

/** The physical address in the outcome word of an access that reached a page. */
export function physicalAddressOf(word: bigint): bigint {
  return word & OUTCOME_ADDRESS_MASK;
}

/** The size in bytes of a page that is mapped at a level, 1 to 3. */
export function pageSizeOf(level: number): PageSize {
  return (level === 1 ? 0x1000 : level === 2 ? 0x20_0000 : 0x4000_0000) as PageSize;
}

/**
 * Reads an outcome word, as `translateMany` writes them.
 *
 * @example
 * ```ts
 * import { decodeOutcome, FlatMemory, Mmu } from 'hugewalk';
 * const mmu = new Mmu(new FlatMemory({ bytes: 4096 }), { cr3: 0n });
 * const [word] = mmu.translateMany(BigUint64Array.of(0x1000n));
 * decodeOutcome(word!);                    // { kind: 'page-fault', errorCode: 0, level: 4, table: 0n }
 * ```
 */
export function decodeOutcome(word: bigint): Outcome {
  if (isTranslated(word)) {
    const rights = word >> OUTCOME_RIGHTS_SHIFT;
    return {
      kind: 'page',
      physicalAddress: physicalAddressOf(word),
      pageSize: pageSizeOf(Number((word >> OUTCOME_LEVEL_SHIFT) & 3n)),
      writable: (rights & 1n) !== 0n,
      user: (rights & 2n) !== 0n,
      executable: (rights & 4n) !== 0n,
      shadowStack: (rights & 8n) !== 0n,
      patIndex: Number((word >> OUTCOME_PAT_SHIFT) & 7n),
    };
  }
  const level = Number((word >> FAILURE_LEVEL_SHIFT) & 7n);
  const table = word & ADDRESS_MASK;
  switch ((word >> FAILURE_KIND_SHIFT) & 7n) {
    case KIND_PAGE_FAULT:
      return { kind: 'page-fault', errorCode: Number(word & FAILURE_CODE_MASK), level, table };
    case KIND_NON_CANONICAL:
      return { kind: 'non-canonical' };
    case KIND_LASS:
      return { kind: 'lass' };
    case KIND_MISSING_TABLE:
      return { kind: 'missing-table', level, table };
    default:
      throw new InvariantError(`decodeOutcome: no such kind in 0x${word.toString(16)}`);
  }
}
