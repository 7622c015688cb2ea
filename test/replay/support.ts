/**
 * Scenarios for tests.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** What Debian's Linux 6.1 did: 400 sequences of operations on 2 MiB pages. */
export const RECORDING = {
  path: 'test/recordings/hugetlb-2M-A.jsonl.gz',
  sequences: 400,
  operations: 8442,
  text: (): string =>
    gunzipSync(readFileSync(new URL('../recordings/hugetlb-2M-A.jsonl.gz', import.meta.url))).toString(),
} as const;

/** The header of a sequence. */
export const HEADER = { seq: 1, pool: 4 } as const;
/** An operation of each of some kinds, without its result. */
export const MMAP = {
  op: 'mmap',
  proc: 0,
  slot: 0,
  kind: 'private_anon',
  pages: 1,
  prot: 'rw',
  noreserve: false,
} as const;
export const READ = { op: 'read', proc: 0, slot: 0, page: 0, at: 0 } as const;
export const WRITE = { op: 'write', proc: 0, slot: 0, page: 0, at: 0, value: 7 } as const;
/** Of sequence 1. */
export const END = { end: 1 } as const;

/** A scenario of these lines. */
export function scenarioOf(...lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** The lines of a text. */
export function linesOf(text: string): string[] {
  return text.trimEnd().split('\n');
}
