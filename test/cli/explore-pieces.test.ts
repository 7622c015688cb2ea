/**
 * A search in pieces: in threads, and in shards.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ShardFile } from '../../src/cli/shard-file.ts';
import type { Pass } from '../../src/explore/explore.ts';
import { THOROUGH } from '../support/thorough.ts';
import { file, interrupted, linesOf, type Ran, run } from './support.ts';

/** Threads that touch pages of a file for the first time: nothing is wrong, in hundreds of interleavings. */
const TWO = file(
  'two.jsonl',
  [
    { seq: 1, pool: 4, files: [2] },
    { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 2, prot: 'rw' },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 1, task: 0 },
    { op: 'write', proc: 0, slot: 0, page: 1, value: 2, task: 0 },
    { op: 'write', proc: 0, slot: 0, page: 1, value: 3, task: 1 },
    { end: 1 },
  ]
    .map((line) => JSON.stringify(line))
    .join('\n'),
);

/** The same of one page each: a few executions, but for the passes with preemptions. */
const FEW = file(
  'few.jsonl',
  readFileSync(TWO, 'utf8')
    .split('\n')
    .filter((_, line) => line !== 3)
    .join('\n'),
);

/** More interleavings than anybody waits for. */
const LONG = file(
  'long.jsonl',
  [
    { seq: 1, pool: 6, files: [3] },
    { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 3, prot: 'rw' },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 1, task: 0 },
    { op: 'write', proc: 0, slot: 0, page: 1, value: 2, task: 1 },
    { op: 'write', proc: 0, slot: 0, page: 2, value: 3, task: 2 },
    { end: 1 },
  ]
    .map((line) => JSON.stringify(line))
    .join('\n'),
);

describe('--workers', () => {
  test('any number comes to the same: as many executions, and nothing is wrong in any', async () => {
    const passesOf = async (...args: string[]) => {
      const { stdout, status } = await run(['explore', TWO, '--json', ...args]);
      expect(status).toBe(0);
      const { passes, exhausted } = JSON.parse(stdout);
      expect(exhausted).toBe(true);
      return passes.map(({ counts, pieces }: Pass) => ({ executions: counts.executions, pieces }));
    };
    const alone: { executions: number }[] = await passesOf();
    const all = expect.any(Number);
    const last = { executions: alone.at(-1)!.executions, pieces: { done: all, of: all } };
    const together = await passesOf('--workers', '2');
    expect(together).toEqual([...alone.slice(0, -1), last]);
    expect(together.at(-1).pieces.done).toBe(together.at(-1).pieces.of);
  });

  test('with --seconds, what was covered is told in pieces', async () => {
    const { stdout, status } = await run(['explore', TWO, '--workers', '2', '--seconds', '0']);
    expect(status).toBe(0);
    expect(linesOf(stdout).at(-2)).toBe('  nothing was found');
  });

  test('0 threads are refused', async () => {
    const { status, stderr } = await run(['explore', TWO, '--workers', '0']);
    expect({ status, stderr }).toEqual({ status: 2, stderr: 'hugewalk: --workers: expected 1 or more, got 0\n' });
  });

  test(
    'with --preemptions, the passes with few preemptions are cut: as many executions as in one thread',
    THOROUGH,
    async () => {
      const [alone, together] = await Promise.all([
        run(['explore', TWO, '--preemptions', '2', '--json']),
        run(['explore', TWO, '--preemptions', '2', '--json', '--workers', '2']),
      ]);
      const passesOf = ({ stdout }: Ran): Pass[] => JSON.parse(stdout).passes;
      const executions = (ran: Ran): number[] => passesOf(ran).map(({ counts }) => counts.executions);
      expect(executions(together)).toEqual(executions(alone));
      expect(
        passesOf(together).map(({ preemptions, done, pieces }) => [preemptions, done, pieces !== undefined]),
      ).toEqual([
        [0, true, false],
        [1, true, false],
        [2, true, true],
      ]);
    },
  );

  test('Ctrl-C ends it with status 1, and with what was covered', async () => {
    const { stdout, status } = await interrupted(['explore', LONG, '--workers', '2']);
    expect(stdout).toMatch(/\n {2}any interleaving: [\d,]+ executions, \d+ of \d+ pieces\n {2}nothing was found\n/);
    expect(status).toBe(1);
  });
});

