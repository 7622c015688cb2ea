/**
 * Scenarios for tests.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { describeDifference } from '../../src/replay/describe.ts';
import { ScenarioError } from '../../src/replay/line/scenario-error.ts';
import { memoryForTables, replay, replaySequence } from '../../src/replay/replay.ts';
import type { Difference, ReplayOptions } from '../../src/replay/replayed.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import type { Sequence } from '../../src/replay/sequence/sequence.ts';

/** What a real kernel did. */
export interface Recording {
  readonly path: string;
  readonly sequences: number;
  readonly operations: number;
}

/** Recordings of Debian's Linux 6.1, each of random sequences of operations. */
export const RECORDINGS = {
  A: { path: 'test/recordings/hugetlb-2M-A.jsonl.gz', sequences: 400, operations: 8442 },
  B: { path: 'test/recordings/hugetlb-2M-B.jsonl.gz', sequences: 400, operations: 9725 },
  C: { path: 'test/recordings/hugetlb-2M-C.jsonl.gz', sequences: 400, operations: 9618 },
  P: { path: 'test/recordings/hugetlb-2M-P.jsonl.gz', sequences: 250, operations: 6104 },
  G: { path: 'test/recordings/hugetlb-1G-G.jsonl.gz', sequences: 60, operations: 1511 },
} as const satisfies Readonly<Record<string, Recording>>;

/** Recordings of the same kernel with high-granularity mapping, in either version: random sequences, and corner cases by design. */
export const HGM_RECORDINGS = {
  'RFC v2, 2 MiB': { path: 'test/recordings/hgm-rfcv2-2M.jsonl.gz', sequences: 300, operations: 17_485 },
  'RFC v2, 1 GiB': { path: 'test/recordings/hgm-rfcv2-1G.jsonl.gz', sequences: 80, operations: 2900 },
  'RFC v2, units': { path: 'test/recordings/hgm-rfcv2-2M-units.jsonl.gz', sequences: 100, operations: 5922 },
  'RFC v2, directed': { path: 'test/recordings/hgm-rfcv2-directed.jsonl.gz', sequences: 93, operations: 1231 },
  'v2, 2 MiB': { path: 'test/recordings/hgm-v2-2M.jsonl.gz', sequences: 300, operations: 17_794 },
  'v2, 1 GiB': { path: 'test/recordings/hgm-v2-1G.jsonl.gz', sequences: 24, operations: 864 },
  'v2, directed': { path: 'test/recordings/hgm-v2-directed.jsonl.gz', sequences: 76, operations: 1113 },
} as const satisfies Readonly<Record<string, Recording>>;

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
/** The same for high-granularity mapping: all of it in pages of 4 KiB, but for what is called a huge page. */
export const HGM_HEADER = { seq: 1, hugepage: 512, pool: 6, files: [2, 1] } as const;
export const HGM_MMAP = {
  op: 'mmap',
  proc: 0,
  slot: 0,
  file: 0,
  offset: 0,
  hugepages: 2,
  prot: 'rw',
  shared: true,
} as const;
export const HGM_READ = { op: 'read', proc: 0, slot: 0, page: 0, byte: 0 } as const;
export const HGM_WRITE = { op: 'write', proc: 0, slot: 0, page: 0, byte: 0, value: 7 } as const;
export const CONTINUE = { op: 'uffd_continue', proc: 0, uffd: 0, slot: 0, page: 0, pages: 1 } as const;
/** Of sequence 1. */
export const END = { end: 1 } as const;

/** A scenario of these lines. */
export function scenarioOf(...lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** The one line that a text is refused with, without the file's name. */
export function refusal(text: string): string {
  try {
    parseScenario('bad.jsonl', text);
  } catch (error) {
    expect(error).toBeInstanceOf(ScenarioError);
    const { message } = error as ScenarioError;
    expect(message).toMatch(/^bad\.jsonl:\d+: [^\n\r]*: expected [^\n\r]*, got [^\n\r]*$/);
    return message.slice('bad.jsonl:'.length);
  }
  return expect.fail('expected a ScenarioError, got a scenario');
}

/** Everything that differs in a text. */
export function differencesIn(text: string, options?: ReplayOptions): Difference[] {
  return [...replay(parseScenario('test.jsonl', text), options)];
}

/** What differs in a scenario of these lines, without the places. */
export function found(...lines: readonly object[]): object[] {
  return differencesIn(scenarioOf(...lines)).map(({ what, line, kernel, model }) => ({ what, line, kernel, model }));
}

/** Runs the sequences of a recording: how many there were, how many operations, and what differed, in words. */
export function replayed(sequences: readonly Sequence[], options?: ReplayOptions): Replayed {
  const tables = memoryForTables();
  const differences: string[] = [];
  let operations = 0;
  for (const sequence of sequences) {
    for (const line of replaySequence(sequence, tables, options)) {
      if (line.kind === 'operation') operations++;
      for (const one of line.differences) {
        differences.push(...describeDifference(one).map((words) => `${one.line}: ${words}`));
      }
    }
  }
  return { sequences: sequences.length, operations, differences };
}

/** What came of a replay. */
export interface Replayed {
  readonly sequences: number;
  readonly operations: number;
  readonly differences: readonly string[];
}

/** The lines of a text. */
export function linesOf(text: string): string[] {
  return text.trimEnd().split('\n');
}
