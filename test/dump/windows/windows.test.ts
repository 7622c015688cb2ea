/**
 * Windows' crash dumps. No real one is among the fixtures: the files are built by the format's published rules (builder.ts), with
 * memory of our own or of a real Linux.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressSpace } from '../../../src/dump/address-space.ts';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import type { Dump } from '../../../src/dump/dump.ts';
import { DumpError } from '../../../src/dump/dump-error.ts';
import { openDump } from '../../../src/dump/open-dump.ts';
import { readFixture } from '../../support/files.ts';
import { complaintOf, dumpErrorOf, NAME, pattern, recorded, table } from '../checks.ts';
import { concat } from '../elf-builder.ts';
import { type BuiltRange, words } from '../image-builders.ts';
import { buildBitmapDump, buildFullDump, fieldAt, summaryAt } from './builder.ts';

const source = (bytes: Uint8Array): ReturnType<typeof bytesSource> => bytesSource(bytes, NAME);
const LOW = { physical: 0x1000n, content: pattern(0x3000, 1) };
const HIGH = { physical: 0x1_0000_0000n, content: pattern(0x5000, 2) };
const RANGES = [LOW, HIGH];
const SEGMENTS = [
  { physical: 0x1000n, bytes: 0x3000n },
  { physical: 0x1_0000_0000n, bytes: 0x5000n },
];

/** The bytes that were built at a physical address. */
function builtAt(frame: bigint, ranges: readonly BuiltRange[] = RANGES): Uint8Array | undefined {
  const range = ranges.find(({ physical, content }) => physical <= frame && frame < physical + BigInt(content.length));
  return range?.content.slice(Number(frame - range.physical)).subarray(0, 4096);
}

const KINDS = [
  { kind: 'full', type: 1, build: (ranges: readonly BuiltRange[]) => buildFullDump(ranges) },
  ...[5, 6, 7].map((type) => ({
    kind: 'bitmap',
    type,
    build: (ranges: readonly BuiltRange[]) => buildBitmapDump(ranges, { type }),
  })),
];

describe.each(KINDS)('a $kind dump of type $type', ({ type, build }) => {
  test('holds its pages where its header says', async () => {
    const dump = await openDump(source(build(RANGES)), { strict: true });
    expect([dump.format, dump.name, dump.cpus]).toEqual(['windows', NAME, []]);
    expect(dump.segments).toEqual(SEGMENTS);
    const frames = [0x1_0000_4000n, 0x2000n, 0n, 0x4000n, 0x1000n, 0x1_0000_0000n, 0x1_0000_5000n, 0x2000n];
    expect(await dump.readFrames(frames)).toEqual(frames.map((frame) => builtAt(frame)));
  });

  test('says what machine it is of', async () => {
    const { windows } = await openDump(source(build(RANGES)));
    expect(windows).toEqual({
      dumpType: type,
      directoryTableBase: 0x1ad_002n,
      majorVersion: 15,
      build: 19_041,
      processors: 2,
      bugCheck: 0xd1,
      kdDebuggerDataBlock: 0xffff_f806_0f41_6a80n,
    });
  });

  test('truncated anywhere is warned of, or gives one error, and what is there is used', async () => {
    const file = build(RANGES);
    const start = file.length - 0x8000;
    for (const length of [8, 0x1000, 0x1fff, 0x2000, 0x2037, 0x2038, start - 1, start, start + 0xfff]) {
      const { message, dump } = await complaintOf(source(file.subarray(0, length)));
      expect(message).toMatch(/found the end of the file at 0x/);
      if (dump) expect(await dump.readFrames([0x1000n])).toEqual([undefined]);
    }
    for (let length = start + 0x1000; length < file.length; length += 0x7ff) {
      const { message, dump } = await complaintOf(source(file.subarray(0, length)));
      expect(message).toMatch(/^truncated: expected 0x/);
      const frames = [0x1000n, 0x2000n, 0x3000n, 0x1_0000_0000n, 0x1_0000_4000n];
      const held = [0, 1, 2, 3, 7].map((page) => start + (page + 1) * 0x1000 <= length);
      const contents = await dump!.readFrames(frames);
      expect(contents).toEqual(frames.map((frame, i) => (held[i] ? builtAt(frame) : undefined)));
    }
  });

  test('with a byte of its headers changed gives one error or memory that is bounded by the file', async () => {
    const file = build(RANGES);
    const places = [...upTo(0, 0x100), ...upTo(0xf98, 0xf9c), ...upTo(0x2000, 0x2060)];
    let used = 0;
    for (const at of places) {
      for (const value of [0, 1, 0x7f, 0xff, file[at]! ^ 0x10]) {
        const changed = file.slice();
        changed[at] = value;
        const dump = await openOrError(changed);
        if (!dump) continue;
        used++;
        await dump.readFrames([0n, 0x1000n, 0x1_0000_4000n, 0xf_ffff_ffff_f000n]);
        for (const line of dump.warnings) expect(line).not.toMatch(/[\r\n]/);
      }
    }
    expect(used).toBeGreaterThan(800);
  });

  test('of another machine than x86-64 is refused by its name', async () => {
    for (const [machine, message] of [
      [0x14c, /found 0x14c, a 32-bit x86 processor$/],
      [0xaa64, /found 0xaa64, an ARM64 processor$/],
      [0x200, /found 0x200, an Itanium$/],
      [0x1234, /found 0x1234$/],
    ] as const) {
      const file = build(RANGES);
      file.set(words([4, machine]), fieldAt('MachineImageType'));
      expect(await dumpErrorOf(openDump(source(file)))).toMatch(message);
    }
  });

  test('is read in one pass', async () => {
    const file = recorded(source(build(RANGES)));
    const dump = await openDump(file);
    const before = file.passes.length;
    await dump.readFrames([0x1_0000_0000n, 0x1000n, 0x2000n]);
    expect(file.passes.length).toBe(before + 1);
    await dump.close();
    expect(file.closed).toBe(1);
  });
});

