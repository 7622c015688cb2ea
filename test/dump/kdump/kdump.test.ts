/**
 * What the parts of a kdump-compressed file mean, in small files that are built by the format's rules.
 */
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import type { Dump } from '../../../src/dump/dump.ts';
import { openDump } from '../../../src/dump/open-dump.ts';
import { qemuNote } from '../elf-builder.ts';
import { dumpErrorOf, NAME, pattern, recorded } from '../support.ts';
import { BITMAP, type BuiltKdump, buildKdump, flatten, SUB_HEADER } from './builder.ts';

/** A page that can be compressed. */
const page = (seed: number): Uint8Array<ArrayBuffer> => pattern(4096, seed).map((byte, i) => (i & 3 ? seed : byte));
const ZEROS = new Uint8Array(4096);
const PAGES = [2, 3, 10].map((frame) => ({ frame, stored: page(frame) }));

function open(bytes: Uint8Array, strict = false): Promise<Dump> {
  return openDump(bytesSource(bytes, NAME), { strict });
}

/** Changes a number in a file. */
function withWord(file: Uint8Array<ArrayBuffer>, at: number, value: bigint | number): Uint8Array<ArrayBuffer> {
  const copy = file.slice();
  const view = new DataView(copy.buffer);
  if (typeof value === 'bigint') view.setBigUint64(at, value, true);
  else view.setUint32(at, value, true);
  return copy;
}

const frameOf = async (dump: Dump, frame: number): Promise<Uint8Array | undefined> =>
  (await dump.readFrames([BigInt(frame) * 4096n]))[0];

describe.each([
  { form: 'raw', form_: (bytes: Uint8Array<ArrayBuffer>) => bytes },
  { form: 'flattened', form_: (bytes: Uint8Array<ArrayBuffer>) => flatten(bytes) },
])('$form', ({ form_ }) => {
  test('pages are where their frames are, in the order asked, and nowhere else', async () => {
    const dump = await open(form_(buildKdump({ pages: PAGES, frames: 12 })), true);
    const frames = [10n, 0n, 2n, 3n, 4n, 10n, 11n, 12n, 2n ** 40n - 1n].map((frame) => frame * 4096n);
    expect(await dump.readFrames(frames)).toEqual([
      page(10),
      undefined,
      page(2),
      page(3),
      undefined,
      page(10),
      undefined,
      undefined,
      undefined,
    ]);
    expect(dump.segments).toEqual([
      { physical: 0x2000n, bytes: 0x2000n },
      { physical: 0xa000n, bytes: 0x1000n },
    ]);
    expect([dump.format, dump.cpus, dump.vmcoreinfo, dump.warnings]).toEqual(['kdump', [], undefined, []]);
  });

  test('notes and VMCOREINFO are read', async () => {
    const notes = qemuNote({ cr3: 0x1234_5000n });
    const dump = await open(form_(buildKdump({ pages: PAGES, notes, vmcoreinfo: 'OSRELEASE=6.1\n' })), true);
    expect(dump.cpus).toMatchObject([{ cr3: 0x1234_5000n }]);
    expect(dump.vmcoreinfo).toBe('OSRELEASE=6.1\n');
  });
});

describe('pages that were left out', () => {
  test.each([
    { level: 1, what: 'of zeros alone, are zeros', found: ZEROS },
    { level: 0, what: 'for no reason told, are not in the dump', found: undefined },
    { level: 16, what: 'as free, are not in the dump', found: undefined },
    { level: 31, what: 'of zeros and others, are not in the dump: nothing tells which', found: undefined },
  ])('level $level: $what', async ({ level, found }) => {
    const dump = await open(buildKdump({ pages: PAGES, excluded: [5], level }), true);
    expect(await frameOf(dump, 5)).toEqual(found);
    expect(await frameOf(dump, 6)).toBeUndefined();
    expect(dump.segments).toContainEqual({ physical: 0x5000n, bytes: 0x1000n });
  });
});

