import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { buildCore } from './elf-builder.ts';
import { dumpErrorOf, NAME, open, pattern, recorded } from './support.ts';

const beginning = (start: string): Uint8Array => {
  const bytes = new Uint8Array(8192);
  for (let i = 0; i < start.length; i++) bytes[i] = start.charCodeAt(i);
  return bytes;
};

describe('a file that is no ELF core', () => {
  test.each([
    ['KDUMP   ', 'a kdump-compressed file (makedumpfile)'],
    ['makedumpfile\0\0\0\0', 'a kdump-compressed file in flattened form (makedumpfile -F)'],
    ['EMiL', 'a LiME file'],
    ['AVML', 'an AVML file'],
    ['PAGEDU64', 'a Windows crash dump'],
    ['PAGEDUMP', 'a 32-bit Windows crash dump'],
    ['QEVM', 'a QEMU saved state (savevm)'],
    ['\xfd7zXZ\0', 'an xz-compressed file; decompress it first'],
    ['\x28\xb5\x2f\xfd', 'a zstd-compressed file; decompress it first'],
    ['hello, world', 'a file that begins with 68 65 6c 6c 6f 2c 20 77'],
    ['\x7fELG', 'a file that begins with 7f 45 4c 47 00 00 00 00'],
  ])('but begins with %j is named, plain or gzipped', async (start, is) => {
    const message = `expected an ELF64 core (plain or gzipped), found ${is}`;
    expect(await dumpErrorOf(open(beginning(start)))).toBe(message);
    expect(await dumpErrorOf(open(gzipSync(beginning(start))))).toBe(message);
  });

  test('but is empty, plain or gzipped, is named', async () => {
    const message = 'expected an ELF64 core (plain or gzipped), found an empty file';
    expect(await dumpErrorOf(open(new Uint8Array(0)))).toBe(message);
    expect(await dumpErrorOf(open(gzipSync(new Uint8Array(0))))).toBe(message);
  });

  test('but gzipped twice is named', async () => {
    expect(await dumpErrorOf(open(gzipSync(gzipSync(pattern(100)))))).toMatch(/found a gzip stream within a gzip/);
  });

  test('but a few bytes is named', async () => {
    expect(await dumpErrorOf(open(Uint8Array.of(0x7f, 0x45)))).toMatch(/found a file that begins with 7f 45$/);
  });
});

describe('the source of a dump', () => {
  const core = buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] });

  test('is closed with the dump', async () => {
    const source = recorded(bytesSource(core, NAME));
    const dump = await openDump(source);
    expect(source.closed).toBe(0);
    await dump.close();
    expect(source.closed).toBe(1);
  });

  test('is closed by [Symbol.asyncDispose]', async () => {
    const source = recorded(bytesSource(core, NAME));
    await (await openDump(source))[Symbol.asyncDispose]();
    expect(source.closed).toBe(1);
  });

  test('is closed when opening fails', async () => {
    const source = recorded(bytesSource(core.subarray(0, 100), NAME));
    await dumpErrorOf(openDump(source));
    expect(source.closed).toBe(1);
  });

  test('may be a Blob or a File', async () => {
    for (const [blob, name] of [
      [new Blob([core]), 'blob'],
      [new File([gzipSync(core)], 'dropped.elf.gz'), 'dropped.elf.gz'],
    ] as const) {
      const dump = await openDump(blob);
      expect(dump.name).toBe(name);
      expect(await dump.readFrames([0n])).toEqual([pattern(4096)]);
    }
  });

  test('may be nothing else', async () => {
    for (const wrong of [undefined, null, 'path', core]) {
      await expect(Reflect.apply(openDump, undefined, [wrong])).rejects.toThrow(
        /^source: expected a ByteSource or a Blob, got (undefined|null|"path"|a \w+)$/,
      );
    }
  });
});
