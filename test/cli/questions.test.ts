/**
 * `hugewalk read`, `reverse` and `diff`, the filters of `map`, and `walk --os`.
 */
import { describe, expect, test } from 'vitest';
import { buildCore, LONG_MODE } from '../dump/elf-builder.ts';
import { table } from '../dump/support.ts';
import { dumpOf, FIXTURES, file, linesOf, run } from './support.ts';

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

describe('reverse over several roots', () => {
  /* Two roots: 0x1000 and 0x2000 map the page of 1 GiB at 0 through 0x3000 and 0x4000, at different addresses. */
  const segments = [
    { physical: 0x1000n, content: table({ 0: 0x3007n }) },
    { physical: 0x2000n, content: table({ 0: 0x4007n }) },
    { physical: 0x3000n, content: table({ 1: 0x87n }) },
    { physical: 0x4000n, content: table({ 2: 0x87n }) },
  ];
  const off = { cr0: 0x11n };
  const dump = (name: string, cpus: readonly object[]): string =>
    file(name, buildCore({ segments, cpus: cpus.map((cpu) => ({ ...LONG_MODE, ...cpu })) }));

  test('looks through the root of every CPU, and warns of one that does not page', async () => {
    const path = dump('three-cpus.elf', [{ cr3: 0x1000n }, off, { cr3: 0x2000n }]);
    const { status, stdout, stderr } = await run(['reverse', path, '0x123', '--json']);
    expect(status).toBe(0);
    expect(linesOf(stdout).map((line) => JSON.parse(line).va)).toEqual(['0x40000123', '0x80000123']);
    expect(stderr).toMatch(/^hugewalk: warning: \S*three-cpus\.elf: CPU 1: cr0: .*: not looked through\n$/);
    expect((await run(['reverse', path, '0x123', '--strict'])).status).toBe(2);
  });

  test('--roots looks through all that are found in memory', async () => {
    const path = 'test/fixtures/dumps/d.stripped.vmcore.gz';
    const { status, stdout } = await run(['reverse', path, '0x7010000', '--roots']);
    const titles = linesOf(stdout).filter((line) => line.includes('CR3 '));
    expect([status, titles.length, linesOf(stdout).at(-1)]).toEqual([0, 5, 'mapped by 5 of 5 root tables']);
    expect(titles[0]).toContain('CR3 0x7010000 from VMCOREINFO');
    expect(titles[1]).toContain('CR3 0x1056000 (found by search: process; ');
  });
});

test('read, reverse and diff say who named root and mode, and take the options of the processor', async () => {
  const processor = ['--vendor', 'amd', '--maxphyaddr', '40', '--efer', '0xd01', '--pkru', '0x0', ...CR3];
  const title = expect.stringContaining(', CPU 0, CR3 0x1000 (given), 4 levels');
  const first = async (...args: string[]): Promise<string[]> => linesOf((await run([...args, ...processor])).stdout);
  expect((await first('read', SMALL, '0x0', '8')).slice(0, 2)).toEqual([title, 'assumed: 1 GiB pages known to it']);
  expect((await first('reverse', SMALL, '0x1000')).slice(0, 2)).toEqual([title, 'assumed: 1 GiB pages known to it']);
  expect((await first('diff', SMALL, SMALL)).slice(0, 3)).toEqual([title, title, 'assumed: 1 GiB pages known to it']);
  /* Without NXE, XD is a reserved bit: nothing is mapped there. */
  const withXd = dumpOf('with-xd', { ...TABLES, 16384: (index) => (index === 0 ? 0x1007n | (1n << 63n) : 0n) });
  expect((await run(['read', withXd, '0x0', '8', ...CR3])).status).toBe(0);
  expect((await run(['read', withXd, '0x0', '8', '--efer', '0x500', ...CR3])).status).toBe(1);
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

test('read, reverse and diff take dumps of several files: diff, as many of the one as of the other', async () => {
  const [one, other] = [1, 2].map((part) => `test/fixtures/dumps/d.makedumpfile-d31-split${part}of2.gz`);
  const parts = [one!, other!];
  const whole = 'test/fixtures/dumps/d.makedumpfile-d31-zlib.gz';
  const ranOf = async (...args: string[]) => {
    const { status, stdout } = await run(args);
    return [status, linesOf(stdout).slice(2)];
  };
  const text = ['0xffffffff81000000', '64'];
  expect(await ranOf('read', ...parts, ...text)).toEqual(await ranOf('read', whole, ...text));
  expect(await ranOf('reverse', ...parts, '0x1000000')).toEqual(await ranOf('reverse', whole, '0x1000000'));
  expect(await run(['diff', ...parts, ...parts])).toMatchObject({ status: 0 });
  const { status, stderr } = await run(['diff', ...parts, whole]);
  expect([status, stderr]).toEqual([
    2,
    'hugewalk: diff: expected as many files of the one dump as of the other, got 3 in all\n',
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

/* pwndbg#934: by their own bits these pages may be written and executed; a table above takes a right away. */
test('writable and executable are what all levels allow, not the bits of the leaf', async () => {
  const leaves = async (name: string, pde: bigint, filter: string): Promise<unknown> => {
    const path = dumpOf(name, { ...TABLES, 12288: (index) => (index === 0 ? pde : 0n) });
    const { stdout } = await run(['map', path, '--leaves', '--json', filter, ...CR3]);
    return linesOf(stdout).map((line) => JSON.parse(line).va);
  };
  expect(await leaves('all-rights', 0x4007n, '--writable')).toEqual(['0x0', '0x2000']);
  expect(await leaves('read-only-above', 0x4005n, '--writable')).toEqual([]);
  expect(await leaves('read-only-above', 0x4005n, '--executable')).toEqual(['0x0', '0x2000']);
  expect(await leaves('xd-above', 0x4007n | (1n << 63n), '--executable')).toEqual([]);
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
