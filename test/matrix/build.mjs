/*
 * Compiles the permission matrix (test/matrix/assembly/) into build/matrix.wasm, for cores over memory of their own, and
 * build/matrix-threads.wasm, for the core over shared memory. One that is newer than its sources is not compiled again.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import asc from 'assemblyscript/asc';

const root = new URL('../../', import.meta.url);
const config = 'test/matrix/asconfig.json';
const modified = (path) => statSync(new URL(path, root), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const inFolder = (folder) => readdirSync(new URL(folder, root)).map((name) => `${folder}/${name}`);
const sources = [config, 'test/matrix/build.mjs', ...inFolder('test/matrix/assembly'), ...inFolder('assembly')];
const newest = Math.max(...sources.map(modified));

mkdirSync(new URL('build/', root), { recursive: true });
for (const target of ['matrix', 'matrix-threads']) {
  if (modified(`build/${target}.wasm`) > newest) continue;
  const { error, stderr } = await asc.main(['--config', config, '--target', target], {
    readFile: (name, base) => {
      try {
        return readFileSync(new URL(name, new URL(`${base}/`, root)), 'utf8');
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
