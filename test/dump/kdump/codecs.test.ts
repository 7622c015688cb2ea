/**
 * Pages that were compressed by other programs stand in real.test.ts. Here: streams written by hand, and damaged ones.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import { decompressLzo } from '../../../src/dump/formats/kdump/codecs/lzo.ts';
import { decompressSnappy } from '../../../src/dump/formats/kdump/codecs/snappy.ts';
import { inflateAnywhere, loadZlib } from '../../../src/dump/formats/kdump/codecs/zlib.ts';
import { loadZstd } from '../../../src/dump/formats/kdump/codecs/zstd.ts';
import { inflated } from '../../../src/dump/gzip.ts';
import { readFixture } from '../../support/files.ts';
import { concat } from '../elf-builder.ts';
import { fixturePath } from './fixtures.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
/** A page that repeats what it begins with. */
const repeated = (...start: number[]): Uint8Array =>
  Uint8Array.from({ length: 4096 }, (_, i) => start[i % start.length]!);

/** Stored pages of a real file, of one codec. */
async function storedPages(file: string): Promise<Uint8Array[]> {
  const source = await inflated(bytesSource(await readFixture(fixturePath(file)), file));
  const [content] = await source.read([{ offset: 0, length: source.size }]);
  const view = new DataView(content!.buffer, content!.byteOffset, content!.length);
  const start = (1 + view.getUint32(432, true) + view.getUint32(436, true)) * 4096;
  return Array.from({ length: 40 }, (_, i) => {
    const at = start + 24 * i * 10;
    const offset = Number(view.getBigUint64(at, true));
    return {
      flags: view.getUint32(at + 12, true),
      page: content!.slice(offset, offset + view.getUint32(at + 8, true)),
    };
  }).flatMap(({ flags, page }) => (flags ? [page] : []));
}

describe('LZO', () => {
  const END = bytes(0x11, 0, 0);
  /** 001LLLLL with a long length: fills a page of which `filled` bytes are there, from `distance` back. */
  const fill = (filled: number, distance: number): Uint8Array => {
    const rest = 4096 - filled - 2 - 31;
    const zeros = Math.ceil(rest / 255) - 1;
    return concat([
      bytes(0x20),
      new Uint8Array(zeros),
      bytes(rest - 255 * zeros, ((distance - 1) & 63) << 2, (distance - 1) >> 6),
    ]);
  };

  test('literals in the first byte, and a copy that overlaps itself', () => {
    expect(decompressLzo(concat([bytes(17 + 5, 1, 2, 3, 4, 5), fill(5, 5), END]))).toEqual(repeated(1, 2, 3, 4, 5));
    expect(decompressLzo(concat([bytes(17 + 1, 7), fill(1, 1), END]))).toEqual(repeated(7));
  });

  test('a run of literals, its length in the byte or behind it', () => {
    const literals = Uint8Array.from({ length: 300 }, (_, i) => i % 251);
    const expected = (count: number): Uint8Array => repeated(...literals.subarray(0, count));
    expect(decompressLzo(concat([bytes(15), literals.subarray(0, 18), fill(18, 18), END]))).toEqual(expected(18));
    expect(decompressLzo(concat([bytes(0, 2), literals.subarray(0, 20), fill(20, 20), END]))).toEqual(expected(20));
    expect(decompressLzo(concat([bytes(0, 0, 27), literals, fill(300, 300), END]))).toEqual(expected(300));
  });

  test.each([
    { what: '2 bytes behind 1 to 3 literals', code: [0b0000_01_00, 1], state: 1, distance: 4 + 1 + 1, length: 2 },
    {
      what: '3 bytes behind 4 literals, from 2049 on',
      code: [0b0000_10_00, 2],
      state: 4,
      distance: 8 + 2 + 2049,
      length: 3,
    },
    { what: 'a short copy of 3 or 4', code: [0b01_1_101_00, 3], state: 4, distance: 24 + 5 + 1, length: 4 },
    { what: 'a short copy of 5 to 8', code: [0b1_10_011_00, 9], state: 4, distance: 72 + 3 + 1, length: 7 },
    { what: 'a copy of up to 33', code: [0b001_01010, 5 << 2, 1], state: 4, distance: 64 + 5 + 1, length: 12 },
  ])('$what', ({ code, state, distance, length }) => {
    /* 2990 literals; then, for a state below 4, a copy of 3 from 1 back with so many literals behind it. */
    const run = Uint8Array.from({ length: 2990 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    const zeros = Math.floor((2990 - 18 - 1) / 255);
    const before = state === 4 ? [] : [0b010_000_00 | state, 0, ...[91, 92, 93].slice(0, state)];
    const start = [
      ...run,
      ...(state === 4 ? [] : [run[2989]!, run[2989]!, run[2989]!, ...[91, 92, 93].slice(0, state)]),
    ];
    const copied = Array.from({ length }, (_, i) => start[start.length - distance + i]!);
    const head = [...start, ...copied];
    const stream = concat([
      bytes(0),
      new Uint8Array(zeros),
      bytes(2990 - 18 - 255 * zeros),
      run,
      bytes(...before, ...code),
    ]);
    const page = decompressLzo(concat([stream, fill(head.length, 1), END]));
    expect(page).toEqual(Uint8Array.from({ length: 4096 }, (_, i) => head[i] ?? head.at(-1)!));
  });

  test.each([
    { what: 'nothing', stream: bytes() },
    { what: 'no end', stream: concat([bytes(18, 7), fill(1, 1)]) },
    { what: 'something behind the end', stream: concat([bytes(18, 7), fill(1, 1), END, bytes(0)]) },
    { what: 'an end before the page is full', stream: concat([bytes(18, 7), END]) },
    { what: 'a byte more than a page', stream: concat([bytes(18, 7), fill(0, 1), END]) },
    { what: 'a copy from before the page', stream: concat([bytes(18, 7), fill(1, 2), END]) },
    { what: 'a copy into nothing', stream: bytes(16, 0, 0) },
    { what: 'more literals than there are', stream: bytes(17 + 200, 1, 2) },
    { what: 'a length that does not end', stream: concat([bytes(18, 7, 0x20), new Uint8Array(4000)]) },
  ])('refuses $what', ({ stream }) => {
    expect(decompressLzo(stream)).toBeUndefined();
  });

  test('bytes of chance give a page or nothing, soon', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), (stream) => {
        expect([undefined, 4096]).toContain(decompressLzo(stream)?.length);
      }),
      { numRuns: 2000 },
    );
  });
});

