/**
 * Outcome words, decoded. The picture of the bits stands in assembly/outcome.ts.
 */
import { checkBigint, hex, wrongKind } from '../core/errors.ts';
import {
  ADDRESS_MASK,
  FAILURE_CODE_MASK,
  FAILURE_KIND_SHIFT,
  FAILURE_LEVEL_SHIFT,
  KIND_LASS,
  KIND_MISSING_TABLE,
  KIND_NON_CANONICAL,
  KIND_PAGE_FAULT,
  KIND_PAGING_OFF,
  OUTCOME_ADDRESS_MASK,
  OUTCOME_FAILED,
  OUTCOME_LEVEL_SHIFT,
  OUTCOME_PAT_SHIFT,
  OUTCOME_RIGHTS_SHIFT,
} from '../core/generated/layout.ts';
import type { Outcome, PageOutcome, PageSize } from '../reference/outcome.ts';

/** Whether an outcome word is that of an access that reached a page. */
export function isTranslated(word: bigint): boolean {
  /* Bit 63 is OUTCOME_FAILED; engines keep what asUintN gives in a register. */
  if (typeof word === 'bigint' && BigInt.asUintN(63, word) === word) return true;
  checkBigint('word', word);
  return false;
}

/**
 * The physical address in the outcome word of an access that reached a page.
 *
 * @throws RangeError for the word of an access that did not: ask {@link isTranslated} first
 */
export function physicalAddressOf(word: bigint): bigint {
  if (!isTranslated(word)) {
    const got = `${hex(word)}, which is a '${decodeOutcome(word).kind}'`;
    throw new RangeError(
      `word: expected the outcome of an access that reached a page, got ${got}; ask isTranslated first`,
    );
  }
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
 *
 * @throws TypeError or RangeError for what is no outcome word
 */
export function decodeOutcome(word: bigint): Outcome {
  /* Fields are taken out of bits 63:32 as a number: arithmetic with bigints takes many times as long. */
  const high = typeof word === 'bigint' ? Number(word >> 32n) : -1;
  if (!(high >= 0 && high <= 0xffff_ffff)) checkBigint('word', word);
  if (high < HIGH_FAILED) {
    return {
      kind: 'page',
      physicalAddress: word & OUTCOME_ADDRESS_MASK,
      pageSize: pageSizeOf((high >>> HIGH_LEVEL) & 3),
      writable: ((high >>> HIGH_RIGHTS) & 1) !== 0,
      user: ((high >>> HIGH_RIGHTS) & 2) !== 0,
      executable: ((high >>> HIGH_RIGHTS) & 4) !== 0,
      shadowStack: ((high >>> HIGH_RIGHTS) & 8) !== 0,
      patIndex: (high >>> HIGH_PAT) & 7,
    };
  }
  const level = (high >>> HIGH_FAILURE_LEVEL) & 7;
  const table = word & ADDRESS_MASK;
  switch (BigInt((high >>> HIGH_KIND) & 7)) {
    case KIND_PAGE_FAULT:
      return { kind: 'page-fault', errorCode: Number(word & FAILURE_CODE_MASK), level, table };
    case KIND_NON_CANONICAL:
      return { kind: 'non-canonical' };
    case KIND_LASS:
      return { kind: 'lass' };
    case KIND_PAGING_OFF:
      return { kind: 'paging-off', physicalAddress: word & OUTCOME_ADDRESS_MASK };
    case KIND_MISSING_TABLE:
      return { kind: 'missing-table', level, table };
    default:
      throw new RangeError(`word: expected an outcome word, got ${hex(word)}, whose kind there is not`);
  }
}

/** @throws TypeError or RangeError unless it is the outcome of an access that reached a page */
export function checkPageOutcome(outcome: PageOutcome): void {
  const given: { readonly kind?: unknown } | null | undefined = outcome;
  if (given?.kind === 'page') return;
  const expected = "the outcome of an access that reached a page, kind 'page'";
  if (typeof given?.kind !== 'string') throw wrongKind('outcome', expected, outcome);
  throw new RangeError(`outcome: expected ${expected}, got kind '${given.kind}'`);
}

/* Where the fields of a word lie in its bits 63:32. */
const HIGH_FAILED = Number(OUTCOME_FAILED >> 32n);
const HIGH_LEVEL = Number(OUTCOME_LEVEL_SHIFT - 32n);
const HIGH_RIGHTS = Number(OUTCOME_RIGHTS_SHIFT - 32n);
const HIGH_PAT = Number(OUTCOME_PAT_SHIFT - 32n);
const HIGH_FAILURE_LEVEL = Number(FAILURE_LEVEL_SHIFT - 32n);
const HIGH_KIND = Number(FAILURE_KIND_SHIFT - 32n);
