/**
 * What of the installed package a bundle holds that uses a part of it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { describe, expect, inject, test } from 'vitest';

const { app } = inject('installed');
const root = join(app, 'tree-shaking');
mkdirSync(root, { recursive: true });

/** Names that only one part of the package has. */
const PARTS = {
  Entry: 'patOfLargePage',
  CR4: 'pcide',
  Mapper: 'allocateFrame',
  AddressSpace: 'maxTables',
  core: 'AGFzbQE',
};

const bundlers: Record<string, (path: string) => Promise<string>> = {
  async esbuild(path) {
    const { outputFiles } = await esbuild({
      entryPoints: [path],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
    });
    return outputFiles.map(({ text }) => text).join('');
  },
  async Vite(path) {
    const { build } = await import('vite');
    const lib = { entry: path, formats: ['es' as const], fileName: 'out' };
    const built = await build({ root, logLevel: 'error', build: { write: false, minify: false, lib } });
    const outputs = (Array.isArray(built) ? built : [built]) as { output: { code?: string }[] }[];
    return outputs.flatMap(({ output }) => output.map(({ code }) => code ?? '')).join('');
  },
};

describe.each(Object.entries(bundlers))('bundled by %s', (bundler, bundle) => {
  const partsOf = async (name: string, source: string): Promise<string[]> => {
    const path = join(root, `${bundler}-${name}.js`);
    writeFileSync(path, source);
    const code = await bundle(path);
    return Object.entries(PARTS).flatMap(([part, mark]) => (code.includes(mark) ? [part] : []));
  };

  test('who wants words for an access gets nothing else', async () => {
    expect(
      await partsOf('words', "import { describeAccess } from 'hugewalk';\nconsole.log(describeAccess(0));"),
    ).toEqual([]);
  });

  test('who wants bits of an entry gets no other bits, and no core', async () => {
    const parts = await partsOf('bits', "import { Entry } from 'hugewalk';\nconsole.log(Entry.present);");
    /* esbuild keeps a namespace as a whole as soon as one of its names is used. */
    expect(parts).toEqual(bundler === 'esbuild' ? ['Entry'] : []);
  });

  test('who wants bits of CR4 gets none of an entry', async () => {
    const parts = await partsOf('cr4', "import { CR4 } from 'hugewalk';\nconsole.log(CR4.la57);");
    expect(parts).toEqual(bundler === 'esbuild' ? ['CR4'] : []);
  });

  test('who walks gets neither the names of bits, nor the mapper, nor dumps', async () => {
    const source = `
      import { FlatMemory, Mmu } from 'hugewalk';
      console.log(new Mmu(new FlatMemory({ bytes: 4096 }), { cr3: 0n }).translate(0n));`;
    const parts = await partsOf('walk', source);
    expect(parts).toContain('core');
    expect(parts.filter((part) => ['Entry', 'Mapper', 'AddressSpace'].includes(part))).toEqual([]);
  });
});
