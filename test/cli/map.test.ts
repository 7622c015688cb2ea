import { describe, expect, test } from 'vitest';
import { FIXTURES, type Leaf, linesOf, qemuLeaves, run } from './support.ts';

const LEAVES = { 4: 9910, 5: 10420 } as const;
const KEYS = [
  ...['va', 'pa', 'size', 'present', 'write', 'user', 'execute'],
  ...['accessed', 'dirty', 'global', 'pwt', 'pcd'],
];

const levels = [4, 5] as const;

/** QEMU's listing has the bits of leaves, and no rights over all levels. */
function withoutRights(lines: string): string {
  return lines.replaceAll(/,"rights":\{[^}]*\}\}$/gm, '}');
}

async function linesFrom(...args: string[]): Promise<Leaf[]> {
  const { status, stdout, stderr } = await run(['map', ...args]);
  expect([status, stderr]).toEqual([0, '']);
  return linesOf(withoutRights(stdout)).map((line) => JSON.parse(line) as Leaf);
}

describe.each(levels)('map of a real process with %i levels', (n) => {
  test('--leaves --json gives the leaves that QEMU lists, line by line, and nothing else', async () => {
    const { status, stdout, stderr } = await run(['map', FIXTURES[n], '--leaves', '--json']);
    const expected = await qemuLeaves(n);
    expect([status, stderr, expected.length]).toEqual([0, '', LEAVES[n]]);
    expect(withoutRights(stdout)).toBe(expected.map((leaf) => `${JSON.stringify(leaf)}\n`).join(''));
  });

  test('the rights of a line are those over all levels, as the reference walk has them', async () => {
    const { stdout } = await run(['map', FIXTURES[n], '--leaves', '--json']);
    const some = linesOf(stdout).filter((_, index) => index % 97 === 0);
    const lines = some.map((line) => JSON.parse(line) as { va: string; rights: object });
    const walked = await run(['walk', FIXTURES[n], ...lines.map(({ va }) => va), '--json', '--user']);
    const reached = linesOf(walked.stdout).map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const [index, { va, rights }] of lines.entries()) {
      const { outcome, write, user, execute } = reached[index]!;
      if (outcome === 'page') expect({ write, user, execute }, va).toEqual(rights);
      else expect(rights, va).toMatchObject({ user: false });
    }
    expect(reached.some(({ outcome }) => outcome === 'page')).toBe(true);
  });

  test('--json gives runs which, taken apart, are the leaves', async () => {
    const runs = await linesFrom(FIXTURES[n], '--json');
    expect(runs.length).toBeLessThan(LEAVES[n] / 4);
    const leaves = runs.flatMap(({ bytes, ...leaf }) =>
      Array.from({ length: bytes! / leaf.size }, (_, i) => ({
        ...leaf,
        va: `0x${(BigInt(leaf.va) + BigInt(i * leaf.size)).toString(16)}`,
        pa: `0x${(BigInt(leaf.pa) + BigInt(i * leaf.size)).toString(16)}`,
      })),
    );
    expect(leaves).toEqual(await qemuLeaves(n));
    expect(Object.keys(runs[0]!)).toEqual([...KEYS.slice(0, 3), 'bytes', ...KEYS.slice(3)]);
  });

  test('--json gives runs as long as they can be', async () => {
    const runs = await linesFrom(FIXTURES[n], '--json');
    for (const [i, { va, pa, size, bytes, ...bits }] of runs.slice(1).entries()) {
      const before = runs[i]!;
      const { va: _va, pa: _pa, size: _size, bytes: _bytes, ...bitsBefore } = before;
      const goesOn =
        BigInt(before.va) + BigInt(before.bytes!) === BigInt(va) &&
        BigInt(before.pa) + BigInt(before.bytes!) === BigInt(pa) &&
        before.size === size &&
        JSON.stringify(bits) === JSON.stringify(bitsBefore);
      /* Bits that the line does not tell of, and rights of upper levels, end runs too: none do here. */
      expect(goesOn, va).toBe(false);
      expect(bytes! % size).toBe(0);
    }
  });

  test('--leaves gives a line a leaf for people', async () => {
    const { stdout } = await run(['map', FIXTURES[n], '--leaves']);
    const expected = await qemuLeaves(n);
    const lines = linesOf(stdout);
    expect(lines.map((line) => line.trim().split(/\s+/).slice(0, 2))).toEqual(expected.map(({ va, pa }) => [va, pa]));
    for (const [i, line] of lines.entries()) expect(/ XD\b/.test(line), line).toBe(!expected[i]!.execute);
  });

  test('without options shows file, CR3, levels, totals by page size', async () => {
    const { status, stdout, stderr } = await run(['map', FIXTURES[n]]);
    const expected = await qemuLeaves(n);
    const pages = (size: number): string =>
      expected.filter((leaf) => leaf.size === size).length.toLocaleString('en-US');
    expect([status, stderr]).toEqual([0, '']);
    expect(linesOf(stdout)[0]).toMatch(
      new RegExp(`^${FIXTURES[n]}, CPU 0, CR3 0x55a[0-9a-f]000, ${n} levels, 41\\d page tables$`),
    );
    expect(stdout).toMatch(new RegExp(`^ +4 KiB +${pages(0x1000)} pages`, 'm'));
    expect(stdout).toMatch(new RegExp(`^ +2 MiB +${pages(0x20_0000)} pages`, 'm'));
    expect(stdout).toMatch(new RegExp(`^ +1 GiB +${pages(0x4000_0000)} pages`, 'm'));
    expect(stdout).toMatch(new RegExp(`^ +all +${expected.length.toLocaleString('en-US')} pages`, 'm'));
    expect(stdout).toContain('nothing can be both written and executed');
  });

  test('without options is short and narrow enough to be read, and complete with --all', async () => {
    const short = linesOf((await run(['map', FIXTURES[n]])).stdout);
    const all = linesOf((await run(['map', FIXTURES[n], '--all'])).stdout);
    expect(short.length).toBeLessThan(24 + 2 * 40 + 20);
    expect(all.length).toBeGreaterThan(440);
    for (const line of [...short, ...all]) expect([...line].length, line).toBeLessThanOrEqual(100);
  });
});

