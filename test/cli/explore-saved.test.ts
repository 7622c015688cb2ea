/**
 * What is found, in files: a scenario with its schedule, a time line; the whole record; and executions by chance.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseScenario } from '../../src/replay/scenario.ts';
import { file, linesOf, type Ran, run } from './support.ts';

const lines = (...objects: object[]): string => objects.map((object) => `${JSON.stringify(object)}\n`).join('');

/** Linux 6.1.192 comes to a deadlock here: the fault of a private page without free pages takes the fault mutex again under a page lock. */
const DEADLOCK = file(
  'deadlock.jsonl',
  lines(
    { seq: 1, pool: 2, files: [1] },
    { op: 'fallocate', file: 0, hugepages: 1 },
    { op: 'mmap', proc: 0, slot: 0, kind: 'private_file', file: 0, hugepages: 1, prot: 'rw' },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 1 },
    { op: 'mmap', proc: 0, slot: 1, kind: 'shared_file', file: 0, hugepages: 1, prot: 'rw' },
    { op: 'fork', proc: 0, child: 1 },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 2, task: 1 },
    { op: 'read', proc: 0, slot: 1, page: 0, task: 3 },
    { end: 1 },
  ),
);

describe('--save and --svg', () => {
  const saved = file('saved.jsonl');
  const picture = file('finding.svg');
  let found: Ran;

  beforeAll(async () => {
    found = await run(['explore', DEADLOCK, '--save', saved, '--svg', picture]);
  }, 60_000);

  /** The finding in words, and its lanes. */
  const shown = ({ stdout }: Ran): string[] => {
    const all = linesOf(stdout);
    return all.slice(all.findIndex((line) => line.startsWith('  deadlock:')));
  };

  test('the scenario that was written is followed, and shows the same finding', async () => {
    expect(found.status).toBe(1);
    const again = await run(['explore', saved]);
    expect(again.status).toBe(1);
    expect(shown(again)).toEqual(shown(found));
    expect(linesOf(again.stdout)[1]).toMatch(/^ {2}its schedule: \d+ runs$/);
  });

  test('it has the sequence as it was, the finding as a note, and who runs how far by the numbers of the tasks', () => {
    const text = readFileSync(saved, 'utf8');
    const [note, schedule, end] = linesOf(text).slice(-3);
    expect(linesOf(text).slice(0, -3)).toEqual(linesOf(readFileSync(DEADLOCK, 'utf8')).slice(0, -1));
    expect(JSON.parse(note!).note).toMatch(/^deadlock: .*hugetlb_fault_mutex/);
    const runs: [number, number][] = JSON.parse(schedule!).schedule;
    expect(new Set(runs.map(([task]) => task))).toEqual(new Set([1, 3]));
    expect(end).toBe('{"end":1}');
  });

  test('what was saved is a scenario that replay runs, too', async () => {
    expect(await run(['replay', saved])).toMatchObject({ status: 0 });
  });

  test('where the schedule leads to nothing any more, that is said', async () => {
    const mended = file('mended.jsonl', readFileSync(saved, 'utf8').replace('"pool":2', '"pool":3'));
    const { status, stdout } = await run(['explore', mended]);
    expect(status).toBe(0);
    expect(linesOf(stdout).slice(-2)).toEqual(['  nothing is wrong in it (any more)', '1 sequence, 0 findings']);
  });

  test('where it cannot be followed, that is said', async () => {
    const text = readFileSync(saved, 'utf8').replace(/\{"schedule".*/, '{"schedule":[[1,4000],[1,1]]}');
    const { status, stdout } = await run(['explore', file('other.jsonl', text)]);
    expect(status).toBe(0);
    expect(linesOf(stdout).at(-2)).toMatch(/^ {2}it cannot be followed \(any more\): schedule\[1\]: expected a task/);
  });

  test('the time line has the finding and the functions on the way', () => {
    const svg = readFileSync(picture, 'utf8');
    expect(svg).toMatch(/^<svg /);
    expect(svg).toContain('<title>deadlock: ');
    expect(svg).toContain('>hugetlb_wp</text>');
  });

  test('--trace has all that the model recorded, run by run', async () => {
    const { stdout, status } = await run(['explore', saved, '--trace']);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^ {2}1 process 0, thread \d+$/m);
    expect(stdout).toMatch(/^ {6,}hugetlb_fault\(addr=0x100000000000, .*\{$/m);
    /* But for the lines about locks, which both have. */
    const length = (text: string): number => text.replace(/^ {4}process .*\n/gm, '').length;
    expect(length(stdout)).toBeGreaterThan(2 * length(found.stdout));
  });
});

describe('a schedule in a scenario', () => {
  const scenario = (...schedules: object[]): string =>
    lines(
      { seq: 1, pool: 2 },
      { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 1, prot: 'rw' },
      { op: 'read', proc: 0, slot: 0, page: 0, task: 0 },
      { op: 'read', proc: 0, slot: 0, page: 0, task: 1 },
      ...schedules,
      { end: 1 },
    );

  test('is read', () => {
    const [sequence] = parseScenario(
      'test',
      scenario({
        schedule: [
          [0, 3],
          [1, 1],
        ],
      }),
    ).sequences;
    expect(sequence!.schedule).toEqual([
      [0, 3],
      [1, 1],
    ]);
  });

  test.each([
    [[{ schedule: [[2, 1]] }], /schedule\[0\]\[0\]: expected a task of the sequence, got 2/],
    [[{ schedule: [[0, 0]] }], /schedule\[0\]\[1\]: expected an integer from 1 to/],
    [[{ schedule: [[0]] }], /schedule\[0\]: expected a list of 2 numbers: a task, and how many places/],
    [[{ schedule: 0 }], /schedule: expected a list of runs/],
    [[{ schedule: [] }, { schedule: [] }], /schedule: expected one of a sequence/],
    [
      [{ schedule: [] }, { op: 'munmap', proc: 0, slot: 0 }],
      /op: expected the end of the sequence behind its schedule/,
    ],
  ])('%j is refused', (schedules, message) => {
    expect(() => parseScenario('test', scenario(...schedules))).toThrow(message);
  });
});

describe('--random', () => {
  test('the same seed finds the same after as many executions', async () => {
    const [one, other] = [
      await run(['explore', DEADLOCK, '--random', '200', '--seed', '3']),
      await run(['explore', DEADLOCK, '--random', '200', '--seed', '3']),
    ];
    expect(one.status).toBe(1);
    expect(one.stdout).toMatch(/^ {2}by chance, seed 3: \d+ executions?\n {2}deadlock: /m);
    expect(other.stdout).toBe(one.stdout);
  });

  test.each([
    [['--seed', '3'], /--seed: expected --random beside it/],
    [['--random', '3', '--workers', '2'], /--random: expected no --workers, --shard or --preemptions/],
  ])('%j is refused', async (args, message) => {
    const { status, stderr } = await run(['explore', DEADLOCK, ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
