/**
 * The flattened form: the file that records stand for, and records that stand for none.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import { unflattened } from '../../../src/dump/formats/kdump/flattened.ts';
import { Warnings } from '../../../src/dump/warnings.ts';
import { concat } from '../elf-builder.ts';
import { dumpErrorOf, expectRanges, NAME, pattern, recorded } from '../support.ts';
import { END, flattenedHeader, record } from './builder.ts';

function open(...parts: Uint8Array[]) {
  const source = recorded(bytesSource(concat([flattenedHeader(), ...parts]), NAME));
  const warnings = new Warnings(NAME);
  return unflattened(source, warnings).then((file) => ({ file, warnings: warnings.lines, source }));
}

describe('the file that is meant', () => {
  test('has what was written last, and zeros where nothing was', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ to: fc.nat(300), length: fc.nat(120) }), { maxLength: 30 }),
        fc.array(fc.record({ offset: fc.nat(400), length: fc.nat(100) }), { maxLength: 10 }),
        async (writes, asked) => {
          const expected = new Uint8Array(420);
          const size = Math.max(0, ...writes.map(({ to, length }) => (length ? to + length : 0)));
          const records = writes.map(({ to, length }, i) => {
            const content = pattern(length, i + 1);
            expected.set(content, to);
            return record(to, content);
          });
          const { file, warnings } = await open(...records, END);
          expect([file.size, warnings]).toEqual([size, []]);
          const ranges = asked
            .map(({ offset, length }) => ({ offset: Math.min(offset, size), length }))
            .map(({ offset, length }) => ({ offset, length: Math.min(length, size - offset) }))
            .sort((a, b) => a.offset - b.offset);
          expectRanges(await file.read(ranges), expected, ranges);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('is read where it lies: of long records only the heads are read when it is opened', async () => {
    const { file, source } = await open(record(0, new Uint8Array(5_000_000)), record(5_000_000, pattern(100)), END);
    const read = source.passes.flat().reduce((sum, { length }) => sum + length, 0);
    expect(read).toBeLessThan(200_000);
    source.passes.length = 0;
    await file.read([{ offset: 4_999_990, length: 20 }]);
    expect(source.passes).toEqual([
      [
        { offset: 4096 + 16 + 4_999_990, length: 10 },
        { offset: 4096 + 16 + 5_000_000 + 16, length: 10 },
      ],
    ]);
  });

  test('of many short records is listed in few reads', async () => {
    const records = Array.from({ length: 100_000 }, (_, i) => record(i * 8, pattern(8, i)));
    const { file, source } = await open(...records, END);
    expect(file.size).toBe(800_000);
    expect(source.passes.length).toBeLessThan(12);
  });
});

describe('records', () => {
  test.each([
    { what: 'a negative offset', bad: record(-2, pattern(8)) },
    { what: 'a negative size', bad: record(0, pattern(8), -8) },
    { what: 'an end mark that is half one', bad: record(-1, pattern(8), 8) },
    { what: 'a size beyond all files', bad: record(0, pattern(8), 2n ** 62n) },
    { what: 'an offset beyond all files', bad: record(2n ** 62n, pattern(8)) },
  ])('with $what give one error', async ({ bad }) => {
    expect(await dumpErrorOf(open(record(0, pattern(100)), bad, END))).toMatch(
      /^flattened record at 0x1074: expected an offset and a size, or -1 for both at the end, found 0x[0-9a-f]+ and 0x[0-9a-f]+$/,
    );
  });

  test('that the file ends in, or without an end mark, give a warning, and what there is', async () => {
    for (const { rest, size } of [
      { rest: [], size: 100 },
      { rest: [END.subarray(0, 15)], size: 100 },
      { rest: [record(100, pattern(8), 1000)], size: 108 },
    ]) {
      const { file, warnings } = await open(record(0, pattern(100)), ...rest);
      expect(file.size).toBe(size);
      expect(warnings).toEqual([
        expect.stringMatching(/^expected the end mark of the flattened form, found the end of the file at /),
      ]);
      expectRanges(await file.read([{ offset: 0, length: 100 }]), pattern(100), [{ offset: 0, length: 100 }]);
    }
  });

  test('of another type or version are refused', async () => {
    for (const at of [23, 31]) {
      const header = flattenedHeader();
      header[at] = 2;
      const warnings = new Warnings(NAME);
      const message = await dumpErrorOf(unflattened(bytesSource(concat([header, END]), NAME), warnings));
      expect(message).toBe(`expected a flattened file of ${at === 23 ? 'type' : 'version'} 0x1, found 0x2`);
    }
  });
});
