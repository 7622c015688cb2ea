/**
 * A walk in words that a student understands.
 */
import { bit, ENTRY_NAMES, fieldsOf, TABLE_NAMES } from './entry.ts';
import type { Outcome, PageSize } from './outcome.ts';
import {
  type PagingState,
  type ReadEntry,
  type Rights,
  referenceWalk,
  type WalkRecord,
  type WalkStep,
} from './walk.ts';

/** One level of an explained walk. */
export interface ExplainedStep extends WalkStep {
  /** `PML5E`, `PML4E`, `PDPTE`, `PDE` or `PTE`. */
  readonly name: string;
  /** Names of the bits that are set and mean something: `['P', 'W', 'U', 'A']`. */
  readonly fields: readonly string[];
  /** What the entry does, in words. */
  readonly words: string;
}

/** A walk, level by level, and its end. */
export interface Explanation {
  readonly va: bigint;
  /** The access, as given. */
  readonly access: number;
  readonly steps: readonly ExplainedStep[];
  readonly outcome: Outcome;
  /** The outcome in words: where the access goes, or why it fails and what an operating system would see. */
  readonly words: string;
}

/** Walks one address and explains every step. */
export function explain(readEntry: ReadEntry, state: PagingState, va: bigint, access: number): Explanation {
  const record = referenceWalk(readEntry, state, va, access);
  const steps = record.steps.map((step) => ({
    ...step,
    name: ENTRY_NAMES[step.level]!,
    fields: bit(step.entry, 0n) ? fieldsOf(step.entry, step.level, step.leaf) : [],
    words: stepWords(step),
  }));
  return { va, access, steps, outcome: record.outcome, words: outcomeWords(record, state, access) };
}

function stepWords(step: WalkStep): string {
  if (!bit(step.entry, 0n)) return 'not present';
  if (step.reserved !== 0n) return `reserved ${bitList(step.reserved)} set`;
  if (step.leaf) return `maps a ${sizeName(Number(1n << BigInt(12 + 9 * (step.level - 1))))} page`;
  return `points to the ${TABLE_NAMES[step.level - 1]}`;
}

function outcomeWords({ steps, outcome }: WalkRecord, state: PagingState, access: number): string {
  switch (outcome.kind) {
    case 'page':
      return `${hex(outcome.physicalAddress)} in a ${sizeName(outcome.pageSize)} page, ${rightsWords(outcome)}`;
    case 'non-canonical':
      return `not canonical: bits 63 to ${bit(state.cr4, 12n) ? 56 : 47} are not all equal; #GP (#SS for the stack), no table is read`;
    case 'missing-table':
      return `the ${TABLE_NAMES[outcome.level]} at ${hex(outcome.table)} lies where there is no memory`;
    case 'page-fault':
      return `#PF, error code ${hex(outcome.errorCode)} (${errorCodeWords(outcome.errorCode)}): ${cause(steps, outcome.errorCode, state, access)}`;
  }
}

function cause(steps: readonly WalkStep[], errorCode: number, state: PagingState, access: number): string {
  const last = steps.at(-1)!;
  const name = ENTRY_NAMES[last.level];
  if (!(errorCode & 1)) return `the ${name} is not present`;
  if (last.reserved !== 0n) return `the ${name} has reserved ${bitList(last.reserved)} set`;
  const user = (access & 4) !== 0;
  const levels = (withheld: (entry: bigint) => boolean): string =>
    steps
      .filter(({ entry }) => withheld(entry))
      .map(({ level }) => ENTRY_NAMES[level])
      .join(' and ');
  if (user && !last.rights.user)
    return `a user access to a supervisor address (U/S is 0 in the ${levels((e) => !bit(e, 2n))})`;
  if (!user && last.rights.user && access & 16 && bit(state.cr4, 20n)) {
    return 'a supervisor fetch from a user page, which CR4.SMEP forbids';
  }
  if (!user && last.rights.user && !(access & 16) && bit(state.cr4, 21n) && !bit(state.rflags, 18n)) {
    return 'a supervisor access to a user page, which CR4.SMAP forbids while RFLAGS.AC is 0';
  }
  if (access & 16) return `a fetch from an execute-disabled address (XD is 1 in the ${levels((e) => bit(e, 63n))})`;
  return `a write to a read-only address (R/W is 0 in the ${levels((e) => !bit(e, 1n))})`;
}

/** The set bits of a page fault's error code by name: `P W U`; `not present` for none. */
export function errorCodeWords(errorCode: number): string {
  const names = ['P', 'W', 'U', 'RSVD', 'I', 'PK', 'SS'].filter((_, n) => (errorCode >> n) & 1);
  return names.length ? names.join(' ') : 'no bit set';
}

/** Rights by letter: `writable user executable`, as `wux` with `-` where one is missing. */
export function rightsLetters({ writable, user, executable }: Rights): string {
  return `${writable ? 'w' : '-'}${user ? 'u' : '-'}${executable ? 'x' : '-'}`;
}

function rightsWords({ writable, user, executable }: Rights): string {
  return `${user ? 'user' : 'supervisor'}, ${writable ? 'writable' : 'read-only'}, ${executable ? 'executable' : 'no-execute'}`;
}

/** A page's size as people write it: `4 KiB`, `2 MiB`, `1 GiB`. */
export function sizeName(bytes: PageSize | number): string {
  return bytes === 0x1000 ? '4 KiB' : bytes === 0x20_0000 ? '2 MiB' : '1 GiB';
}

function bitList(mask: bigint): string {
  const ranges: string[] = [];
  for (let n = 63n; n >= 0n; n--) {
    if (!bit(mask, n)) continue;
    const high = n;
    while (n > 0n && bit(mask, n - 1n)) n--;
    ranges.push(high === n ? `${n}` : `${high}:${n}`);
  }
  return `bit${ranges.length === 1 && !ranges[0]!.includes(':') ? '' : 's'} ${ranges.join(', ')}`;
}

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}
