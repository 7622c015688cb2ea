/**
 * The lines of scenarios, one by one, as far as all formats have them: which fields each kind has, and what may stand in them.
 */
import { type Context, type Field, type Fields, integer, type OldNames, Refusal, type Values } from './fields.ts';
import type { Line, LineObject } from './line.ts';
import { repeatedKey } from './repeated-key.ts';
import { ScenarioError, shortened, shown } from './scenario-error.ts';
import { HUGE_PAGES, type Setting } from './setting.ts';
import type { PoolCounts } from './states.ts';

/** What counts pages, mappings and classes of a state stays below, and so do the numbers of sequences. */
export const MOST_COUNT: number = 2 ** 31 - 1;

/** Of a sequence. */
export const sequenceNumber: Field<number> = integer(0, MOST_COUNT);

const count = integer(0, MOST_COUNT);
const POOL = [count, count, count, count] as const;

/** What the fields of a header depend on: nothing. */
const EMPTY: Setting = {
  hugePageSize: HUGE_PAGES['2M'],
  pool: 0,
  overcommit: 0,
  files: [],
  hgm: { version: 'none' },
  bugs: 0,
  fixes: 0,
  flushes: 'interrupt',
  pageBytes: HUGE_PAGES['2M'],
  slotBytes: HUGE_PAGES['1G'],
  slotPages: 512,
};
export const NOWHERE: Context = { setting: EMPTY, alive: new Set() };

/** Refuses surplus pages of 1 GiB. */
export function checkOvercommit(line: Line, hugePageSize: number, overcommit: number): void {
  if (hugePageSize === HUGE_PAGES['1G'] && overcommit > 0) {
    throw refused(line, 'overcommit', '0, as pages of 1 GiB are never surplus', overcommit);
  }
}

/** The object that a line is, in which no key stands twice: one of the two would be silently left out. */
export function objectOf(line: Line): LineObject {
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch {
    throw new ScenarioError(line.file, line.line, 'line', 'a JSON object', shortened(line.text));
  }
  if (!isObject(value)) throw new ScenarioError(line.file, line.line, 'line', 'a JSON object', shortened(line.text));
  const repeated = repeatedKey(line.text, value);
  if (repeated !== undefined) {
    const expected = 'this key once in its object: take out all of them but the one that is meant';
    throw new ScenarioError(line.file, line.line, shortened(repeated), expected, 'it twice');
  }
  return value;
}

/** Whether a value has fields. */
export function isObject(value: unknown): value is LineObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An error about a field. */
export function refused(line: Line, field: string, expected: string, got: unknown): ScenarioError {
  return new ScenarioError(line.file, line.line, field, expected, shown(got));
}

/** A field of a line that is missing, or wrong, or should not be there. */
interface Fault {
  readonly field: string;
  readonly expected: string;
  readonly got: unknown;
}

/**
 * The values of all fields, and no other fields.
 *
 * @param what the line is, for messages
 * @param old names that fields had before
 * @throws ScenarioError that names all fields that are wrong, missing or unknown
 */
export function read<F extends Fields>(
  line: Line,
  object: LineObject,
  fields: F,
  context: Context,
  what: string,
  old: OldNames = {},
): Values<F> {
  const faults: Fault[] = [];
  const given = new Map<string, string>();
  for (const name of Object.keys(object)) {
    const field = nameOf(name, object, fields, old);
    if (field === undefined)
      faults.push({ field: shortened(name), expected: `no such field in ${what}`, got: object[name] });
    else given.set(field, name);
  }
  const values: Record<string, unknown> = {};
  for (const name in fields) {
    const field = given.get(name) ?? name;
    const reads = (field === name ? undefined : old[field]?.field) ?? fields[name]!;
    const value = reads(object[field], context);
    if (value instanceof Refusal) faults.push({ field, expected: value.expected, got: object[field] });
    values[name] = value;
  }
  if (faults.length > 0) throw refusedFor(line, faults);
  return values as Values<F>;
}

/** The field that a line means by a name. An old name means none where the line has the new one, too. */
function nameOf(name: string, object: LineObject, fields: Fields, old: OldNames): string | undefined {
  if (Object.hasOwn(fields, name)) return name;
  const is = Object.hasOwn(old, name) ? old[name]!.is : undefined;
  return is !== undefined && !Object.hasOwn(object, is) ? is : undefined;
}

/** One error about all. */
function refusedFor(line: Line, faults: readonly Fault[]): ScenarioError {
  const [first] = faults;
  if (faults.length === 1) return refused(line, first!.field, first!.expected, first!.got);
  const names = faults.map(({ field }) => field).join(', ');
  const expected = faults.map((fault) => `${fault.field}: ${fault.expected}`).join('; ');
  return new ScenarioError(line.file, line.line, names, expected, faults.map(({ got }) => shown(got)).join('; '));
}

/** Refuses fields that a kind of line does not have. */
export function checkNames(line: Line, object: LineObject, names: readonly string[], what: string): void {
  for (const name of Object.keys(object)) {
    if (!names.includes(name)) throw refused(line, shortened(name), `no such field in ${what}`, object[name]);
  }
}

/** That a line is about its own sequence. */
export function checkNumber(line: Line, field: string, got: unknown, number: number): void {
  if (got !== number) throw refused(line, field, `${number}, the number of the sequence`, got);
}

/** `[total, free, reserved, surplus]`. */
export function parsePool(line: Line, value: unknown, context: Context): PoolCounts {
  return parseTuple(line, 'pool', value, POOL, context);
}

/** A list. @param what it lists @param item reads one, by its name */
export function parseList<T>(
  line: Line,
  name: string,
  value: unknown,
  what: string,
  item: (name: string, value: unknown) => T,
): T[] {
  if (!Array.isArray(value)) throw refused(line, name, `a list of ${what}`, value);
  return value.map((one, i) => item(`${name}[${i}]`, one));
}

/** A list of values, each with limits of its own. @param what they are: numbers, if nothing else is said */
export function parseTuple<F extends readonly Field<unknown>[]>(
  line: Line,
  name: string,
  value: unknown,
  items: F,
  context: Context,
  what = 'numbers',
): Values<F> {
  if (!Array.isArray(value) || value.length !== items.length) {
    throw refused(line, name, `a list of ${items.length} ${what}`, value);
  }
  const values = items.map((item, i) => {
    const one = item(value[i], context);
    if (one instanceof Refusal) throw refused(line, `${name}[${i}]`, one.expected, value[i]);
    return one;
  });
  return values as unknown as Values<F>;
}
