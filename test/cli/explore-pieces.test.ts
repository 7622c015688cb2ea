/**
 * A search in pieces: in threads, and in shards.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ShardFile } from '../../src/cli/shard-file.ts';
import type { Pass } from '../../src/explore/explore.ts';
import { file, linesOf, type Ran, run } from './support.ts';

/** Threads that touch pages of a file for the first time: nothing is wrong, in hundreds of interleavings. */
const TWO = file(
  'two.jsonl',
  [
    { seq: 1, pool: 4, files: [2] },
    { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 2, prot: 'rw' },
    { op: 'write', proc: 0, slot: 0, page: 1, value: 42, task: 0 },
    { op: 'write', proc: 0, slot: 0, page: 0, value: 3, task: 1 },
    { op: 'read', proc: 0, slot: 0, page: 1, task: 1 },
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

  test.each([
    [['--workers', '0'], 'hugewalk: --workers: expected 1 or more, got 0\n'],
    [['--workers', '2', '--preemptions', '1'], /^hugewalk: --workers: expected no --preemptions/],
  ])('%j is refused', async (args, message) => {
    const { status, stderr } = await run(['explore', TWO, ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
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
    expect(stdout).toMatch(/any interleaving: \d+ executions, \d+ of \d+ pieces\n/);
    expect(await run(['explore', 'merge', '--missing', ...rest])).toMatchObject({ status: 1, stdout: '2\n' });
  });

  /** A shard's file, changed. */
  const changed = (name: string, path: string, change: (shard: ShardFile) => object): string => {
    const shard = JSON.parse(readFileSync(path, 'utf8')) as ShardFile;
    return file(name, JSON.stringify({ ...shard, ...change(shard) }));
  };

  test('a shard that did not know a busy place that another does is run again, with --places', async () => {
    const fewer = changed('fewer.json', paths[1]!, ({ sequences: [first] }) => ({
      sequences: [{ ...first, busyPlaces: first!.busyPlaces.slice(1) }],
    }));
    const together = [paths[0]!, fewer, paths[2]!];
    const { status, stdout } = await run(['explore', 'merge', ...together]);
    expect(status).toBe(1);
    expect(linesOf(stdout).at(-2)).toBe('shard 2/3 is to be run again');
    const out = file('again.json');
    await run(['explore', TWO, '--shard', '2/3', '--out', out, '--places', ...together]);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({ sequences: [{ exhausted: false }] });
    expect(await run(['explore', 'merge', paths[0]!, out, paths[2]!])).toMatchObject({ status: 0 });
  });

  test('a shard that was stopped by --seconds is to be run again', async () => {
    const out = file('stopped.json');
    await run(['explore', TWO, '--shard', '2/3', '--out', out, '--seconds', '0']);
    expect(await run(['explore', 'merge', '--missing', paths[0]!, out, paths[2]!])).toMatchObject({ stdout: '2\n' });
  });

  test('of several findings the one of the first piece is told, and shown again', async () => {
    const wrong = { kind: 'answer', what: 'too late', task: -1 } as const;
    const foundIn = (piece: number, places: number) => (shard: ShardFile) => ({
      sequences: shard.sequences.map(({ pieces, ...sequence }) => ({
        ...sequence,
        pieces: { ...pieces, found: piece },
        found: { finding: { ...wrong, what: `in ${piece}` }, schedule: [{ task: 0, places }] },
      })),
    });
    const two = changed('found-2.json', paths[1]!, foundIn(7, 2));
    const three = changed('found-3.json', paths[2]!, foundIn(5, 1));
    const { status, stdout } = await run(['explore', 'merge', paths[0]!, two, three]);
    expect(status).toBe(1);
    expect(stdout).toContain('  answer: in 5\n');
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
    [['--places', 'x.json'], /--places: expected --shard beside it/],
    [['--shard', '3/2'], /--shard: expected a part such as 1\/4, the first of four, got "3\/2"/],
    [['--shard', '1/2', '--out', 'x', '--preemptions', '2'], /--shard: expected no --preemptions/],
  ])('%j is refused', async (args, message) => {
    const { status, stderr } = await run(['explore', TWO, ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
