import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { type BuiltSegment, buildCore } from './elf-builder.ts';
import { NAME, open, pattern, recorded } from './support.ts';

describe('frames', () => {
  test('only partly in a segment are missing', async () => {
    /* The memory below 640 KiB that a PC's BIOS leaves ends within a frame. */
    const dump = await open(buildCore({ segments: [{ physical: 0n, content: pattern(0x9fc00) }] }));
    expect(await dump.readFrames([0x9e000n, 0x9f000n, 0xa0000n])).toEqual([
      pattern(0x9fc00).subarray(0x9e000, 0x9f000),
      undefined,
      undefined,
    ]);
  });

  test('that segments have together are whole', async () => {
    const content = pattern(0x3000);
    const segments = [
      { physical: 0x4c00n, content: content.subarray(0xc00, 0xd00) },
      { physical: 0x4d00n, content: content.subarray(0xd00) },
      { physical: 0x4000n, content: content.subarray(0, 0xc00) },
    ];
    const dump = await open(buildCore({ segments }));
    expect(await dump.readFrames([0x5000n, 0x4000n])).toEqual([
      content.slice(0x1000, 0x2000),
      content.slice(0, 0x1000),
    ]);
  });

  test('at the two ends of physical memory are found', async () => {
    const last = 0xf_ffff_ffff_f000n;
    const segments = [
      { physical: last, content: pattern(4096, 1) },
      { physical: 0n, content: pattern(4096, 2) },
    ];
    const dump = await open(buildCore({ segments }));
    expect(await dump.readFrames([last, 0n])).toEqual([pattern(4096, 1), pattern(4096, 2)]);
  });

  test('are read in one pass, each once', async () => {
    const content = pattern(0x8000);
    const file = recorded(bytesSource(buildCore({ segments: [{ physical: 0n, content }] }), NAME));
    const dump = await openDump(file);
    const before = file.passes.length;
    await dump.readFrames([0x7000n, 0x2000n, 0x7000n, 0x9000n, 0x3000n]);
    expect(file.passes.slice(before).map((ranges) => ranges.map(({ offset }) => offset))).toEqual([
      [0x3000, 0x4000, 0x8000],
    ]);
    expect(await dump.readFrames([])).toEqual([]);
    expect(await dump.readFrames([0x9000n])).toEqual([undefined]);
    expect(file.passes.length).toBe(before + 1);
  });

  test('of any segments are those of the memory they describe', async () => {
    const layouts = fc.array(
      fc.record({ gap: fc.constantFrom(0, 0, 1, 0x400, 0x1000, 0x2345), length: fc.integer({ min: 1, max: 0x3001 }) }),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(layouts, fc.infiniteStream(fc.nat()), async (layout, order) => {
        const memory = new Map<number, number>();
        const segments: BuiltSegment[] = [];
        let end = 0;
        for (const [i, { gap, length }] of layout.entries()) {
          const content = pattern(length, i + 1);
          segments.push({ physical: BigInt(end + gap), content });
          for (const [j, byte] of content.entries()) memory.set(end + gap + j, byte);
          end += gap + length;
        }
        const shuffled = segments
          .map((segment) => ({ segment, key: order.next().value }))
          .sort((a, b) => a.key - b.key);
        const dump = await open(buildCore({ segments: shuffled.map(({ segment }) => segment) }));
        const asked = Array.from({ length: Math.ceil(end / 4096) + 1 }, (_, i) => i * 4096);
        const expected = asked.map((frame) => {
          const bytes = Array.from({ length: 4096 }, (_, i) => memory.get(frame + i));
          return bytes.includes(undefined) ? undefined : Uint8Array.from(bytes as number[]);
        });
        expect((await dump.readFrames(asked.map(BigInt))).map((bytes) => bytes?.slice())).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    [1n, /^physical: expected a multiple of 0x1000, got 0x1$/],
    [1n << 52n, /^physical: expected 0x0 to 0xfffffffffffff, got 0x10000000000000$/],
    [-4096n, /^physical: expected 0x0 to/],
  ])('at %d are refused', async (physical, message) => {
    const dump = await open(buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] }));
    await expect(dump.readFrames([0n, physical])).rejects.toThrow(message);
  });
});
