/**
 * Headers that are not as the specification has them: each gives one clear line.
 */
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { type BuiltCore, buildCore, concat, LONG_MODE, note, PROGRAM_HEADER, PROGRAM_HEADERS } from './elf-builder.ts';
import { complaintOf, dumpErrorOf, NAME, open, pattern, recorded } from './support.ts';

const frame = (seed: number): Uint8Array => pattern(4096, seed);
const CORE: BuiltCore = {
  cpus: [LONG_MODE],
  segments: [
    { physical: 0x1000n, content: frame(1) },
    { physical: 0x5000n, content: frame(2) },
  ],
};

/** A file with some of its bytes written over, little-endian. */
function patched(at: number, bytes: 1 | 2 | 4 | 8, value: bigint, core: BuiltCore = CORE): Uint8Array {
  const file = buildCore(core);
  for (let i = 0; i < bytes; i++) file[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return file;
}

/** Where a field of program header n lies. */
const field = (n: number, at: number): number => PROGRAM_HEADERS + n * PROGRAM_HEADER + at;
const OFFSET = 8;
const PHYSICAL = 24;
const FILE_SIZE = 32;
const MEMORY_SIZE = 40;
const SIZE = buildCore(CORE).length;

const literal = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

describe('an ELF file', () => {
  test.each<[string, Uint8Array, string]>([
    ['of 32 bits', patched(4, 1, 1n), 'expected ELF class 64 (0x2), found 0x1'],
    ['in big-endian order', patched(5, 1, 2n), 'expected little-endian data encoding (0x1), found 0x2'],
    ['of another ELF version', patched(6, 1, 0n), 'expected ELF identification version (0x1), found 0x0'],
    ['that is a program', patched(16, 2, 2n), 'expected type ET_CORE (0x4), found 0x2'],
    ['of an ARM', patched(18, 2, 183n), 'expected machine EM_X86_64 (0x3e), found 0xb7'],
    ['of version 0', patched(20, 4, 0n), 'expected ELF version (0x1), found 0x0'],
    ['with small program headers', patched(54, 2, 32n), 'expected program headers of size (0x38), found 0x20'],
    ['without program headers', patched(56, 2, 0n), 'expected a PT_LOAD segment with content, found none'],
    [
      'with program headers past its end',
      patched(32, 8, BigInt(SIZE) - 1n),
      `program headers: expected 0xa8 bytes at file offset 0x${(SIZE - 1).toString(16)}, found the end of the file at 0x${SIZE.toString(16)} (truncated?)`,
    ],
    [
      'with program headers at 2^64 - 1',
      patched(32, 8, 0xffff_ffff_ffff_ffffn),
      `program headers: expected 0xa8 bytes at file offset 0xffffffffffffffff, found the end of the file at 0x${SIZE.toString(16)} (truncated?)`,
    ],
    [
      'with program headers in its header',
      patched(32, 8, 0x20n),
      'expected program headers from file offset 0x40 on, found 0x20',
    ],
    [
      'with more program headers than fit in it',
      patched(56, 2, 0xfffen),
      `program headers: expected 0x37ff90 bytes at file offset 0x40, found the end of the file at 0x${SIZE.toString(16)} (truncated?)`,
    ],
    [
      'whose memory ends after the file',
      patched(field(2, FILE_SIZE), 8, 0x1001n),
      'program header 0x2: expected p_filesz of at most p_memsz 0x1000, found 0x1001: the smaller is used',
    ],
    [
      'whose memory is at an offset beyond 2^53',
      patched(field(2, OFFSET), 8, 2n ** 60n),
      `program header 0x2: expected 0x1000 bytes at file offset 0x1000000000000000, found the end of the file at 0x${SIZE.toString(16)} (truncated?)`,
    ],
    [
      'whose notes end after the file',
      patched(field(0, FILE_SIZE), 8, 2n ** 40n),
      `program header 0x0: expected 0x10000000000 bytes of notes at file offset 0xe8, found the end of the file at 0x${SIZE.toString(16)} (truncated?)`,
    ],
    [
      'with more in the file than in memory',
      patched(field(1, MEMORY_SIZE), 8, 0xfffn),
      'program header 0x1: expected p_filesz of at most p_memsz 0xfff, found 0x1000',
    ],
    [
      'with memory beyond 2^52',
      patched(field(1, PHYSICAL), 8, 2n ** 52n - 0xfffn),
      'program header 0x1: expected physical memory below 0x10000000000000, found 0xffffffffff001 + 0x1000',
    ],
    [
      'with memory that was not dumped beyond 2^52',
      patched(field(1, MEMORY_SIZE), 8, 2n ** 52n),
      'program header 0x1: expected physical memory below 0x10000000000000, found 0x1000 + 0x10000000000000',
    ],
    [
      'with one part of it as two memories',
      patched(field(2, OFFSET), 8, 0x1800n),
      'expected segments in separate parts of the file, found physical 0x1000 + 0x1000 at file offset 0x1000 and physical 0x5000 + 0x1000 at file offset 0x1800',
    ],
    ['without memory', buildCore({ cpus: [LONG_MODE] }), 'expected a PT_LOAD segment with content, found none'],
    [
      'with nothing of its memory dumped',
      buildCore({
        segments: [{ physical: 0n, content: new Uint8Array(0), memorySize: 0x1000n, offset: 2n ** 64n - 1n }],
      }),
      'expected a PT_LOAD segment with content, found none',
    ],
    [
      'with an extended count, without section headers',
      patched(56, 2, 0xffffn, { ...CORE, extendedCount: false }).fill(0, 58, 60),
      'expected section headers of size 0x40 (0xffff program headers), found 0x0',
    ],
    [
      'with an extended count, whose section headers are past its end',
      patched(40, 8, BigInt(SIZE), { ...CORE, extendedCount: true }),
      `section header 0x0: expected 0x40 bytes at file offset 0x${SIZE.toString(16)}, found the end of the file at 0x${SIZE.toString(16)} (truncated?)`,
    ],
  ])('%s is refused, or what is whole in it is used', async (_, file, message) => {
    expect((await complaintOf(bytesSource(file, NAME))).message).toMatch(new RegExp(`^${literal(message)}`));
  });

  test('with an extended count is read as with a plain one', async () => {
    const plain = await open(buildCore(CORE));
    const extended = await open(buildCore({ ...CORE, extendedCount: true }));
    expect(extended.segments.map(({ physical, bytes }) => ({ physical, bytes }))).toEqual(
      plain.segments.map(({ physical, bytes }) => ({ physical, bytes })),
    );
    expect(extended.cpus).toEqual(plain.cpus);
    expect(await extended.readFrames([0x5000n])).toEqual([frame(2)]);
  });

  test('with 70,000 segments is read', async () => {
    const content = Uint8Array.of(1);
    const count = 70_000;
    const headers = Array.from({ length: count }, (_, i) => ({
      physical: BigInt(i) * 0x2000n,
      content,
      offset: BigInt(PROGRAM_HEADERS + count * PROGRAM_HEADER + i),
    }));
    const file = buildCore({ segments: headers, extendedCount: true });
    const dump = await open(concat([file, new Uint8Array(count)]));
    expect(dump.segments).toHaveLength(count);
  });

  test.each([
    ['segments', 0x7fff_ffff],
    ['segments, one too many,', 2 ** 20 + 1],
  ])('that claims absurdly many %s is refused without reading them', async (_, count) => {
    const core = buildCore({ ...CORE, extendedCount: true });
    const at = Number(new DataView(core.buffer).getBigUint64(40, true)) + 44;
    new DataView(core.buffer).setUint32(at, count, true);
    /* A file that would be long enough. */
    const source = { ...bytesSource(core, NAME), size: 2 ** 52 };
    const file = recorded(source);
    await dumpErrorOf(openDump(file));
    expect(Math.max(...file.passes.flat().map(({ length }) => length))).toBeLessThanOrEqual(4096);
  });

  test('that claims absurdly long notes is refused without reading them', async () => {
    const core = patched(field(0, FILE_SIZE), 8, 2n ** 40n);
    const file = recorded({ ...bytesSource(core, NAME), size: 2 ** 52 });
    expect((await openDump(file)).warnings).toEqual([
      'expected at most 0x4000000 bytes of notes, found 0x10000000000: they are left out',
    ]);
    expect(Math.max(...file.passes.flat().map(({ length }) => length))).toBeLessThanOrEqual(4096);
  });
});

describe('memory that two segments hold', () => {
  const big = pattern(0x4000, 3);
  const within = { physical: 0x11_1000n, content: big.slice(0x1000, 0x2000) };
  const around = { physical: 0x11_0000n, content: big };

  test('is one where both are the same part of the file, as QEMU writes it with paging', async () => {
    const file = buildCore({ segments: [around, { ...within, offset: 0x2000n }, { ...around, offset: 0x1000n }] });
    const dump = await open(file);
    expect(dump.segments).toEqual([{ physical: 0x11_0000n, bytes: 0x4000n }]);
    expect(dump.warnings).toEqual([]);
  });

  test('is one where both parts of the file are alike, as in /proc/vmcore', async () => {
    for (const segments of [
      [within, around],
      [around, within],
    ]) {
      const dump = await open(buildCore({ segments }));
      expect(dump.segments.map(({ physical, bytes }) => [physical, bytes])).toEqual([[0x11_0000n, 0x4000n]]);
      expect(await dump.readFrames([0x11_1000n])).toEqual([within.content]);
    }
  });

  test('is one where segments overlap in part', async () => {
    const after = { physical: 0x11_3000n, content: pattern(0x2000, 5) };
    after.content.set(big.subarray(0x3000), 0);
    const dump = await open(buildCore({ segments: [around, after] }));
    expect(dump.segments.map(({ physical, bytes }) => [physical, bytes])).toEqual([
      [0x11_0000n, 0x4000n],
      [0x11_4000n, 0x1000n],
    ]);
    expect(await dump.readFrames([0x11_3000n, 0x11_4000n])).toEqual([big.slice(0x3000), after.content.slice(0x1000)]);
  });

  test('is one of the two, with a warning, where one byte differs', async () => {
    const content = within.content.slice();
    content[0x123]! ^= 0xff;
    const file = buildCore({ segments: [around, { ...within, content }] });
    const { message, dump } = await complaintOf(bytesSource(file, NAME));
    expect(message).toMatch(
      /^expected the same memory at file offsets 0x2123 and 0x5123, both physical 0x111123, found 0x[0-9a-f]+ and 0x[0-9a-f]+: that from file offset 0x2123 is used$/,
    );
    expect(await dump!.readFrames([0x11_1000n])).toEqual([within.content]);
  });

  test('is not compared, with a warning, where it is more than a kernel', async () => {
    const segments = Array.from({ length: 18 }, () => around);
    const { message, dump } = await complaintOf(bytesSource(buildCore({ segments }), NAME));
    expect(message).toMatch(/^expected segments of separate physical memory/);
    expect(await dump!.readFrames([0x11_1000n])).toEqual([within.content]);
  });
});

describe('memory that was not dumped', () => {
  test('is missing, not zero', async () => {
    const segments = [
      { physical: 0x1000n, content: frame(1), memorySize: 0x3000n },
      { physical: 0x8000n, content: new Uint8Array(0), memorySize: 0x1000n, offset: 0xffff_ffff_ffff_ffffn },
    ];
    const dump = await open(buildCore({ segments }));
    expect(await dump.readFrames([0x1000n, 0x2000n, 0x3000n, 0x8000n])).toEqual([
      frame(1),
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test('segments of other types say nothing', async () => {
  const file = patched(field(2, 0), 4, 0x6474_e551n);
  expect((await open(file)).segments).toHaveLength(1);
});

test('several note segments are read in the order of their headers', async () => {
  const notes = [note('VMCOREINFO', pattern(10)), note('CORE', pattern(0x150), 1)];
  expect((await open(buildCore({ ...CORE, notes }))).cpus).toEqual([]);
});
