/**
 * What the tasks of a scenario can do, and what a scenario expects to be found.
 */
import { describe, expect, test } from 'vitest';
import type { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { verdictOf } from '../../src/explore/scenario/verdict.ts';
import { OPERATIONS as HGM } from '../../src/replay/hgm/operations.ts';
import { OPERATIONS as HUGETLB } from '../../src/replay/hugetlb/operations.ts';
import { memoryForTables, replaySequence } from '../../src/replay/replay.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { explored, sceneOf } from './support.ts';

const page = { proc: 0, slot: 0, page: 0 };
const anon = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'rw' };
const write = { op: 'write', ...page, value: 7 };
const header = { seq: 1, pool: 3, files: [1] };
const end = { end: 1 };

/** How an operation of a task has ended in the last execution. */
const resultOf = (scene: SequenceScene, task: number, nth = 0): string | undefined =>
  scene.answers.get(scene.operations[task]![nth]!)?.result;

/** Explores what two tasks do, in a process that has written a page: finds nothing, and comes to its end. */
function meet(...lines: readonly object[]): void {
  const { found, exhausted } = explored(sceneOf([header, anon, write, ...lines, end]));
  expect(found?.finding).toBeUndefined();
  expect(exhausted).toBe(true);
}

describe('a task', () => {
  test('can do every operation but wait, and fill, which an observer does', () => {
    for (const operations of [HUGETLB, HGM]) {
      const none = [...operations].filter(([, { path }]) => !path).map(([name]) => name);
      expect(none).toEqual(operations === HGM ? ['fill', 'wait'] : ['wait']);
    }
  });

  const read = { op: 'read', ...page, task: 1, result: 'OK', value: 7 };
  test.each([
    [[{ op: 'fallocate', file: 0, hugepages: 1, task: 0, result: 'OK' }, read]],
    [[{ op: 'punch_hole', file: 0, offset: 0, hugepages: 1, task: 0, result: 'OK' }, read]],
    [[{ op: 'ftruncate', file: 0, hugepages: 0, task: 0, result: 'OK' }, read]],
    [[{ op: 'get_user_pages', ...page, nr_pages: 2 }, { op: 'put_page', task: 0, result: 'OK' }, read]],
    [[{ op: 'pin_user_pages', ...page, nr_pages: 2 }, { op: 'unpin_user_pages', task: 0, result: 'OK' }, read]],
    [[{ op: 'pin_user_pages', ...page, nr_pages: 2 }, { op: 'unpin_user_page_range', task: 0, result: 'OK' }, read]],
    [[{ op: 'pin_longterm_write', ...page, length: 8, task: 0, result: 'OK' }, read]],
    [[{ op: 'pin_longterm_write', ...page, length: 8 }, { op: 'unpin', proc: 0, task: 0, result: 'OK' }, read]],
    [[{ op: 'vmsplice', ...page, length: 2, task: 0, result: 'OK', done: 2, same_as_memory: true }, read]],
    [[{ op: 'uffd_open', proc: 0, uffd: 0, task: 0, result: 'OK' }, read]],
    [
      [
        { op: 'uffd_open', proc: 0, uffd: 0 },
        { op: 'uffd_wake', ...page, uffd: 0, pages: 1, task: 0, result: 'OK' },
        read,
      ],
    ],
    [[{ op: 'uffd_open', proc: 0, uffd: 0 }, { op: 'uffd_close', proc: 0, uffd: 0, task: 0, result: 'OK' }, read]],
    [
      [
        { op: 'corrupt_pfn', ...page, task: 0, result: 'OK' },
        { op: 'read', ...page, task: 1 },
      ],
    ],
    [[{ op: 'fork', proc: 0, child: 1 }, { op: 'exit', proc: 1, task: 0, result: 'OK' }, read]],
  ] as const)('does %j while another one reads', (lines) => meet(...lines));

  test('registers a buffer once: the ring has a lock', () => {
    const pin = { op: 'pin_longterm_write', ...page, length: 8 };
    const lines = [
      header,
      anon,
      write,
      { ...pin, task: 0 },
      { ...pin, task: 1 },
      { op: 'unpin', proc: 0, result: 'OK' },
    ];
    const scene = sceneOf([...lines, { op: 'unpin', proc: 0, result: 'ENXIO' }, end]);
    expect(explored(scene)).toMatchObject({ found: undefined, exhausted: true });
    expect([resultOf(scene, 0), resultOf(scene, 1)].sort()).toEqual(['EBUSY', 'OK']);
  });

  test('that closes a userfaultfd lets an ioctl of another one end first', () => {
    const lines = [
      { op: 'uffd_open', proc: 0, uffd: 0 },
      { ...anon, slot: 1 },
      { op: 'uffd_register', proc: 0, uffd: 0, slot: 1, page: 0, pages: 1, mode: 'm' },
      { op: 'uffd_copy', proc: 0, uffd: 0, slot: 1, page: 0, pages: 1, value: 9, task: 0 },
      { op: 'uffd_close', proc: 0, uffd: 0, task: 1, result: 'OK' },
    ];
    const results = new Set<string>();
    const scene = sceneOf([header, anon, write, ...lines, end]);
    explored(scene, () => results.add(resultOf(scene, 0)!));
    /* Through, or too late: never in the midst of it. */
    expect(results).toEqual(new Set(['OK', 'EBADF']));
  });

  test('of a process that ends is killed, and its next operation not begun; the address space goes after it', () => {
    const child = [
      { op: 'fork', proc: 0, child: 1 },
      { ...write, proc: 1, value: 8, task: 0 },
      { op: 'read', ...page, proc: 1, task: 0 },
      { op: 'exit', proc: 1, task: 1, result: 'OK' },
      { op: 'read', ...page, result: 'OK', value: 7 },
    ];
    const ends = new Set<string>();
    const scene = sceneOf([header, anon, write, ...child, end]);
    const { found, exhausted } = explored(scene, () => {
      ends.add(`${resultOf(scene, 0, 0)}, ${resultOf(scene, 0, 1)}`);
    });
    expect([found?.finding, exhausted]).toEqual([undefined, true]);
    expect([...ends].sort()).toEqual([
      'OK, OK',
      'OK, SIGKILL',
      'OK, no process 1',
      'SIGKILL, SIGKILL',
      'SIGKILL, no process 1',
      'no process 1, no process 1',
    ]);
  });

  test('that works on the memory of a process that ends keeps it', () => {
    const remote = { op: 'get_user_pages_remote', ...page, target: 1, nr_pages: 1, task: 0 };
    const scene = sceneOf([
      header,
      anon,
      write,
      { op: 'fork', proc: 0, child: 1 },
      remote,
      { op: 'exit', proc: 1, task: 1, result: 'OK' },
      end,
    ]);
    const results = new Set<string>();
    explored(scene, () => results.add(resultOf(scene, 0)!));
    /* Not EFAULT, as of an address space that has nothing any more. */
    expect(results).toEqual(new Set(['OK', 'ESRCH']));
  });
});

