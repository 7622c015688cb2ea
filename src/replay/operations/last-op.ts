/**
 * An operation in words, as recorders print the one that a kernel died in.
 *
 *   write p0 s0 3                                process 0, slot 0, page 3
 *   madvise_collapse p0 s0 0+512                 a range: page + pages
 *   mprotect p0 s0 0+512 2                       and rights, by their number: rw, r, none
 *   mremap p0 s0->1 0+1024                       from slot to slot
 *   process_vm_write p0 s2 512+402 len2305661    bytes: page + byte, and how many
 *
 * Words leave out what does not decide whether a kernel dies: values, and the byte of a page that is touched.
 */
import { type Context, Refusal } from '../line/fields.ts';
import type { LineObject } from '../line/line.ts';
import { shortened } from '../line/scenario-error.ts';
import type { Operation } from '../sequence/operation.ts';
import { DELIVERED } from '../stage/stage.ts';

/** An operation, and what its words say: fields of a line, not looked at yet. */
export interface LastOp {
  readonly operation: Operation;
  /** Those that the words tell, and those that they leave out. */
  readonly fields: LineObject;
  /** The names of the former. */
  readonly told: readonly string[];
}

/** Names that are shorter in words. */
const SHORT: Readonly<Record<string, string>> = { pin: 'pin_longterm_write' };

/** Rights, by the number that stands for them. */
const PROTECTIONS = ['rw', 'r', 'none'];

/** The fields that a number stands for where an operation has one of them: the place, and what is joined to it by a plus. */
const PLACES = ['page', 'offset', 'hugepage', 'pages', 'hugepages'];
const EXTENTS = ['pages', 'hugepages', 'at'];

/** Words behind the name, with the fields that they tell. */
const WORDS: readonly RegExp[] = [
  /^p(?<proc>\d+)(?:->(?<child>\d+))?$/,
  /^s(?<slot>\d+)(?:->(?<to>\d+))?$/,
  /^(?:f|file)(?<file>\d+)$/,
  /^(?:u|uffd)(?<uffd>\d+)$/,
  /^len(?<length>\d+)$/,
  /^(?<prot>rw|r|none)$/,
  /^(?<kind>(?:private|shared)_(?:anon|file))$/,
  /^(?<mode>[mcw]+)$/,
];

/** Words that are the value of a field. */
const FLAGS: ReadonlyMap<string, LineObject> = new Map([
  ['shared', { kind: 'shared_file' }],
  ['private', { kind: 'private_file' }],
  ['noreserve', { noreserve: true }],
  ['wp', { wp: true }],
]);

/** `512+402`, the first number; those behind it are of other things. */
const PLACE = /^(\d+)(?:\+(\d+))?$/;

/**
 * Reads an operation in words.
 *
 * @returns in words what was expected, if it cannot be read
 */
export function readLastOp(
  words: string,
  operations: ReadonlyMap<string, Operation>,
  context: Context,
): LastOp | string {
  const [name = '', ...rest] = words.trim().split(/\s+/);
  const operation = operations.get(SHORT[name] ?? name);
  if (!operation) return `one of ${[...operations.keys(), ...Object.keys(SHORT)].join(', ')}`;
  const told: Record<string, unknown> = {};
  const has = (field: string): boolean => Object.hasOwn(operation.fields, field);
  if (has('exact_address')) return 'an operation of which words tell all that matters, and not features';
  let placed = false;
  for (const word of rest) {
    const place = PLACE.exec(word);
    const tells = place ? numbersOf(place, has, placed) : wordOf(word);
    if (!tells) return `words such as p0, s0, s0->1, 3+5, len4096 behind the name, not "${shortened(word)}"`;
    placed ||= place !== null;
    for (const [field, value] of Object.entries(tells)) if (has(field) && value !== undefined) told[field] = value;
  }
  return { operation, fields: { ...leftOut(told, operation, context), ...told }, told: Object.keys(told) };
}

/** What a word says that is no number by itself. */
function wordOf(word: string): LineObject | undefined {
  for (const pattern of WORDS) {
    const groups = pattern.exec(word)?.groups;
    if (!groups) continue;
    const fields = Object.entries(groups).map(([name, text]) => [name, /^\d+$/.test(text ?? '') ? Number(text) : text]);
    return Object.fromEntries(fields);
  }
  return FLAGS.get(word);
}

/** What numbers say: first a place, and how far it reaches; then rights. */
function numbersOf([, first, second]: RegExpExecArray, has: (field: string) => boolean, placed: boolean): LineObject {
  if (placed) return { prot: PROTECTIONS[Number(first)] ?? Number(first) };
  /* One number alone is how large a file is to be. */
  const isSize = second === undefined && has('hugepages');
  const place = isSize ? 'hugepages' : PLACES.find(has);
  const extent = second === undefined ? undefined : EXTENTS.find((field) => field !== place && has(field));
  return { ...(place && { [place]: Number(first) }), ...(extent && { [extent]: Number(second) }) };
}

/** The fields that words leave out, and which do not matter, or follow from what there is. */
function leftOut(told: LineObject, { fields: read }: Operation, context: Context): LineObject {
  const fields: Record<string, unknown> = { at: 0, value: 0, tag: 0 };
  /* Which userfaultfd is asked matters to UFFDIO_REGISTER alone: its features become the mapping's. */
  if (!read.mode && read.uffd?.(undefined, context) instanceof Refusal) fields.uffd = told.proc === 0 ? 0 : DELIVERED;
  let child = 0;
  while (context.alive.has(child)) child++;
  fields.child = child;
  return Object.fromEntries(Object.entries(fields).filter(([field]) => Object.hasOwn(read, field)));
}
