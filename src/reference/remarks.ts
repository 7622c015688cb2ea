/**
 * What is odd about a walk, or decided it, beside the entries' plain meaning. Only what is certain is said.
 * Intel SDM vol. 3A, sections 4.5 (entries), 4.6.1 (what CR0.WP and RFLAGS.AC let pass) and 4.6.2 (protection keys).
 */
import { bit, bits, ENTRY_NAMES, shiftOf, TABLE_NAMES } from './entry.ts';
import { type PagingState, protectionKey, type Rights, type WalkStep } from './walk.ts';
import { FETCH, hex, IMPLICIT, SHADOW_STACK, USER, WRITE } from './words.ts';

/** A right that an entry takes away, named as the access that it forbids. */
export type TakenRight = 'write' | 'user' | 'fetch';

/** The rights that the levels above leave and this one takes away. */
export function takenAway(above: Rights | undefined, here: Rights): TakenRight[] {
  const taken: TakenRight[] = [];
  if ((above?.writable ?? true) && !here.writable) taken.push('write');
  if ((above?.user ?? true) && !here.user) taken.push('user');
  if ((above?.executable ?? true) && !here.executable) taken.push('fetch');
  return taken;
}

/** Names of the entries that have, or lack, a bit: `PDE and PTE`. */
export function levelsWhere(steps: readonly WalkStep[], withheld: (entry: bigint) => boolean): string {
  return steps
    .filter(({ entry }) => withheld(entry))
    .map(({ level }) => ENTRY_NAMES[level])
    .join(' and ');
}

/** Where an entry leads to a table that the walk has come through: the root, or one below it. */
export function repeatedTable(steps: readonly WalkStep[], step: WalkStep): string | undefined {
  if (step.leaf && step.level > 1) return undefined;
  const table = bits(step.entry, 51n, 12n);
  const before = steps.slice(0, steps.indexOf(step) + 1).find((other) => other.table === table);
  if (!before) return undefined;
  return before === steps[0] ? 'the root table' : `the ${TABLE_NAMES[before.level]} of this walk`;
}

/**
 * Where PS has surely made a page of what was meant as a pointer: the address has bits that no such page can have, or is that
 * of a table of this walk.
 */
export function meantAsTable(steps: readonly WalkStep[], { entry, level, reserved }: WalkStep): string | undefined {
  if (level === 1 || !bit(entry, 7n)) return undefined;
  const table = bits(entry, 51n, 12n);
  const ofAddress = bits(reserved, level > 3 ? 7n : shiftOf(level) - 1n, 7n) !== 0n;
  if (!ofAddress && !steps.some((step) => step.table === table)) return undefined;
  return `without PS it would point to the ${TABLE_NAMES[level - 1]} at ${hex(table)}`;
}

/** What let an access pass that the entries, CR4.SMAP, CR4.LASS or a protection key would have forbidden. */
export function letPass(steps: readonly WalkStep[], state: PagingState, va: bigint, access: number): string[] {
  const { entry, rights, level } = steps.at(-1)!;
  if (access & (USER | FETCH | SHADOW_STACK)) return [];
  const reasons: string[] = [];
  const smap = bit(state.cr4, 21n);
  const opened = [
    ...(smap && rights.user ? ['SMAP'] : []),
    ...(smap && bit(state.cr4, 27n) && !bit(va, 63n) ? ['LASS'] : []),
  ];
  if (opened.length && bit(state.rflags, 18n) && !(access & IMPLICIT)) {
    reasons.push(`RFLAGS.AC = 1 lets it pass CR4.${opened.join(' and CR4.')}`);
  }
  if (!(access & WRITE)) return reasons;
  /* With CR0.WP = 1 such a write would have faulted. */
  if (!rights.writable) {
    reasons.push(`R/W is 0 in the ${levelsWhere(steps, (e) => !bit(e, 1n))}, but CR0.WP = 0 lets the supervisor write`);
  }
  const key = protectionKey(entry);
  const [enabled, register] = rights.user ? [22n, state.pkru] : [24n, state.pkrs];
  if (bit(state.cr4, enabled) && bit(BigInt(register), BigInt(2 * key + 1))) {
    reasons.push(
      `protection key ${key} of the ${ENTRY_NAMES[level]} denies writes, but CR0.WP = 0 lets the supervisor write`,
    );
  }
  return reasons;
}
