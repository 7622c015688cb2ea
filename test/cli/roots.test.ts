/**
 * `hugewalk roots`; who names root and mode, and what is assumed where nobody does; the processor's options.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { dumpOf, file, linesOf, ROOT, run } from './support.ts';

const FIVE = 'test/fixtures/dumps/b.makedumpfile.elf.gz';
const VMCORE = 'test/fixtures/dumps/d.stripped.vmcore.gz';

interface Root {
  readonly root: string;
  readonly levels: number;
  readonly kind: string;
  readonly command: string;
}

async function roots(path: string): Promise<Root[]> {
  const { status, stdout, stderr } = await run(['roots', path, '--json']);
  expect([status, stderr]).toEqual([0, '']);
  return linesOf(stdout).map((line) => JSON.parse(line) as Root);
}

/** What is printed when a command's line is run. */
async function runLine(command: string, ...more: string[]): Promise<string> {
  const { status, stdout, stderr } = await run([...command.split(' ').slice(1), ...more]);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

describe('roots', () => {
  test('--json has a line a root, each with the command that walks it', async () => {
    const found = await roots(VMCORE);
    expect(found.length).toBe(5);
    for (const { root, levels, command } of found) {
      expect(command).toBe(`hugewalk map ${VMCORE} --cr3 ${root} --cr4 0x20`);
      expect(await runLine(command)).toContain(`CR3 ${root} (given), ${levels} levels`);
    }
  });

  test('for people is a table and the commands', async () => {
    const { status, stdout, stderr } = await run(['roots', VMCORE]);
    expect([status, stderr]).toEqual([0, '']);
    const lines = linesOf(stdout);
    expect(lines[0]).toBe(`${VMCORE}: 5 root tables`);
    expect(lines[2]).toMatch(/^ +root +levels +of +lower +upper +evidence$/);
    expect(lines[3]).toMatch(
      /^ +0x7010000 +4 +kernel +0 +69 +init_top_pgt by VMCOREINFO; 69 of 69 upper entries shared with 4 more; maps itself at 0xffff8d8a07010000$/,
    );
    expect(stdout).toContain(`\n  hugewalk map ${VMCORE} --cr3 0x7010000 --cr4 0x20\n`);
  });

  test('of memory without any says so', async () => {
    const { status, stdout } = await run(['roots', dumpOf('no-roots.elf', { 20480: () => 0n })]);
    expect([status, stdout.split('\n')[2]]).toEqual([0, 'no frame has tables below it as a root has']);
  });
});

describe('where the root and the mode are from', () => {
  test('is said in the first line, and what was assumed in the second', async () => {
    const { stdout } = await run(['map', VMCORE]);
    const [title, assumed] = linesOf(stdout);
    expect(title).toMatch(`${VMCORE}, CR3 0x7010000 from VMCOREINFO, 4 levels (by VMCOREINFO's pgtable_l5_enabled), `);
    expect(assumed).toMatch(/^assumed: .*EFER\.NXE=1/);
  });

  test('is said on stderr with --json, which has no place for it', async () => {
    const { stdout, stderr } = await run(['map', VMCORE, '--json']);
    expect(stderr).toMatch(/^hugewalk: .*CR3 0x7010000 from VMCOREINFO, 4 levels .*assumed: .*EFER\.NXE=1.*\n$/);
    expect(linesOf(stdout).every((line) => line.startsWith('{"va":"'))).toBe(true);
  });

  test('a 5-level vmcore without a QEMU note has five levels (volatility3#1991)', async () => {
    const bytes = Buffer.from(gunzipSync(readFileSync(join(ROOT, FIVE))));
    for (let at = bytes.indexOf('QEMU\0'); at >= 0; at = bytes.indexOf('QEMU\0', at)) bytes.write('NONE', at);
    const { stdout } = await run(['walk', file('no-note.elf', bytes), '0xffffffff9d010000', '--json']);
    const walk = JSON.parse(stdout) as { steps: unknown[]; levels: number; root: string; pa: string };
    expect([walk.levels, walk.root, walk.pa]).toEqual([5, 'from VMCOREINFO', '0x14b410000']);
    expect(walk.steps.length).toBeGreaterThan(3);
  });
});

/** One page at 0x1000 behind PML4, PDPT, PD, PT at 0x1000 to 0x4000, with some bits more. */
function onePage(name: string, more: { pml4e?: bigint; pte?: bigint }): string {
  const entry = (index: number, value: bigint) => (i: number) => (i === index ? value : 0n);
  return dumpOf(name, {
    4096: entry(0, 0x2003n | (more.pml4e ?? 0n)),
    8192: entry(0, 0x3003n),
    12288: entry(0, 0x4003n),
    16384: entry(1, 0x9003n | (more.pte ?? 0n)),
  });
}

interface Walk {
  readonly outcome: string;
  readonly errorCode?: number;
  readonly warnings: readonly string[];
  readonly assumed: readonly string[];
}

async function walk(path: string, ...options: string[]): Promise<Walk> {
  const { stdout, stderr } = await run(['walk', path, '0x1000', '--json', ...options]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Walk;
}

describe('what nobody tells is assumed, and warned of where it decides', () => {
  /* P and RSVD in the error code: SDM vol. 3A, 4.7. */
  const RESERVED = { outcome: 'page-fault', errorCode: 9, warnings: [] };

  test('XD in a PTE and EFER.NXE (zephyr#19758)', async () => {
    const path = onePage('xd.elf', { pte: 1n << 63n });
    const assumed = await walk(path);
    expect(assumed).toMatchObject({
      outcome: 'page',
      warnings: [/XD is set in the PTE.*--efer 0x500/].map((r) => expect.stringMatching(r)),
    });
    expect(assumed.assumed).toContain('EFER.NXE=1');
    expect(await walk(path, '--efer', '0x500')).toMatchObject(RESERVED);
    expect(await walk(path, '--efer', '0xd00')).toMatchObject({ outcome: 'page', warnings: [] });
  });

  test('an address bit at MAXPHYADDR or above (svsm#391)', async () => {
    const path = onePage('far.elf', { pte: 1n << 45n });
    expect(await walk(path)).toMatchObject({
      outcome: 'page',
      warnings: [expect.stringMatching(/bit 45 .*--maxphyaddr/)],
    });
    expect(await walk(path, '--maxphyaddr', '45')).toMatchObject(RESERVED);
    expect(await walk(path, '--maxphyaddr', '46')).toMatchObject({ outcome: 'page', warnings: [] });
  });

  test('G in a PML4E, which AMD reserves (lk#298)', async () => {
    const path = onePage('g.elf', { pml4e: 1n << 8n });
    expect(await walk(path)).toMatchObject({
      outcome: 'page',
      warnings: [expect.stringMatching(/bit 8 .*PML4E.*--vendor amd/)],
    });
    expect(await walk(path, '--vendor', 'amd')).toMatchObject(RESERVED);
    expect(await walk(path, '--vendor', 'intel')).toMatchObject({ outcome: 'page', warnings: [] });
  });

  test('nothing else is warned of', async () => {
    expect((await walk(onePage('plain.elf', {}))).warnings).toEqual([]);
  });

  test('a warning is a line below the walk', async () => {
    const { stdout } = await run(['walk', onePage('xd.elf', { pte: 1n << 63n }), '0x1000']);
    expect(linesOf(stdout).at(-1)).toMatch(/^ {2}warning: XD is set in the PTE, and EFER is not known/);
  });
});

describe('the processor’s options', () => {
  test('--c-bit is no part of an address (x86_64#542)', async () => {
    const path = onePage('c-bit.elf', { pte: 1n << 47n });
    expect(await walk(path, '--c-bit', '47')).toMatchObject({ outcome: 'page', pa: '0x9000', warnings: [] });
  });

  test('--cr3 may have LAM bits (deepin kernel#539)', async () => {
    expect(await walk(onePage('plain.elf', {}), '--cr3', '0x6000000000001000')).toMatchObject({
      outcome: 'page',
      cr3: '0x1000',
    });
  });

  test('--cpl 3 is user mode, --cr0 without WP lets the supervisor write, --la57 has five levels', async () => {
    const path = onePage('plain.elf', {});
    expect(await walk(path, '--cpl', '3')).toMatchObject({ outcome: 'page-fault', errorCode: 5 });
    expect(await walk(path, '--cpl', '0')).toMatchObject({ outcome: 'page' });
    expect(await walk(path, '--la57')).toMatchObject({ levels: 5 });
    const readOnly = dumpOf('read-only.elf', { 4096: (i) => (i ? 0n : 0x2001n), 8192: (i) => (i ? 0n : 0x81n) });
    expect(await walk(readOnly, '--access', 'w')).toMatchObject({ outcome: 'page-fault', errorCode: 3 });
    expect(await walk(readOnly, '--access', 'w', '--cr0', '0x80000001')).toMatchObject({ outcome: 'page' });
    expect(await walk(readOnly, '--no-1g')).toMatchObject({ outcome: 'page-fault', errorCode: 9 });
  });

  test('--pkru denies by protection keys, with CR4.PKE', async () => {
    const user = 7n | (1n << 59n);
    const path = dumpOf('key.elf', { 4096: (i) => (i ? 0n : 0x2007n), 8192: (i) => (i ? 0n : user | 0x80n) });
    const pke = ['--cr4', '0x400020'];
    expect(await walk(path, ...pke, '--pkru', '0x4')).toMatchObject({ outcome: 'page-fault', errorCode: 0x21 });
    expect(await walk(path, ...pke, '--pkru', '0x0')).toMatchObject({ outcome: 'page' });
  });

  test.each([
    ['--maxphyaddr', '53'],
    ['--maxphyaddr', '0x28'],
    ['--c-bit', '31'],
    ['--cpl', '4'],
    ['--vendor', 'via'],
    ['--pkru', '0x100000000'],
    ['--efer', '0x0'],
    ['--cr0', '0x0'],
  ])('%s %s is one clear line', async (option, value) => {
    const { status, stdout, stderr } = await run(['walk', onePage('plain.elf', {}), '0x1000', option, value]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^hugewalk: .+\n$/);
    expect(stderr).toContain(option.slice(2));
  });
});
