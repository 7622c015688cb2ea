/**
 * What the suites of the dump layer share that needs nothing of Node.
 */
import { expect } from 'vitest';
import type { ByteSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { DumpError } from '../../src/dump/dump-error.ts';
import { type OpenDumpOptions, openDump } from '../../src/dump/open-dump.ts';
import type { ByteRange } from '../../src/dump/ranges.ts';

/** What files are called here. */
export const NAME = 'guest.elf';

/** The message of the DumpError that a promise rejects with: one line that begins with the file's name. */
export async function dumpErrorOf(promise: Promise<unknown>, name: string = NAME): Promise<string> {
  const error = await promise.then(
    (value) => expect.fail(`expected a DumpError, got ${String(value)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DumpError);
  const { message } = error as DumpError;
  expect(message.startsWith(`${name}: `), message).toBe(true);
  expect(message).not.toMatch(/[\r\n]/);
  return message.slice(name.length + 2);
}

/** What strict appends to a warning that it makes an error. */
const STRICT = ' (an error because of strict)';

/**
 * What is wrong with a file: the error that it gives with `strict`. Without, it gives the same, or is used and warns of it.
 */
export async function complaintOf(
  source: ByteSource | readonly ByteSource[],
  options: OpenDumpOptions = {},
  name: string = NAME,
): Promise<{ readonly message: string; readonly dump: Dump | undefined }> {
  const strict = await dumpErrorOf(openDump(source, { ...options, strict: true }), name);
  const opened = await openDump(source, options).catch((error: unknown) => error as DumpError);
  if (opened instanceof Error) {
    expect(opened).toBeInstanceOf(DumpError);
    expect(strict.replace(STRICT, '')).toBe(await dumpErrorOf(Promise.reject(opened), name));
    return { message: strict.replace(STRICT, ''), dump: undefined };
  }
  expect(strict.endsWith(STRICT), strict).toBe(true);
  const message = strict.slice(0, -STRICT.length);
  /* Without strict, what is alike is counted: the first stands for all. */
  expect(opened.warnings[0]?.replace(/ \(and \d+ more like it\)$/, '')).toBe(
    message.replace(/ \(and \d+ more like it\)$/, ''),
  );
  for (const line of opened.warnings) expect(line).not.toMatch(/[\r\n]/);
  return { message, dump: opened };
}

/** A source that keeps a list of what was read of it. */
export function recorded(
  source: ByteSource,
): ByteSource & { readonly passes: (readonly ByteRange[])[]; closed: number } {
  const passes: (readonly ByteRange[])[] = [];
  const result = {
    name: source.name,
    size: source.size,
    passes,
    closed: 0,
    read(ranges: readonly ByteRange[]) {
      passes.push(ranges);
      return source.read(ranges);
    },
    async close() {
      result.closed++;
      await source.close();
    },
  };
  return result;
}

/** A frame whose first entries are given. */
export function table(entries: Readonly<Record<number, bigint>> = {}): Uint8Array {
  const words = new BigUint64Array(512);
  for (const [index, entry] of Object.entries(entries)) words[Number(index)] = entry;
  return new Uint8Array(words.buffer);
}

/** Bytes that tell where they stand. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
