import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { describe, expect, inject, test } from 'vitest';
import { MANIFEST, ROOT, run } from './project.ts';

const { tarball, app } = inject('installed');
const installed = join(app, 'node_modules/hugewalk');

/** The files of a folder of the installed package whose names end so. */
function filesOf(folder: string, end: string): string[] {
  const names = readdirSync(join(installed, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith(end)).map((name) => join(folder, name));
}

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourceRoot?: string;
  readonly sourcesContent?: readonly (string | null)[];
}

function sourceMapOf(file: string): SourceMap {
  return JSON.parse(readFileSync(join(installed, file), 'utf8'));
}

test('holds the built library, its sources, and nothing else', async () => {
  const files = (await run(app, 'tar', '-tzf', tarball)).trim().split('\n');
  const wanted =
    /^package\/(package\.json|README\.md|LICENSE|dist\/third-party-licenses\.txt|dist\/example\.elf\.gz|dist\/.+\.((js|d\.ts)(\.map)?|wasm)|(src|assembly)\/.+\.ts)$/;
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
        'dist/third-party-licenses.txt',
        'dist/example.elf.gz',
        'src/index.ts',
        'src/core/generated/wasm.ts',
      ].map((file) => `package/${file}`),
    ),
  );
});

test('names no path of the machine it was built on', () => {
  const contents = gunzipSync(readFileSync(tarball)).toString('latin1');
  for (const path of [ROOT, `${homedir()}/`, 'file://']) expect(contents.includes(path), path).toBe(false);
});

test('installs alone: it depends on no other package', async () => {
  expect(Object.keys(MANIFEST)).not.toEqual(expect.arrayContaining(['dependencies']));
  expect(readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['hugewalk']);
});

test('has the licence of each package whose code is in it', () => {
  const licences = readFileSync(join(installed, 'dist/third-party-licenses.txt'), 'utf8');
  const bundled = new Set<string>();
  for (const file of filesOf('dist', '.js.map')) {
    for (const source of sourceMapOf(file).sources) {
      const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source) ?? [];
      if (name) bundled.add(name);
    }
  }
  expect([...bundled].sort()).toEqual([
    '@assemblyscript/loader',
    'commander',
    'fflate',
    'hysnappy',
    'picocolors',
    'zstddec',
  ]);
  for (const name of bundled) {
    const { version, license } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'));
    const [, text = ''] = licences.split(`${name} ${version} (${license})\n`);
    expect(text.slice(0, 200)).toMatch(/Apache License|MIT License|ISC License|Permission is hereby granted/);
  }
});

describe('a debugger steps into TypeScript:', () => {
  test('each file of code and each declaration has a map', () => {
    for (const file of [...filesOf('dist', '.js'), ...filesOf('dist', '.d.ts')]) {
      const text = readFileSync(join(installed, file), 'utf8');
      expect(text, file).toContain(`//# sourceMappingURL=${basename(file)}.map`);
    }
  });

  test('each source that a map names is in the package, or in the map', () => {
    const maps = [...filesOf('dist', '.js.map'), ...filesOf('dist', '.d.ts.map')];
    expect(maps.length).toBeGreaterThan(200);
    for (const file of maps) {
      const { sources, sourceRoot, sourcesContent } = sourceMapOf(file);
      for (const [i, source] of sources.entries()) {
        const path = join(installed, dirname(file), sourceRoot ?? '', source);
        expect(existsSync(path) || Boolean(sourcesContent?.[i]), `${file}: ${source}`).toBe(true);
        if (existsSync(path))
          expect(readFileSync(path, 'utf8')).toBe(readFileSync(join(ROOT, relative(installed, path)), 'utf8'));
      }
    }
  });

  test('a stack trace names the line of the source', async () => {
    const program = "import { FlatMemory } from 'hugewalk'; new FlatMemory({ bytes: -1 });";
    const failed = await run(app, 'node', '--enable-source-maps', '--input-type=module', '-e', program).catch(String);
    const [, line] = /hugewalk\/src\/core\/flat-memory\.ts:(\d+):\d+/.exec(String(failed)) ?? [];
    const source = readFileSync(join(ROOT, 'src/core/flat-memory.ts'), 'utf8').split('\n');
    expect(source[Number(line) - 1]).toContain('checkFlatMemory(options)');
  });
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
    const entries = ['hugewalk', 'hugewalk/core', 'hugewalk/linux', 'hugewalk/node', 'hugewalk/reference', 'hugewalk/replay'];
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