describe('pages that share their place', () => {
  test('are decompressed once, also when they are asked for again', async () => {
    const shared = deflateSync(ZEROS);
    const file = buildKdump({ pages: [1, 2, 3].map((frame) => ({ frame, stored: shared, flags: 1 })) });
    const source = recorded(bytesSource(file, NAME));
    const dump = await openDump(source, { strict: true });
    const [one, two] = await dump.readFrames([0x1000n, 0x2000n]);
    expect(one).toEqual(ZEROS);
    expect(two).toBe(one);
    const reads = source.passes.length;
    expect(await frameOf(dump, 3)).toBe(one);
    /* The descriptor. */
    expect(source.passes.length).toBe(reads + 1);
  });
});

describe('descriptors and pages', () => {
  test('near each other are read at once', async () => {
    const pages = Array.from({ length: 200 }, (_, frame) => ({ frame, stored: page(frame) }));
    const source = recorded(bytesSource(buildKdump({ pages }), NAME));
    const dump = await openDump(source);
    source.passes.length = 0;
    await dump.readFrames(pages.map(({ frame }) => BigInt(frame) * 4096n));
    expect(source.passes.map((ranges) => ranges.length)).toEqual([1, 1]);
  });
});

describe('other files of the kind', () => {
  test('DISKDUMP is read like KDUMP, but for its sub-header', async () => {
    const file = buildKdump({ pages: PAGES, signature: 'DISKDUMP', version: 1 });
    file.fill(0xff, SUB_HEADER, SUB_HEADER + 4096);
    expect(await frameOf(await open(file, true), 3)).toEqual(page(3));
  });

  test('one bitmap stands for both', async () => {
    const built = buildKdump({ pages: PAGES });
    const file = new Uint8Array([...built.subarray(0, BITMAP + 4096), ...built.subarray(BITMAP + 8192)]);
    const first = BITMAP + 4096;
    let one = withWord(file, 436, 1);
    for (let i = 0; i < 3; i++) one = withWord(one, first + 24 * i, BigInt(first + 72 + i * 4096));
    expect(await frameOf(await open(one, true), 10)).toEqual(page(10));
  });

  test('a version that is not known yet is read, with a warning', async () => {
    const dump = await open(buildKdump({ pages: PAGES, version: 7 }));
    expect(await frameOf(dump, 3)).toEqual(page(3));
    expect(dump.warnings).toEqual(['expected header version 0x1 to 0x6, found 0x7: read like the newest known']);
  });

  test('an older version has no fields that came later', async () => {
    const file = withWord(buildKdump({ pages: PAGES, version: 1 }), SUB_HEADER + 12, 1);
    expect(await frameOf(await open(file, true), 3)).toEqual(page(3));
  });

  test.each(['aarch64', 'i686', 'ppc64le', 's390x', 'riscv64'])('one of %s is refused', async (machine) => {
    expect(await dumpErrorOf(open(buildKdump({ pages: PAGES, machine })))).toBe(
      `expected a dump of an x86-64 machine, found one of ${machine}`,
    );
  });

  test.each(['', 'Unknown', 'x86_64'])('QEMU leaves the machine empty or unknown: "%s"', async (machine) => {
    expect(await frameOf(await open(buildKdump({ pages: PAGES, machine }), true), 3)).toEqual(page(3));
  });

  test('one that was broken off says so', async () => {
    const file = withWord(buildKdump({ pages: PAGES, status: 9 }), BITMAP + 8192, 0n);
    const dump = await open(file);
    expect(await dump.readFrames([0x2000n, 0x3000n])).toEqual([undefined, page(3)]);
    expect(dump.warnings).toEqual([
      'expected a whole dump, found the mark of one that was broken off: pages are missing',
      'expected all pages that the bitmap names, found some that were not written',
    ]);
    expect(await dumpErrorOf(open(file, true))).toContain('found the mark of one that was broken off');
  });
});

