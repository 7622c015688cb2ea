/**
 * LiME, AVML, VMware and raw images. VMware's are built by the format's published rules: no sample could be had.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { DumpError } from '../../src/dump/dump-error.ts';
import { type OpenDumpOptions, openDump } from '../../src/dump/open-dump.ts';
import { concat } from './elf-builder.ts';
import { buildAvml, buildLime, buildVmwareState, regionTags, words } from './image-builders.ts';
import { complaintOf, dumpErrorOf, NAME, open, pattern, recorded } from './support.ts';

const source = (bytes: Uint8Array, name = NAME): ReturnType<typeof bytesSource> => bytesSource(bytes, name);
/** Memory below 640 KiB that ends within a page, and some above. */
const LOW = { physical: 0x1000n, content: pattern(0x2c00, 1) };
const HIGH = { physical: 0x10_0000n, content: pattern(0x2_3000, 2) };
const RANGES = [LOW, HIGH];
/** The first block of a real AVML file: 11 chunks, compressed. */
const REAL_AVML = new Uint8Array(
  gunzipSync(readFileSync(new URL('../fixtures/dumps/a.avml.gz', import.meta.url))).subarray(0, 0x78d0),
);

describe.each([
  { format: 'lime', build: buildLime },
  { format: 'avml', build: (ranges: typeof RANGES) => buildAvml(ranges, 0x1800) },
])('a file of format $format', ({ format, build }) => {
  test('holds the frames that are whole', async () => {
    const dump = await openDump(source(build(RANGES)), { strict: true });
    expect(dump.format).toBe(format);
    expect(dump.segments).toEqual([
      { physical: 0x1000n, bytes: 0x2c00n },
      { physical: 0x10_0000n, bytes: 0x2_3000n },
    ]);
    expect(await dump.readFrames([0x12_2000n, 0x2000n, 0x3000n, 0n, 0x10_0000n, 0x12_3000n])).toEqual([
      HIGH.content.slice(0x2_2000),
      LOW.content.slice(0x1000, 0x2000),
      undefined,
      undefined,
      HIGH.content.slice(0, 0x1000),
      undefined,
    ]);
  });

  test('may have its ranges in any order, and memory that two ranges hold together', async () => {
    const parts = [
      { physical: 0x4800n, content: pattern(0x1800, 3) },
      { physical: 0x4000n, content: pattern(0x800, 4) },
    ];
    const dump = await openDump(source(build(parts)), { strict: true });
    expect(await dump.readFrames([0x4000n])).toEqual([concat([parts[1]!.content, parts[0]!.content.slice(0, 0x800)])]);
  });

  test('that holds memory twice is warned of', async () => {
    const { message, dump } = await complaintOf(source(build([LOW, LOW])));
    expect(message).toBe('expected memory once, found physical 0x1000 again: one is used');
    expect(await dump!.readFrames([0x1000n])).toEqual([LOW.content.slice(0, 0x1000)]);
  });

  test('truncated anywhere is warned of, or gives one error, and what is there is used', async () => {
    const file = build(RANGES);
    let used = 0;
    for (let length = 5; length < file.length; length += length < 100 || length > file.length - 100 ? 1 : 97) {
      const { dump } = await complaintOf(source(file.subarray(0, length)));
      if (!dump) continue;
      used++;
      const frames = [0x1000n, 0x2000n, 0x10_0000n, 0x11_0000n, 0x12_2000n];
      const contents = await dump.readFrames(frames);
      for (const [i, content] of contents.entries()) {
        const { physical, content: whole } = frames[i]! < HIGH.physical ? LOW : HIGH;
        const at = Number(frames[i]! - physical);
        if (content) expect(Buffer.compare(content, whole.subarray(at, at + 4096))).toBe(0);
      }
      if (length > 0x4000) expect(contents[0]).toBeDefined();
    }
    expect(used).toBeGreaterThan(1000);
  });

  test.each<[string, number, Uint8Array, RegExp]>([
    ['a version of its own', 4, words([4, 7]), /expected version 0x[12], found 0x7$/],
    ['a last address before the first', 16, words([8, 0xfff]), /expected a last address from 0x1000 on, found 0xfff$/],
    [
      'memory beyond 2^52',
      16,
      words([8, 1n << 52n]),
      /expected physical memory below 0x10000000000000, found 0x10000000000000$/,
    ],
  ])('with %s gives one error, and after the first range a warning', async (_, at, bytes, message) => {
    const first = build(RANGES);
    first.set(bytes, at);
    expect((await complaintOf(source(first))).message.replace(/: what follows is left out$/, '')).toMatch(message);
    const second = build([LOW, { ...HIGH, physical: 0x1000n }]);
    const start = build([LOW]).length;
    second.set(bytes, start + at);
    const { message: warning, dump } = await complaintOf(source(second));
    expect(warning.replace(/: what follows is left out$/, '')).toMatch(message);
    expect(await dump!.readFrames([0x1000n])).toEqual([LOW.content.slice(0, 0x1000)]);
  });

  test('with more after its memory that is none is warned of', async () => {
    const { message, dump } = await complaintOf(source(concat([build(RANGES), pattern(77, 9)])));
    expect(message).toMatch(/expected the magic "(EMiL|AVML)", found 0x[0-9a-f]+: what follows is left out$/);
    expect(dump!.segments).toHaveLength(2);
  });

  test('is read in one pass', async () => {
    const file = recorded(source(build(RANGES)));
    const dump = await openDump(file);
    const frames = Array.from({ length: 0x23 }, (_, i) => 0x10_0000n + BigInt(i) * 4096n);
    await dump.readFrames(frames);
    const before = file.passes.length;
    await dump.readFrames(frames);
    expect(file.passes.length).toBe(before + 1);
  });
});

