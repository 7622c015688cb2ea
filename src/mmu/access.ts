/**
 * Kinds of access. Intel SDM vol. 3A, section 4.6: a supervisor's read is 0; the bits are those that a page fault would
 * report (section 4.7), so an access can be combined with `|` and compared with an error code.
 */
import { checkInteger } from '../core/errors.ts';
import {
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_SHADOW_STACK,
  ACCESS_USER,
  ACCESS_WRITE,
} from '../core/generated/layout.ts';
import { accessWords } from '../reference/words.ts';

/** Kinds of access, to be combined with `|`: `Access.user | Access.write`. */
export const Access: {
  /** A data read in supervisor mode. */
  readonly read: 0;
  /** A data write. */
  readonly write: number;
  /** An instruction fetch. */
  readonly fetch: number;
  /** The access is made in user mode (CPL 3). */
  readonly user: number;
  /** An access of a shadow stack: CALL, RET, WRSS...; a read unless combined with `write`. Needs CR4.CET. */
  readonly shadowStack: number;
  /** An access to a descriptor table or a TSS, always the supervisor's; RFLAGS.AC does not help it past SMAP. */
  readonly implicit: number;
} = {
  read: 0,
  write: ACCESS_WRITE,
  fetch: ACCESS_FETCH,
  user: ACCESS_USER,
  shadowStack: ACCESS_SHADOW_STACK,
  implicit: ACCESS_IMPLICIT,
};

const { write, fetch, user, shadowStack, implicit } = Access;

/** Every combination that an instruction can make. */
export const ACCESSES: readonly number[] = [
  ...[0, write, fetch].flatMap((kind) => [kind, kind | user]),
  ...[shadowStack, shadowStack | write].flatMap((kind) => [kind, kind | user]),
  implicit,
  implicit | write,
];
/** 1 at each of them. */
const VALID = new Uint8Array(Math.max(...ACCESSES) + 1);
for (const access of ACCESSES) VALID[access] = 1;

/** @throws TypeError or RangeError unless `access` is a combination that an instruction can make */
export function checkAccess(access: unknown): asserts access is number {
  if (typeof access === 'number' && VALID[access] === 1) return;
  checkInteger('access', access, 0, Math.max(...ACCESSES));
  throw new RangeError(
    `access: expected read, write or fetch, with or without user, shadowStack or implicit where they fit, got 0x${access.toString(16)}`,
  );
}

/**
 * The access as the last argument of a call: left out, it is a supervisor's read. It is no default parameter, since
 * that would take `undefined`, a misspelt `Access.wirte`, for nothing at all.
 */
export type AccessArgument = [access?: number];

/** @throws TypeError or RangeError for an access that was given and is none */
export function accessOf(given: readonly [access?: number, ...others: unknown[]]): number {
  if (given.length === 0) return Access.read;
  const [access] = given;
  checkAccess(access);
  return access;
}

/** An access in words: `user write`. @throws TypeError or RangeError for what is none */
export function describeAccess(access: number): string {
  checkAccess(access);
  return accessWords(access);
}