describe('several files', () => {
  const parts = (over: Partial<BuiltKdump> = {}) =>
    [
      { from: 0, to: 3 },
      { from: 3, to: 9 },
      { from: 9, to: 11 },
    ].map((part, i) =>
      bytesSource(buildKdump({ pages: PAGES, part, excluded: [8], level: 1, ...over }), `part${i + 1}`),
    );

  test.each([[[0, 1, 2]], [[2, 0, 1]]])('are one dump, in any order: %j', async (order) => {
    const dump = await openDump(
      order.map((i) => parts()[i]!),
      { strict: true },
    );
    const frames = await dump.readFrames([0xa000n, 0x2000n, 0x3000n, 0x8000n, 0x7000n]);
    expect(frames).toEqual([page(10), page(2), page(3), ZEROS, undefined]);
  });

  test('may mark the pages of the others, too', async () => {
    const dump = await openDump(parts({ marksAll: true }), { strict: true });
    expect(await dump.readFrames([0xa000n, 0x2000n, 0x3000n])).toEqual([page(10), page(2), page(3)]);
  });

  test('of which one is missing are a dump without its pages, which is said', async () => {
    const [first, , last] = parts();
    const dump = await openDump([first!, last!]);
    expect(await dump.readFrames([0x2000n, 0x3000n, 0x8000n, 0xa000n])).toEqual([
      page(2),
      undefined,
      undefined,
      page(10),
    ]);
    expect(dump.warnings).toEqual([
      'expected all files of a split dump, found none with page frames 0x3 to 0x9: name the others, too',
    ]);
  });

  test('that do not belong together are refused', async () => {
    const [first, second] = parts();
    const other = (over: Partial<BuiltKdump>) => parts(over)[1]!;
    const found = (sources: Parameters<typeof openDump>[0], name = 'part2') => dumpErrorOf(openDump(sources), name);
    const expected = 'expected another part of the dump that part1 is of, found';
    expect(await found([first!, other({ frames: 12 })])).toBe(`${expected} another header`);
    expect(await found([first!, other({ excluded: [7] })])).toBe(`${expected} another bitmap of memory`);
    expect(await found([first!, bytesSource(buildKdump({ pages: PAGES }), 'part2')])).toBe(
      `${expected} a dump that is not split`,
    );
    expect(await found([first!, second!, second!])).toBe(
      'expected pages that no other file has, found page frames 0x3 to 0x9 in part2, too: name each file once',
    );
    expect(await found([first!, bytesSource(pattern(5000), 'part2')])).toContain('expected a kdump-compressed file');
    expect(
      await dumpErrorOf(
        openDump([
          first!,
          bytesSource(withWord(buildKdump({ pages: PAGES, part: { from: 0, to: 3 } }), SUB_HEADER + 88, 99n), 'x'),
        ]),
        'x',
      ),
    ).toBe('expected the page frames of this part to be some of the 0xb that there are, found 0x0 to 0x63');
  });

  test('are closed with the dump, and when it cannot be opened', async () => {
    const sources = parts().map(recorded);
    await (await openDump(sources)).close();
    expect(sources.map(({ closed }) => closed)).toEqual([1, 1, 1]);
    await dumpErrorOf(openDump([sources[0]!, sources[0]!]), 'part1');
    expect(sources[0]!.closed).toBeGreaterThan(1);
  });
});

