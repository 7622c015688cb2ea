/*
 * Measures what the package costs its users, against a budget: the cores as they are; what is imported bundled, minified and
 * as a server would send it, with the cores of the memories that it uses and no others. Prints one line each; exits with 1 when one is
 * over budget, or has other cores.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const KIB = 1024;
const dist = new URL('../dist/', import.meta.url);

/** What an import costs: bytes as a server would send them, bundled and minified, and which cores are among them. */
async function bundled(what, code, budget, wanted, splitting = false) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(dist) },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    /* What is loaded later, like the code of a dump's format, is no part of what an import costs. */
    splitting,
    outdir: 'out',
    metafile: true,
    write: false,
  });
  const { text, contents } = loadedAtOnce(outputFiles, metafile);
  const cores = Object.entries(CORES).flatMap(([name, base64]) => (text.includes(base64) ? [name] : []));
  return { what, bytes: gzipSync(contents).length, budget, cores, wanted };
}

/** The entry and the chunks that it imports statically, one after the other. */
function loadedAtOnce(outputFiles, { outputs }) {
  const entry = Object.keys(outputs).find((path) => outputs[path].entryPoint === '<stdin>');
  const paths = new Set([entry]);
  for (const path of paths) {
    for (const { path: imported, kind } of outputs[path].imports) if (kind === 'import-statement') paths.add(imported);
  }
  const files = [...paths].map((path) =>
    outputFiles.find((file) => file.path.replaceAll('\\', '/').endsWith(`/${path}`)),
  );
  return {
    text: files.map(({ text }) => text).join('\n'),
    contents: Buffer.concat(files.map(({ contents }) => contents)),
  };
}

const CORES = Object.fromEntries(
  Object.entries({ flat: 'core.wasm', sparse: 'core-sparse.wasm', threads: 'core-threads.wasm' }).map(
    ([name, file]) => [name, readFileSync(new URL(file, dist)).toString('base64')],
  ),
);
/* A FlatMemory may be shared by threads, which is known only when it is made. */
const FLAT = ['flat', 'threads'];
const ALL = ['flat', 'sparse', 'threads'];

const sizes = [
  ...['core.wasm', 'core-sparse.wasm', 'core-threads.wasm'].map((what) => ({
    what,
    bytes: readFileSync(new URL(what, dist)).length,
    budget: 20 * KIB,
  })),
  await bundled(
    'FlatMemory and Mmu, minified and gzipped',
    `export { FlatMemory, Mmu } from './index.js'`,
    34 * KIB,
    FLAT,
  ),
  await bundled('SparseMemory and Mmu', `export { Mmu, SparseMemory } from './index.js'`, 28 * KIB, ['sparse']),
  await bundled('decodeOutcome', `export { decodeOutcome } from './index.js'`, 2 * KIB, []),
  await bundled(
    'openDump and AddressSpace',
    `export { AddressSpace, openDump } from './index.js'`,
    35 * KIB,
    ['sparse'],
    true,
  ),
  await bundled('all of hugewalk', `export * from './index.js'`, 62 * KIB, ALL, true),
  await bundled('hugewalk/linux', `export * from './linux/index.js'`, 98 * KIB, FLAT),
  await bundled('hugewalk/reference', `export * from './reference/index.js'`, 8 * KIB, []),
];

for (const { what, bytes, budget, cores = [], wanted = [] } of sizes) {
  const verdict = bytes > budget ? `OVER the budget of ${budget}` : `of ${budget}`;
  const which = cores.length > 0 ? `, with the core for ${cores.join(' and ')}` : '';
  const others = String(cores) === String(wanted) ? '' : `: expected ${wanted.join(' and ') || 'none'}`;
  console.log(`${what.padEnd(42)}${String(bytes).padStart(6)} bytes ${verdict}${which}${others}`);
  if (bytes > budget || others) process.exitCode = 1;
}
