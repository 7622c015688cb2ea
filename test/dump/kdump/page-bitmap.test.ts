/**
 * Bitmaps of page frames, against bits that are counted one by one.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import { PageBitmap } from '../../../src/dump/formats/page-bitmap.ts';

const CHUNK = 2 ** 16;

function read(bytes: Uint8Array, frames: number): Promise<PageBitmap> {
  return PageBitmap.read(bytesSource(bytes, 'bitmap'), { offset: 0, length: bytes.length }, frames);
}

/** Bitmaps with lines and chunks that are all clear, all set, and mixed, over two chunks and a half. */
const bitmaps = fc
  .array(
    fc.record({
      from: fc.nat(2.5 * CHUNK),
      length: fc.oneof(fc.nat(300), fc.constantFrom(64, 4096, CHUNK)),
      value: fc.oneof(fc.constantFrom(0xff, 0x80, 0x01), fc.nat(255)),
    }),
    { maxLength: 12 },
  )
  .map((spans) => {
    const bytes = new Uint8Array(2.5 * CHUNK);
    for (const { from, length, value } of spans) bytes.fill(value, from, from + length);
    return bytes;
  });

test('a bitmap tells which bits are set, how many before each, and what memory that is', async () => {
  await fc.assert(
    fc.asyncProperty(bitmaps, fc.nat(100), async (bytes, less) => {
      const frames = bytes.length * 8 - less;
      const bitmap = await read(bytes, frames);
      const ranges: { physical: bigint; bytes: bigint }[] = [];
      const wrong: number[] = [];
      let count = 0;
      let before = false;
      for (let frame = 0; frame < bytes.length * 8; frame++) {
        const isSet = frame < frames && ((bytes[frame >>> 3]! >>> (frame & 7)) & 1) === 1;
        if (frame % 97 === 0 || frame > frames - 200) {
          if (bitmap.has(frame) !== isSet || bitmap.rank(frame) !== count) wrong.push(frame);
        }
        if (isSet && before) ranges.at(-1)!.bytes += 4096n;
        else if (isSet) ranges.push({ physical: BigInt(frame) * 4096n, bytes: 4096n });
        before = isSet;
        if (isSet) count++;
      }
      expect(wrong).toEqual([]);
      expect(bitmap.count).toBe(count);
      expect(bitmap.rank(2 ** 40)).toBe(count);
      expect(bitmap.has(2 ** 40)).toBe(false);
      expect(bitmap.ranges(2 ** 20)).toEqual(ranges);
    }),
    { numRuns: 15 },
  );
});

test('bitmaps are equal where their bits are', async () => {
  const bytes = new Uint8Array(2 * CHUNK).fill(0x55, 70_000, 80_000);
  const other = bytes.slice();
  expect((await read(bytes, 2 ** 20)).equals(await read(other, 2 ** 20))).toBe(true);
  other[75_000] = 0xaa;
  expect((await read(bytes, 2 ** 20)).equals(await read(other, 2 ** 20))).toBe(false);
  expect((await read(bytes, 2 ** 20)).equals(await read(bytes, 75_000 * 8))).toBe(false);
});

test('memory in more pieces than are told ends with one that reaches over the others', async () => {
  const bytes = new Uint8Array(CHUNK).fill(0x55, 0, 1000);
  const ranges = (await read(bytes, CHUNK * 8)).ranges(3);
  expect(ranges).toEqual([
    { physical: 0n, bytes: 4096n },
    { physical: 0x2000n, bytes: 4096n },
    { physical: 0x4000n, bytes: 7995n * 4096n },
  ]);
});

test('no bit, no memory', async () => {
  const bitmap = await read(new Uint8Array(100), 800);
  expect([bitmap.count, bitmap.ranges(3)]).toEqual([0, []]);
});
