/**
 * The fields of a scenario's lines: what may stand in each, and what it means.
 */
import { MOST_FILES, MOST_PAGES, MOST_PROCESSES, MOST_SLOTS, type Setting } from './setting.ts';

/** What a field's value depends on, at its line. */
export interface Context {
  readonly setting: Setting;
  /** The processes that live before the line. */
  readonly alive: ReadonlySet<number>;
}

/** That a value is not what it should be, and what that is. */
export class Refusal {
  readonly expected: string;

  constructor(expected: string) {
    this.expected = expected;
  }
}

/** Reads a value: `undefined` where the line does not have the field. */
export type Field<T> = (value: unknown, context: Context) => T | Refusal;

/** The fields of a kind of line, by name. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** A name that a field had before, and how its values are read, if not as the field's. */
export interface OldName {
  readonly is: string;
  readonly field?: Field<unknown>;
}

/** The names that fields had before, which are read still. */
export type OldNames = Readonly<Record<string, OldName>>;

/** What fields read. */
export type Values<F extends Fields | readonly Field<unknown>[]> = {
  readonly [name in keyof F]: F[name] extends Field<infer T> ? T : never;
};

type Bound = number | ((setting: Setting) => number);

/** An integer in a range that may depend on the sequence. */
export function integer(least: number, most: Bound): Field<number> {
  return (value, { setting }) => {
    const limit = typeof most === 'number' ? most : most(setting);
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= limit) return value;
    return new Refusal(least === limit ? `${least}` : `an integer from ${least} to ${limit}`);
  };
}

/** One of some words, each of which means something. */
export function choice<T>(meanings: Readonly<Record<string, T>>): Field<T> {
  const words = new Map(Object.entries(meanings));
  const expected = [...words.keys()].map((word) => `"${word}"`).join(' or ');
  return (value) => (words.has(value as string) ? words.get(value as string)! : new Refusal(expected));
}

/** A list of names, each of which is a bit; left out, none. */
export function namesOf(bits: Readonly<Record<string, number>>): Field<number> {
  const expected = `a list of ${Object.keys(bits).join(', ')}`;
  return (value = []) => {
    if (!Array.isArray(value) || !value.every((name) => Object.hasOwn(bits, name))) return new Refusal(expected);
    return value.reduce((all: number, name: string) => all | bits[name]!, 0);
  };
}

/** True or false. */
export const truth: Field<boolean> = (value) => (typeof value === 'boolean' ? value : new Refusal('true or false'));

/** A field that a line may leave out. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  return (value, context) => (value === undefined ? undefined : field(value, context));
}

/** A field that means something where a line leaves it out. */
export function withDefault<T>(field: Field<T>, value: T): Field<T> {
  return (given, context) => (given === undefined ? value : field(given, context));
}

/** Words with `|` between them, as C joins bits; none is the empty text. */
export function bits(meanings: Readonly<Record<string, number>>): Field<number> {
  return (value) => {
    const words = typeof value === 'string' ? (value === '' ? [] : value.split('|')) : undefined;
    if (!words?.every((word) => Object.hasOwn(meanings, word))) {
      return new Refusal(`some of ${Object.keys(meanings).join(', ')}, with | between them`);
    }
    return words.reduce((sum, word) => sum | meanings[word]!, 0);
  };
}

/** A list of so many values. @param what they are, in words */
export function list<T>(field: Field<T>, count: number, what: string): Field<T[]> {
  return (value, context) => {
    const items = Array.isArray(value) ? value.map((item) => field(item, context)) : [];
    return items.length === count && !items.some((item) => item instanceof Refusal)
      ? (items as T[])
      : new Refusal(`a list of ${what}`);
  };
}

/** Text that matches. */
export function text(pattern: RegExp, expected: string): Field<string> {
  return (value) => (typeof value === 'string' && pattern.test(value) ? value : new Refusal(expected));
}

/** The number of a process. */
export const processNumber: Field<number> = integer(0, MOST_PROCESSES - 1);

/** The number of a thread beside the main one, which has none. */
export const threadNumber: Field<number> = integer(1, MOST_PROCESSES - 1);

/** The process that acts: it lives. */
export const actor: Field<number> = (value, context) => {
  const number = processNumber(value, context);
  return number instanceof Refusal || context.alive.has(number) ? number : notAlive(context);
};

/** The process that ends: it lives, and is not the first. */
export const leaver: Field<number> = (value, context) => {
  const number = actor(value, context);
  return number === 0 ? new Refusal('another process than 0, which lives to the end') : number;
};

/** The process that begins: none of its number lives. */
export const newcomer: Field<number> = (value, context) => {
  const number = processNumber(value, context);
  if (number instanceof Refusal || !context.alive.has(number)) return number;
  return new Refusal('the number of no living process');
};

function notAlive({ alive }: Context): Refusal {
  return new Refusal(`a living process (${[...alive].sort((a, b) => a - b).join(', ')})`);
}

/** An address range that can hold a mapping. */
export const slot: Field<number> = integer(0, MOST_SLOTS - 1);
/** A page of a slot: a huge page, or one of 4 KiB, as the format counts. */
export const page: Field<number> = integer(0, ({ slotPages }) => slotPages - 1);
/** How many pages of a slot. */
export const pages: Field<number> = integer(1, ({ slotPages }) => slotPages);
/** A byte of a page. */
export const at: Field<number> = integer(0, ({ pageBytes }) => pageBytes - 1);
/** A byte's value. */
export const byte: Field<number> = integer(0, 255);

/** One of the sequence's files. */
export const file: Field<number> = (value, context) => {
  const count = context.setting.files.length;
  if (count === 0) return new Refusal('no operation on a file in a sequence without "files"');
  return integer(0, count - 1)(value, context);
};
/** A huge page of a file, which may lie behind its end. */
export const fileOffset: Field<number> = integer(0, MOST_PAGES - 1);
/** How many huge pages of a file. */
export const filePages: Field<number> = integer(1, MOST_PAGES);
/** The size of a file in huge pages. */
export const fileSize: Field<number> = integer(0, MOST_PAGES);

/** The sizes of a sequence's files, in huge pages. */
export const fileSizes: Field<number[]> = (value, context) => {
  const sizes = Array.isArray(value) && value.length <= MOST_FILES ? value.map((size) => fileSize(size, context)) : [];
  if (!Array.isArray(value) || value.length > MOST_FILES || sizes.some((size) => size instanceof Refusal)) {
    return new Refusal(`a list of at most ${MOST_FILES} integers from 0 to ${MOST_PAGES}`);
  }
  return sizes as number[];
};
