/**
 * Damaged files: whatever is wrong with one, it gives a clear error or an address space whose memory is where the file's
 * headers say, and nothing else.
 */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileCoreSync } from '../../src/core/instantiate.ts';
import { AddressSpace } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { DumpError } from '../../src/dump/dump-error.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { Random } from '../support/random.ts';
import { partAndWhole } from '../support/thorough.ts';
import { type BuiltCore, buildCore, concat, LONG_MODE, PROGRAM_HEADER, PROGRAM_HEADERS } from './elf-builder.ts';
import { complaintOf, dumpErrorOf, FIXTURES, NAME, open, pattern, recorded, table } from './support.ts';

const core = compileCoreSync();
const [FOUR, FIVE] = FIXTURES;
const HEADERS = 64 + 23 * 56;
const NOTES = 0x330;

/** What the headers of a file say, as a second pair of eyes reads them. */
interface Said {
  /** Parts of the file that a reader has any business with. */
  readonly parts: readonly { readonly from: number; readonly to: number }[];
  readonly loads: readonly { readonly physical: bigint; readonly offset: number; readonly bytes: number }[];
}

function said(file: Uint8Array): Said {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  /* The start, by which the format is told. */
  const parts = [{ from: 0, to: 4096 }];
  const loads: { physical: bigint; offset: number; bytes: number }[] = [];
  const table = Number(view.getBigUint64(32, true));
  let count: number = view.getUint16(56, true);
  if (count === 0xffff) {
    const section = Number(view.getBigUint64(40, true));
    parts.push({ from: section, to: section + 64 });
    count = section + 64 <= file.length ? view.getUint32(section + 44, true) : 0;
  }
  parts.push({ from: table, to: table + count * 56 });
  /* A table that is cut off says what it says. */
  for (let at = table; at < table + count * 56 && at + 56 <= file.length; at += 56) {
    const type = view.getUint32(at, true);
    const offset = Number(view.getBigUint64(at + 8, true));
    const bytes = Number(view.getBigUint64(at + 32, true));
    const memory = Number(view.getBigUint64(at + 40, true));
    const held = Math.max(0, Math.min(bytes, type === 1 ? memory : bytes, file.length - offset));
    if (type === 1 || type === 4) parts.push({ from: offset, to: offset + bytes });
    if (type === 1) loads.push({ physical: view.getBigUint64(at + 24, true), offset, bytes: held });
  }
  return { parts, loads };
}

type Load = Said['loads'][number];

function holds({ physical, bytes }: Load, from: bigint, length: bigint): boolean {
  return physical <= from && from + length <= physical + BigInt(bytes);
}

/** Checks that a frame's bytes stand where a header says, all together or each by itself. */
function expectSaid(content: Uint8Array, frame: bigint, loads: readonly Load[], file: Uint8Array): void {
  const isThere = ({ physical, offset }: Load): boolean => {
    const at = offset + Number(frame - physical);
    return Buffer.compare(content, file.subarray(at, at + 4096)) === 0;
  };
  if (loads.some((load) => holds(load, frame, 4096n) && isThere(load))) return;
  for (const [i, byte] of content.entries()) {
    const at = frame + BigInt(i);
    const found = loads
      .filter((load) => holds(load, at, 1n))
      .map(({ offset, physical }) => file[offset + Number(at - physical)]);
    expect(found).toContain(byte);
  }
}

/** Opens a damaged file and uses it; returns the error or the first warning, if there is one. */
async function use(file: Uint8Array, walk: boolean): Promise<{ readonly message: string } | undefined> {
  const source = recorded(bytesSource(file, NAME));
  let dump: Dump;
  try {
    dump = await openDump(source);
  } catch (error) {
    return expectOneLine(error);
  }
  const { parts, loads } = said(file);
  for (const { physical, bytes } of dump.segments.slice(0, 50)) {
    const frames = [0n, 0x1000n, bytes - 0x1000n]
      .map((at) => (physical + (at > 0n ? at : 0n)) & ~0xfffn)
      .filter((frame) => frame < 2n ** 52n);
    for (const [i, content] of (await dump.readFrames(frames)).entries()) {
      if (content) expectSaid(content, frames[i]!, loads, file);
      else if (dump.warnings.length === 0) expect(loads.filter((load) => holds(load, frames[i]!, 4096n))).toEqual([]);
    }
  }
  const error = walk ? await walkIt(dump) : undefined;
  for (const { offset, length } of source.passes.flat()) {
    /* Without segments, sections of Xen's may tell where memory is. */
    const covered = loads.length === 0 || parts.some(({ from, to }) => from <= offset && offset + length <= to);
    expect(covered, `a read of ${length} at ${offset}`).toBe(true);
  }
  for (const line of dump.warnings) expect(line).toMatch(/^[^\r\n]+$/);
  return error ?? dump.warnings.map((message) => ({ message }))[0];
}