function upTo(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

async function openOrError(file: Uint8Array): Promise<Dump | undefined> {
  try {
    return await openDump(source(file));
  } catch (error) {
    expect(error).toBeInstanceOf(DumpError);
    expect((error as DumpError).message).toMatch(/^guest\.elf: [^\r\n]+$/);
    return undefined;
  }
}

describe('the root table', () => {
  const memory = concat([table(), table({ 0: 0x2007n }), table({ 0: 0x3007n }), table({ 0: 0x87n })]);
  const ranges = [{ physical: 0n, content: memory }];

  test('is DirectoryTableBase, whose bits that are no address are not part of it', async () => {
    for (const base of [0x1000n, 0x1002n, 0x8000_0000_0000_1fffn]) {
      const dump = await openDump(source(buildFullDump(ranges, { DirectoryTableBase: base })), { strict: true });
      const space = await AddressSpace.open(dump);
      expect([space.origin.from, space.mmu.registers.cr3, space.mmu.levels]).toEqual(['windows', 0x1000n, 4]);
      expect(await space.translate(0x1234n)).toMatchObject({ kind: 'page', physicalAddress: 0x1234n });
    }
  });

  test('is what the caller says, if he says one', async () => {
    const dump = await openDump(source(buildFullDump(ranges, { DirectoryTableBase: 0x3000n })));
    const space = await AddressSpace.open(dump, { cr3: 0x1000n });
    expect(space.mmu.registers.cr3).toBe(0x1000n);
  });

  test('that is not told is warned of, and searched for', async () => {
    for (const base of [0n, 0x4547_4150_4547_4150n]) {
      const file = buildFullDump(ranges, { DirectoryTableBase: base, KdDebuggerDataBlock: base });
      const { message, dump } = await complaintOf(source(file));
      expect(message).toBe('header: expected a root table (DirectoryTableBase), found none: it is searched for');
      expect(dump!.windows).toMatchObject({ directoryTableBase: undefined, kdDebuggerDataBlock: undefined });
      const { origin, mmu } = await AddressSpace.open(dump!);
      expect([origin.from, mmu.registers.cr3]).toEqual(['search', 0x1000n]);
      expect((await AddressSpace.open(dump!, { cr3: 0x1000n })).mmu.registers.cr3).toBe(0x1000n);
    }
  });
});

describe('a full dump', () => {
  test('has at most as many runs as fit into its header', async () => {
    const runs = Array.from({ length: 42 }, (_, i) => ({
      physical: BigInt(i) * 0x10_0000n,
      content: pattern(4096, i + 1),
    }));
    const dump = await openDump(source(buildFullDump(runs)), { strict: true });
    const frames = runs.map(({ physical }) => physical);
    expect(await dump.readFrames(frames)).toEqual(runs.map(({ content }) => content));
    for (const [count, found] of [
      [43, '0x2b'],
      [0, '0x0'],
      [0xffff_ffff, '0xffffffff'],
      [0x4547_4150, 'that Windows did not fill it in'],
    ] as const) {
      expect(await dumpErrorOf(openDump(source(buildFullDump(RANGES, { NumberOfRuns: count }))))).toBe(
        `header: expected 0x1 to 0x2a runs of memory (NumberOfRuns), found ${found}`,
      );
    }
  });

  test('with a run that cannot be has what is before it', async () => {
    const file = buildFullDump(RANGES);
    file.set(words([8, 1n << 40n]), fieldAt('Run') + 16);
    const { message, dump } = await complaintOf(source(file));
    expect(message).toBe(
      'run 1: expected memory below 0x10000000000000, found 0x10000000000000 + 0x5000: it and those after it are left out',
    );
    expect(await dump!.readFrames([0x2000n])).toEqual([builtAt(0x2000n)]);
  });

  test('that tells another number of pages than its runs, or memory twice, is warned of', async () => {
    const { message } = await complaintOf(source(buildFullDump(RANGES, { NumberOfPages: 9 })));
    expect(message).toBe('header: expected the runs to have NumberOfPages = 0x9 pages, found 0x8');
    const twice = await complaintOf(source(buildFullDump([LOW, LOW])));
    expect(twice.message).toBe('expected memory once, found physical 0x1000 again: one is used');
  });

  test('of any runs is bounded by the file', async () => {
    const page = fc.oneof(
      fc.bigInt(0n, 20n),
      fc.constantFrom(1n << 40n, (1n << 40n) - 1n, (1n << 64n) - 1n, 1n << 52n),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(page, page), { minLength: 1, maxLength: 42 }), async (runs) => {
        const file = buildFullDump([HIGH], { NumberOfRuns: runs.length });
        for (const [i, [first, pages]] of runs.entries())
          file.set(words([8, first], [8, pages]), fieldAt('Run') + 16 * i);
        const dump = await openOrError(file);
        const total = dump?.segments.reduce((sum, { bytes }) => sum + bytes, 0n) ?? 0n;
        expect(total).toBeLessThanOrEqual(BigInt(HIGH.content.length));
        await dump?.readFrames([0n, 0x3000n, 0xf_ffff_ffff_f000n]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a bitmap dump', () => {
  test('may be of all memory, and its bitmap need not be whole bytes or words', async () => {
    for (const frames of [9, 10, 15, 16, 33, 0x8001]) {
      const ranges = [{ physical: 0x8000n, content: pattern(0x1000, frames) }];
      const dump = await openDump(source(buildBitmapDump(ranges, { signature: 'FDMP', frames })), { strict: true });
      expect(await dump.readFrames([0x8000n, 0x9000n])).toEqual([ranges[0]!.content, undefined]);
    }
  });

  test('has bits behind the last frame that mean nothing', async () => {
    const file = buildBitmapDump([LOW], { frames: 5 });
    file[0x2038]! |= 0xe0;
    const dump = await openDump(source(file), { strict: true });
    expect(dump.segments).toEqual([SEGMENTS[0]]);
  });

  test('may hold every other page of much memory', async () => {
    const ranges = Array.from({ length: 2000 }, (_, i) => ({
      physical: BigInt(i) * 0x2000n + 0x1_2345_6000n,
      content: new Uint8Array(4096).fill(i % 251),
    }));
    const dump = await openDump(source(buildBitmapDump(ranges)), { strict: true });
    expect(dump.segments.length).toBe(2000);
    const frames = ranges.flatMap(({ physical }) => [physical, physical + 0x1000n]);
    const contents = await dump.readFrames(frames);
    for (const [i, content] of contents.entries()) expect(content?.[77]).toBe(i % 2 ? undefined : (i / 2) % 251);
  });

  test.each<[string, Parameters<typeof summaryAt>[0], bigint, RegExp]>([
    ['no frames', 'BitmapSize', 0n, /expected a bitmap of 0x1 to 0x10000000000 frames \(Pages\), found 0x0$/],
    ['more frames than there may be', 'BitmapSize', 1n << 63n, /found 0x8000000000000000$/],
    [
      'a bitmap longer than the file',
      'BitmapSize',
      1n << 39n,
      /^bitmap: expected 0x1000000000 bytes at file offset 0x2038/,
    ],
    [
      'pages within the bitmap',
      'HeaderSize',
      0x2038n,
      /expected pages behind the bitmap, from file offset 0x[0-9a-f]+ on/,
    ],
    [
      'pages behind the file',
      'HeaderSize',
      1n << 62n,
      /^truncated: expected 0x8 pages from file offset 0x4000000000000000 on/,
    ],
    [
      'another number of pages',
      'Pages',
      9n,
      /^bitmap header: expected as many bits set as TotalPresentPages = 0x9, found 0x8$/,
    ],
  ])('with %s is told so', async (_, field, value, message) => {
    const file = buildBitmapDump(RANGES);
    file.set(words([8, value]), summaryAt(field));
    expect((await complaintOf(source(file))).message).toMatch(message);
  });

  test('without a bitmap, or without a bit in it, gives one error', async () => {
    expect(await dumpErrorOf(openDump(source(buildBitmapDump(RANGES, { signature: 'XDMP' }))))).toMatch(
      /^bitmap header: expected "SDMPDUMP" or "FDMPDUMP" at file offset 0x2000, found 0x/,
    );
    const file = buildBitmapDump([LOW]);
    file[0x2038] = 0;
    expect(await dumpErrorOf(openDump(source(file)))).toBe('expected memory, found no frame in the bitmap');
  });
});

test.each<[number, RegExp]>([
  [2, /found type 0x2, a kernel dump as Windows 7 and older write it: set CrashDumpEnabled to 1/],
  [4, /found type 0x4, a small memory dump \(minidump\), which holds none of the machine's tables: /],
  [8, /found type 0x8, a dump of WinDbg's \.dump \/k: /],
  [9, /found type 0x9, a dump of WinDbg's \.dump \/ka: /],
  [10, /found type 0xa, a dump of WinDbg's \.dump \/f: /],
  [77, /found type 0x4d: set CrashDumpEnabled to 1/],
])('a dump of type %i is refused, with what helps', async (type, message) => {
  expect(await dumpErrorOf(openDump(source(buildFullDump(RANGES, { DumpType: type }))))).toMatch(message);
});

test('the memory of a real machine, laid out as each kind of dump, has the mappings of its ELF core', async () => {
  const path = 'test/fixtures/linux-6.1-4level.elf.gz';
  const core = await openDump(bytesSource(await readFixture(path), path));
  const ranges: BuiltRange[] = [];
  for (const { physical, bytes } of core.segments) {
    const frames = upTo(0, Number(bytes) / 4096).map((i) => physical + BigInt(i) * 4096n);
    ranges.push({ physical, content: concat((await core.readFrames(frames)) as Uint8Array[]) });
  }
  const expected = await mappingsOf(core);
  /* Runs of the 9,910 leaves that QEMU listed, with which the core's are compared elsewhere. */
  expect(expected.length).toBeGreaterThan(1000);
  const base = { DirectoryTableBase: core.cpus[0]!.cr3 };
  for (const file of [buildFullDump(ranges, base), buildBitmapDump(ranges, { type: 6 }, base)]) {
    expect(await mappingsOf(await openDump(source(file), { strict: true }))).toEqual(expected);
  }
});

async function mappingsOf(dump: Dump): Promise<unknown[]> {
  const space = await AddressSpace.open(dump);
  await space.load();
  return [...space.mmu.mappings()];
}
