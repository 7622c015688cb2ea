/**
 * `hugewalk roots`.
 */
import { describe, expect, test } from 'vitest';
import { dumpOf, linesOf, run } from './support.ts';

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
