import { expect, test } from 'vitest';
import { readFixture } from './files.ts';

test('a compressed file is read as it is, not decompressed on the way', async () => {
  const bytes = await readFixture('test/fixtures/linux-6.1-4level.elf.gz');
  expect([...bytes.subarray(0, 3)]).toEqual([0x1f, 0x8b, 8]);
});

test('a compiled core is read as it is', async () => {
  expect(WebAssembly.validate(await readFixture('build/flat.wasm'))).toBe(true);
});

test('a file that is not there is an error that names it', async () => {
  await expect(readFixture('test/fixtures/no-such-file.bin')).rejects.toThrow('test/fixtures/no-such-file.bin');
});
