/**
 * Tables that nobody's kernel would write: every command survives them, and says what it found.
 */
import { describe, expect, test } from 'vitest';
import { THOROUGH } from '../support/thorough.ts';
import { dumpOf, linesOf, run } from './support.ts';

/** Every entry of the only table points to the table: 2^36 leaves, all the same page. */
const itself = (): string => dumpOf('itself.elf', { 4096: () => 0x1007n });
/** 2^27 ways to a table that is not there. */
const nowhere = (): string => dumpOf('nowhere.elf', { 4096: () => 0x2007n, 8192: () => 0x3007n, 12288: () => 0x9007n });

describe('a table that contains itself', THOROUGH, () => {
  test('is shown in seconds, not years, each level once', async () => {
    const { status, stdout, stderr, milliseconds } = await run(['map', itself()]);
    expect([status, stderr]).toEqual([0, '']);
    expect(milliseconds).toBeLessThan(10_000);
    expect(stdout).toMatch(/^ +4 KiB +512 pages +2 MiB$/m);
    expect(stdout).toContain('met before, not listed again: 1,533');
    expect(stdout).toContain('the page table at 0x1000 again, 511 times in a row');
    expect(linesOf(stdout).length).toBeLessThan(40);
  });

  test.each([['--leaves --json'], ['--leaves'], ['--json']])(
    'map %s stops with status 1 and one line',
    async (options) => {
      const { status, stdout, stderr } = await run(['map', itself(), ...options.split(' ')]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^hugewalk: stopped after 1,056,768 entries: .* the same 512 .*--all\n$/);
      expect(linesOf(stdout)).toHaveLength(16 * 512 + 2 ** 20);
    },
  );

  test('is listed in full where the range is small enough, or with --all', async () => {
    const narrow = await run(['map', itself(), '--leaves', '--json', '--to', '0x3fffffff']);
    expect([narrow.status, narrow.stderr]).toEqual([0, '']);
    expect(linesOf(narrow.stdout)).toHaveLength(512 * 512);
    const { status, stdout } = await run(['map', itself(), '--leaves', '--json', '--all'], { hangUp: true });
    expect(status).toBe(0);
    expect(stdout).not.toBe('');
  });

  test('is walked', async () => {
    const { status, stdout } = await run(['walk', itself(), '0x0', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'page', pa: '0x1000' });
  });
});

describe('tables that all lead nowhere', THOROUGH, () => {
  test('are shown in seconds, not years', async () => {
    const { status, stdout, milliseconds } = await run(['map', nowhere()]);
    expect(status).toBe(0);
    expect(milliseconds).toBeLessThan(10_000);
    expect(stdout).toContain('where the dump has no memory: 512');
    expect(stdout).toContain('the page table at 0x9000, 512 times in a row');
  });

  test.each(['--json', '--leaves'])('map %s stops with status 1', async (option) => {
    const { status, stdout, stderr } = await run(['map', nowhere(), option]);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^hugewalk: stopped after 1,056,768 entries: .*\n$/);
  });
});

describe('entries that lead nowhere', THOROUGH, () => {
  const dump = (): string =>
    dumpOf('partly.elf', {
      4096: (i) => (i === 0 ? 0x2007n : i === 300 ? 0x77_7007n : 0n),
      8192: (i) => (i === 0 ? 0x3007n : 0n),
      12288: (i) => (i === 0 ? 0x20_0087n : i === 7 ? 0x2087n : 0n),
    });

  test('are shown', async () => {
    const { status, stdout } = await run(['map', dump()]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ +0xffff960000000000 {2}the page-directory-pointer table at 0x777000$/m);
    expect(stdout).toMatch(/^ +0xe00000 {2}PDE 0x2087$/m);
    expect(stdout).toMatch(/^ +0x0 +0x1fffff +2 MiB +1 × 2 MiB +rwx user +at 0x200000$/m);
    expect(stdout).toContain('2 MiB can be written and executed');
  });

  test('are left out of lists, which say so on stderr', async () => {
    const { status, stdout, stderr } = await run(['map', dump(), '--leaves', '--json']);
    expect(status).toBe(0);
    expect(linesOf(stdout)).toHaveLength(1);
    expect(stderr).toMatch(/^hugewalk: .*partly\.elf: left out 2 entries that lead nowhere; the dump lacks 1 table\n$/);
  });
});

test('a root table without an entry maps nothing', async () => {
  const { status, stdout } = await run(['map', dumpOf('empty.elf', { 4096: () => 0n })]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/, 1 page table\nassumed: .*\n\nnothing is mapped\n$/);
});

test('more ranges than are kept are joined with their neighbours, which is said, and counted in full', async () => {
  const tables: Record<number, (index: number) => bigint> = {
    4096: (i) => (i === 0 ? 0x2007n : 0n),
    8192: (i) => (i < 2 ? BigInt(0x3000 + i * 0x1000) | 7n : 0n),
  };
  for (let i = 0; i < 2; i++) tables[0x3000 + i * 0x1000] = (j) => BigInt(0x10_0000 + (i * 512 + j) * 4096) | 7n;
  /* Alternately writable and not: 2^19 ranges. */
  for (let i = 0; i < 1024; i++) tables[0x10_0000 + i * 4096] = (j) => (j % 2 ? 0x5007n : 0x5005n);
  const { status, stdout } = await run(['map', dumpOf('ranges.elf', tables)]);
  expect(status).toBe(0);
  expect(stdout).toContain('lower half: 524,288 ranges in 40 lines');
  expect(stdout).toContain('near ones were joined');
  expect(stdout).toMatch(/^ +all +524,288 pages +2 GiB$/m);
});