describe('an AVML file', () => {
  test('of compressed chunks with a byte changed anywhere holds the right frames, or none, which is told', async () => {
    const right = await (await open(REAL_AVML)).readFrames([0x1000n, 0x4_0000n, 0x9_c000n, 0x9_e000n]);
    await fc.assert(
      fc.asyncProperty(fc.nat(REAL_AVML.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const file = REAL_AVML.slice();
        file[at]! ^= change;
        const dump = await openOrError(file);
        /* A header that says another place is as good as this one. */
        if (!dump || (at >= 8 && at < 32)) return;
        const found = await dump.readFrames([0x1000n, 0x4_0000n, 0x9_c000n, 0x9_e000n]);
        for (const [i, content] of found.entries()) if (content) expect(Buffer.compare(content, right[i]!)).toBe(0);
        if (found.includes(undefined)) expect(dump.warnings.join()).toMatch(/expected/);
      }),
      { numRuns: 400 },
    );
  });

  test('whose chunk has another checksum lacks it alone, which is an error if strict', async () => {
    const file = buildAvml([HIGH], 0x1000);
    const at = file.length - 100;
    file[at]! ^= 1;
    const dump = await open(file);
    expect(dump.warnings).toEqual([]);
    expect(await dump.readFrames([0x12_1000n, 0x12_2000n])).toEqual([
      HIGH.content.slice(0x2_1000, 0x2_2000),
      undefined,
    ]);
    expect(dump.warnings).toEqual([
      expect.stringMatching(
        /^chunk at file offset 0x[0-9a-f]+ \(physical 0x122000\): expected the checksum 0x[0-9a-f]+, found 0x[0-9a-f]+: it is left out$/,
      ),
    ]);
    const strict = await openDump(source(file), { strict: true });
    expect(await dumpErrorOf(strict.readFrames([0x12_2000n]))).toMatch(
      /expected the checksum .* \(an error because of strict\)$/,
    );
  });

  test('with a range that lacks the last byte of a page has 0 there, which is told', async () => {
    const { message, dump } = await complaintOf(
      source(buildAvml([{ ...HIGH, content: HIGH.content.subarray(0, 0x1fff) }])),
    );
    expect(message).toMatch(
      /^expected ranges of whole pages, found that AVML left out their last byte, at physical 0x101fff: it is taken for 0x0$/,
    );
    const expected = HIGH.content.slice(0x1000, 0x2000);
    expected[4095] = 0;
    expect(await dump!.readFrames([0x10_1000n])).toEqual([expected]);
  });
});

