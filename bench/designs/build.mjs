/*
 * Compiles each design into a module of its own, build/designs/NAME.wasm, with the options of the library's flat core,
 * so that nothing about one depends on another. What is newer than its sources is not compiled again.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import asc from 'assemblyscript/asc';

const root = new URL('../../', import.meta.url);
const config = 'bench/designs/asconfig.json';
const folder = 'bench/designs/assembly';
/** Files that are parts of designs. */
const PARTS = ['exports.ts', 'levels.ts', 'pages.ts', 'remember.ts', 'walks.ts'];

const modified = (path) => statSync(new URL(path, root), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const inFolder = (path) => readdirSync(new URL(path, root)).map((name) => `${path}/${name}`);
const shared = [
  config,
  'bench/designs/build.mjs',
  ...PARTS.map((name) => `${folder}/${name}`),
  ...inFolder('assembly'),
];
const newest = Math.max(...shared.map(modified));

mkdirSync(new URL('build/designs/', root), { recursive: true });
for (const name of readdirSync(new URL(folder, root))) {
  const source = `${folder}/${name}`;
  const output = `build/designs/${name.replace(/\.ts$/, '.wasm')}`;
  if (!name.endsWith('.ts') || PARTS.includes(name)) continue;
  if (modified(output) > Math.max(newest, modified(source))) continue;
  const words = ['--config', config, '--outFile', output, `${folder}/exports.ts`, source];
  const { error, stderr } = await asc.main(words, {
    readFile: (path, base) => {
      try {
        return readFileSync(new URL(path, new URL(`${base}/`, root)), 'utf8');
      } catch {
        return null;
      }
    },
  });
  if (error || stderr.toString()) {
    console.error(stderr.toString() || error);
    process.exit(1);
  }
}