async function walkIt(dump: Dump): Promise<DumpError | undefined> {
  try {
    const space = await AddressSpace.open(dump, { core });
    for (const va of [0n, 0x40_1a49n, 0x7fff_ffff_f000n, 0xffff_ffff_8100_0000n]) {
      await space.translate(va);
      await space.explain(va);
    }
    await space.load({ to: 0xffff_ffffn });
    return undefined;
  } catch (error) {
    return expectOneLine(error);
  }
}

function expectOneLine(error: unknown): DumpError {
  expect(error).toBeInstanceOf(DumpError);
  expect((error as DumpError).message).toMatch(/^guest\.elf: [^\r\n]+$/);
  return error as DumpError;
}

describe.each(FIXTURES)('the dump of $levels levels, truncated', ({ plain, gzipped }) => {
  const file = plain();
  const whole = said(file);
  const borders = whole.parts.flatMap(({ from, to }) => [from - 1, from, from + 1, to - 1, to, to + 1]);
  const random = new Random(file.length);
  const lengths = new Set([
    ...Array(HEADERS + NOTES + 200).keys(),
    ...borders,
    ...Array.from({ length: 500 }, () => random.below(file.length)),
  ]);

  test('anywhere, is warned of, or gives one error, and what is there is used', async () => {
    let used = 0;
    for (const length of lengths) {
      if (length < 0 || length >= file.length) continue;
      const cut = file.subarray(0, length);
      const { dump } = await complaintOf(bytesSource(cut, NAME));
      const last = dump?.segments.at(-1);
      if (!last) continue;
      used++;
      const frame = (last.physical + last.bytes) & ~0xfffn;
      const [before, after] = await dump!.readFrames([frame - 4096n, frame]);
      if (before) expectSaid(before, frame - 4096n, whole.loads, file);
      expect(after).toBeUndefined();
    }
    expect(used).toBeGreaterThan(400);
  });

  test('and gzipped then, is the same', async () => {
    for (const length of [...lengths]
      .filter((n) => n >= 0 && n < file.length)
      .slice(0, -1)
      .filter((n) => n % 37 === 0)) {
      const cut = file.subarray(0, length);
      const { message } = await complaintOf(bytesSource(gzipSync(cut, { level: 1 }), NAME));
      expect(message).toBe((await complaintOf(bytesSource(cut, NAME))).message);
    }
  });

  test('when it was gzipped, gives one error', async () => {
    const bytes = gzipped();
    for (let length = 0; length < bytes.length; length += length < 100 ? 1 : 211) {
      await dumpErrorOf(open(bytes.subarray(0, length)));
    }
    expect((await open(bytes)).segments.length).toBeGreaterThan(1);
  });
});