describe('an expectation', () => {
  const expectation = { expect: 'deadlock', why: 'as the source has it' };
  const parsed = (...lines: object[]) =>
    parseScenario('x.jsonl', lines.map((line) => JSON.stringify(line)).join('\n')).sequences[0]!;

  test('is of a sequence, with its line', () => {
    const { expectation: read } = parsed(header, anon, expectation, end);
    expect(read).toMatchObject({ line: 3, kind: 'deadlock', why: 'as the source has it' });
    expect(parsed(header, anon, end).expectation).toBeUndefined();
  });

  test('is met by a finding of its kind, and by no other, and by nothing', () => {
    const finding = (kind: 'deadlock' | 'livelock') => ({ kind, what: '', task: 0 });
    const { expectation: expected } = parsed(header, expectation, end);
    expect(verdictOf(finding('deadlock'), expected)).toBe('as expected: found');
    expect(verdictOf(finding('livelock'), expected)).toBe('unexpected');
    expect(verdictOf(undefined, expected)).toBe('missing');
    expect(verdictOf(finding('deadlock'), undefined)).toBe('unexpected');
    expect(verdictOf(undefined, undefined)).toBe('as expected: nothing');
  });

  test('is nothing to a replay', () => {
    const steps = [...replaySequence(parsed(header, { ...anon, result: 'OK' }, expectation, end), memoryForTables())];
    expect(steps.flatMap(({ differences }) => differences)).toEqual([]);
    expect(steps).toHaveLength(2);
  });

  test.each([
    ['an unknown kind', { ...expectation, expect: 'trouble' }, '2: expect: expected'],
    ['no reason', { expect: 'deadlock' }, '2: why: expected why, in words'],
    ['another field', { ...expectation, how: 1 }, '2: how: expected no such field in an expectation'],
  ])('is refused with %s', (_, line, message) => {
    expect(() => parsed(header, line, end)).toThrow(message);
  });

  test('is refused twice in a sequence, and outside', () => {
    expect(() => parsed(header, expectation, expectation, end)).toThrow(
      '3: expect: expected one expectation in a sequence',
    );
    expect(() => parsed(expectation, header, end)).toThrow('1: expect: expected the header of a sequence before it');
  });
});