describe('map', () => {
  /* On an idle machine three times; both grow with what else it has to do. */
  test('lists the leaves of 4 levels in less than eight times what Node takes to start', async () => {
    const least = async (ran: () => ReturnType<typeof run>): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 5; i++) times.push((await ran()).milliseconds);
      return Math.min(...times);
    };
    const node = await least(() => run([], { node: ['-e', '0'] }));
    const listing = await least(() => run(['map', FIXTURES[4], '--leaves', '--json']));
    expect(listing / node).toBeLessThan(8);
  });

  test('--from and --to are inclusive and take in the leaves they lie in', async () => {
    const all = await qemuLeaves(4);
    const within = (from: bigint, to: bigint): Leaf[] =>
      all.filter(({ va, size }) => BigInt(va) <= to && BigInt(va) + BigInt(size) > from);
    for (const [from, to] of [
      [0x40_0fffn, 0x40_2000n],
      [0x40_0fffn, 0x40_1fffn],
      [0x5000_0000_1234n, 0x6000_0000_0000n],
      [0x7fff_ffff_f000n, 0xffff_8888_0000_0000n],
    ] as const) {
      const listed = await linesFrom(FIXTURES[4], '--leaves', '--json', '--from', hexOf(from), '--to', hexOf(to));
      expect(listed).toEqual(within(from, to));
      expect(listed.length).toBeGreaterThan(1);
    }
    const upper = await linesFrom(FIXTURES[4], '--leaves', '--json', '--from', 'ffff800000000000');
    expect(upper).toEqual(within(0xffff_8000_0000_0000n, (1n << 64n) - 1n));
  });

  test('--cr3 takes another root table', async () => {
    /* The page-directory-pointer table of the first entry, taken for a PML4, maps what it maps 512 times as far up. */
    const { stdout } = await run(['walk', FIXTURES[4], '0x401000', '--json']);
    const { steps } = JSON.parse(stdout) as { steps: { table: string }[] };
    const { status, stdout: shown } = await run(['map', FIXTURES[4], '--cr3', steps[1]!.table]);
    expect(status).toBe(0);
    expect(shown).toContain(`CR3 ${steps[1]!.table} (given)`);
  });

  test('ends quietly with status 0 when nobody reads on', async () => {
    const { status, stderr, stdout } = await run(['map', FIXTURES[4], '--leaves', '--json'], { hangUp: true });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.length).toBeLessThan(1_000_000);
  });

  test('has colours only when asked for or on a terminal', async () => {
    const colour = '\u001b[';
    const coloured = async (args: string[], env: Record<string, string> = {}): Promise<boolean> =>
      (await run(['map', FIXTURES[4], ...args], { env })).stdout.includes(colour);
    expect(await coloured([])).toBe(false);
    expect(await coloured([], { CI: 'true', FORCE_COLOR: '1' })).toBe(false);
    expect(await coloured(['--color'])).toBe(true);
    expect(await coloured(['--color'], { NO_COLOR: '1' })).toBe(true);
    expect(await coloured(['--no-color'])).toBe(false);
    expect(await coloured(['--leaves', '--json', '--color'])).toBe(false);
  });

  test('says the same with colours and without', async () => {
    const [plain, coloured] = await Promise.all([run(['map', FIXTURES[4]]), run(['map', FIXTURES[4], '--color'])]);
    const escapes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
    expect(coloured.stdout.replace(escapes, '')).toBe(plain.stdout);
  });
});

function hexOf(value: bigint): string {
  return `0x${value.toString(16)}`;
}
