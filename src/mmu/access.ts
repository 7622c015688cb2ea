/**
 * Kinds of access. Intel SDM vol. 3A, section 4.6: a supervisor's read is 0; the bits are those that a page fault would
 * report (section 4.7), so an access can be combined with `|` and compared with an error code.
 */
import { checkInteger } from '../core/errors.ts';
import { ACCESS_FETCH, ACCESS_USER, ACCESS_WRITE } from '../core/generated/layout.ts';

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
} = { read: 0, write: ACCESS_WRITE, fetch: ACCESS_FETCH, user: ACCESS_USER };

/** @throws TypeError or RangeError unless `access` is a combination that an instruction can make */
export function checkAccess(access: unknown): asserts access is number {
  checkInteger('access', access, 0, ACCESS_WRITE | ACCESS_USER | ACCESS_FETCH);
  if (access & ~(ACCESS_WRITE | ACCESS_USER | ACCESS_FETCH) || (access & ACCESS_WRITE && access & ACCESS_FETCH)) {
    throw new RangeError(
      `access: expected Access.read, .write or .fetch, with or without .user, got 0x${access.toString(16)}`,
    );
  }
}

/** An access in words: `user write`. */
export function describeAccess(access: number): string {
  const kind = access & ACCESS_FETCH ? 'fetch' : access & ACCESS_WRITE ? 'write' : 'read';
  return `${access & ACCESS_USER ? 'user' : 'supervisor'} ${kind}`;
}
