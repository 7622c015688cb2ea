/**
 * Three tiers of errors, never mixed: expected outcomes are values; a caller's mistake is a TypeError or RangeError
 * that names the argument, the expectation and the value; a broken invariant of ours is an InvariantError.
 *
 * Messages of the second kind have one form: `name: expected …, got …`, and behind that, if need be, what to do.
 */
import { nearest } from './nearest.ts';

/** Something that this library promised itself does not hold: a defect of hugewalk, not of its caller. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** A number the way an address is written: `0x7f00dead0000`. */
export function hex(value: bigint | number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** A value of any kind as messages show it: `0x1000`, `"4096"`, `null`, `a Uint8Array`. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return hex(value);
    case 'number':
      return Number.isInteger(value) ? hex(value) : `${value}`;
    case 'string':
      return JSON.stringify(value);
    case 'function':
      return 'a function';
    case 'object':
      return value === null ? 'null' : shownObject(value);
    default:
      return String(value);
  }
}

function shownObject(value: object): string {
  if (typeof (value as PromiseLike<unknown>).then === 'function') return 'a Promise, which has to be awaited';
  if (Array.isArray(value)) return 'an array';
  const made = value.constructor;
  const name = typeof made === 'function' && made !== Object ? made.name : 'object';
  return `${/^[AEIOo]|^Mmu/.test(name) ? 'an' : 'a'} ${name}`;
}

/** The error for a value of the wrong kind. @param expected with its article: `a number` */
export function wrongKind(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${name}: expected ${expected}, got ${shown(value)}`);
}

const HIGHEST = 0xffff_ffff_ffff_ffffn;

/** Throws unless `value` is a bigint from 0 to `max`. */
export function checkBigint(name: string, value: unknown, max: bigint = HIGHEST): asserts value is bigint {
  if (typeof value !== 'bigint') throw wrongKind(name, 'a bigint', value);
  if (value >= 0n && value <= max) return;
  const signed = value < 0n && value >= -(1n << 63n);
  const remedy = signed ? `; an i64 of WebAssembly is signed: use BigInt.asUintN(64, ${name})` : '';
  throw new RangeError(`${name}: expected 0x0 to ${hex(max)}, got ${hex(value)}${remedy}`);
}

/** Throws unless `value` is an integer from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): asserts value is number {
  if (typeof value !== 'number') throw wrongKind(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name}: expected an integer from ${hex(min)} to ${hex(max)}, got ${shown(value)}`);
  }
}

/** Throws unless `value` is a bigint from 0 to `max` and a multiple of `unit`. */
export function checkAligned(name: string, value: unknown, unit: bigint, max?: bigint): asserts value is bigint {
  checkBigint(name, value, max);
  if (value % unit !== 0n) throw new RangeError(`${name}: expected a multiple of ${hex(unit)}, got ${hex(value)}`);
}

/** Throws unless `value` is true or false. */
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw wrongKind(name, 'a boolean', value);
}

/** Throws unless `value` is a string. */
export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw wrongKind(name, 'a string', value);
}

/** Throws unless `value` is a function. @param does what it is for: `that says where a new table may lie` */
export function checkFunction(name: string, value: unknown, does: string): void {
  if (typeof value !== 'function') throw wrongKind(name, `a function ${does}`, value);
}

/** All options of a kind, by name: the compiler sees to it that none is left out. */
export type OptionNames<Options> = { readonly [Name in keyof Required<Options>]: true };

/**
 * Throws unless `options` is an object all of whose keys are known: an option that nobody reads would be a wrong answer
 * without a word.
 *
 * @param name what the options are of: `registers`
 */
export function checkOptions<Options extends object>(
  name: string,
  options: Options,
  known: OptionNames<Options>,
): asserts options is Options {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw wrongKind(name, 'an object', options);
  }
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(known, key)) continue;
    const names = Object.keys(known);
    const near = nearest(key, names);
    const meant = near.length ? `: did you mean ${near.join(' or ')}?` : '';
    throw new TypeError(`${name}: expected only ${names.join(', ')}, got ${key}${meant}`);
  }
}