describe.each([
  { name: 'lzo', file: 'a.makedumpfile-lzo.gz', load: async () => decompressLzo, isChecked: false },
  { name: 'snappy', file: 'a.makedumpfile-snappy.gz', load: async () => decompressSnappy, isChecked: false },
  { name: 'zstd', file: 'a.makedumpfile-zstd.gz', load: loadZstd, isChecked: false },
  { name: 'zlib', file: 'a.makedumpfile-zlib.gz', load: async () => loadZlib(), isChecked: true },
  { name: 'zlib without Node', file: 'a.makedumpfile-zlib.gz', load: async () => inflateAnywhere, isChecked: true },
])('$name', ({ file, load, isChecked }) => {
  test('gives a page of a real one, and of a damaged or truncated one an exception, or nothing, or (without a check sum) another page', async () => {
    const decompress = await load();
    const lengthOf = (stream: Uint8Array): number | undefined => {
      try {
        return decompress(stream)?.length;
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        return undefined;
      }
    };
    const pages = await storedPages(file);
    expect(pages.length).toBeGreaterThan(20);
    for (const stored of pages) {
      const page = decompress(stored)!;
      expect(page.length).toBe(4096);
      for (const cut of [0, 1, stored.length >> 1, stored.length - 1])
        expect(lengthOf(stored.subarray(0, cut))).not.toBe(4096);
      for (let at = 0; at < stored.length; at += 1 + (stored.length >> 4)) {
        const damaged = stored.slice();
        damaged[at]! ^= 0x41;
        /* Bits that pad the stream may change. */
        if (lengthOf(damaged) === 4096 && isChecked) expect(decompress(damaged)).toEqual(page);
      }
      /* It still works. */
      expect(decompress(stored)).toEqual(page);
    }
  });
});

test('snappy allocates nothing by the length that a block claims', () => {
  expect(decompressSnappy(bytes(0xff, 0xff, 0xff, 0x7f, 0))).toBeUndefined();
});

test('fflate and node:zlib refuse a stream of more than a page', async () => {
  const stream = new Blob([new Uint8Array(4097)]).stream().pipeThrough(new CompressionStream('deflate'));
  const longer = new Uint8Array(await new Response(stream).arrayBuffer());
  expect(() => inflateAnywhere(longer)).not.toThrow();
  expect(inflateAnywhere(longer).length).toBe(4097);
  let length = 4097;
  try {
    length = loadZlib()(longer).length;
  } catch {
    /* Node's own way to say so. */
  }
  expect(length).toBe(4097);
});
