/**
 * A walk in words that a student understands.
 */
import { bit, ENTRY_NAMES, fieldsOf, TABLE_NAMES } from './entry.ts';
import { explanationLines } from './explanation-text.ts';
import { effectiveMemoryType, type MemoryType, patType, tablePatIndex } from './memory-type.ts';
import type { Outcome } from './outcome.ts';
import { letPass, levelsWhere, meantAsTable, repeatedTable, type TakenRight, takenAway } from './remarks.ts';
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
import { bitList, errorCodeWords, FETCH, hex, IMPLICIT, SHADOW_STACK, sizeName, USER } from './words.ts';

/** One level of an explained walk. */
export interface ExplainedStep extends WalkStep {
  /** `PML5E`, `PML4E`, `PDPTE`, `PDE` or `PTE`. */
  readonly name: string;
  /** Names of the bits that are set and mean something: `['P', 'W', 'U', 'A']`. */
  readonly fields: readonly string[];
  /** The memory type with which the entry is read: PCD and PWT of what points to its table, and the MTRRs. */
  readonly memoryType: MemoryType;
  /** The rights that the levels above leave and this entry takes away. */
  readonly takesAway: readonly TakenRight[];
  /** What the entry does, in words. */
  readonly words: string;
}

/** A walk, level by level, and its end. As a string it is a line a level, and the outcome. */
export class Explanation {
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

  constructor(va: bigint, access: number, record: WalkRecord, state: PagingState) {
    const { outcome, marks } = record;
    const typeOf = (index: number): MemoryType =>
      effectiveMemoryType(patType(state.pat, index) ?? 'UC', state.mtrrDefault);
    this.va = va;
    this.access = access;
    this.outcome = outcome;
    this.marks = marks;
    this.memoryType = outcome.kind === 'page' ? typeOf(outcome.patIndex) : undefined;
    this.words = outcomeWords(record, state, va, access, this.memoryType);
    this.steps = record.steps.map((step, i) => {
      const above = record.steps[i - 1];
      const taken = takenAway(above?.rights, step.rights);
      return {
        ...step,
        name: ENTRY_NAMES[step.level]!,
        fields: bit(step.entry, 0n) ? fieldsOf(step.entry, step.level, step.leaf) : [],
        memoryType: typeOf(tablePatIndex(above?.entry ?? state.cr3, i === 0 && bit(state.cr4, 17n))),
        takesAway: taken,
        words: stepWords(record.steps, step, taken),
      };
    });
  }

  /**
   * The walk level by level, all numbers in hex: what `hugewalk walk` prints.
   *
   * @example
   * ```ts
   * import { Access, Entry, FlatMemory, Mmu } from 'hugewalk';
   * const memory = new FlatMemory({ bytes: 1 << 20 });
   * memory.writeEntry(0x1000n, 0x2000n | Entry.present | Entry.writable);
   * memory.writeEntry(0x2000n, 0x4000_0000n | Entry.present | Entry.pageSize);
   * console.log(`${new Mmu(memory, { cr3: 0x1000n }).explain(0x1234n, Access.write)}`);
   * // 0x1234
   * //   PML4E 0x0  at 0x1000  =      0x2003  P W   rwx kernel  points to the page-directory-pointer table; takes away user
   * //   PDPTE 0x0  at 0x2000  =  0x40000081  P PS  r-x kernel  maps a 1 GiB page; takes away write
   * //   supervisor write: #PF, error code 0x3 (P W): a write to a read-only address (R/W is 0 in the PDPTE)
   * ```
   */
  toString(): string {
    return explanationLines([this]).join('\n');
  }
}

/** Walks one address and explains every step. */
export function explain(readEntry: ReadEntry, state: PagingState, va: bigint, access: number): Explanation {
  return new Explanation(va, access, referenceWalk(readEntry, state, va, access), state);
}

function stepWords(steps: readonly WalkStep[], step: WalkStep, taken: readonly TakenRight[]): string {
  const meant = meantAsTable(steps, step);
  const remarks = [...(taken.length ? [`takes away ${taken.join(' and ')}`] : []), ...(meant ? [meant] : [])];
  return [plainWords(steps, step), ...remarks].join('; ');
}

function plainWords(steps: readonly WalkStep[], step: WalkStep): string {
  const { entry, level, reserved, leaf } = step;
  if (!bit(entry, 0n)) return 'not present';
  if (reserved !== 0n) return `reserved ${bitList(reserved)} set`;
  const repeated = repeatedTable(steps, step);
  if (!leaf) return `points to the ${TABLE_NAMES[level - 1]}${repeated ? `, which is ${repeated}` : ''}`;
  const size = sizeName(Number(1n << BigInt(12 + 9 * (level - 1))));
  return `maps a ${size} page${repeated ? `, which is ${repeated}` : ''}`;
}

function outcomeWords(
  record: WalkRecord,
  state: PagingState,
  va: bigint,
  access: number,
  memoryType: MemoryType | undefined,
): string {
  const { steps, outcome } = record;
  switch (outcome.kind) {
    case 'page': {
      const page = `${hex(outcome.physicalAddress)} in a ${sizeName(outcome.pageSize)} page`;
      const what = `${page}, ${rightsWords(outcome, state)}, ${memoryType}`;
      return [what, ...letPass(steps, state, va, access), ...marksWords(record)].join('; ');
    }
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
  if (last.reserved !== 0n) {
    const meant = meantAsTable(steps, last);
    return `the ${name} has reserved ${bitList(last.reserved)} set${meant ? `; ${meant}` : ''}`;
  }
  if (errorCode & 32) {
    const register = last.rights.user ? 'PKRU' : 'IA32_PKRS';
    return `protection key ${protectionKey(last.entry)} of the ${name} denies it by ${register}`;
  }
  const user = (access & USER) !== 0;
  const levels = (withheld: (entry: bigint) => boolean): string => levelsWhere(steps, withheld);
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

/** What the access leaves behind: `sets A in the PDE, A and D in the PTE`. */
function marksWords({ steps, marks }: WalkRecord): string[] {
  const set = marks.map(({ address, entry }, i) => {
    /* An entry that is marked again is the leaf, too: D is set in no other. */
    const again = marks.slice(0, i).find((mark) => mark.address === address);
    const step = steps.find((one) => one.address === address)!;
    const before = again?.entry ?? step.entry;
    const { level } = again ? steps.at(-1)! : step;
    const names = [...(bit(entry & ~before, 5n) ? ['A'] : []), ...(bit(entry & ~before, 6n) ? ['D'] : [])];
    return `${names.join(' and ')} in the ${ENTRY_NAMES[level]}`;
  });
  return set.length ? [`sets ${set.join(', ')}`] : [];
}

/** What the rights come to. There are no shadow stacks while CR4.CET is clear, whatever the entries look like. */
function rightsWords({ writable, user, executable, shadowStack }: Rights, state: PagingState): string {
  const kind = shadowStack && bit(state.cr4, 23n) ? 'shadow stack' : writable ? 'writable' : 'read-only';
  return `${user ? 'user' : 'supervisor'}, ${kind}, ${executable ? 'executable' : 'no-execute'}`;
}
