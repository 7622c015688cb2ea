/**
 * Scenarios for tests.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** What a real kernel did. */
export interface Recording {
  readonly path: string;
  readonly sequences: number;
  readonly operations: number;
}

/** Recordings of Debian's Linux 6.1, each of random sequences of operations. */
export const RECORDINGS: Readonly<Record<'A' | 'B' | 'C' | 'P' | 'G', Recording>> = {
  A: { path: 'test/recordings/hugetlb-2M-A.jsonl.gz', sequences: 400, operations: 8442 },
  B: { path: 'test/recordings/hugetlb-2M-B.jsonl.gz', sequences: 400, operations: 9725 },
  C: { path: 'test/recordings/hugetlb-2M-C.jsonl.gz', sequences: 400, operations: 9618 },
  P: { path: 'test/recordings/hugetlb-2M-P.jsonl.gz', sequences: 250, operations: 6104 },
  G: { path: 'test/recordings/hugetlb-1G-G.jsonl.gz', sequences: 60, operations: 1511 },
};

/** A recording's lines. */
export function textOf({ path }: Recording): string {
  return gunzipSync(readFileSync(new URL(`../../${path}`, import.meta.url))).toString();
}

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
