/**
 * `hugewalk read`, `reverse` and `diff`, the filters of `map`, and `walk --os`.
 */
import { describe, expect, test } from 'vitest';
import { dumpOf, FIXTURES, linesOf, run } from './support.ts';

/** Tables at 0x1000 to 0x4000, which also are what is mapped: va 0x0 is the root table. */
const TABLES = {
  4096: (index: number) => (index === 0 ? 0x2007n : 0n),
  8192: (index: number) => (index === 0 ? 0x3007n : 0n),
  12288: (index: number) => (index === 0 ? 0x4007n : 0n),
  16384: (index: number) => (index === 0 ? 0x1007n : index === 2 ? 0x9_0007n : index === 3 ? 0x5862n : 0n),
};
const SMALL = dumpOf('questions', TABLES);
const CR3 = ['--cr3', '0x1000'];

describe('read', () => {
  test('shows bytes in lines of 16, and where there are none', async () => {
    const { status, stdout, stderr } = await run(['read', SMALL, '0xff8', '24', ...CR3]);
    expect(status).toBe(0);
    expect(linesOf(stdout).slice(3)).toEqual([
      '             0xff0                           00 00 00 00 00 00 00 00          ........',
      '            0x1000  .. .. .. .. .. .. .. ..  .. .. .. .. .. .. .. ..',
    ]);
    expect(stderr).toBe('hugewalk: 0x1000 + 0x10: nothing is mapped there\n');
  });

  test('writes the bytes themselves with --raw', async () => {
    const { status, stdout } = await run(['read', SMALL, '0x0', '2', '--raw', ...CR3]);
    expect([status, stdout]).toEqual([0, '\x07\x20']);
  });

  test('ends with status 1 where there is nothing at all, and says why', async () => {
    const { status, stderr } = await run(['read', SMALL, '0x2000', '0x10', ...CR3]);
    expect(status).toBe(1);
    expect(linesOf(stderr)).toEqual([
      'hugewalk: 0x2000 + 0x10: the dump does not have that memory',
      'hugewalk: nothing of the 0x10 bytes could be read',
    ]);
  });

  test.each(['0', '-1', 'ten', '0x'])('LENGTH %s is refused', async (length) => {
    const { status, stderr } = await run(['read', SMALL, ...CR3, '--', '0x0', length]);
    expect([status, stderr]).toEqual([
      2,
      `hugewalk: LENGTH: expected a number of bytes such as 256 or 0x100, got "${length}"\n`,
    ]);
  });
});

test('reverse tells every address that comes to a byte of memory', async () => {
  const { status, stdout } = await run(['reverse', FIXTURES[4], '0x3944123', '--json']);
  expect(status).toBe(0);
  expect(linesOf(stdout).map((line) => JSON.parse(line))).toEqual([
    { cr3: '0x55ae000', va: '0x400123', size: 4096, rights: { write: false, user: true, execute: false } },
    {
      cr3: '0x55ae000',
      va: '0xffff888003944123',
      size: 0x20_0000,
      rights: { write: true, user: false, execute: false },
    },
    {
      cr3: '0x55ae000',
      va: '0xffffffff83944123',
      size: 0x20_0000,
      rights: { write: true, user: false, execute: false },
    },
  ]);
  const nobody = await run(['reverse', FIXTURES[4], '0xfff000000000']);
  expect([nobody.status, linesOf(nobody.stdout)[2]]).toEqual([0, 'nothing maps 0xfff000000000']);
});

test('diff ends with 0 where nothing differs, and with 1 where something does', async () => {
  const same = await run(['diff', SMALL, SMALL, ...CR3]);
  expect([same.status, linesOf(same.stdout).at(-1)]).toEqual([0, 'nothing differs']);
  const other = dumpOf('questions-2', {
    ...TABLES,
    16384: (index: number) => (index === 1 ? 0x1007n : TABLES[0x4000](index)),
  });
  const { status, stdout } = await run(['diff', SMALL, other, ...CR3, '--json']);
  expect(status).toBe(1);
  expect(linesOf(stdout).map((line) => JSON.parse(line))).toMatchObject([
    { kind: 'added', va: '0x1000', bytes: 4096, before: null, after: { pa: '0x1000', size: 4096 } },
  ]);
});

