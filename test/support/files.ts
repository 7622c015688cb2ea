/**
 * Files of this project for suites that run in Node and in the browser: read from the disk, or asked of the test
 * server (which would decompress a .gz if it were fetched from it).
 */

/**
 * Reads a file.
 *
 * @param path relative to the project's root, for instance `test/fixtures/linux-6.1-4level.elf.gz`
 * @throws Error naming the path when there is no such file
 */
export function readFixture(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return typeof window === 'undefined' ? readFromDisk(path) : readOnServer(path);
}

async function readFromDisk(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const { readFile } = await import('node:fs/promises');
  return new Uint8Array(await readFile(new URL(`../../${path}`, import.meta.url)));
}

async function readOnServer(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const { server } = await import('vitest/browser');
  const text = atob(await server.commands.readFile(path, 'base64'));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
