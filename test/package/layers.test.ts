import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { THOROUGH } from '../support/thorough.ts';
import { ROOT, run } from './project.ts';

/** What scripts/check-layers.mjs says of a project of these files. */
async function offencesIn(files: Record<string, string>): Promise<string[]> {
  const root = mkdtempSync(join(tmpdir(), 'layers-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  try {
    await run(ROOT, 'node', 'scripts/check-layers.mjs', root);
    return [];
  } catch (error) {
    return `${error}`.split('\n').filter((line) => /:\d+: /.test(line));
  }
}

test('this project keeps its layers', async () => {
  await run(ROOT, 'node', 'scripts/check-layers.mjs');
});

test('a layer imports itself and those above it', THOROUGH, async () => {
  const files = {
    'assembly/walk.ts': 'import { x } from "./entry";',
    'assembly/entry.ts': 'export const x: u32 = 1;',
    'src/core/memory.ts': "import { instantiate } from './instantiate.ts';",
    'src/core/instantiate.ts': "import '@assemblyscript/loader';",
    'src/mmu/mmu.ts': "import '../core/memory.ts';\nimport type { W } from '../reference/walk.ts';",
    'src/reference/walk.ts': 'export type W = 1;',
    'src/index.ts': "export * from './mmu/mmu.ts';",
    'src/cli/map.ts': "import { readFileSync } from 'node:fs';\nimport { Command } from 'commander';",
    'src/cli.ts': "import './cli/map.ts';\nimport './index.ts';",
    'examples/a.ts': "import 'hugewalk/linux';\nimport 'node:util';\nimport './support/b.ts';",
  };
  expect(await offencesIn(files)).toEqual([]);
});

test.for([
  ['an import from below', { 'src/core/a.ts': "// a comment\nimport { b } from '../mmu/b.ts';" }, 'src/core/a.ts:2'],
  ['a type from below', { 'src/core/a.ts': "import type { B } from '../mmu/b.ts';" }, 'src/core/a.ts:1'],
  ['a type named in place', { 'src/core/a.ts': "export type B = import('../mmu/b.ts').B;" }, 'src/core/a.ts:1'],
  ['an export from below', { 'src/mmu/a.ts': "\n\nexport { b } from '../dump/b.ts';" }, 'src/mmu/a.ts:3'],
  ['a dynamic import from below', { 'src/mmu/a.ts': "const b = import('../cli/b.ts');" }, 'src/mmu/a.ts:1'],
  ['an import of the reference', { 'src/reference/a.ts': "import '../core/b.ts';" }, 'src/reference/a.ts:1'],
  ['the core outside itself', { 'src/core/a.ts': "import '../../assembly/walk';" }, 'src/core/a.ts:1'],
  ['a second user of the loader', { 'src/core/a.ts': "import '@assemblyscript/loader';" }, 'src/core/a.ts:1'],
  ['an unknown package', { 'src/mmu/a.ts': "import 'left-pad';" }, 'src/mmu/a.ts:1'],
  ['a file without a layer', { 'src/stray.ts': '' }, 'src/stray.ts:1'],
  ['an example that looks inside', { 'examples/a.ts': "\nimport '../src/linux/mm.ts';" }, 'examples/a.ts:2'],
  ['a decorator in the core', { 'assembly/a.ts': '\n@inline\nexport function f(): void {}' }, 'assembly/a.ts:2'],
] as const)('finds %s', THOROUGH, async ([, files, where]) => {
  const offences = await offencesIn(files);
  expect(offences).toHaveLength(1);
  expect(offences[0]).toMatch(new RegExp(`^${where}: `));
});

test('finds the way from the browser entry to a Node module, but not through types', THOROUGH, async () => {
  const files = {
    'src/index.ts': "export { dump } from './dump/dump.ts';\nexport type { T } from './dump/types.ts';",
    'src/dump/dump.ts': "import './file.ts';",
    'src/dump/file.ts': "import { openSync } from 'node:fs';",
    'src/dump/types.ts': "import { statSync } from 'node:fs';\nexport type T = 1;",
  };
  const offences = await offencesIn(files);
  expect(offences).toHaveLength(1);
  expect(offences[0]).toMatch(/^src\/dump\/file\.ts:1: .*src\/index\.ts > src\/dump\/dump\.ts > src\/dump\/file\.ts/);
});

test('a room imports itself and those above it; files beside the rooms import any', THOROUGH, async () => {
  const files = {
    'src/linux/base/task.ts': "import type { Lock } from './lock.ts';",
    'src/linux/base/lock.ts': 'export type Lock = 1;',
    'src/linux/mm/vma.ts': "import type { Lock } from '../base/lock.ts';\nimport '../../core/errors.ts';",
    'src/linux/index.ts': "export * from './mm/vma.ts';",
    'src/core/errors.ts': '',
  };
  expect(await offencesIn(files)).toEqual([]);
});

test.for([
  ['a value from a room below', "import { faults } from '../fault/fault.ts';"],
  ['a type from a room below', "import type { Machine } from '../machine/machine.ts';"],
  ['what stands beside the rooms', "export { Machine } from '../index.ts';"],
] as const)('finds %s', THOROUGH, async ([, text]) => {
  const offences = await offencesIn({ 'src/linux/mm/a.ts': text });
  expect(offences).toHaveLength(1);
  expect(offences[0]).toMatch(/^src\/linux\/mm\/a\.ts:1: .* not above mm\/ among the rooms of src\/linux\//);
});

test('finds a folder that is no room', THOROUGH, async () => {
  expect(await offencesIn({ 'src/linux/attic/a.ts': '' })).toEqual([
    'src/linux/attic/a.ts:1: belongs to no room of src/linux/',
  ]);
});

test('finds a table of rooms in DESIGN.md that says something else', THOROUGH, async () => {
  const layers = [
    'assembly',
    'src/reference',
    'src/core',
    'src/mmu',
    'src/linux',
    'src/replay',
    'src/explore',
    'src/dump',
    'src/cli',
  ];
  const rows = [...layers, 'base', 'mm'].map((folder) => `| \`${folder}/\` | text |`);
  expect(await offencesIn({ 'DESIGN.md': rows.join('\n') })).toEqual([
    'DESIGN.md:11: mm/ is not the next of the rooms',
  ]);
});

test('finds a table of layers in DESIGN.md that says something else', THOROUGH, async () => {
  const rows = ['assembly', 'src/core', 'src/reference'].map((layer) => `| \`${layer}/\` | text |`);
  expect(await offencesIn({ 'DESIGN.md': rows.join('\n') })).toContain(
    'DESIGN.md:2: src/core/ is not the next of the layers',
  );
});