/** A deadlock of Linux 6.1.192's, amid faults on other pages: neither the passes with few preemptions come to it, nor what is run before a pass is cut. */
const DEEP = (() => {
  const [before, pages] = [2, 6];
  const write = (page: number, task: number) => ({ op: 'write', proc: 0, slot: 2, page, value: 2 + task, task });
  const faults = (task: number, from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => write(from + index, task));
  const lines = [
    { seq: 1, pool: pages + 2, files: [1, pages] },
    { op: 'fallocate', file: 0, hugepages: 1 },
    { op: 'mmap', proc: 0, slot: 0, kind: 'private_file', file: 0, hugepages: 1, prot: 'rw' },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 1 },
    { op: 'mmap', proc: 0, slot: 1, kind: 'shared_file', file: 0, hugepages: 1, prot: 'rw' },
    { op: 'fork', proc: 0, child: 1 },
    { op: 'mmap', proc: 0, slot: 2, kind: 'shared_file', file: 1, hugepages: pages, prot: 'rw' },
    ...faults(0, 0, before),
    { op: 'write', proc: 0, slot: 0, page: 0, value: 2, task: 0 },
    ...faults(0, before, pages),
    ...faults(1, 0, before),
    { op: 'read', proc: 0, slot: 1, page: 0, task: 1 },
    ...faults(1, before, pages),
    ...faults(2, 0, 2),
    { end: 1 },
  ];
  return file('deep.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'));
})();

test('what only a part comes to is found by --workers', THOROUGH, async () => {
  const { stdout, status } = await run(['explore', DEEP, '--workers', '2', '--json']);
  const { found, passes } = JSON.parse(stdout);
  expect([status, found.finding.kind, passes.at(-1).pieces !== undefined]).toEqual([1, 'deadlock', true]);
});

