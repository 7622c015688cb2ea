/**
 * Calls a function with every kind of wrong argument in each place, and looks at what it says.
 */
import { expect } from 'vitest';

/** A kind of argument: the values of other kinds, which no call may take for one. */
export type Kind = keyof typeof WRONG;

const anything = (): void => undefined;
const COMMON = {
  null: null,
  boolean: true,
  string: '4096',
  symbol: Symbol('x'),
  array: [1],
  function: anything,
  bare: Object.create(null) as object,
};
const ALWAYS = { ...COMMON, undefined };

/** Values that are wrong for each kind. A place that may be left out takes undefined, hence the kinds with a question mark. */
const WRONG = {
  bigint: { ...ALWAYS, number: 4096, nan: Number.NaN, negative: -1n, tooWide: 1n << 64n, object: {} },
  'bigint?': { ...COMMON, number: 4096, nan: Number.NaN, negative: -1n, tooWide: 1n << 64n, object: {} },
  /** Not negative. */
  number: {
    ...ALWAYS,
    bigint: 4096n,
    nan: Number.NaN,
    infinite: Number.POSITIVE_INFINITY,
    negative: -1,
    half: 0.5,
    object: {},
  },
  'number?': { ...COMMON, bigint: 4096n, nan: Number.NaN, negative: -1, half: 0.5, object: {} },
  /** 32 bits, signed or not. */
  half: { ...ALWAYS, bigint: 4096n, nan: Number.NaN, tooWide: 2 ** 32, half: 0.5, object: {} },
  /** Left out is fine; undefined is not. */
  access: { ...ALWAYS, bigint: 2n, nan: Number.NaN, negative: -1, unknown: 1, object: {} },
  /** True, false or left out. */
  flag: { null: null, string: 'true', number: 1, bigint: 1n, object: {} },
  /** True or false. */
  'required flag': { null: null, undefined, string: 'true', number: 1, bigint: 1n, object: {} },
  /** An options object. */
  options: {
    null: null,
    boolean: true,
    string: 'x',
    array: [1],
    function: anything,
    number: 1,
    bigint: 1n,
    unknown: { foo: 1 },
  },
  'required options': {
    null: null,
    boolean: true,
    string: 'x',
    array: [1],
    undefined,
    number: 1,
    bigint: 1n,
    unknown: { foo: 1 },
    empty: {},
  },
  /** An object of a certain class or shape. */
  object: { ...ALWAYS, number: 1, bigint: 1n, object: {}, promise: Promise.resolve(), bytes: new Uint8Array(8) },
  'object?': { ...COMMON, number: 1, bigint: 1n, object: {}, promise: Promise.resolve() },
  /** An array, or a Float64Array. */
  list: { null: null, undefined, boolean: true, string: 'x', number: 1, bigint: 1n, object: {}, function: anything },
  'list?': { null: null, boolean: true, string: 'x', number: 1, bigint: 1n, object: {}, function: anything },
  words: { ...ALWAYS, number: 1, bigint: 1n, object: {}, others: new BigInt64Array(1) },
  'words?': { ...COMMON, number: 1, bigint: 1n, object: {}, others: new BigInt64Array(1) },
  string: { null: null, undefined, boolean: true, number: 1, bigint: 1n, object: {}, array: [1], function: anything },
  'string?': { null: null, boolean: true, number: 1, bigint: 1n, object: {}, array: [1], function: anything },
  function: { null: null, undefined, boolean: true, string: 'x', number: 1, bigint: 1n, object: {} },
} as const;

/** A call, good arguments for it, and of which kind each is. */
export interface Entry {
  readonly name: string;
  readonly call: (...args: never[]) => unknown;
  readonly good: readonly unknown[];
  readonly kinds: readonly (Kind | undefined)[];
}

/** What an engine says, and no library should. */
const ENGINE =
  /Cannot (read|mix|convert|destructure)|is not (a function|iterable|a constructor|defined)|undefined is not|Invalid|must be/;
/** What this library says. */
const FORM = /^[\w.:()[\] -]+: expected .*, got .*/s;

/** Every wrong argument is refused by a TypeError or RangeError that names it, expectation and value. */
export async function refusesWrongArguments({ call, good, kinds }: Entry): Promise<void> {
  const complaints: string[] = [];
  for (const [place, kind] of kinds.entries()) {
    if (kind === undefined) continue;
    for (const [what, value] of Object.entries(WRONG[kind])) {
      const args = [...good];
      args[place] = value;
      const complaint = await complaintOf(() => call(...(args as never[])));
      if (complaint) complaints.push(`argument ${place}, ${what}: ${complaint}`);
    }
  }
  expect(complaints).toEqual([]);
}

/** What is wrong with how a call fails; undefined if nothing is. */
async function complaintOf(call: () => unknown): Promise<string | undefined> {
  try {
    const result = await call();
    return `taken, with the result ${String(result)}`;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) return `throws ${String(error)}`;
    if (ENGINE.test(error.message) || !FORM.test(error.message)) return `says ${error.message}`;
    return undefined;
  }
}
