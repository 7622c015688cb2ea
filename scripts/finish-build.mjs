/*
 * What `tsc` leaves undone in dist/: removes what no source stands for any more, and the command's declarations, which nobody imports, as
 * the package is all of dist/; bundles other packages' code into the files that import it, with its licences, so that the package depends
 * on no other; copies the cores and an example there; makes the command executable.
 */
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

/** Package file: build output. */
const CORES = { 'core.wasm': 'flat.wasm', 'core-sparse.wasm': 'sparse.wasm', 'core-threads.wasm': 'threads.wasm' };

/** The files that import packages: those packages are bundled into them. scripts/check-layers.mjs sees to it that no others do. */
const CODECS = ['zlib', 'snappy', 'zstd'].map((name) => `dump/formats/kdump/codecs/${name}.js`);
const BUNDLED = ['core/instantiate.js', 'dump/formats/avml/snappy.js', ...CODECS, 'cli/program.js', 'cli/text.js'];

/** Where the licence of a package lies that has it not beside it: the loader is part of the compiler's repository. */
const LICENCES = { '@assemblyscript/loader': 'assemblyscript' };

for (const path of readdirSync(dist, { recursive: true })) {
  if (!/\.\w+$/.test(path)) continue;
  const source = path.replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts');
  const isOfCommand = /^cli\b.*\.d\.ts/.test(path);
  if (isOfCommand || source === path || !existsSync(join(root, 'src', source))) rmSync(join(dist, path));
}

const packages = new Set();
for (const file of BUNDLED) await bundle(join(dist, file));
writeFileSync(join(dist, 'third-party-licenses.txt'), [...packages].sort().map(licenceOf).join('\n\n'));

for (const [name, output] of Object.entries(CORES)) copyFileSync(join(root, 'build', output), join(dist, name));

/* What `hugewalk map --example` maps, so that the first command works without a dump. */
copyFileSync(join(root, 'test', 'fixtures', 'linux-6.1-4level.elf.gz'), join(dist, 'example.elf.gz'));

const command = join(dist, 'cli.js');
if (existsSync(command)) chmodSync(command, 0o755);

/** Bundles the packages that a file imports into it, and nothing else; notes which they were. */
async function bundle(file) {
  const { metafile } = await build({
    entryPoints: [file],
    outfile: file,
    allowOverwrite: true,
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'node',
    sourcemap: true,
    metafile: true,
    /* commander is written for require(). */
    banner: file.endsWith('program.js')
      ? { js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);" }
      : {},
    plugins: [
      {
        name: 'ours stay apart',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\.{1,2}\// }, ({ importer }) =>
            importer.startsWith(dist) ? { external: true } : null,
          ),
      },
    ],
  });
  for (const input of Object.keys(metafile.inputs)) {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (name) packages.add(name);
  }
}

function licenceOf(name) {
  const { version, license } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
  const text = readFileSync(join(root, 'node_modules', LICENCES[name] ?? name, 'LICENSE'), 'utf8');
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}
