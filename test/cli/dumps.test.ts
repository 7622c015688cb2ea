/**
 * How the command is told what a dump is, and how it tells what a dump lacks.
 */
import { describe, expect, test } from 'vitest';
import { buildCore, concat, LONG_MODE } from '../dump/elf-builder.ts';
import { buildVmwareState, regionTags } from '../dump/image-builders.ts';
import { table } from '../dump/support.ts';
import { file, linesOf, run } from './support.ts';

const TABLES = concat([table(), table({ 0: 0x2007n }), table({ 0: 0x3007n }), table({ 0: 0x87n })]);
const CR3 = ['--cr3', '0x1000'];

describe('a dump that lacks something', () => {
  const core = buildCore({
    cpus: [{ ...LONG_MODE, cr3: 0x1000n }],
    segments: [
      { physical: 0n, content: TABLES },
      { physical: 0x10_0000n, content: new Uint8Array(8192) },
    ],
  });
  const cut = file('cut-short.elf', core.subarray(0, core.length - 4096));

  test('is used, with a line on standard error for each thing', async () => {
    const { status, stdout, stderr } = await run(['map', cut, '--leaves', '--json']);
    expect([status, linesOf(stdout).length]).toEqual([0, 1]);
    expect(stderr).toMatch(
      /^hugewalk: warning: \S*cut-short\.elf: program header 0x2: expected 0x2000 bytes at .* \(truncated\?\)\n$/,
    );
  });

  test('is refused with --strict', async () => {
    for (const args of [
      ['map', cut],
      ['walk', cut, '0x1000'],
    ]) {
      const { status, stdout, stderr } = await run([...args, '--strict']);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^hugewalk: \S*cut-short\.elf: program header 0x2: .* \(an error because of strict\)\n$/);
    }
  });

  test('of which the first CPU does not page shows the other, and is refused with --strict', async () => {
    const cpus = [{ cr0: 0x11n }, { ...LONG_MODE, cr3: 0x1000n }];
    const path = file('two-cpus.elf', buildCore({ cpus, segments: [{ physical: 0n, content: TABLES }] }));
    const { status, stdout, stderr } = await run(['map', path]);
    expect([status, linesOf(stdout)[0]]).toEqual([0, expect.stringContaining(', CPU 1 of 2, CR3 0x1000, 4 levels')]);
    expect(stderr).toMatch(/^hugewalk: warning: \S*two-cpus\.elf: CPU 0: cr0: .*: other registers are used\n$/);
    expect((await run(['map', path, '--strict'])).status).toBe(2);
  });
});

describe('a raw image', () => {
  test('is one by its name or by --format, and is called so', async () => {
    for (const [name, options] of [
      ['memory.raw', []],
      ['memory', ['--format', 'raw']],
    ] as const) {
      const { status, stdout, stderr } = await run(['map', file(name, TABLES), ...CR3, ...options]);
      expect([status, stderr]).toEqual([0, '']);
      expect(linesOf(stdout)[0]).toMatch(
        /memory(\.raw)? \(raw\), CR3 0x1000 \(given\), 4 levels \(assumed: its tables fit 5, too\)/,
      );
    }
  });

  test('has what --ranges says', async () => {
    const path = file('ram', concat([TABLES.subarray(4096), TABLES.subarray(0, 4096)]));
    for (const ranges of ['0x1000-0x3fff,0x0-0xfff', '0-0xfff@0x3000,0x1000-0x3fff@0']) {
      const { status, stdout, stderr } = await run(['walk', path, '0x1234', ...CR3, '--ranges', ranges, '--strict']);
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).toContain('0x1234');
    }
  });

  test.each([
    [
      ['--ranges', '0x1000'],
      ['--ranges', 'START-END', '"0x1000"'],
    ],
    [
      ['--ranges', '0x2000-0x1000'],
      ['--ranges', '0x2000', '0x1000'],
    ],
    [
      ['--ranges', '0x0-0xfffffffffffffff'],
      ['--ranges', '0x10000000000000'],
    ],
    [
      ['--ranges', '0x0-0xfff,'],
      ['--ranges', '""'],
    ],
    [
      ['--format', 'zip'],
      ['--format', 'elf-core', '"zip"'],
    ],
    [
      ['--format', 'lime', '--ranges', '0x0-0xfff'],
      ['--ranges', 'raw', 'lime'],
    ],
    [['--format', 'lime'], ['EMiL']],
  ])('with %j ends with status 2 and one line', async (options, parts) => {
    const { status, stdout, stderr } = await run(['map', file('memory.raw', TABLES), ...CR3, ...options]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^hugewalk: .*\n$/);
    for (const part of parts) expect(stderr).toContain(part);
  });
});

test('a dump of several files is named by all of them, before the addresses', async () => {
  const files = [file('vm.vmem', TABLES), file('vm.vmss', buildVmwareState(regionTags([[0, 0, 4]])))];
  const mapped = await run(['map', ...files, ...CR3]);
  expect([mapped.status, mapped.stderr]).toEqual([0, '']);
  expect(mapped.stdout).toContain('vm.vmem (vmware), CR3 0x1000 (given)');
  const walked = await run(['walk', ...files, '0x1234', '0x5678', ...CR3]);
  expect([walked.status, walked.stderr]).toEqual([0, '']);
  expect(walked.stdout).toContain('0x5678');
});
