/*
 * What `tsc` leaves undone in dist/: copies the cores there, makes the command executable, and removes what no source
 * stands for any more, since the package is all of dist/.
 */
import { chmodSync, copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

/** Package file: build output. */
const CORES = { 'core.wasm': 'flat.wasm', 'core-sparse.wasm': 'sparse.wasm', 'core-threads.wasm': 'threads.wasm' };

for (const path of readdirSync(dist, { recursive: true })) {
  if (!/\.\w+$/.test(path)) continue;
  const source = path.replace(/(\.d\.ts|\.js)$/, '.ts');
  if (source === path || !existsSync(join(root, 'src', source))) rmSync(join(dist, path));
}
for (const [name, output] of Object.entries(CORES)) copyFileSync(join(root, 'build', output), join(dist, name));

const command = join(dist, 'cli.js');
if (existsSync(command)) chmodSync(command, 0o755);
