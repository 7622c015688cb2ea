import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { expect, inject, test } from 'vitest';
import { MANIFEST, ROOT, run } from './project.ts';

const { tarball, app } = inject('installed');

test('holds the built library and nothing else', async () => {
  const files = (await run(app, 'tar', '-tzf', tarball)).trim().split('\n');
  const wanted = /^package\/(package\.json|README\.md|LICENSE|dist\/.+\.(js|d\.ts|wasm))$/;
  expect(files.filter((file) => !wanted.test(file))).toEqual([]);
  expect(files).toEqual(
    expect.arrayContaining(
      [
        'LICENSE',
        'README.md',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/core.wasm',
        'dist/core-sparse.wasm',
        'dist/core-threads.wasm',
      ].map((file) => `package/${file}`),
    ),
  );
});

test('names no path of the machine it was built on', () => {
  const contents = gunzipSync(readFileSync(tarball)).toString('latin1');
  for (const path of [ROOT.replace(/\/$/, ''), homedir(), 'file://']) expect(contents.includes(path), path).toBe(false);
});

test('satisfies publint', async () => {
  const bytes = new Uint8Array(readFileSync(tarball));
  const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer }, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
});

test('has types that resolve as the code does (attw)', async () => {
  const cores = ['--exclude-entrypoints', './core.wasm', './core-sparse.wasm', './core-threads.wasm'];
  await run(app, 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color', ...cores);
});

test('has the entries that package.json names', async () => {
  const program = `
    const entries = ['hugewalk', 'hugewalk/linux', 'hugewalk/node', 'hugewalk/reference', 'hugewalk/replay'];
    for (const entry of entries) await import(entry);
    for (const file of ['core.wasm', 'core-sparse.wasm', 'core-threads.wasm', 'package.json']) import.meta.resolve('hugewalk/' + file);
    console.log(require('hugewalk/package.json').version);`;
  const withRequire = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);${program}`;
  expect(await run(app, 'node', '--input-type=module', '-e', withRequire)).toBe(`${MANIFEST.version}\n`);
});

test('installs the command', async () => {
  expect(await run(app, 'npx', '--no-install', 'hugewalk', '--version')).toBe(`${MANIFEST.version}\n`);
});

test('is within its size budget', async () => {
  await run(ROOT, 'node', join('scripts', 'size.mjs'));
});
