/**
 * Dumps that come on standard input: through a pipe, gzipped or not, or as a file.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readFixture } from '../support/files.ts';
import { FIXTURES, file, ROOT, run } from './support.ts';

const gzipped = await readFixture(FIXTURES[4]);
const plain = new Uint8Array(gunzipSync(gzipped));

test.each([
  ['map', '-'],
  ['walk', '-', '0x401000', '--access', 'rwx', '--user'],
  ['reverse', '-', '0x3944123'],
  ['read', '-', '0xffffffff81000000', '16'],
  ['roots', '-'],
  ['diff', '-', FIXTURES[4]],
])('%s %s reads a real dump through a pipe', async (...args) => {
  const expected = await run(args.map((arg) => (arg === '-' ? FIXTURES[4] : arg)));
  expect(expected.stdout).not.toBe('');
  for (const input of args[0] === 'walk' ? [gzipped, plain] : [gzipped]) {
    const { status, stdout, stderr } = await run(args, { input });
    expect([status, stderr.replaceAll('standard input', FIXTURES[4])]).toEqual([expected.status, expected.stderr]);
    const named = stdout
      .replaceAll('standard input', FIXTURES[4])
      .replaceAll('hugewalk map - ', `hugewalk map ${FIXTURES[4]} `);
    expect(named).toBe(expected.stdout);
  }
});

test('a file on standard input is read as if it were named', () => {
  const cli = join(ROOT, 'dist', 'cli.js');
  const { status, stdout } = spawnSync(
    'sh',
    ['-c', `"${process.execPath}" "${cli}" walk - 0x401000 < ${FIXTURES[4]}`],
    { cwd: ROOT, encoding: 'utf8' },
  );
  expect([status, stdout.split(',')[0]]).toEqual([0, 'standard input']);
});

test.each([
  [['map', '-'], new Uint8Array(0), /^hugewalk: standard input: expected .*, found an empty file\n$/],
  [['map', '-'], plain.subarray(0, 40), /^hugewalk: standard input: .*\n$/],
  [['map', '-', '-'], plain, /^hugewalk: -: expected standard input once, got it twice: name a file\n$/],
  [['diff', '-', '-'], plain, /^hugewalk: -: expected standard input once, got it twice: name a file\n$/],
  [['walk', '-', '0x0'], gzipped.subarray(0, 5000), /^hugewalk: standard input: expected a whole gzip stream, .*\n$/],
])('%j on what is no dump ends with status 2 and one line', async (args, input, message) => {
  const { status, stdout, stderr } = await run(args, { input });
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
});

test('memory without a header is read with --format raw', async () => {
  const image = new Uint8Array(0x4000);
  new DataView(image.buffer).setBigUint64(0x1000, 0x2007n, true);
  new DataView(image.buffer).setBigUint64(0x2000, 0x87n, true);
  const args = ['--cr3', '0x1000', '--leaves', '--json'];
  const named = await run(['map', file('piped.raw', image), ...args]);
  const { status, stdout } = await run(['map', '-', '--format', 'raw', ...args], { input: image });
  expect([status, stdout]).toEqual([0, named.stdout]);
  expect(stdout).not.toBe('');
});
