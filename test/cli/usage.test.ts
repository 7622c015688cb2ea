import { describe, expect, test } from 'vitest';
import { THOROUGH } from '../support/thorough.ts';
import { dumpOf, FIXTURES, file, linesOf, ROOT, run } from './support.ts';

const DUMP = FIXTURES[4];
const map = (...args: string[]): string[] => ['map', DUMP, ...args];
const walk = (...args: string[]): string[] => ['walk', DUMP, ...args];

describe('bad input ends with status 2 and one line that says what is wrong', () => {
  test.each([
    ['an option that does not exist', map('--bogus'), ['--bogus']],
    ['an option that is misspelt', map('--leave'), ['--leave', '--leaves']],
    ['a command that does not exist', ['mop'], ['mop', 'map']],
    ['no file', ['map'], ['DUMP']],
    ['a second file that does not exist', map('another'), ['another', 'ENOENT']],
    ['two files of a dump that has one', map(DUMP), [DUMP, 'one file of format elf-core']],
    ['no address', ['walk', DUMP], ['VA']],
    ['a file that does not exist', ['map', 'no-such.elf'], ['no-such.elf', 'ENOENT']],
    ['a directory', ['map', 'test'], ['test', 'directory']],
    ['a device', ['map', '/dev/null'], ['/dev/null', 'device']],
    ['a file of another format', ['map', 'README.md'], ['README.md', 'ELF64', '23 20 68']],
    ['a register that is no number', map('--cr3', 'zz'), ['--cr3', '"zz"', '0x']],
    ['a register without its value', map('--cr3'), ['--cr3']],
    ['a register that may be meant in decimal', map('--cr3', '89841664'), ['--cr3', '89841664', '0x89841664']],
    ['a register of more than 64 bits', map('--cr4', '0x10000000000000000'), ['--cr4', '0xffffffffffffffff']],
    ['a CR3 with reserved bits', map('--cr3', '0xfff0000000000000'), ['--cr3', '0xfff0000000000000']],
    ['a CR3 where there is no memory', map('--cr3', '0x7000'), [DUMP, '0x7000']],
    ['a CR4 without PAE', map('--cr4', '0x0'), ['--cr4', 'PAE', '0x0']],
    ['a CPU that the dump does not have', map('--cpu', '7'), ['--cpu', 'got 7']],
    ['a CPU that is no number', map('--cpu', 'x'), ['--cpu', '"x"']],
    ['a range from no canonical address', map('--from', '0x800000000000'), ['--from', '0x800000000000', 'canonical']],
    ['a range to no canonical address', map('--to', '0x800000000000'), ['--to', '0x800000000000', 'canonical']],
    ['a range that ends before it begins', map('--from', '0x2000', '--to', '0x1000'), ['--from', '0x2000', '0x1000']],
    ['an address that is no number', walk('0x401000', 'main'), ['VA', '"main"']],
    ['an address of more than 64 bits', walk('0x11112222333344445'), ['VA', '0x11112222333344445']],
    ['an access that does not exist', walk('0x401000', '--access', 'rq'), ['--access', '"rq"']],
    ['an access without a letter', walk('0x401000', '--access', ''), ['--access', '""']],
  ])('%s', async (_, args, parts) => {
    const { status, stdout, stderr } = await run(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^hugewalk: .*\n$/);
    for (const part of parts) expect(stderr).toContain(part);
  });

  test('also where a name would break the line', async () => {
    const { status, stderr } = await run(['map', 'no\nsuch\u001b[31m.elf']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^hugewalk: no\\u000asuch\\u001b\[31m\.elf: .*\n$/);
  });

  test('and a truncated dump', async () => {
    const path = file(
      'cut.elf',
      (await import('node:fs')).readFileSync(dumpOf('whole.elf', { 4096: () => 0n })).subarray(0, 5000),
    );
    const { status, stdout, stderr } = await run(['map', path, '--strict']);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^hugewalk: .*cut\.elf: .*0x[0-9a-f]+.*\n$/);
  });
});

test('the example is a dump that comes with the package: --example of map, example: in the place of any dump', async () => {
  const [example, named, itself] = await Promise.all([
    run(['map', '--example', '--json']),
    run(['map', 'example:', '--json']),
    run(map('--json')),
  ]);
  expect(named.stdout).toBe(example.stdout);
  expect([example.status, example.stdout, example.stderr]).toEqual([0, itself.stdout, '']);
  expect((await run(['walk', 'example:', '0x401000'])).stdout).toMatch(/^the example, CPU 0, CR3 0x55ae000/);
});

describe('help', () => {
  test('is printed when asked for, and when nothing is', async () => {
    const [asked, alone, short] = await Promise.all([run(['--help']), run([]), run(['-h'])]);
    expect(asked.status).toBe(0);
    expect(asked.stdout).toContain('Exit status:');
    expect(alone).toMatchObject({ status: 0, stdout: asked.stdout, stderr: '' });
    expect(short.stdout).toBe(asked.stdout);
  });

  test('has examples that work', THOROUGH, async () => {
    const { stdout } = await run(['--help']);
    const examples = linesOf(stdout).filter((line) => /^ {2}hugewalk /.test(line));
    expect(examples.length).toBeGreaterThan(3);
    for (const example of examples) {
      const { status, stdout, stderr } = await run(example.trim().split(' ').slice(1));
      expect([example, status, stderr]).toEqual([example, 0, '']);
      expect(stdout).not.toBe('');
    }
  });

  test.each(['map', 'walk'])('of %s explains what it prints', async (command) => {
    const { status, stdout } = await run([command, '--help']);
    expect(status).toBe(0);
    for (const part of command === 'map' ? ['░ 4 KiB', '--leaves', '"va"'] : ['RSVD', '--access']) {
      expect(stdout).toContain(part);
    }
    for (const line of linesOf(stdout)) expect([...line].length, line).toBeLessThanOrEqual(100);
  });

  test('--version is that of the package', async () => {
    const { version } = JSON.parse((await import('node:fs')).readFileSync(`${ROOT}/package.json`, 'utf8')) as {
      version: string;
    };
    expect(await run(['--version'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  });
});
