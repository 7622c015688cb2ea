/**
 * The README's pictures are what the command and the example print today.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, inject, test } from 'vitest';
import { run } from './project.ts';

const { app } = inject('installed');
const readme = readFileSync('README.md', 'utf8');

test('the picture in the README is the output of the command above it', () => {
  const [, command, picture] = /```console\n\$ npx hugewalk (.*)\n([\s\S]*?)\n```/.exec(readme)!;
  const output = execFileSync(process.execPath, ['dist/cli.js', ...command!.split(' ')], { encoding: 'utf8' });
  const shown = picture!.split('\n');
  const [, left] = /^\.\.\. (\d+) lines more: /.exec(shown.pop()!) ?? [];
  const lines = output.trimEnd().split('\n');
  expect(lines.slice(0, shown.length)).toEqual(shown);
  expect(Number(left), 'lines that the picture leaves out').toBe(lines.length - shown.length);
});

test('the line of JSON in the README is one of those that the command prints', () => {
  const [, line] = /```json\n(\{"va".*)\n```/.exec(readme)!;
  const command = ['dist/cli.js', 'map', 'test/fixtures/linux-6.1-4level.elf.gz', '--leaves', '--json'];
  const output = execFileSync(process.execPath, command, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  expect(output.split('\n')).toContain(line);
});

test('the walk in the README is what the example above it prints', async () => {
  const [before, printed] = readme.split('```text\n', 2) as [string, string];
  const example = before.split('```ts\n').at(-1)!.split('```')[0]!;
  const { outputText } = ts.transpileModule(example, { compilerOptions: { module: ts.ModuleKind.ES2022 } });
  writeFileSync(join(app, 'printed-walk.mjs'), outputText);
  expect(await run(app, 'node', 'printed-walk.mjs')).toContain(printed.split('```')[0]!.trimEnd());
});