describe('broken numbers in the headers give one line', () => {
  const file = buildKdump({ pages: PAGES, notes: qemuNote({}), vmcoreinfo: 'A=1\n' });

  test.each([
    { what: 'block size', at: 428, value: 0x1_0000, message: 'expected blocks of 0x1000 bytes, found 0x10000' },
    {
      what: 'blocks of the sub-header',
      at: 432,
      value: 0xffff_ffff,
      message:
        /^bitmaps: expected 0x2 bytes at file offset 0x100000001000, found the end of the file at 0x[0-9a-f]+ \(truncated\?\)$/,
    },
    {
      what: 'blocks of bitmaps',
      at: 436,
      value: 0,
      message: 'expected at least 0x1 bitmap blocks for 0xb page frames, found 0x0',
    },
    { what: 'blocks of bitmaps, too many', at: 436, value: 0xffff_ffff, message: /^bitmaps: expected/ },
    {
      what: 'page frames',
      at: SUB_HEADER + 96,
      value: 2n ** 60n,
      message: 'expected 0x1 to 0x400000000 page frames, found 0x1000000000000000',
    },
    {
      what: 'more page frames than bits',
      at: SUB_HEADER + 96,
      value: 2n ** 33n,
      message: 'expected at least 0x40000 bitmap blocks for 0x200000000 page frames, found 0x2',
    },
  ])('$what', async ({ at, value, message }) => {
    const found = await dumpErrorOf(open(withWord(file, at, value)));
    if (typeof message === 'string') expect(found).toBe(message);
    else expect(found).toMatch(message);
  });

  test.each([
    {
      what: 'offset of the notes',
      at: SUB_HEADER + 48,
      value: 2n ** 63n,
      message:
        /^notes: expected 0x1[0-9a-f]+ bytes at file offset 0x8000000000000000, found the end of the file at 0x[0-9a-f]+: done without$/,
    },
    {
      what: 'size of VMCOREINFO',
      at: SUB_HEADER + 40,
      value: 2n ** 40n,
      message: /^VMCOREINFO: expected 0x10000000000 bytes at/,
    },
    {
      what: 'a note',
      at: SUB_HEADER + 104 + 4 + 4,
      value: 0x7fff_ffff,
      message: /^note at 0x106c: expected at most .*: the rest of the notes is left out$/,
    },
  ])('$what, with a warning, and the pages', async ({ at, value, message }) => {
    const broken = withWord(file, at, value);
    const dump = await open(broken);
    expect(dump.warnings).toEqual([expect.stringMatching(message)]);
    expect(await frameOf(dump, 3)).toEqual(page(3));
    expect(await dumpErrorOf(open(broken, true))).toMatch(/\(an error because of strict\)$/);
  });
});

describe('a broken descriptor or page is left out, with a warning', () => {
  const built = buildKdump({
    pages: PAGES.map(({ frame, stored }) => ({ frame, stored: deflateSync(stored), flags: 1 })),
  });
  const descriptors = BITMAP + 8192;
  const first = descriptors + 72;

  test.each([
    { what: 'an offset behind the end', at: descriptors, value: 2n ** 63n, count: 2 },
    { what: 'an offset in the headers', at: descriptors, value: 4096n, count: 1 },
    { what: 'more bytes than a page', at: descriptors + 8, value: 4097, count: 1 },
    { what: 'no bytes', at: descriptors + 8, value: 0, count: 1 },
    { what: 'too few bytes', at: descriptors + 8, value: 40, count: 1 },
    { what: 'an unknown codec', at: descriptors + 12, value: 0x25, count: 1 },
    { what: 'another codec', at: descriptors + 12, value: 2, count: 1 },
    { what: 'stored, and not of 4096 bytes', at: descriptors + 12, value: 0, count: 1 },
    { what: 'damaged bytes', at: first + 100, value: 0x1234_5678, count: 1 },
  ])('$what', async ({ at, value, count }) => {
    const broken = withWord(built, at, value);
    const dump = await open(broken);
    expect(await dump.readFrames([0x2000n, 0x3000n, 0xa000n])).toEqual([undefined, page(3), page(10)]);
    expect(dump.warnings).toHaveLength(count);
    expect(dump.warnings.at(-1)).toMatch(/^page at physical 0x2000: expected 0x1.* bytes.*, found .*: left out$/);
    const strict = await open(broken, true).catch(() => undefined);
    if (strict) expect(await dumpErrorOf(strict.readFrames([0x2000n]))).toContain('page at physical 0x2000');
  });

  test('a flattened file that holds none is told', async () => {
    expect(await dumpErrorOf(open(flatten(pattern(10_000))))).toMatch(
      /^expected a kdump-compressed file in the flattened one, found a file that begins with /,
    );
  });
});
