/*
 * The suites over a core with a fault in it, in Node.
 *
 *   MUTANT_CORES   folder with flat.wasm, sparse.wasm and threads.wasm, relative to the project's root, to stand in for
 *                  those inlined in src/core/generated/wasm.ts; without it these are run
 *   MUTANT_KINDS   which of them have the fault: only implementations made of these are run, and the reference
 *   MUTANT_SUITES      what is run, test/conformance/ unless given
 *   MUTANT_LEAVE_OUT   suites that are not run
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';

const root = new URL('../../', import.meta.url);
const {
  MUTANT_CORES: cores,
  MUTANT_SUITES: suites = 'test/conformance/**/*.test.ts',
  MUTANT_LEAVE_OUT: leftOut = 'none',
} = process.env;

/** The suites that are quick, or notice much, come first; those not named here come last. */
const ORDER = [
  ...['walk', 'rights', 'marks', 'batch', 'batch-cache', 'tlb', 'memory', 'threads', 'batch-properties', 'tlb-model'],
  ...['scan', 'batch-race', 'properties'],
];

class QuickFirst extends BaseSequencer {
  async sort(files) {
    const place = ({ moduleId }) => {
      const at = ORDER.indexOf(basename(moduleId, '.test.ts'));
      return at < 0 ? ORDER.length : at;
    };
    return [...files].sort((a, b) => place(a) - place(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

const mutated = {
  name: 'mutated-cores',
  enforce: 'pre',
  load(id) {
    if (!cores || !id.endsWith('/src/core/generated/wasm.ts')) return undefined;
    return ['flat', 'sparse', 'threads']
      .map((kind) => {
        const base64 = readFileSync(new URL(`${cores}/${kind}.wasm`, root)).toString('base64');
        return `export const ${kind.toUpperCase()}_WASM = '${base64}';\n`;
      })
      .join('');
  },
  resolveId(source, importer) {
    if (!source.endsWith('support/implementations.ts') || !importer?.includes('/test/conformance/')) return undefined;
    return fileURLToPath(new URL('implementations.mjs', import.meta.url));
  },
};

export default defineConfig({
  root: fileURLToPath(root),
  plugins: [mutated],
  cacheDir: 'build/mutants/.vite',
  test: {
    include: suites.split(','),
    exclude: leftOut.split(',').map((suite) => `**/${suite}.test.ts`),
    /* As in vitest.config.ts: mutants meet all tests, the thorough ones, too. */
    tags: [{ name: 'thorough' }],
    setupFiles: ['scripts/mutants/setup.mjs'],
    sequence: { sequencer: QuickFirst },
    bail: 1,
    maxWorkers: 1,
    /* A listing that never ends shall not take the machine's memory with it. */
    execArgv: cores ? ['--max-old-space-size=1024'] : [],
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
