/**
 * The lines of scenarios, one by one: which fields each kind has, and what may stand in them.
 */
import { type Context, choice, type Fields, integer, optional, Refusal, text, type Values } from './fields.ts';
import { OPERATIONS } from './operations.ts';
import { ScenarioError, shortened, shown } from './scenario-error.ts';
import type { Line, PageEntry, PoolCounts, ScenarioStep, State } from './sequence.ts';
import {
  HUGE_PAGES,
  MODES,
  MOST_FILES,
  MOST_PAGES,
  MOST_PROCESSES,
  MOST_SLOTS,
  type Mode,
  type Setting,
  settingOf,
} from './setting.ts';

/** A line's fields, not looked at yet. */
export type LineObject = Readonly<Record<string, unknown>>;

/** Sequences have numbers below. */
const MOST_NUMBER = 2 ** 31 - 1;
/** What counts pages, mappings and classes of a state stays below. */
const MOST_COUNT = 2 ** 31 - 1;
/** Bits 62:56 of a pagemap entry. */
const MOST_FLAGS = 0x7f;

/** How recorders write that an operation never ended; what follows then is the sequence's end. */
const HANGS: ReadonlySet<unknown> = new Set(['E9999', 'HANG']);

const systemCallResult = text(/^(OK|E[A-Z0-9]+)$/, '"OK" or the name of an errno');
const touchResult = text(/^(OK|SIGBUS|SIGSEGV)$/, '"OK", "SIGBUS" or "SIGSEGV"');
const sequenceNumber = integer(0, MOST_NUMBER);

const HEADER = {
  seq: sequenceNumber,
  mode: optional(choice<Mode>(Object.fromEntries(MODES.map((mode) => [mode, mode])))),
  hugepage: optional(choice<keyof typeof HUGE_PAGES>({ '2M': '2M', '1G': '1G' })),
  pool: integer(0, MOST_PAGES),
  overcommit: optional(integer(0, MOST_PAGES)),
  files: optional(fileSizes),
} satisfies Fields;

const POOL = [0, 1, 2, 3].map(() => integer(0, MOST_COUNT));

/** proc, slot, page, class, mapcount, flags. */
const PAGE_ENTRY = [
  integer(0, MOST_PROCESSES - 1),
  integer(0, MOST_SLOTS - 1),
  integer(0, ({ slotPages }) => slotPages - 1),
  integer(-1, MOST_COUNT),
  integer(0, MOST_COUNT),
  integer(0, MOST_FLAGS),
];

/** What the fields of a header depend on: nothing. */
const NOWHERE: Context = {
  setting: settingOf({ mode: undefined, hugePageSize: HUGE_PAGES['2M'], pool: 0, overcommit: 0, files: [] }),
  alive: new Set(),
};

/** The object that a line is. */
export function objectOf(line: Line): LineObject {
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch {
    throw new ScenarioError(line.file, line.line, 'line', 'a JSON object', shortened(line.text));
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as LineObject;
  throw new ScenarioError(line.file, line.line, 'line', 'a JSON object', shortened(line.text));
}

/** `{"seq":7,"pool":9,...}`. */
export function parseHeader(line: Line, object: LineObject): { readonly number: number; readonly setting: Setting } {
  const { seq, mode, hugepage, pool, overcommit = 0, files = [] } = read(line, object, HEADER, NOWHERE, 'a header');
  const only = mode === 'G' ? '1G' : mode === 'P' ? '2M' : undefined;
  if (only && hugepage && hugepage !== only) throw refused(line, 'hugepage', `"${only}" in mode "${mode}"`, hugepage);
  const hugePageSize = HUGE_PAGES[hugepage ?? only ?? '2M'];
  if (hugePageSize === HUGE_PAGES['1G'] && overcommit > 0) {
    throw refused(line, 'overcommit', '0, as pages of 1 GiB are never surplus', overcommit);
  }
  return { number: seq, setting: settingOf({ mode, hugePageSize, pool, overcommit, files }) };
}

/** `{"op":"write","proc":0,...}`, without the state that may follow. */
export function parseOperation(line: Line, object: LineObject, context: Context): ScenarioStep {
  const { op, result: ended, ...rest } = object;
  const operation = OPERATIONS.get(op as string);
  if (!operation) throw refused(line, 'op', `one of ${[...OPERATIONS.keys()].join(', ')}`, op);
  const values = read(line, rest, operation.fields, context, op as string);
  const problem = operation.problem?.(values, context);
  if (problem) throw refused(line, problem.field, problem.refusal.expected, object[problem.field]);

  const hang = HANGS.has(ended);
  const result = hang ? undefined : optional(operation.touches ? touchResult : systemCallResult)(ended, context);
  if (result instanceof Refusal) throw refused(line, 'result', result.expected, ended);
  return {
    ...line,
    operation,
    values,
    hang,
    ...(result !== undefined && { result }),
    ...(operation.found && !hang && { found: foundOf(operation.found, values) }),
  };
}

/** Those of some fields that are there. */
function foundOf(names: readonly string[], values: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(
    names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name] as number]])),
  );
}