describe('a VMware machine', () => {
  const memory = concat([pattern(0x3000, 5), pattern(0x2000, 6)]);
  const REGIONS = [
    [0, 0, 3],
    [0x10_0000, 3, 2],
  ] as const;
  const state = buildVmwareState(regionTags(REGIONS));
  const SEGMENTS = [
    { physical: 0n, bytes: 0x3000n },
    { physical: 0x1_0000_0000n, bytes: 0x2000n },
  ];
  const frames = [0x2000n, 0x3000n, 0x1_0000_1000n];
  const contents = [memory.slice(0x2000, 0x3000), undefined, memory.slice(0x4000)];

  test('is its .vmem and its state, in any order', async () => {
    const files = [source(memory, 'vm.vmem'), source(state, 'vm.vmss')];
    for (const given of [files, [...files].reverse()]) {
      const dump = await openDump(given, { strict: true });
      expect([dump.name, dump.format]).toEqual(['vm.vmem', 'vmware']);
      expect(dump.segments).toEqual(SEGMENTS);
      expect(await dump.readFrames(frames)).toEqual(contents);
    }
  });

  test('may have its memory in the state, with words of 32 bits in the oldest version', async () => {
    for (const word of [4, 8] as const) {
      const tags = [...regionTags(REGIONS), { name: 'Memory', indices: [0, 0], data: memory, long: true }];
      const dump = await openDump(source(buildVmwareState(tags, word)), { strict: true });
      expect(dump.segments).toEqual(SEGMENTS);
      expect(await dump.readFrames(frames)).toEqual(contents);
    }
  });

  test('without regions has memory from 0 on, as has a .vmem alone', async () => {
    const none = buildVmwareState([{ name: 'regionsCount', data: words([4, 0]) }]);
    for (const given of [[source(memory, 'vm.vmem'), source(none, 'vm.vmsn')], [source(memory, 'vm.vmem')]]) {
      const dump = await openDump(given, { strict: true });
      expect(dump.segments).toEqual([{ physical: 0n, bytes: 0x5000n }]);
    }
  });

  test('without its .vmem is asked for that', async () => {
    expect(await dumpErrorOf(openDump(source(state)))).toMatch(
      /it is in the \.vmem file beside it, name that file, too$/,
    );
  });

  test('alone, with more than 3 GiB, is warned of its hole', async () => {
    const long = { ...source(memory, 'vm.vmem'), size: 0xc000_1000, read: async () => [new Uint8Array(16)] };
    const dump = await openDump(long);
    expect(dump.warnings).toEqual([expect.stringMatching(/^a \.vmem of more than 0xc0000000 bytes has a hole/)]);
  });

  test('closes both files', async () => {
    const files = [recorded(source(memory, 'vm.vmem')), recorded(source(state, 'vm.vmss'))];
    await (await openDump(files)).close();
    expect(files.map(({ closed }) => closed)).toEqual([1, 1]);
  });

  test('whose .vmem is truncated is warned of', async () => {
    const { message, dump } = await complaintOf([source(memory.subarray(0, 0x4000)), source(state, 'vm.vmss')]);
    expect(message).toBe(
      'truncated: expected 0x2000 bytes of physical 0x100000000 at file offset 0x3000, found the end of the file at 0x4000',
    );
    expect(dump!.segments[1]!.bytes).toBe(0x1000n);
  });

  test('whose state is truncated anywhere gives one error', async () => {
    for (let length = 4; length < state.length; length++) {
      const files = [source(memory), source(state.subarray(0, length))];
      expect(
        await openDump(files).then(
          () => 'opened',
          (error: unknown) => expectOneLine(error),
        ),
      ).not.toBe('opened');
    }
  });

  test.each<[string, readonly (readonly [number, number, number])[], RegExp]>([
    [
      'that is the same memory twice',
      [
        [0, 0, 2],
        [1, 2, 2],
      ],
      /^expected separate regions, found 0x1000 twice$/,
    ],
    [
      'that is one part of the file twice',
      [
        [0, 0, 2],
        [16, 1, 2],
      ],
      /^expected segments in separate parts of the file/,
    ],
    ['outside the file', [[0, 16, 2]], /^expected memory, found none of the regions in the file$/],
  ])('with a region %s gives one error', async (_, regions, message) => {
    expect(await dumpErrorOf(openDump([source(memory), source(buildVmwareState(regionTags(regions)))]))).toMatch(
      message,
    );
  });

  test('with a count of regions that there cannot be gives one error', async () => {
    const many = buildVmwareState([{ name: 'regionsCount', data: words([4, 0xffff_ffff]) }]);
    expect(await dumpErrorOf(openDump([source(memory), source(many)]))).toBe(
      'regionsCount: expected at most 0x400, found 0xffffffff',
    );
    const lacking = buildVmwareState([{ name: 'regionsCount', data: words([4, 1]) }]);
    expect(await dumpErrorOf(openDump([source(memory), source(lacking)]))).toMatch(
      /^regionPPN\[0\]: expected a number of pages below 2\^40, found none$/,
    );
  });
});

