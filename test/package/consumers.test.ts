/**
 * The first example of README.md, run the ways Node users run it, and what the types of the package need.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { beforeAll, describe, expect, inject, test } from 'vitest';
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

test('a bundle has the cores of the memories that it uses, and no others', async () => {
  const bundleOf = async (names: string) => {
    const contents = `export { ${names} } from 'hugewalk'`;
    const options = { bundle: true, format: 'esm', platform: 'browser', write: false } as const;
    const { outputFiles } = await build({ stdin: { contents, resolveDir: app }, ...options });
    return outputFiles[0]?.text ?? '';
  };
  const base64 = (name: string) => readFileSync(join(app, 'node_modules/hugewalk/dist', name)).toString('base64');
  const [flat, sparse] = [base64('core.wasm'), base64('core-sparse.wasm')];
  const withFlat = await bundleOf('FlatMemory, Mmu, Tlb');
  expect([withFlat.includes(flat), withFlat.includes(sparse)]).toEqual([true, false]);
  const withSparse = await bundleOf('Mmu, SparseMemory, AddressSpace, openDump');
  expect([withSparse.includes(flat), withSparse.includes(sparse)]).toEqual([false, true]);
});

test('only the core that is used is compiled, once', async () => {
  const program = `
    let compiled = 0;
    const { Module } = WebAssembly;
    WebAssembly.Module = new Proxy(Module, { construct: (target, words) => (compiled++, new target(...words)) });
    const counted = [];
    const { compileCoreSync, FlatMemory, Mmu, SparseMemory } = await import('hugewalk');
    const { Machine } = await import('hugewalk/linux');
    for (const make of [
      () => {},
      () => new Mmu(new FlatMemory({ bytes: 4096 }), { cr3: 0n }),
      () => new Machine(),
      () => compileCoreSync().flat,
      () => new SparseMemory(),
      () => new Mmu(new SparseMemory(), { cr3: 0n }),
      () => new Mmu(new FlatMemory({ bytes: 4096, shared: true }), { cr3: 0n }),
    ]) {
      make();
      counted.push(compiled);
    }
    console.log(counted.join(' '));`;
  expect(await run(app, 'node', '--input-type=module', '-e', program)).toBe('0 1 1 1 2 2 3\n');
});

describe('types', () => {
  const entries = ['hugewalk', 'hugewalk/core', 'hugewalk/linux', 'hugewalk/reference', 'hugewalk/replay'];
  const everything = entries.map((entry) => `export * from '${entry}';\n`).join('');
  const ES2022 = { lib: ['lib.es2022.d.ts'], types: [], skipLibCheck: false };
  const WITH_DOM = { ...ES2022, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] };

  test('need no more than lib "es2022": no DOM, no Node', () => {
    const released = "import { FlatMemory } from 'hugewalk';\nusing _memory = new FlatMemory({ bytes: 4096 });\n";
    expect(typeErrors('es2022', `${everything}export * from 'hugewalk/node';\n${released}`, ES2022)).toEqual([]);
  });

  test('are then those parts of the platform that are used', () => {
    const code = `
      import { AddressSpace, FlatMemory, Mmu, openDump } from 'hugewalk';
      const bytes: ArrayBufferLike = new FlatMemory({ bytes: 4096 }).wasm.buffer;
      // @ts-expect-error a number is no Blob
      openDump(1);
      // @ts-expect-error a number is no memory
      new FlatMemory({ bytes: 4096, memory: 1 });
      export { AddressSpace, bytes, Mmu };`;
    expect(typeErrors('structural', code, ES2022)).toEqual([]);
  });

  test("are the compiler's own where it has them", () => {
    const code = `
      import { compileCore, compileCoreSync, FlatMemory, openDump } from 'hugewalk';
      const memory: WebAssembly.Memory = new FlatMemory({ bytes: 4096, memory: new WebAssembly.Memory({ initial: 1 }) }).wasm;
      const module: WebAssembly.Module = compileCoreSync().flat;
      compileCore({ flat: fetch('core.wasm'), sparse: module, threads: new ArrayBuffer(8) });
      openDump(new File([], 'dump'));
      export const { exports } = new WebAssembly.Instance(module, { env: { memory } });`;
    expect(typeErrors('dom', everything + code, WITH_DOM)).toEqual([]);
  });

  test('have nothing that only the library itself calls', () => {
    const code = `
      import { FlatMemory } from 'hugewalk';
      import { type Folio, type Hstate, Machine, type Mm, type Pipe, Pte } from 'hugewalk/linux';
      const machine = new Machine();
      // @ts-expect-error the end of a system call
      machine.kernelExit;
      // @ts-expect-error the frames of all huge pages
      machine.frames;
      // @ts-expect-error a processor's
      new FlatMemory({ bytes: 4096 }).attach;
      // @ts-expect-error unchecked halves
      new Pte(0, 0);
      // @ts-expect-error a count that the kernel keeps
      machine.hstate().freeHugePages = 1;
      export const looked: [Folio | undefined, Hstate, number] = [[...machine.folios()][0], machine.hstate(), machine.hstate().freeHugePages];
      export type Hidden = [
        // @ts-expect-error
        Folio['putTestZero'],
        // @ts-expect-error
        Mm['insert'],
        // @ts-expect-error
        Pipe['add'],
      ];`;
    expect(typeErrors('internal', code, ES2022)).toEqual([]);
  });

  /** What the compiler says of a module in the project that has the package installed. */
  function typeErrors(name: string, code: string, options: ts.CompilerOptions): string[] {
    const path = join(app, 'consumers', `${name}.ts`);
    writeFileSync(path, code);
    const program = ts.createProgram([path], {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      ...options,
    });
    return ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, start = 0, messageText }) =>
          `${file?.fileName}:${start}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      );
  }
});
