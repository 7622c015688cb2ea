import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ByteSource, bytesSource } from '../../src/dump/byte-source.ts';
import { DumpError } from '../../src/dump/dump-error.ts';
import { inflated } from '../../src/dump/gzip.ts';
import { partAndWhole } from '../support/thorough.ts';
import { concat } from './elf-builder.ts';
import { dumpErrorOf, expectRanges, FIXTURES, NAME, pattern, recorded } from './support.ts';

const CONTENT = concat([pattern(700_000), new Uint8Array(2_000_000), pattern(300_000, 7)]);
const GZIPPED = new Uint8Array(gzipSync(CONTENT));
const source = (bytes: Uint8Array = GZIPPED): ByteSource => bytesSource(bytes, NAME);
const all = (content: ByteSource): Promise<Uint8Array[]> => content.read([{ offset: 0, length: content.size }]);

describe('a gzipped source', () => {
  test('is its content, kept in memory or streamed', async () => {
    for (const keep of [undefined, 0, 1, 1_000_000, CONTENT.length - 1, CONTENT.length]) {
      const content = await inflated(source(), keep === undefined ? {} : { keep });
      expect(content.name).toBe(NAME);
      expect(content.size).toBe(CONTENT.length);
      expect(Buffer.compare((await all(content))[0]!, CONTENT), `keep ${keep}`).toBe(0);
    }
  });

  test('gives the same for any ranges, kept in memory or streamed', async () => {
    const kept = await inflated(source());
    const streamed = await inflated(source(), { keep: 0 });
    const ranges = fc
      .array(
        fc
          .tuple(fc.nat(CONTENT.length), fc.nat(5000))
          .map(([offset, length]) => ({ offset, length: Math.min(length, CONTENT.length - offset) })),
        { maxLength: 10 },
      )
      .map((list) => list.sort((a, b) => a.offset - b.offset));
    await fc.assert(
      fc.asyncProperty(ranges, async (list) => {
        expectRanges(await kept.read(list), CONTENT, list);
        expectRanges(await streamed.read(list), CONTENT, list);
      }),
      { numRuns: 50 },
    );
  });

  test('that fits in memory is read once', async () => {
    const file = recorded(source());
    const content = await inflated(file);
    const before = file.passes.length;
    await content.read([{ offset: 0, length: 10 }]);
    expect(file.passes.length).toBe(before);
  });

  test('that does not fit keeps its start in memory, and is streamed as far as needed', async () => {
    const file = recorded(source());
    const content = await inflated(file, { keep: 2 ** 20 });
    const before = file.passes.length;
    expect(await content.read([{ offset: 2 ** 20 - 10, length: 10 }])).toEqual([CONTENT.slice(2 ** 20 - 10, 2 ** 20)]);
    expect(file.passes.length).toBe(before);
    await content.read([{ offset: 2 ** 20 - 10, length: 11 }]);
    const ends = file.passes.slice(before).map(([range]) => range!.offset + range!.length);
    expect(ends.length).toBeGreaterThan(0);
    expect(ends.at(-1)).toBeLessThan(GZIPPED.length);
  });

  test('reports progress, up to the whole file', async () => {
    const calls: [number, number][] = [];
    await inflated(source(), { onProgress: (...call) => calls.push(call) });
    expect(calls.length).toBeGreaterThan(1);
    expect(calls.at(-1)).toEqual([GZIPPED.length, GZIPPED.length]);
    expect(calls.map(([done]) => done)).toEqual(calls.map(([done]) => done).sort((a, b) => a - b));
  });

  test('lets an error of its caller through', async () => {
    const stop = new Error('enough');
    const onProgress = (): void => {
      throw stop;
    };
    await expect(inflated(source(), { onProgress })).rejects.toBe(stop);
  });

  test('lets an error of its file through', async () => {
    const error = new DumpError(NAME, 'the disk is gone');
    for (const from of [1, 2, 3]) {
      let reads = 0;
      const failing = {
        ...source(),
        read: (ranges: Parameters<ByteSource['read']>[0]) =>
          ++reads > from ? Promise.reject(error) : source().read(ranges),
      };
      await expect(inflated(failing)).rejects.toBe(error);
    }
  });

  test('that becomes another file between two passes is a DumpError', async () => {
    let now = source();
    const changing = { ...now, read: (ranges: Parameters<ByteSource['read']>[0]) => now.read(ranges) };
    const content = await inflated(changing, { keep: 0 });
    const other = gzipSync(pattern(1000), { level: 0 });
    now = source(concat([other, new Uint8Array(GZIPPED.length - other.length)]));
    await dumpErrorOf(all(content));
  });

  test('refuses a negative keep', async () => {
    await expect(inflated(source(), { keep: -1 })).rejects.toThrow(/^keep: expected/);
  });
});

test('a source that is not gzipped stays what it is', async () => {
  for (const bytes of [[], [0x1f], [0x1f, 0x8c, 0], [0x7f, 0x45]]) {
    const plain = source(Uint8Array.from(bytes));
    expect(await inflated(plain)).toBe(plain);
  }
});

test('an empty content is one', async () => {
  expect((await inflated(source(gzipSync(new Uint8Array(0))))).size).toBe(0);
});

describe('a damaged gzip stream', () => {
  const small = FIXTURES[0]!.gzipped();

  for (const { part, stride, options } of partAndWhole(487, 97)) {
    test(`truncated near its ends, or at ${part} of the bytes between, is a DumpError`, options, async () => {
      const lengths = new Set([...Array(64).keys()].flatMap((i) => [i, small.length - 1 - i]));
      for (let length = 64; length < small.length; length += stride) lengths.add(length);
      for (const length of lengths) {
        const cut = source(small.subarray(0, length));
        if (length < 2) expect(await inflated(cut)).toBe(cut);
        else for (const keep of [0, 2 ** 28]) await dumpErrorOf(inflated(cut, { keep }));
      }
    });
  }

  test.each([
    ['zeros', new Uint8Array(512)],
    ['one zero', new Uint8Array(1)],
    ['garbage', pattern(100)],
    ['what looks like a stream', Uint8Array.of(0x1f, 0x8b, 8, 0)],
    ['another stream', gzipSync(pattern(100))],
    ['itself', small],
  ])('followed by %s is a DumpError', async (_, tail) => {
    await dumpErrorOf(inflated(source(concat([small, tail]))));
  });

  for (const { stride, options } of partAndWhole(305, 61)) {
    test(
      `with a byte changed near its ends, or one in ${stride} of those between, is a DumpError, or the same content`,
      options,
      async () => {
        const expected = Buffer.from(FIXTURES[0]!.plain());
        const offsets = [...Array(32).keys()].flatMap((i) => [i, small.length - 1 - i]);
        for (let offset = 32; offset < small.length; offset += stride) offsets.push(offset);
        for (const offset of offsets) {
          const damaged = small.slice();
          damaged[offset]! ^= 1 << (offset % 8);
          const plain = source(damaged);
          const result = await inflated(plain).catch((error: unknown) => error);
          if (result === plain) expect(offset).toBeLessThan(2);
          else if (result instanceof Error) expect(result).toBeInstanceOf(DumpError);
          else expect(Buffer.compare((await all(result as ByteSource))[0]!, expected), `offset ${offset}`).toBe(0);
        }
      },
    );
  }

  test('of random bytes is a DumpError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), async (bytes, wellBegun) => {
        const start = wellBegun ? [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] : [0x1f, 0x8b];
        await dumpErrorOf(inflated(source(concat([Uint8Array.from(start), bytes]))));
      }),
    );
  });
});
