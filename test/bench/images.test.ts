/**
 * The images of the benchmark are what they claim to be: so many tables, so many leaves, no gap, nothing in order.
 */
import { describe, expect, test } from 'vitest';
import { BENCH_ACCESS, buildImage, flatMemoryOf, type Image, SHAPES } from '../../bench/images.ts';
import { addressCount, addressesOf, PATTERNS } from '../../bench/patterns.ts';
import { isTranslated, Mmu } from '../../src/index.ts';

const SIZES = [2 ** 15, 2 ** 19, 2 ** 23];
const ADDRESS = 0x000f_ffff_ffff_f000n;

const words = (image: Image): BigUint64Array => new BigUint64Array(image.bytes.buffer);

/** The frames of all tables that can be reached, in the order of the addresses they map. */
function reachableTables(image: Image): number[] {
  const entries = words(image);
  const frames: number[] = [];
  const visit = (table: bigint, level: number): void => {
    const frame = Number(table >> 12n);
    frames.push(frame);
    if (level === 1) return;
    for (let i = 0; i < 512; i++) {
      const entry = entries[frame * 512 + i]!;
      if (entry & 1n && !(level <= 3 && entry & 0x80n)) visit(entry & ADDRESS, level - 1);
    }
  };
  visit(image.registers.cr3, image.levels);
  return frames;
}

describe.each(SHAPES)('%s', (shape) => {
  test.each(SIZES)('tables of %i bytes', (tableBytes) => {
    const image = buildImage({ shape, tableBytes });
    expect(image.bytes.length).toBe(tableBytes);

    const frames = reachableTables(image);
    expect(new Set(frames).size).toBe(frames.length);
    expect(frames.length).toBe(image.tables);
    expect(image.tables * 4096).toBeGreaterThan(tableBytes - 4 * 4096);
    const inOrder = frames.filter((frame, i) => frame === frames[i - 1]! + 1).length;
    expect(inOrder).toBeLessThan(frames.length / 2);
  });

  test.each(SIZES)('the leaves in tables of %i bytes', (tableBytes) => {
    const image = buildImage({ shape, tableBytes });
    const levels = new Set<number>();
    let end = 0n;
    let gaps = 0;
    let leaves = 0;
    for (const { va, level, bytes } of new Mmu(flatMemoryOf(image), image.registers).mappings()) {
      if (va !== end) gaps++;
      end = va + bytes;
      leaves++;
      levels.add(level);
    }
    expect(leaves).toBe(image.leaves.count);
    expect(gaps).toBe(0);
    expect(end).toBe(BigInt(image.pages) << 12n);
    expect([...levels].sort()).toEqual({ '4k': [1], '2m': [2], '1g': [3], mixed: [1, 2, 3] }[shape]);
  });

  test.each(PATTERNS)('every %s address is mapped', (pattern) => {
    const image = buildImage({ shape, tableBytes: 2 ** 19 });
    const mmu = new Mmu(flatMemoryOf(image), image.registers);
    const addresses = addressesOf(image, pattern, addressCount(image));
    expect(mmu.translateMany(addresses, BENCH_ACCESS).every(isTranslated)).toBe(true);
  });

  test('a seed decides everything', () => {
    const one = buildImage({ shape, tableBytes: 2 ** 15, seed: 3 });
    const same = buildImage({ shape, tableBytes: 2 ** 15, seed: 3 });
    const other = buildImage({ shape, tableBytes: 2 ** 15, seed: 4 });
    expect(one.bytes).toEqual(same.bytes);
    expect(one.bytes).not.toEqual(other.bytes);
    expect(addressesOf(one, 'random', 100, 5)).toEqual(addressesOf(same, 'random', 100, 5));
    expect(addressesOf(one, 'random', 100, 5)).not.toEqual(addressesOf(one, 'random', 100, 6));
  });
});

test('1 GiB leaves need 5 levels for more than 1 MiB of tables', () => {
  expect(buildImage({ shape: '1g', tableBytes: 2 ** 20 }).levels).toBe(4);
  expect(buildImage({ shape: '1g', tableBytes: 2 ** 21 }).levels).toBe(5);
  const largest = buildImage({ shape: '1g', tableBytes: 2 ** 27 });
  expect(largest).toMatchObject({ levels: 5, tables: 2 ** 15 });
  expect(largest.leaves.count).toBe((2 ** 15 - 1 - 64) * 512);
});

describe('patterns', () => {
  const image = buildImage({ shape: 'mixed', tableBytes: 2 ** 19 });
  const mmu = new Mmu(flatMemoryOf(image), image.registers);
  const sizeAt = (va: bigint): number => {
    const outcome = mmu.translate(va);
    return outcome.kind === 'page' ? outcome.pageSize : 0;
  };

  test('random asks for every size equally often', () => {
    const sizes = [...addressesOf(image, 'random', 3000)].map(sizeAt);
    for (const size of [0x1000, 0x20_0000, 0x4000_0000]) {
      expect(Math.abs(sizes.filter((found) => found === size).length - 1000)).toBeLessThan(100);
    }
  });

  test('page goes from leaf to leaf, and from the last to the first', () => {
    const addresses = addressesOf(image, 'page', image.leaves.count);
    const end = BigInt(image.pages) << 12n;
    for (const [i, va] of addresses.entries()) {
      const next = addresses[(i + 1) % addresses.length]!;
      if ((va + BigInt(sizeAt(va))) % end !== next) expect.fail(`0x${next.toString(16)} after 0x${va.toString(16)}`);
    }
  });

  test('line goes 64 bytes on', () => {
    const addresses = addressesOf(image, 'line', 5000);
    expect(addresses.every((va, i) => i === 0 || va === addresses[i - 1]! + 64n)).toBe(true);
  });
});