describe('a raw image', () => {
  const content = pattern(0x5000, 8);

  test.each(['memory.raw', 'guest.mem', 'VM.VMEM', 'ram.img', 'dump.bin', 'disk/mem.dd'])(
    'called %s is memory from 0 on',
    async (name) => {
      const dump = await openDump(source(content, name), { strict: true });
      expect([dump.format, dump.segments]).toEqual(['raw', [{ physical: 0n, bytes: 0x5000n }]]);
      expect(await dump.readFrames([0x4000n, 0x5000n])).toEqual([content.slice(0x4000), undefined]);
    },
  );

  test('called anything else is one if the user says so', async () => {
    for (const name of ['memory', 'memory.dmp', 'memory.raw.txt']) {
      expect(await dumpErrorOf(openDump(source(content, name)), name)).toMatch(
        /: if that is raw memory, say --format raw$/,
      );
      expect((await openDump(source(content, name), { format: 'raw' })).format).toBe('raw');
    }
  });

  test('has ranges one after the other, or where they are said to be', async () => {
    const hole = [
      { physical: 0n, bytes: 0x2000n },
      { physical: 0x1_0000_0000n, bytes: 0x3000n },
    ];
    for (const ranges of [
      hole,
      [
        { ...hole[1]!, offset: 0x2000 },
        { ...hole[0]!, offset: 0 },
      ],
    ]) {
      const dump = await openDump(source(content), { ranges, strict: true });
      expect(dump.segments).toEqual(hole);
      expect(await dump.readFrames([0x1000n, 0x2000n, 0x1_0000_2000n])).toEqual([
        content.slice(0x1000, 0x2000),
        undefined,
        content.slice(0x4000),
      ]);
    }
  });

  test('shorter than its ranges, or than its pages, is warned of', async () => {
    const ranges = [{ physical: 0x1000n, bytes: 0x8000n }];
    const { message, dump } = await complaintOf(source(content), { ranges });
    expect(message).toBe(
      'truncated: expected 0x8000 bytes of physical 0x1000 at file offset 0x0, found the end of the file at 0x5000',
    );
    expect(dump!.segments).toEqual([{ physical: 0x1000n, bytes: 0x5000n }]);
    expect((await complaintOf(source(content.subarray(0, 0x4123)), { format: 'raw' })).message).toBe(
      'expected whole pages, found 0x123 bytes of a page at the end',
    );
  });

  test('with ranges that are the same memory, or all behind its end, gives one error', async () => {
    const twice = [
      { physical: 0n, bytes: 0x2000n },
      { physical: 0x1000n, bytes: 0x1000n },
    ];
    expect(await dumpErrorOf(openDump(source(content), { ranges: twice }))).toBe(
      'expected ranges of separate memory, found 0x1000 twice',
    );
    const behind = [{ physical: 0n, bytes: 0x1000n, offset: 0x9000 }];
    expect(await dumpErrorOf(openDump(source(content), { ranges: behind }))).toBe(
      'expected ranges within the file of 0x5000 bytes, found none',
    );
  });
});

test('files of chance with any magic give one error, or a dump that can be read', async () => {
  const magics = [
    'EMiL\x01\0\0\0',
    'AVML\x02\0\0\0',
    '\xd2\xbe\xd2\xbe',
    '\xd0\xbe\xd2\xbe\0\0\0\0\x01\0\0\0memory',
    '\x7fELF\x02\x01\x01',
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 4000 }), async (magic, bytes) => {
      const dump = await openOrError(concat([Uint8Array.from(magic, (c) => c.charCodeAt(0)), bytes]));
      for (const { physical } of dump?.segments.slice(0, 20) ?? []) {
        await dump!.readFrames([physical & ~0xfffn]).catch(expectOneLine);
      }
    }),
    { numRuns: 500 },
  );
});

async function openOrError(bytes: Uint8Array, options?: OpenDumpOptions): Promise<Dump | undefined> {
  try {
    return await openDump(source(bytes), options);
  } catch (error) {
    expectOneLine(error);
    return undefined;
  }
}

function expectOneLine(error: unknown): void {
  expect(error).toBeInstanceOf(DumpError);
  expect((error as DumpError).message).toMatch(/^[^\r\n]+$/);
}
