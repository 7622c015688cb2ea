/**
 * What callers must keep to. Written here once more, as the reference imports nothing; the messages have the form of the
 * library's others: `name: expected …, got …`.
 */
import type { PagingState, ReadEntry } from './walk.ts';

const HIGHEST = 0xffff_ffff_ffff_ffffn;

/** The error for a value of the wrong kind. */
export function wrong(name: string, expected: string, value: unknown): TypeError {
  const got = typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' ? kindOf(value) : value;
  return new TypeError(`${name}: expected ${expected}, got ${typeof got === 'function' ? 'a function' : String(got)}`);
}

function kindOf(value: object | null): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object';
}

/** @throws TypeError or RangeError unless it is a bigint of 64 bits */
export function checkWord(name: string, value: unknown): void {
  if (typeof value !== 'bigint') throw wrong(name, 'a bigint', value);
  if (value >= 0n && value <= HIGHEST) return;
  const hex = value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
  const remedy = value < 0n ? `; an i64 of WebAssembly is signed: use BigInt.asUintN(64, ${name})` : '';
  throw new RangeError(`${name}: expected 0x0 to 0xffffffffffffffff, got ${hex}${remedy}`);
}

/** @throws TypeError or RangeError unless it is an integer from 0 to `max` */
export function checkNumber(name: string, value: unknown, max: number): void {
  if (typeof value !== 'number') throw wrong(name, 'a number', value);
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw new RangeError(`${name}: expected an integer from 0x0 to 0x${max.toString(16)}, got ${value}`);
}

/** @throws TypeError or RangeError unless a walk can begin with it */
export function checkWalk(readEntry: ReadEntry, state: PagingState): void {
  if (typeof readEntry !== 'function') throw wrong('readEntry', 'a function that reads a physical address', readEntry);
  if (typeof state !== 'object' || state === null) throw wrong('state', 'an object', state);
  for (const name of ['cr0', 'cr3', 'cr4', 'efer', 'rflags', 'pat'] as const) checkWord(name, state[name]);
  for (const name of ['pkru', 'pkrs'] as const) checkNumber(name, state[name], 0xffff_ffff);
  checkNumber('maxPhysicalAddress', state.maxPhysicalAddress, 52);
  if (typeof state.page1G !== 'boolean') throw wrong('page1G', 'a boolean', state.page1G);
  if (state.vendor !== 'intel' && state.vendor !== 'amd') throw wrong('vendor', "'intel' or 'amd'", state.vendor);
}

/** The same reader, which throws for an answer that is no entry. */
export function checkedReader(readEntry: ReadEntry): ReadEntry {
  return (physical) => {
    const entry = readEntry(physical);
    if (entry !== undefined) checkWord('readEntry()', entry);
    return entry;
  };
}
