/**
 * Packs the package and installs it in an empty project, once for all suites. No registry is asked: it depends on nothing.
 */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { ROOT, run } from './project.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'hugewalk-'));
  const app = join(folder, 'app');
  await mkdir(app);

  const tarball = await pack(folder);
  const manifest = { private: true, type: 'module', dependencies: { hugewalk: `file:${tarball}` } };
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest));
  await run(app, 'npm', 'install', '--offline', '--no-audit', '--no-fund');

  // The examples name fixtures, recordings and scenarios by their paths in this project.
  for (const folder of ['test/fixtures', 'test/recordings', 'docs/scenarios', 'docs/explore', 'scenarios']) {
    await mkdir(dirname(join(app, folder)), { recursive: true });
    await symlink(join(ROOT, folder), join(app, folder));
  }

  project.provide('installed', { tarball, app });
  return () => rm(folder, { recursive: true, force: true });
}

/** Packs the package into `folder` and returns the tarball's path. */
async function pack(folder: string): Promise<string> {
  const printed = await run(ROOT, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
  const [packed]: { filename: string }[] = JSON.parse(printed);
  if (!packed) throw new Error(`npm pack printed ${printed}`);
  return join(folder, packed.filename);
}
