/**
 * `hugewalk replay --run` and `--write`.
 */
import { chmodSync, lstatSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { replaceFile } from '../../src/cli/replay-write.ts';
import { file, linesOf, type Ran, ROOT, run } from './support.ts';

const replay = (...args: string[]): Promise<Ran> => run(['replay', ...args]);
const textOf = (path: string): string => readFileSync(path, 'utf8');

/** The scenario of docs/replay.md that has no results yet, and what is said to be printed of it. */
const documentation = textOf(`${ROOT}/docs/replay.md`);
const FRESH = /^```json\n(\{"seq":1,"pool":2\}\n.*?)^```$/ms.exec(documentation)![1]!;
const SHOWN = /^```text\n(new\.jsonl:1: sequence.*?)^```$/ms.exec(documentation)![1]!;
const WRONG = FRESH.replace('"value":7}', '"value":7,"result":"SIGBUS"}');

describe('replay --run', () => {
  test('prints a line an operation, with its result and what it changed: as docs/replay.md shows', async () => {
    const path = file('new.jsonl', FRESH);
    const { status, stdout, stderr } = await replay(path, '--run');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.replace(dirname(path), '').replace('/new.jsonl', 'new.jsonl')).toBe(SHOWN);
    expect(textOf(path)).toBe(FRESH);
  });

  test('prints what differs below its line, and with --trace the record', async () => {
    const path = file('run-wrong.jsonl', WRONG);
    const { status, stdout } = await replay(path, '--run', '--trace');
    expect(status).toBe(1);
    const lines = linesOf(stdout);
    const at = lines.findIndex((line) => line.startsWith('3  p0 write'));
    expect(lines[at + 1]).toBe('  result: kernel SIGBUS, model OK');
    expect(lines[at + 2]).toMatch(/^ {4}\S/);
    expect(lines.at(-1)).toBe('1 sequences, 4 operations, 1 differences');
  });

  test('says where the line that differs tells no answer, and invents none', async () => {
    const untold = [
      '{"seq":1,"pool":1}',
      '{"op":"wait","proc":0,"thread":1}',
      '{"op":"put_page"}',
      '{"op":"read","proc":0,"slot":0,"page":0}',
      '{"crash":1}',
    ];
    const { status, stdout } = await replay(file('untold.jsonl', untold.join('\n')), '--run');
    expect(status).toBe(1);
    expect(linesOf(stdout).filter((line) => line.startsWith('  '))).toEqual([
      '  result: kernel not told, model thread 1 waits for nothing',
      '  result: kernel not told, model no pages in list 0',
      '  result: kernel died (not told of what), model SIGSEGV',
    ]);
  });

  test('runs all scenarios of the documentation, whose processes and files have their own numbers', async () => {
    const folder = join(ROOT, 'docs/scenarios');
    const { status, stdout } = await replay(...readdirSync(folder).map((name) => join(folder, name)), '--run');
    expect(status).toBe(0);
    for (const line of linesOf(stdout)) expect(line).not.toMatch(/process 6\d|p6\d/);
    expect(stdout).toContain('p0.1 write s0 page 1 at 5 value 7');
  });
});

describe('replay --write', () => {
  test('puts results and states into the file, which then is what the model does', async () => {
    const path = file('fresh.jsonl', FRESH);
    chmodSync(path, 0o640);
    const { status, stdout, stderr } = await replay(path, '--write');
    expect([status, stderr]).toEqual([0, '']);
    expect(linesOf(stdout)).toEqual([
      `${path}: 4 results and 5 states written`,
      '1 sequences, 4 operations, 0 differences',
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    const text = textOf(path);
    expect(linesOf(text)).toHaveLength(10);
    expect((await replay(path)).status).toBe(0);
    const again = await replay(path, '--write');
    expect(linesOf(again.stdout)[0]).toBe(`${path}: nothing to write`);
    expect(textOf(path)).toBe(text);
    expect(readdirSync(dirname(path)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('writes to what a link leads to, and leaves the link', async () => {
    const path = file('target.jsonl', FRESH);
    const link = join(dirname(path), 'link.jsonl');
    symlinkSync(basename(path), link);
    expect((await replay(link, '--write')).status).toBe(0);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(textOf(path)).toContain('"result":"OK"');
  });

  test('writes none of several files where something differs, and says so', async () => {
    const [right, wrong] = [file('right.jsonl', FRESH), file('wrong.jsonl', WRONG)];
    const { status, stdout } = await replay(right, wrong, '--write');
    expect(status).toBe(1);
    expect(stdout).toContain(`${wrong}:3: `);
    expect(linesOf(stdout).at(-2)).toBe(
      'nothing written, since something differs: take out what is wrong, or give --force',
    );
    expect([textOf(right), textOf(wrong)]).toEqual([FRESH, WRONG]);
  });

  test('with --force puts the results of the model in the place of those that differ', async () => {
    const path = file('forced.jsonl', WRONG);
    expect((await replay(path, '--write', '--force')).status).toBe(0);
    expect(linesOf(textOf(path))[3]).toBe('{"op":"write","proc":0,"slot":0,"page":0,"value":7,"result":"OK"}');
  });

  const cases: [string, () => string[], RegExp][] = [
    ['a gzipped file', () => [file('zipped.jsonl', gzipSync(FRESH)), '--write'], /found a gzipped one: unpack a copy/],
    [
      'a recording',
      () => [file('recorded.jsonl', FRESH.replace('"pool":2', '"mode":"A","pool":2')), '--write', '--force'],
      /:1: expected a written scenario, found the recording of a kernel/,
    ],
    [
      'a read-only file',
      () => {
        const path = file('read-only.jsonl', FRESH);
        chmodSync(path, 0o444);
        return [path, '--write', '--force'];
      },
      /expected a file that may be written, found a read-only one/,
    ],
    ['--force alone', () => [file('alone.jsonl', FRESH), '--force'], /--force: expected --write as well/],
    [
      'what cannot be run',
      () => [file('impossible.jsonl', '{"seq":1,"pool":1}\n{"op":"put_page"}\n{"end":1}\n'), '--write', '--force'],
      /:2: op: expected an operation that can be run, got "no pages in list 0"/,
    ],
  ];
  test.each(cases)('refuses %s in one line, with status 2, and leaves the file', async (_, args, message) => {
    const all = args();
    const before = readFileSync(all[0]!);
    const { status, stderr } = await replay(...all);
    expect(status).toBe(2);
    expect(linesOf(stderr)).toHaveLength(1);
    expect(stderr).toMatch(message);
    expect(readFileSync(all[0]!).equals(before)).toBe(true);
  });

  test('leaves a file that has changed since it was read, and one that is gone, and nothing beside them', async () => {
    const path = file('changed.jsonl', FRESH);
    await expect(replaceFile({ path, text: WRONG }, 'new')).rejects.toThrow(/found a file that has changed meanwhile/);
    expect(textOf(path)).toBe(FRESH);
    rmSync(path);
    await expect(replaceFile({ path, text: FRESH }, 'new')).rejects.toThrow(/expected to write it, found ENOENT/);
    expect(readdirSync(dirname(path)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