describe('a changed byte', () => {
  const changes = [(b: number) => b ^ 1, (b: number) => b ^ 0x80, () => 0xff, () => 0, (b: number) => b + 1];

  describe.each([
    { of: 'the dump of 4 levels', file: FOUR!.plain(), end: HEADERS + NOTES, walkEvery: 16 },
    { of: 'the dump of 5 levels', file: FIVE!.plain(), end: HEADERS + 2 * 56 + NOTES, walkEvery: 16 },
  ])('in the headers and notes of $of', ({ file, end, walkEvery }) => {
    for (const { part, stride, options } of partAndWhole(31, 5)) {
      test(`gives an error, or memory where they say: ${part} of the bytes`, options, async () => {
        let errors = 0;
        let uses = 0;
        for (let at = 0; at < end; at += stride) {
          const before = file[at]!;
          for (const [i, change] of changes.entries()) {
            file[at] = change(before);
            if (file[at] === before) continue;
            uses++;
            if (await use(file, (at + i) % walkEvery === 0)) errors++;
          }
          file[at] = before;
        }
        expect(uses).toBeGreaterThan(5000 / stride);
        expect(errors).toBeGreaterThan(uses / 20);
        expect(errors).toBeLessThan(uses);
      });
    }
  });

  test('in a small core, where every use is walked, gives an error or an address space', async () => {
    const content = concat([table({ 0: 0x2007n, 511: 0x1007n }), table({ 0: 0x87n, 1: 0x3007n }), table({ 3: 0x87n })]);
    const small: BuiltCore = {
      cpus: [{ ...LONG_MODE, cr3: 0x1000n }],
      segments: [{ physical: 0x1000n, content }],
    };
    for (const extendedCount of [false, true]) {
      const file = buildCore({ ...small, extendedCount });
      const end = Number(new DataView(file.buffer).getBigUint64(PROGRAM_HEADERS + PROGRAM_HEADER + 8, true));
      expect(end).toBe(0x1000);
      for (let at = 0; at < 0x400; at++) {
        const before = file[at]!;
        for (const change of changes.slice(1, 3)) {
          file[at] = change(before);
          await use(file, true);
        }
        file[at] = before;
      }
    }
  });
});

describe('a file of chance', () => {
  test('with random bytes gives one error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
        await dumpErrorOf(open(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test('with random bytes after a well-formed header gives an error, or memory where it says', async () => {
    const header = buildCore({ segments: [{ physical: 0n, content: pattern(1) }] }).subarray(0, 64);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 56, maxLength: 3000 }), fc.nat(60), async (bytes, count) => {
        const file = concat([header, bytes]);
        file[56] = count;
        await use(file, true);
      }),
      { numRuns: 300 },
    );
  });

  test('with any program headers gives an error, or memory where they say', async () => {
    const word = fc.oneof(
      fc.constantFrom(
        0n,
        1n,
        0xfffn,
        0x1000n,
        0x2000n,
        0x1800n,
        2n ** 52n - 0x1000n,
        2n ** 52n,
        2n ** 63n,
        2n ** 64n - 1n,
      ),
      fc.bigInt(0n, 0x8000n),
    );
    const programHeader = fc.record({
      type: fc.constantFrom(1, 1, 1, 4, 0, 6),
      offset: word,
      physical: word,
      bytes: word,
      memory: word,
    });
    const body = pattern(0x6000);
    let wellFormed = 0;
    const head = buildCore({ segments: [{ physical: 0n, content: pattern(1) }] }).subarray(0, 64);
    await fc.assert(
      fc.asyncProperty(fc.array(programHeader, { minLength: 1, maxLength: 8 }), async (list) => {
        const view = new DataView(new ArrayBuffer(list.length * 56));
        for (const [i, { type, offset, physical, bytes, memory }] of list.entries()) {
          view.setUint32(i * 56, type, true);
          view.setBigUint64(i * 56 + 8, offset, true);
          view.setBigUint64(i * 56 + 24, physical, true);
          view.setBigUint64(i * 56 + 32, bytes, true);
          view.setBigUint64(i * 56 + 40, memory < bytes && memory % 2n ? bytes : memory, true);
        }
        const file = concat([head, new Uint8Array(view.buffer), body]);
        file[56] = list.length;
        const error = await use(file, true);
        if (!error || /--cr3/.test(error.message)) wellFormed++;
      }),
      { numRuns: 1000 },
    );
    expect(wellFormed).toBeGreaterThan(10);
  });
});

describe('corrupt page tables', () => {
  test('of random bytes are loaded, and every address has an outcome', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const content = pattern(0x10_0000, seed);
      const file = buildCore({ cpus: [{ ...LONG_MODE, cr3: 0n }], segments: [{ physical: 0n, content }] });
      const space = await AddressSpace.open(await open(file), { core });
      const { tables } = await space.load();
      expect(tables).toBeGreaterThanOrEqual(1);
      for (let i = 0n; i < 200n; i++) {
        const { kind } = await space.translate(((i * 0x9e37_79b9_7f4a_7c15n) & 0x7fff_ffff_ffffn) >> (i % 40n));
        expect(['page', 'page-fault', 'missing-table']).toContain(kind);
      }
    }
  });
});
