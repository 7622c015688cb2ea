/**
 * Three tiers of errors, never mixed: expected outcomes are values; a caller's mistake is a TypeError or RangeError
 * that names the argument, the expectation and the value; a broken invariant of ours is an InvariantError.
 */

/** Something that this library promised itself does not hold: a defect of hugewalk, not of its caller. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** A number the way an address is written: `0x7f00dead0000`. */
export function hex(value: bigint | number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function shown(value: unknown): string {
  if (typeof value === 'bigint') return hex(value);
  if (typeof value === 'number') return Number.isInteger(value) ? hex(value) : `${value}`;
  if (typeof value === 'string') return JSON.stringify(value);
  return value === null ? 'null' : typeof value;
}

/** Throws unless `value` is a bigint from 0 to `max`. */
export function checkBigint(
  name: string,
  value: unknown,
  max: bigint = 0xffff_ffff_ffff_ffffn,
): asserts value is bigint {
  if (typeof value !== 'bigint') throw new TypeError(`${name}: expected a bigint, got ${shown(value)}`);
  if (value < 0n || value > max) throw new RangeError(`${name}: expected 0x0 to ${hex(max)}, got ${hex(value)}`);
}

/** Throws unless `value` is an integer from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): asserts value is number {
  if (typeof value !== 'number') throw new TypeError(`${name}: expected a number, got ${shown(value)}`);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name}: expected an integer from ${hex(min)} to ${hex(max)}, got ${shown(value)}`);
  }
}

/** Throws unless `value` is a bigint from 0 to `max` and a multiple of `unit`. */
export function checkAligned(name: string, value: unknown, unit: bigint, max?: bigint): asserts value is bigint {
  checkBigint(name, value, max);
  if (value % unit !== 0n) throw new RangeError(`${name}: expected a multiple of ${hex(unit)}, got ${hex(value)}`);
}
