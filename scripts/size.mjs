/*
 * Measures what the package costs its users, against a budget: the cores as they are, an entry bundled and minified and
 * as a server would send it. Prints one line each; exits with 1 when one is over budget.
 */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const KIB = 1024;
const dist = new URL('../dist/', import.meta.url);

/** Bytes of an entry, bundled and minified, as a server would send it. */
async function bundled(entry) {
  const { outputFiles } = await build({
    entryPoints: [new URL(entry, dist).pathname],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  });
  return gzipSync(outputFiles[0].contents).length;
}

const sizes = [
  ...['core.wasm', 'core-sparse.wasm', 'core-threads.wasm'].map((what) => ({
    what,
    bytes: readFileSync(new URL(what, dist)).length,
    budget: 20 * KIB,
  })),
  { what: 'hugewalk, minified and gzipped', bytes: await bundled('index.js'), budget: 54 * KIB },
  { what: 'hugewalk/linux, likewise', bytes: await bundled('linux/index.js'), budget: 86 * KIB },
];

for (const { what, bytes, budget } of sizes) {
  const verdict = bytes > budget ? `OVER the budget of ${budget}` : `of ${budget}`;
  console.log(`${what.padEnd(32)}${String(bytes).padStart(6)} bytes ${verdict}`);
}
if (sizes.some(({ bytes, budget }) => bytes > budget)) process.exitCode = 1;