test('map leaves out what a filter does not want, of leaves and of ranges', async () => {
  const all = await run(['map', FIXTURES[4], '--leaves', '--json']);
  const leaves = linesOf(all.stdout).map(
    (line) => JSON.parse(line) as { size: number; rights: { write: boolean; user: boolean } },
  );
  const wanted = leaves.filter(({ size, rights }) => size === 0x20_0000 && rights.write && rights.user);
  const some = await run(['map', FIXTURES[4], '--leaves', '--json', '--writable', '--user', '--size', '2M']);
  expect(linesOf(some.stdout).map((line) => JSON.parse(line))).toEqual(wanted);
  expect(wanted.length).toBeGreaterThan(5);
  const { stdout } = await run(['map', FIXTURES[4], '--executable', '--user']);
  expect(linesOf(stdout)[0]).toContain('only what is executable, for user mode');
  expect(stdout).not.toContain('kernel');
  const { status, stderr } = await run(['map', FIXTURES[4], '--size', '3M']);
  expect([status, stderr]).toEqual([2, 'hugewalk: --size: expected 4K, 2M or 1G, got "3M"\n']);
});

test('walk --os tells what an entry that is not present means', async () => {
  const { stdout } = await run(['walk', SMALL, '0x3000', '--os', 'windows', ...CR3]);
  expect(linesOf(stdout).at(-1)).toBe('to the operating system: in transition: the page is still at 0x5000');
  const json = await run(['walk', SMALL, '0x3000', '--os', 'windows', '--json', ...CR3]);
  expect(JSON.parse(json.stdout)).toMatchObject({ outcome: 'page-fault', os: { kind: 'transition', pa: '0x5000' } });
  const mapped = await run(['walk', SMALL, '0x0', '--os', 'linux', ...CR3]);
  expect(mapped.stdout).not.toContain('operating system');
});

describe('map --os', () => {
  test('lists entries that are not present among the leaves', async () => {
    const { status, stdout } = await run(['map', SMALL, '--os', 'windows', '--leaves', '--json', ...CR3]);
    expect(status).toBe(0);
    const lines = linesOf(stdout).map((line) => JSON.parse(line) as { va: string; present: boolean; os?: object });
    expect(lines.map(({ va, present }) => [va, present])).toEqual([
      ['0x0', true],
      ['0x2000', true],
      ['0x3000', false],
    ]);
    const words = 'in transition: the page is still at 0x5000';
    expect(lines[2]).toEqual({
      va: '0x3000',
      size: 4096,
      present: false,
      os: { kind: 'transition', words, pa: '0x5000' },
    });
    const text = await run(['map', SMALL, '--os', 'windows', '--leaves', ...CR3]);
    expect(linesOf(text.stdout)[2]).toBe(`            0x3000          0x5000  4 KiB  absent      ${words}`);
    const runs = await run(['map', SMALL, '--os', 'windows', '--json', ...CR3]);
    expect(JSON.parse(linesOf(runs.stdout)[2]!)).toEqual({
      va: '0x3000',
      size: 4096,
      bytes: 4096,
      present: false,
      os: { kind: 'transition', pa: '0x5000' },
    });
  });

  test('counts them by kind in the overview', async () => {
    const { stdout } = await run(['map', SMALL, '--os', 'windows', ...CR3]);
    expect(linesOf(stdout).slice(-4)).toEqual([
      'not present, but something to windows:',
      '  transition  1 entry  4 KiB',
      '',
      '  0x3000  0x3fff  1 entry  transition  at 0x5000',
    ]);
    const real = await run(['map', FIXTURES[4], '--os', 'linux', '--to', '0x7fffffffffff']);
    expect(real.stdout).toContain('not present, but something to linux:');
  });

  test('leaves them out where a right is asked for, and another size', async () => {
    for (const filter of [['--writable'], ['--size', '2M']]) {
      const { stdout } = await run(['map', SMALL, '--os', 'windows', '--leaves', '--json', ...filter, ...CR3]);
      expect(stdout).not.toContain('"present":false');
    }
  });

  test('knows two systems', async () => {
    const { status, stderr } = await run(['map', SMALL, '--os', 'beos', ...CR3]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^hugewalk: .*--os.*linux, windows.*\n$/)]);
  });
});
