/**
 * What the suites of the package share: this project's places, its scripts, and running a command.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The project's root. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

interface Manifest {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** This project's package.json. */
export const MANIFEST: Manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** Where the packed package is, and an otherwise empty project that has it installed. */
export interface Installed {
  readonly tarball: string;
  readonly app: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    installed: Installed;
  }
}

/** The environment of a shell in `folder`: nothing of the npm or the Vitest that runs the tests. */
function environmentOf(folder: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_|VITEST|VITE_|TEST$|MODE$)/.test(name),
  );
  const { PATH = '', ...rest } = Object.fromEntries(inherited);
  const commands = [join(folder, 'node_modules/.bin'), join(ROOT, 'node_modules/.bin')];
  return { ...rest, NO_COLOR: '1', PATH: [...commands, PATH].join(delimiter) };
}

/**
 * Runs a command in `folder`, with this project's tools on PATH, and returns what it printed to stdout.
 *
 * @throws Error with everything it printed when it fails
 */
export async function run(folder: string, command: string, ...args: string[]): Promise<string> {
  const options = { cwd: folder, env: environmentOf(folder), maxBuffer: 1 << 26 };
  try {
    const running = promisify(execFile)(command, args, options);
    running.child.stdin?.end();
    return (await running).stdout;
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    throw new Error(`${[command, ...args].join(' ')}: ended with ${code}\n${stdout ?? ''}${stderr ?? ''}`);
  }
}
