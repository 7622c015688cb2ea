import { readFileSync } from 'node:fs';

/** Of this package: src/cli and dist/cli are as far from its package.json. */
export function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
