/**
 * The examples as programs: what they print, and what they say of wrong options.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { readFixture } from '../support/files.ts';

const PROGRAMS = {
  'one-page': () => import('../../examples/one-page.ts'),
  'post-copy': () => import('../../examples/post-copy/main.ts'),
  'memory-errors': () => import('../../examples/memory-errors/main.ts'),
};
type Program = keyof typeof PROGRAMS;

const { argv } = process;
afterEach(() => {
  process.argv = argv;
  process.exitCode = undefined;
  vi.restoreAllMocks();
  vi.resetModules();
});

/** Runs a program here; one that ends badly has a status, and what it printed went to stderr. */
async function run(name: Program, ...args: string[]): Promise<{ out: string; err: string; status: number }> {
  const printed: Record<'log' | 'error', string[]> = { log: [], error: [] };
  for (const kind of ['log', 'error'] as const) {
    vi.spyOn(console, kind).mockImplementation((...words) => void printed[kind].push(words.join(' ')));
  }
  process.argv = ['node', name, ...args];
  await PROGRAMS[name]();
  return { out: printed.log.join('\n'), err: printed.error.join('\n'), status: Number(process.exitCode ?? 0) };
}

/** What the documentation shows as the output of a program. */
async function shown(name: Program): Promise<string | undefined> {
  const text = new TextDecoder().decode(await readFixture('docs/hgm.md'));
  return new RegExp(`^\\$ npm run --silent example:${name}\\n(.*?)\\n\`\`\`$`, 'ms').exec(text)?.[1];
}

test('one page, three ways: the same frames, and as many leaves as were mapped', async () => {
  const { out } = await run('one-page');
  expect(out).toMatch(/one leaf of 1 GiB +262,144 pages +leaves visited: +1 /);
  expect(out).toMatch(/leaves of 2 MiB +262,144 pages +leaves visited: +512 /);
  expect(out).toMatch(/of 2 MiB and 4 KiB +262,144 pages +leaves visited: +65,920 /);
  expect(new Set(out.match(/frames .*/g)).size).toBe(1);
  expect(out).toBe(await shown('one-page'));
});

test('post-copy prints a table and a histogram', async () => {
  const { out, err, status } = await run('post-copy', '--guest-size', '16MiB', '--vcpus', '4');
  expect({ err, status }).toEqual({ err: '', status: 0 });
  expect(out).toMatch(/^a fault waits: median +\d.* µs +\d.* ms +\d.* ms$/m);
  expect(out).toMatch(/^4 KiB pages that differ +0 +0 +0$/m);
  expect(out).toMatch(/^50 µs - 100 µs +█{15,20}/m);
});

test('memory-errors prints a row for each error', async () => {
  const { out, err, status } = await run('memory-errors');
  expect({ err, status }).toEqual({ err: '', status: 0 });
  for (let error = 1; error <= 8; error++)
    expect(out).toMatch(new RegExp(`^${error} .* ${4 * error} KiB .* \\d GiB `, 'm'));
  expect(out).toBe(await shown('memory-errors'));
});

describe('wrong options end with status 2 and one line', () => {
  test.each<[Program, string[], string]>([
    ['post-copy', ['--vcpus', '0'], 'post-copy: --vcpus: expected a whole number from 1 to 256, got "0"'],
    ['post-copy', ['--vcpus', '1.5'], 'post-copy: --vcpus: expected a whole number from 1 to 256, got "1.5"'],
    ['post-copy', ['--bandwidth', 'fast'], 'post-copy: --bandwidth: expected a number from 0.1 to 1000, got "fast"'],
    ['post-copy', ['--latency', '1e9'], 'post-copy: --latency: expected a number from 0 to 100000, got "1e9"'],
    ['post-copy', ['--seed', ''], 'post-copy: --seed: expected a whole number from 0 to 4294967295, got ""'],
    [
      'post-copy',
      ['--guest-size', '3MiB'],
      'post-copy: --guest-size: expected bytes from 2MiB to 8GiB, a multiple of 2MiB, got "3MiB"',
    ],
    [
      'memory-errors',
      ['--guest-size', '1536MiB'],
      'memory-errors: --guest-size: expected bytes from 1GiB to 16GiB, a multiple of 1GiB, got "1536MiB"',
    ],
    [
      'memory-errors',
      ['--errors', '1001'],
      'memory-errors: --errors: expected a whole number from 1 to 1000, got "1001"',
    ],
    ['post-copy', ['--vcpu', '4'], "post-copy: Unknown option '--vcpu'"],
    ['post-copy', ['4'], expect.stringMatching(/^post-copy: Unexpected argument '4'[^\n]*$/)],
  ])('%s %j', async (name, args, line) => {
    expect(await run(name, ...args)).toEqual({ out: '', err: line, status: 2 });
  });
});

test('--help names every option with its default', async () => {
  const { out, status } = await run('post-copy', '--help');
  expect(status).toBe(0);
  for (const option of ['--guest-size', '--bandwidth', '--latency', '--vcpus', '--seed']) {
    expect(out).toMatch(new RegExp(`^  ${option} .*\\(default .*\\)$`, 'm'));
  }
});