/** `{"pool":[9,8,1,0],"pages":[[0,0,0,0,1,33]]}`, or one of both. */
export function parseState(line: Line, object: LineObject, context: Context): State {
  checkNames(line, object, ['pool', 'pages'], 'a state');
  const { pool, pages } = object;
  return {
    ...(pool !== undefined && { pool: parsePool(line, pool, context) }),
    ...(pages !== undefined && { pages: parsePages(line, pages, context) }),
  };
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

/** The values of all fields, and no other fields. */
function read<F extends Fields>(line: Line, object: LineObject, fields: F, context: Context, what: string): Values<F> {
  checkNames(line, object, Object.keys(fields), what);
  const values: Record<string, unknown> = {};
  for (const name in fields) {
    const value = fields[name]!(object[name], context);
    if (value instanceof Refusal) throw refused(line, name, value.expected, object[name]);
    values[name] = value;
  }
  return values as Values<F>;
}

function checkNames(line: Line, object: LineObject, names: readonly string[], what: string): void {
  for (const name of Object.keys(object)) {
    if (!names.includes(name)) throw refused(line, shortened(name), `no such field in ${what}`, object[name]);
  }
}

function checkNumber(line: Line, field: string, got: unknown, number: number): void {
  if (got !== number) throw refused(line, field, `${number}, the number of the sequence`, got);
}

function parsePool(line: Line, value: unknown, context: Context): PoolCounts {
  return parseNumbers(line, 'pool', value, POOL, context) as unknown as PoolCounts;
}

function parsePages(line: Line, value: unknown, context: Context): PageEntry[] {
  if (!Array.isArray(value)) throw refused(line, 'pages', 'a list of pages', value);
  return value.map((entry, i) => parseNumbers(line, `pages[${i}]`, entry, PAGE_ENTRY, context) as unknown as PageEntry);
}

/** A list of numbers, each with limits of its own. */
function parseNumbers(
  line: Line,
  name: string,
  value: unknown,
  items: readonly ReturnType<typeof integer>[],
  context: Context,
): number[] {
  if (!Array.isArray(value) || value.length !== items.length) {
    throw refused(line, name, `a list of ${items.length} numbers`, value);
  }
  return items.map((item, i) => {
    const number = item(value[i], context);
    if (number instanceof Refusal) throw refused(line, `${name}[${i}]`, number.expected, value[i]);
    return number;
  });
}

/** The sizes of the files, in huge pages. */
function fileSizes(value: unknown, context: Context): number[] | Refusal {
  const size = integer(0, MOST_PAGES);
  const sizes = Array.isArray(value) && value.length <= MOST_FILES ? value.map((item) => size(item, context)) : [];
  if (!Array.isArray(value) || value.length > MOST_FILES || sizes.some((item) => item instanceof Refusal)) {
    return new Refusal(`a list of at most ${MOST_FILES} integers from 0 to ${MOST_PAGES}`);
  }
  return sizes as number[];
}
