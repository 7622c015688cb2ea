/**
 * The first example of README.md, run the ways Node users run it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { beforeAll, expect, inject, test } from 'vitest';
import { run } from './project.ts';
import { firstExample } from './snippets.ts';

const { app } = inject('installed');
const source = firstExample().text;
const { outputText: javascript } = ts.transpileModule(source, {
  compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
});

beforeAll(() => {
  mkdirSync(join(app, 'consumers'));
  writeFileSync(join(app, 'consumers/import.mjs'), javascript);
});

test('imported', async () => {
  await run(app, 'node', 'consumers/import.mjs');
});

test('loaded with require(), synchronously', async () => {
  const required = javascript.replace(
    /^import \{(.*?)\} from (['"].*?['"]);?$/gms,
    (_, names: string, from: string) => `const {${names.replaceAll(' as ', ': ')}} = require(${from});`,
  );
  writeFileSync(join(app, 'consumers/require.cjs'), required);
  const printed = await run(app, 'node', 'consumers/require.cjs');
  expect(printed).toBe(await run(app, 'node', 'consumers/import.mjs'));
});

test('bundled for browsers with esbuild', async () => {
  const outfile = join(app, 'consumers/bundle.mjs');
  const entry = join(app, 'consumers/import.mjs');
  await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', platform: 'browser', outfile });
  expect(await run(app, 'node', outfile)).toBe(await run(app, 'node', entry));
});
