/**
 * The lines of scenarios, one by one, as far as all formats have them: which fields each kind has, and what may stand in them.
 */
import { type Context, type Field, type Fields, integer, optional, Refusal, text, type Values } from './fields.ts';
import type { Found, Operation } from './operation.ts';
import { ScenarioError, shortened, shown } from './scenario-error.ts';
import type { Line, PoolCounts, ScenarioStep } from './sequence.ts';
import { HUGE_PAGES, type Setting } from './setting.ts';

/** A line's fields, not looked at yet. */
export type LineObject = Readonly<Record<string, unknown>>;

/** What counts pages, mappings and classes of a state stays below, and so do the numbers of sequences. */
export const MOST_COUNT: number = 2 ** 31 - 1;

/** How recorders write that an operation never ended; what follows then is the sequence's end. */
const HANGS: ReadonlySet<unknown> = new Set(['E9999', 'HANG']);

const systemCallResult = text(/^(OK|E[A-Z0-9]+)$/, '"OK" or the name of an errno');
const touchResult = text(/^(OK|SIGBUS|SIGSEGV)$/, '"OK", "SIGBUS" or "SIGSEGV"');

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
  pageBytes: HUGE_PAGES['2M'],
  slotBytes: HUGE_PAGES['1G'],
  slotPages: 512,
};
export const NOWHERE: Context = { setting: EMPTY, alive: new Set() };

/** The object that a line is. */
export function objectOf(line: Line): LineObject {
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch {
    throw new ScenarioError(line.file, line.line, 'line', 'a JSON object', shortened(line.text));
  }
  if (isObject(value)) return value;
  throw new ScenarioError(line.file, line.line, 'line', 'a JSON object', shortened(line.text));
}

/** Whether a value has fields. */
export function isObject(value: unknown): value is LineObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `{"op":"write","proc":0,...}`, without the state that may follow. */
export function parseOperation(
  line: Line,
  object: LineObject,
  operations: ReadonlyMap<string, Operation>,
  context: Context,
): ScenarioStep {
  const { op, result: ended, ...rest } = object;
  const operation = operations.get(op as string);
  if (!operation) throw refused(line, 'op', `one of ${[...operations.keys()].join(', ')}`, op);
  const values = read(line, rest, operation.fields, context, op as string);
  checkTogether(line, operation, values, context, object);

  const hang = HANGS.has(ended);
  const result = hang ? undefined : optional(operation.touches ? touchResult : systemCallResult)(ended, context);
  if (result instanceof Refusal) throw refused(line, 'result', result.expected, ended);
  return {
    ...line,
    kind: 'operation',
    operation,
    values,
    hang,
    ...(result !== undefined && { result }),
    ...(operation.found && !hang && { found: foundOf(operation.found, values) }),
  };
}

/** Values that are right one by one may be wrong together. */
export function checkTogether(
  line: Line,
  { problem }: Operation,
  values: Readonly<Record<string, unknown>>,
  context: Context,
  object: LineObject,
): void {
  const found = problem?.(values, context);
  if (found) throw refused(line, found.field, found.refusal.expected, object[found.field]);
}

/** Those of some fields that are there. */
export function foundOf(
  names: readonly string[],
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, Found>> {
  return Object.fromEntries(
    names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name] as Found]])),
  );
}

/** `{"end":7,"pool":[9,9,0,0]}`, the pool or not. */
export function parseEnd(line: Line, object: LineObject, number: number): { readonly pool?: PoolCounts } {
  checkNames(line, object, ['end', 'pool'], 'an end');
  checkNumber(line, 'end', object.end, number);
  return object.pool === undefined ? {} : { pool: parsePool(line, object.pool, NOWHERE) };
}

/** `{"hang":7}`. */
export function checkHang(line: Line, object: LineObject, number: number): void {
  checkNames(line, object, ['hang'], 'a hang');
  checkNumber(line, 'hang', object.hang, number);
}

/** `{"note":"what follows, in words"}`. */
export function checkNote(line: Line, object: LineObject): void {
  checkNames(line, object, ['note'], 'a note');
  if (typeof object.note !== 'string') throw refused(line, 'note', 'a text', object.note);
}

/** An error about a field. */
export function refused(line: Line, field: string, expected: string, got: unknown): ScenarioError {
  return new ScenarioError(line.file, line.line, field, expected, shown(got));
}

/** The values of all fields, and no other fields. @param what the line is, for messages */
export function read<F extends Fields>(
  line: Line,
  object: LineObject,
  fields: F,
  context: Context,
  what: string,
): Values<F> {
  checkNames(line, object, Object.keys(fields), what);
  const values: Record<string, unknown> = {};
  for (const name in fields) {
    const value = fields[name]!(object[name], context);
    if (value instanceof Refusal) throw refused(line, name, value.expected, object[name]);
    values[name] = value;
  }
  return values as Values<F>;
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