describe('--shard and merge', () => {
  const paths = ['1', '2', '3'].map((number) => file(`shard-${number}.json`));
  let alone: Ran;

  beforeAll(async () => {
    alone = await run(['explore', TWO]);
    for (const [index, path] of paths.entries()) {
      expect(await run(['explore', TWO, '--shard', `${index + 1}/3`, '--out', path])).toMatchObject({ status: 0 });
    }
  }, 120_000);

  test('all shards together tell what one search tells', async () => {
    const { status, stdout, stderr } = await run(['explore', 'merge', ...paths]);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: alone.stdout, stderr: '' });
    expect(await run(['explore', 'merge', '--missing', ...paths])).toMatchObject({ status: 0, stdout: '' });
  });

  test('--json tells the same in a line', async () => {
    const { stdout } = await run(['explore', 'merge', ...paths, '--json']);
    const { passes, exhausted } = JSON.parse(stdout);
    expect({ exhausted, last: passes.at(-1).done }).toEqual({ exhausted: true, last: true });
  });

  test('of a shard that was killed there is no file: it is missing, and the search is not complete', async () => {
    const rest = [paths[2]!, paths[0]!];
    const { status, stdout } = await run(['explore', 'merge', ...rest]);
    expect(status).toBe(1);
    expect(linesOf(stdout).slice(-3)).toEqual([
      '  nothing was found',
      'shard 2/3 is missing',
      '1 sequence, 0 findings',
    ]);
    expect(stdout).toMatch(/any interleaving: [\d,]+ executions, \d+ of \d+ pieces\n/);
    expect(await run(['explore', 'merge', '--missing', ...rest])).toMatchObject({ status: 1, stdout: '2\n' });
  });

  /** A shard's file, changed. */
  const changed = (name: string, path: string, change: (shard: ShardFile) => object): string => {
    const shard = JSON.parse(readFileSync(path, 'utf8')) as ShardFile;
    return file(name, JSON.stringify({ ...shard, ...change(shard) }));
  };

  test(
    'shards that know different busy places have different parts: those that know fewer are run again, with --known',
    THOROUGH,
    async () => {
      const fewer = changed('fewer.json', paths[1]!, ({ sequences: [first] }) => ({
        sequences: [{ ...first, cut: first!.cut.map((pass) => ({ ...pass, busyPlaces: pass.busyPlaces.slice(1) })) }],
      }));
      const together = [paths[0]!, fewer, paths[2]!];
      const { status, stdout } = await run(['explore', 'merge', ...together]);
      expect(status).toBe(1);
      expect(linesOf(stdout).at(-2)).toBe('shard 2/3 is to be run again');
      const out = file('again.json');
      await run(['explore', TWO, '--shard', '2/3', '--out', out, '--known', ...together]);
      expect(await run(['explore', 'merge', paths[0]!, out, paths[2]!])).toMatchObject({
        status: 0,
        stdout: alone.stdout,
      });
    },
  );

  test('a shard that was stopped by --seconds is to be run again', async () => {
    const out = file('stopped.json');
    await run(['explore', TWO, '--shard', '2/3', '--out', out, '--seconds', '0']);
    expect(await run(['explore', 'merge', '--missing', paths[0]!, out, paths[2]!])).toMatchObject({ stdout: '2\n' });
  });

  test(
    'a shard that is run again with --known does not search again what it has searched, and says the same',
    THOROUGH,
    async () => {
      const part = changed('part.json', paths[1]!, ({ sequences: [first] }) => ({
        sequences: [{ ...first, cut: first!.cut.map((pass) => ({ ...pass, parts: pass.parts.slice(1) })) }],
      }));
      expect(await run(['explore', 'merge', '--missing', paths[0]!, part, paths[2]!])).toMatchObject({ stdout: '2\n' });
      const marked = changed('marked.json', part, ({ sequences: [first] }) => ({
        sequences: [
          {
            ...first,
            cut: first!.cut.map((pass) => ({
              ...pass,
              parts: pass.parts.map((one) => ({ ...one, counts: { ...one.counts, discarded: 1000 } })),
            })),
          },
        ],
      }));
      const out = file('goes-on.json');
      await run(['explore', TWO, '--shard', '2/3', '--out', out, '--known', paths[0]!, marked, paths[2]!]);
      const { sequences } = JSON.parse(readFileSync(out, 'utf8')) as ShardFile;
      const before = (JSON.parse(readFileSync(paths[1]!, 'utf8')) as ShardFile).sequences[0]!.cut[0]!.parts;
      const after = sequences[0]!.cut[0]!.parts.filter((one) => before.some(({ part }) => part === one.part));
      expect(after.map(({ counts }) => counts.discarded)).toEqual(before.map((_, index) => (index === 0 ? 0 : 1000)));
      expect(await run(['explore', 'merge', paths[0]!, out, paths[2]!])).toMatchObject({
        status: 0,
        stdout: alone.stdout,
      });
    },
  );

  test('a shard that is interrupted writes nothing, and leaves what is there', async () => {
    const out = file('interrupted.json', 'as it was');
    const { status } = await interrupted(['explore', LONG, '--shard', '1/2', '--out', out]);
    expect([status, readFileSync(out, 'utf8')]).toEqual([1, 'as it was']);
  });

  test('with --preemptions, shards have parts of the passes with few preemptions', THOROUGH, async () => {
    const few = ['few-1.json', 'few-2.json'].map((name) => file(name));
    for (const [index, path] of few.entries()) {
      await run(['explore', FEW, '--preemptions', '3', '--shard', `${index + 1}/2`, '--out', path]);
    }
    const { stdout, status } = await run(['explore', 'merge', ...few]);
    expect({ stdout, status }).toEqual({
      stdout: (await run(['explore', FEW, '--preemptions', '3'])).stdout,
      status: 0,
    });
    expect(await run(['explore', 'merge', few[0]!])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('shard 2/2 is missing\n'),
    });
  });

  test('of several findings the one of the first part is told, and shown again', async () => {
    const foundIn = (nth: number) => (shard: ShardFile) => ({
      sequences: shard.sequences.map((sequence) => ({
        ...sequence,
        cut: sequence.cut.map((pass) => ({
          ...pass,
          parts: pass.parts.map(({ left, ...part }, at) => {
            const finding = { kind: 'answer', what: `in part ${nth} of ${shard.shard.number}`, task: -1 };
            return at === nth ? { ...part, found: { finding, schedule: [{ task: 0, places: 1 }] } } : { ...part, left };
          }),
        })),
      })),
    });
    const two = changed('found-2.json', paths[1]!, foundIn(2));
    const three = changed('found-3.json', paths[2]!, foundIn(1));
    const { status, stdout } = await run(['explore', 'merge', paths[0]!, two, three]);
    expect(status).toBe(1);
    expect(stdout).toContain('  answer: in part 1 of 3\n');
    expect(linesOf(stdout).at(-1)).toBe('1 sequence, 1 finding');
  });

  test.each([
    ['twice the same', () => [paths[0]!, paths[0]!], /expected each shard once, found 1\/3 in /],
    ['what is no shard', () => [TWO], /expected a file that explore --shard wrote/],
    [
      'one of another number of shards',
      () => [paths[0]!, changed('of.json', paths[1]!, () => ({ shard: { number: 2, of: 4 } }))],
      /expected one of 3 shards, as .*shard-1.json is, found one of 4/,
    ],
    [
      'one of another version',
      () => [changed('version.json', paths[0]!, () => ({ hugewalk: '0.0.1' }))],
      /expected hugewalk \S+ to have written it, found 0.0.1: run it again/,
    ],
    [
      'one of another sequence',
      () => [
        paths[0]!,
        changed('other.json', paths[1]!, ({ sequences }) => ({ sequences: [...sequences, ...sequences] })),
      ],
      /expected a shard of the same scenarios/,
    ],
    [
      'a text that is not the one that was explored',
      () => [changed('text.json', paths[0]!, ({ scenarios }) => ({ scenarios: [{ ...scenarios[0], text: '' }] }))],
      /expected the text of .* to have its digest, found another/,
    ],
  ])('%s is refused', async (_, files, message) => {
    const { status, stderr } = await run(['explore', 'merge', ...files()]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });

  test.each([
    [['--shard', '1/2'], /--shard: expected --out beside it/],
    [['--out', 'x.json'], /--out: expected --shard beside it/],
    [['--known', 'x.json'], /--known: expected --shard beside it/],
    [['--shard', '3/2'], /--shard: expected a part such as 1\/4, the first of four, got "3\/2"/],
  ])('%j is refused', async (args, message) => {
    const { status, stderr } = await run(['explore', TWO, ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
