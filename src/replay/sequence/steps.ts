/**
 * The lines that all formats have: operations, and how a sequence ends.
 */
import { type Context, type Field, integer, optional, Refusal, text } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import {
  checkNames,
  checkNumber,
  MOST_COUNT,
  NOWHERE,
  parseList,
  parsePool,
  parseTuple,
  read,
  refused,
} from '../line/lines.ts';
import type { PoolCounts } from '../line/states.ts';
import type { Found } from '../stage/answer.ts';
import type { Operation } from './operation.ts';
import type { ScenarioStep, Schedule } from './sequence.ts';

/** How recorders write that an operation never ended; what follows then is the sequence's end. */
const HANGS: ReadonlySet<unknown> = new Set(['E9999', 'HANG']);

const systemCallResult = text(/^(OK|BLOCKED|E[A-Z0-9]+)$/, '"OK", "BLOCKED" or the name of an errno');
const touchResult = text(/^(OK|BLOCKED|SIGBUS|SIGSEGV|SIGKILL)$/, '"OK", "BLOCKED", "SIGBUS" or "SIGSEGV"');
const anyResult = text(
  /^(OK|BLOCKED|SIGBUS|SIGSEGV|SIGKILL|E[A-Z0-9]+)$/,
  '"OK", "BLOCKED", a signal or the name of an errno',
);

/** Tasks at the same time. */
export const MOST_TASKS = 4;
const taskNumber = integer(0, MOST_TASKS - 1);
/** Of a schedule. */
const RUN = [taskNumber, integer(1, MOST_COUNT)] as const;

/** How an operation may end. */
function resultOf({ touches, waits }: Operation): Field<string> {
  return waits ? anyResult : touches ? touchResult : systemCallResult;
}

/** `{"op":"write","proc":0,...}`, without the state that may follow. */
export function parseOperation(
  line: Line,
  object: LineObject,
  operations: ReadonlyMap<string, Operation>,
  context: Context,
): ScenarioStep {
  const { op, result: ended, task, ...rest } = object;
  const operation = operations.get(op as string);
  if (!operation) throw refused(line, 'op', `one of ${[...operations.keys()].join(', ')}`, op);
  const values = read(line, rest, operation.fields, context, op as string, operation.old);
  checkTogether(line, operation, values, context, object);

  if (task !== undefined) checkTask(line, task, operation, context);
  const hang = HANGS.has(ended);
  const result = hang ? undefined : optional(resultOf(operation))(ended, context);
  if (result instanceof Refusal) throw refused(line, 'result', result.expected, ended);
  return {
    ...line,
    kind: 'operation',
    ...(task !== undefined && { task: task as number }),
    operation,
    values,
    hang,
    ...(result !== undefined && { result }),
    ...(operation.found && !hang && { found: foundOf(operation.found, values) }),
  };
}

/** `"task":1`: what several tasks do at the same time. */
function checkTask(line: Line, task: unknown, { path }: Operation, context: Context): void {
  const number = taskNumber(task, context);
  if (number instanceof Refusal) throw refused(line, 'task', number.expected, task);
  if (!path) throw refused(line, 'task', 'none in an operation that no thread does by itself', task);
}

/** Values that are right one by one may be wrong together. */
export function checkTogether(
  line: Line,
  { problem, old = {} }: Operation,
  values: Readonly<Record<string, unknown>>,
  context: Context,
  object: LineObject,
): void {
  const found = problem?.(values, context);
  if (!found) return;
  const given = Object.keys(old).find((name) => old[name]!.is === found.field && Object.hasOwn(object, name));
  const field = given ?? found.field;
  throw refused(line, field, found.refusal.expected, object[field]);
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

/** `{"schedule":[[0,12],[1,3]]}`: task 0 over twelve places, task 1 over three, and what is left then. */
export function parseSchedule(line: Line, object: LineObject, steps: readonly ScenarioStep[]): Schedule {
  checkNames(line, object, ['schedule'], 'a schedule');
  const tasks = new Set(steps.map(({ task }) => task));
  return parseList(line, 'schedule', object.schedule, 'runs', (name, run) => {
    const [task, places] = parseTuple(
      line,
      name,
      run,
      RUN,
      NOWHERE,
      'numbers: a task, and how many places it runs over',
    );
    if (!tasks.has(task)) throw refused(line, `${name}[0]`, 'a task of the sequence', task);
    return [task, places] as const;
  });
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
