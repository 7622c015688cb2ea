/**
 * The rows of the benchmark, and that it does not take a wrong answer for a fast one.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Benchmark } from '../../bench/benchmark.ts';
import { planRows } from '../../bench/cells.ts';
import { SHAPES } from '../../bench/images.ts';
import type { Native } from '../../bench/native.ts';
import { resultsOf } from '../../bench/report.ts';
import { lineOf } from '../../bench/table.ts';

const EFFORT = { repetitions: 2, walks: 2 ** 12 };
const NONE: Native = { binary: undefined, missing: 'not asked for' };

const row = (name: string) => planRows(false).find((plan) => plan.name === name)!;

test('every row has a name of its own; the quick ones are among them', () => {
  const names = planRows(false).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(50);
  const quick = planRows(true).map(({ name }) => name);
  expect(quick.length).toBeLessThan(35);
  expect(names).toEqual(expect.arrayContaining(quick));
});

describe('without a native walker', () => {
  const bench = new Benchmark(EFFORT, NONE);

  test('a row tells what it measured, and - for what it did not', async () => {
    const measured = await bench.run(row('walk/4k/32KiB/random'));
    const results = resultsOf(measured);
    expect(results.map(({ name }) => name)).toEqual(['walk/4k/32KiB/random/batch']);
    expect(lineOf(measured)).toMatch(/^4k\/32KiB\/random .* - +-$/);
  });

  test('every way to call is measured, and none is compared', async () => {
    const measured = await bench.run(row('call/mixed/32KiB/random'));
    const results = resultsOf(measured);
    expect(results.map(({ name }) => name.split('/').at(-1))).toEqual(['translate', 'word', 'number', 'many']);
    for (const { unit, value, range, repetitions, tableBytes, ratio, ratios } of results) {
      expect({ unit, repetitions, tableBytes, ratio, ratios }).toEqual({
        unit: 'M/s',
        repetitions: 2,
        tableBytes: 32768,
      });
      expect(range[0]).toBeLessThanOrEqual(value);
      expect(range[1]).toBeGreaterThanOrEqual(value);
    }
    expect(lineOf(measured)).toMatch(/( \d+\.\d \(\d+\.\d ns\) *){4}/);
  });

  test.each([
    ['sparse/4k/32KiB/random', 'flat'],
    ['marks/4k/32KiB/random', 'probe'],
    ['marks/4k/8MiB/page/anew', 'probe'],
    ['list/linux-6.1-4level', 'blocks'],
  ])('%s compares with itself', async (name, yardstick) => {
    const [first, second] = resultsOf(await bench.run(row(name)));
    const { ratio, ratios } = first!.ratios ? first! : second!;
    expect(Object.keys(ratios!)).toEqual([yardstick]);
    expect(ratios![yardstick]).toBeGreaterThan(0);
    expect(ratio).toBe(ratios![yardstick]);
  });

  test.each(SHAPES)('a TLB of %s pages has nothing but hits', async (shape) => {
    const [hits] = resultsOf(await bench.run(row(`tlb/${shape}/random`)));
    expect(hits!.value).toBeGreaterThan(0);
  });
});

describe('with a walker that answers nonsense', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hugewalk-bench-'));
    writeFileSync(join(folder, 'walk'), '#!/bin/sh\necho \'{"ns":[1],"checksum":1}\'\ncat > /dev/null\n');
    chmodSync(join(folder, 'walk'), 0o755);
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(['walk/2m/32KiB/page', 'marks/4k/32KiB/random', 'tlb/1g/random'])('the row %s fails', async (name) => {
    const bench = new Benchmark(EFFORT, { binary: join(folder, 'walk'), compiler: 'none' });
    await expect(bench.run(row(name))).rejects.toThrow(/expected outcomes with checksum \d+, got native 1/);
  });
});
