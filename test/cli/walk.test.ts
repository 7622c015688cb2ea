import { describe, expect, test } from 'vitest';
import { dumpOf, FIXTURES, linesOf, qemuLeaves, run } from './support.ts';

interface Walk {
  readonly va: string;
  readonly access: string;
  readonly outcome: string;
  readonly pa?: string;
  readonly size?: number;
  readonly errorCode?: number;
  readonly level?: number;
  readonly table?: string;
  readonly steps: readonly {
    readonly level: number;
    readonly table: string;
    readonly index: number;
    readonly address: string;
    readonly entry: string;
    readonly fields: readonly string[];
  }[];
  readonly words: string;
}

/** The keys of root and mode, and of what was assumed of them. */
const MODE = ['cr3', 'levels', 'root', 'assumed', 'warnings'];

async function walks(...args: string[]): Promise<Walk[]> {
  const { status, stdout, stderr } = await run(['walk', ...args, '--json']);
  expect([status, stderr]).toEqual([0, '']);
  return linesOf(stdout).map((line) => JSON.parse(line) as Walk);
}

describe.each([4, 5] as const)('walk of a real process with %i levels', (n) => {
  test('reaches the pages that QEMU lists, of all sizes', async () => {
    const leaves = (await qemuLeaves(n)).filter(({ user }, i) => user && i % 7 === 0);
    expect(new Set(leaves.map(({ size }) => size)).size).toBeGreaterThan(1);
    const found = await walks(FIXTURES[n], ...leaves.map(({ va }) => va), '--user');
    expect(found.map(({ va, pa, size }) => ({ va, pa, size }))).toEqual(
      leaves.map(({ va, pa, size }) => ({ va, pa, size })),
    );
    for (const { outcome, steps, size } of found) {
      expect(outcome).toBe('page');
      expect(steps.length).toBe(n - (size === 0x1000 ? 0 : size === 0x20_0000 ? 1 : 2));
    }
  });
});

describe('walk', () => {
  test('--json has its keys in order', async () => {
    const [page, fault] = await walks(FIXTURES[4], '0x401234', '--user', '--access', 'rw');
    expect(Object.keys(page!)).toEqual([
      'va',
      'access',
      'outcome',
      'pa',
      'size',
      'write',
      'user',
      'execute',
      'steps',
      'words',
      ...MODE,
    ]);
    expect(Object.keys(fault!)).toEqual([
      ...['va', 'access', 'outcome', 'errorCode', 'level', 'table', 'steps', 'words'],
      ...MODE,
    ]);
    expect(Object.keys(page!.steps[0]!)).toEqual([
      'level',
      'name',
      'table',
      'index',
      'address',
      'entry',
      'fields',
      'words',
    ]);
    expect(page).toMatchObject({ va: '0x401234', access: 'user read', outcome: 'page', pa: '0x3945234', size: 4096 });
    expect(fault).toMatchObject({ access: 'user write', outcome: 'page-fault', errorCode: 7, level: 1 });
    expect(fault!.table).toBe(page!.steps[3]!.table);
  });

  test('--access walks each of its letters, in their order, each once', async () => {
    const accesses = (await walks(FIXTURES[4], '0x401000', '--access', 'xrwx')).map(({ access }) => access);
    expect(accesses).toEqual(['supervisor fetch', 'supervisor read', 'supervisor write']);
  });

  test('explains in aligned lines: entries, rights, and what becomes of each access', async () => {
    const { status, stdout, stderr } = await run(['walk', FIXTURES[4], '0x300000200000', '--user', '--access', 'wx']);
    expect([status, stderr]).toEqual([0, '']);
    const [title, assumed, , va, ...lines] = linesOf(stdout);
    expect(title).toBe(`${FIXTURES[4]}, CPU 0, CR3 0x55ae000, 4 levels`);
    expect(assumed).toBe(
      "assumed: EFER.NXE=1, PKRU=0x0, MAXPHYADDR 52, a processor as Intel's, 1 GiB pages known to it",
    );
    expect(va).toBe('0x300000200000');
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['PML4E 0x60', 'at 0x55ae300', '=', '0x58d6067', 'P W U A', 'rwx user', expect.stringContaining('points to')],
      ['PDPTE 0x0', 'at 0x58d6000', '=', '0x58d7067', 'P W U A', 'rwx user', 'points to the page directory'],
      [
        'PDE 0x1',
        'at 0x58d7008',
        '=',
        '0x8000000008a008e7',
        'P W U A D XD PS',
        'rw- user',
        'maps a 2 MiB page; takes away fetch',
      ],
      ['user write: 0x8a00000 in a 2 MiB page, user, writable, no-execute, WB'],
      ['user fetch: #PF, error code 0x15 (P U I): a fetch from an execute-disabled address (XD is 1 in the PDE)'],
      ['warning: XD is set in the PDE, and EFER is not known: with NXE=0 every access would fault (--efer 0x500)'],
    ]);
    expect(new Set(lines.slice(0, 3).map((line) => line.indexOf('='))).size).toBe(1);
  });

  test('calls kernel text read-only: without CR4.CET there are no shadow stacks', async () => {
    const [text] = await walks(FIXTURES[4], '0xffffffff81000000');
    expect(text!.words).toBe('0x1000000 in a 2 MiB page, supervisor, read-only, executable, WB');
  });

  test('ends with status 0 for every outcome: faults are answers', async () => {
    const dump = dumpOf('outcomes.elf', {
      4096: (i) => (i === 0 ? 0x9000n : i === 1 ? 0x9007n : i === 2 ? 0x87n : 0n),
    });
    const found = await walks(dump, '0x0', '0x8000000000', '0x10000000000', '0x800000000000');
    expect(found.map(({ outcome }) => outcome)).toEqual(['page-fault', 'missing-table', 'page-fault', 'non-canonical']);
    expect(found[0]).toMatchObject({ errorCode: 0, level: 4, table: '0x1000' });
    expect(found[1]).toMatchObject({ level: 3, table: '0x9000' });
    expect(found[2]).toMatchObject({ errorCode: 9, level: 4 });
    expect(found[3]!.steps).toEqual([]);
  });

  test('takes addresses as kernels print them', async () => {
    const forms = ['0xffffffff81000000', '0xFFFF_ffff_8100_0000', 'ffffffff81000000', '0XFFFFFFFF81000000'];
    const found = await walks(FIXTURES[4], ...forms);
    expect(found.map(({ va, pa }) => [va, pa])).toEqual(forms.map(() => ['0xffffffff81000000', '0x1000000']));
  });

  test('--cr4 decides what is forbidden', async () => {
    const [smap] = await walks(FIXTURES[4], '0x401000');
    const [without] = await walks(FIXTURES[4], '0x401000', '--cr4', '0x20');
    expect([smap!.outcome, without!.outcome]).toEqual(['page-fault', 'page']);
  });
});
