import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { blobSource, bytesSource } from '../../src/dump/byte-source.ts';
import { fileSource } from '../../src/dump/file-source.ts';
import { dumpErrorOf, expectRanges, pattern } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'hugewalk-'));
afterAll(() => rmSync(folder, { recursive: true }));

function onDisk(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const CONTENT = pattern(100_000);
const sources = async () => [
  bytesSource(CONTENT, 'bytes'),
  blobSource(new Blob([CONTENT]), 'blob'),
  await fileSource(onDisk('content', CONTENT)),
];

const rangeLists = fc
  .array(
    fc
      .tuple(fc.nat(CONTENT.length), fc.oneof(fc.constantFrom(0, 1, 4096), fc.nat(CONTENT.length)))
      .map(([offset, length]) => ({ offset, length: Math.min(length, CONTENT.length - offset) })),
    { maxLength: 20 },
  )
  .map((ranges) => ranges.sort((a, b) => a.offset - b.offset));

describe('bytes, Blob and file', () => {
  test('give the same bytes for any ranges, apart, touching and overlapping', async () => {
    const all = await sources();
    await fc.assert(
      fc.asyncProperty(rangeLists, async (ranges) => {
        for (const source of all) expectRanges(await source.read(ranges), CONTENT, ranges);
      }),
    );
    for (const source of all) await source.close();
  });

  test('know their size and name', async () => {
    const [bytes, blob, file] = await sources();
    for (const source of [bytes!, blob!, file!]) expect(source.size).toBe(CONTENT.length);
    expect([bytes!.name, blob!.name, file!.name]).toEqual(['bytes', 'blob', join(folder, 'content')]);
    expect(blobSource(new File([], 'dropped.elf')).name).toBe('dropped.elf');
    expect(blobSource(new Blob([])).name).toBe('blob');
    await file!.close();
  });

  test.each([
    ['past the end', [{ offset: 99_999, length: 2 }]],
    [
      'not ascending',
      [
        { offset: 5, length: 1 },
        { offset: 4, length: 1 },
      ],
    ],
    ['of negative length', [{ offset: 5, length: -1 }]],
    ['before the start', [{ offset: -1, length: 1 }]],
    ['not whole', [{ offset: 0.5, length: 1 }]],
    ['not numbers', [{ offset: Number.NaN, length: 1 }]],
  ])('refuse ranges that are %s', async (_, ranges) => {
    for (const source of await sources()) {
      await expect(source.read(ranges)).rejects.toThrow(/^ranges: expected .*, got /);
      await source.close();
    }
  });

  test('close twice without complaint', async () => {
    for (const source of await sources()) {
      await source.close();
      await source.close();
    }
  });
});

describe('a file', () => {
  test('that is not there is a DumpError', async () => {
    const path = join(folder, 'nowhere');
    expect(await dumpErrorOf(fileSource(path), path)).toMatch(/^expected a readable file, found ENOENT/);
  });

  test('with a name of several lines is named in one', async () => {
    const path = join(folder, 'two\nlines');
    expect(await dumpErrorOf(fileSource(path), join(folder, 'two\\u000alines'))).toMatch(/ENOENT/);
  });

  test('that is a folder is a DumpError', async () => {
    expect(await dumpErrorOf(fileSource(folder), folder)).toBe('expected a file, found a directory');
  });

  test('that is a device is a DumpError', async () => {
    expect(await dumpErrorOf(fileSource('/dev/null'), '/dev/null')).toBe('expected a file, found a device or pipe');
  });

  test('that is truncated while it is read is a DumpError', async () => {
    const path = onDisk('shrinking', CONTENT);
    const source = await fileSource(path);
    truncateSync(path, 5000);
    expect(await source.read([{ offset: 0, length: 5000 }])).toEqual([CONTENT.subarray(0, 5000)]);
    expect(await dumpErrorOf(source.read([{ offset: 4000, length: 2000 }]), path)).toBe(
      'expected 0x7d0 bytes at file offset 0xfa0, found the end of the file at 0x1388: it was truncated meanwhile',
    );
    await source.close();
  });

  test('that was closed is a DumpError', async () => {
    const path = onDisk('closed', CONTENT);
    const source = await fileSource(path);
    await source.close();
    await dumpErrorOf(source.read([{ offset: 0, length: 1 }]), path);
  });
});

describe('a Blob', () => {
  class Shrunk extends Blob {
    override slice(): Blob {
      return new Blob([new Uint8Array(3)]);
    }
  }

  class Unreadable extends Blob {
    override slice(): Blob {
      throw new DOMException('The file changed\non disk', 'NotReadableError');
    }
  }

  test('that has become shorter is a DumpError', async () => {
    const source = blobSource(new Shrunk([CONTENT]), 'dropped');
    expect(await dumpErrorOf(source.read([{ offset: 0, length: 16 }]), 'dropped')).toMatch(/end of the file at 0x3:/);
  });

  test('that cannot be read any more is a DumpError', async () => {
    const source = blobSource(new Unreadable([CONTENT]), 'dropped');
    expect(await dumpErrorOf(source.read([{ offset: 0, length: 16 }]), 'dropped')).toMatch(/The file changed/);
  });
});
