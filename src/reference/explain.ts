/**
 * A walk in words that a student understands.
 */
import { checkNumber } from './checks.ts';
import { bit, ENTRY_NAMES, fieldsOf, TABLE_NAMES } from './entry.ts';
import { effectiveMemoryType, type MemoryType, patType, tablePatIndex } from './memory-type.ts';
import type { Outcome, PageSize } from './outcome.ts';
import {
  type Mark,
  type PagingState,
  protectionKey,
  type ReadEntry,
  type Rights,
  referenceWalk,
  type WalkRecord,
  type WalkStep,
} from './walk.ts';

/* Bits of an access (SDM figure 4-12); bit 8 is ours. */
const USER = 4;
const FETCH = 16;
const SHADOW_STACK = 64;
const IMPLICIT = 256;

/** One level of an explained walk. */
export interface ExplainedStep extends WalkStep {
  /** `PML5E`, `PML4E`, `PDPTE`, `PDE` or `PTE`. */
  readonly name: string;
  /** Names of the bits that are set and mean something: `['P', 'W', 'U', 'A']`. */
  readonly fields: readonly string[];
  /** The memory type with which the entry is read: PCD and PWT of what points to its table, and the MTRRs. */
  readonly memoryType: MemoryType;
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
  /** Where the access, when really made, sets A or D. */
  readonly marks: readonly Mark[];
  /** The memory type of the access itself; undefined where it reaches no page. */
  readonly memoryType: MemoryType | undefined;
  /** The outcome in words: where the access goes, or why it fails and what an operating system would see. */
  readonly words: string;
}

/** Walks one address and explains every step. */
export function explain(readEntry: ReadEntry, state: PagingState, va: bigint, access: number): Explanation {
  const record = referenceWalk(readEntry, state, va, access);
  const { outcome, marks } = record;
  const typeOf = (index: number): MemoryType =>
    effectiveMemoryType(patType(state.pat, index) ?? 'UC', state.mtrrDefault);
  const steps = record.steps.map((step, i) => ({
    ...step,
    name: ENTRY_NAMES[step.level]!,
    fields: bit(step.entry, 0n) ? fieldsOf(step.entry, step.level, step.leaf) : [],
    memoryType: typeOf(tablePatIndex(record.steps[i - 1]?.entry ?? state.cr3, i === 0 && bit(state.cr4, 17n))),
    words: stepWords(step),
  }));
  const memoryType = outcome.kind === 'page' ? typeOf(outcome.patIndex) : undefined;
  return { va, access, steps, outcome, marks, memoryType, words: outcomeWords(record, state, access, memoryType) };
}

function stepWords(step: WalkStep): string {
  if (!bit(step.entry, 0n)) return 'not present';
  if (step.reserved !== 0n) return `reserved ${bitList(step.reserved)} set`;
  if (step.leaf) return `maps a ${sizeName(Number(1n << BigInt(12 + 9 * (step.level - 1))))} page`;
  return `points to the ${TABLE_NAMES[step.level - 1]}`;
}

function outcomeWords(record: WalkRecord, state: PagingState, access: number, memoryType?: MemoryType): string {
  const { steps, outcome } = record;
  switch (outcome.kind) {
    case 'page':
      return `${hex(outcome.physicalAddress)} in a ${sizeName(outcome.pageSize)} page, ${rightsWords(outcome)}, ${memoryType}${marksWords(record)}`;
    case 'non-canonical':
      return `not canonical: bits 63 to ${bit(state.cr4, 12n) ? 56 : 47} are not all equal; #GP (#SS for the stack), no table is read`;
    case 'lass':
      return `CR4.LASS forbids ${access & USER ? 'user mode the upper' : 'the supervisor the lower'} half of the linear addresses; #GP (#SS for the stack), no table is read`;
    case 'paging-off':
      return `${hex(outcome.physicalAddress)}: paging is off (CR0.PG = 0), and the linear address is the physical one`;
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
  if (errorCode & 32) {
    const register = last.rights.user ? 'PKRU' : 'IA32_PKRS';
    return `protection key ${protectionKey(last.entry)} of the ${name} denies it by ${register}`;
  }
  const user = (access & USER) !== 0;
  const levels = (withheld: (entry: bigint) => boolean): string =>
    steps
      .filter(({ entry }) => withheld(entry))
      .map(({ level }) => ENTRY_NAMES[level])
      .join(' and ');
  if (access & SHADOW_STACK && !last.rights.shadowStack) {
    return `a shadow-stack access to a page that is not one (R/W must be 1 above the ${name}, 0 in it, and its D 1)`;
  }
  if (user && !last.rights.user)
    return `a user access to a supervisor address (U/S is 0 in the ${levels((e) => !bit(e, 2n))})`;
  if (access & SHADOW_STACK) return 'a supervisor shadow-stack access to a user page';
  if (!user && last.rights.user && access & FETCH && bit(state.cr4, 20n)) {
    return 'a supervisor fetch from a user page, which CR4.SMEP forbids';
  }
  if (access & FETCH) return `a fetch from an execute-disabled address (XD is 1 in the ${levels((e) => bit(e, 63n))})`;
  const ac = bit(state.rflags, 18n);
  if (!user && last.rights.user && bit(state.cr4, 21n) && (!ac || access & IMPLICIT)) {
    const why = access & IMPLICIT ? 'whatever RFLAGS.AC, since it is implicit' : 'while RFLAGS.AC is 0';
    return `a supervisor access to a user page, which CR4.SMAP forbids ${why}`;
  }
  return `a write to a read-only address (R/W is 0 in the ${levels((e) => !bit(e, 1n))})`;
}

/** What the access leaves behind: `; sets A in the PDE, A and D in the PTE`. */
function marksWords({ steps, marks }: WalkRecord): string {
  const set = marks.map(({ address, entry }) => {
    const { entry: before, level } = steps.find((step) => step.address === address)!;
    const names = [...(bit(entry & ~before, 5n) ? ['A'] : []), ...(bit(entry & ~before, 6n) ? ['D'] : [])];
    return `${names.join(' and ')} in the ${ENTRY_NAMES[level]}`;
  });
  return set.length ? `; sets ${set.join(', ')}` : '';
}

/** The set bits of a page fault's error code by name: `P W U`; `no bit set` for none. @throws TypeError or RangeError for what is no error code */
export function errorCodeWords(errorCode: number): string {
  checkNumber('errorCode', errorCode, 0xffff_ffff);
  const names = ['P', 'W', 'U', 'RSVD', 'I', 'PK', 'SS'].filter((_, n) => (errorCode >> n) & 1);
  return names.length ? names.join(' ') : 'no bit set';
}

/** Rights by letter: `writable user executable`, as `wux` with `-` where one is missing. */
export function rightsLetters({
  writable,
  user,
  executable,
}: Pick<Rights, 'writable' | 'user' | 'executable'>): string {
  return `${writable ? 'w' : '-'}${user ? 'u' : '-'}${executable ? 'x' : '-'}`;
}

function rightsWords({ writable, user, executable, shadowStack }: Rights): string {
  const kind = shadowStack ? 'shadow stack' : writable ? 'writable' : 'read-only';
  return `${user ? 'user' : 'supervisor'}, ${kind}, ${executable ? 'executable' : 'no-execute'}`;
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
