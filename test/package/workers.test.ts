/**
 * The README's two workers, each with a TLB of its own over one memory, run as a program.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, inject, test } from 'vitest';
import { run } from './project.ts';
import { blocksOf } from './snippets.ts';

const { app } = inject('installed');

test('two workers walk the same tables, and each counts what went through its own TLB', async () => {
  const [example] = blocksOf('README.md', 'ts').filter(({ text }) => text.includes('new Worker('));
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
  const { outputText } = ts.transpileModule(example!.text, { compilerOptions: options });
  mkdirSync(join(app, 'workers'));
  writeFileSync(join(app, 'workers/main.mjs'), outputText);
  const printed = await run(app, 'node', 'workers/main.mjs');
  expect(printed.trim().split('\n').sort()).toEqual([
    '0 { lookups: 1000n, misses: 1n }',
    '1 { lookups: 1000n, misses: 1n }',
  ]);
});
