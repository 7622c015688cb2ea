/**
 * The counters that are put into the core, and what they count on images whose walks are known.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { compileCounting, countAccesses, WAYS } from '../../bench/counting.ts';
import { SHAPES } from '../../bench/images.ts';
import { instrument } from '../../bench/instrument.ts';

const IMPORT = 'import { countBoth, countLoad, countStore } from "./counters";\n';

describe('instrument', () => {
  test.each([
    ['load<u64>(slot, 8)', '(countLoad(), load<u64>(slot, 8))'],
    ['store<u64>(at + (i << 3), 1);', '(countStore(), store<u64>(at + (i << 3), 1));'],
    ['v128.load(at)', '(countLoad(), v128.load(at))'],
    ['v128.load_lane<u64>(b, a, 1)', '(countLoad(), v128.load_lane<u64>(b, a, 1))'],
    ['v128.store(at, words)', '(countStore(), v128.store(at, words))'],
    ['atomic.cmpxchg<u64>(a, b, c)', '(countBoth(), atomic.cmpxchg<u64>(a, b, c))'],
    ['-load<u32>(a) + load<u32>(b)', '-(countLoad(), load<u32>(a)) + (countLoad(), load<u32>(b))'],
    ['f(load<u8>(load<u32>(a)))', 'f((countLoad(), load<u8>((countLoad(), load<u32>(a)))))'],
    ['store<u8>(load<u32>(a), 1)', '(countStore(), store<u8>((countLoad(), load<u32>(a)), 1))'],
  ])('%s', (source, counted) => {
    expect(instrument(source)).toBe(IMPORT + counted);
  });

  test.each(['/* load<u64>(slot) */', '// store<u64>(slot)\n', 'reload(a)', 'me.load(a)', 'loads + 1'])(
    '%s stays as it is',
    (source) => {
      expect(instrument(source)).toBe(source);
    },
  );

  test('says what it cannot read', () => {
    expect(() => instrument('load<u64>(a')).toThrow('expected the parenthesis closed that is open at: load<u64>(a');
  });
});

describe('the core with counters', () => {
  let module: WebAssembly.Module;
  beforeAll(async () => {
    module = await compileCounting();
  });

  test.each([
    ['4k', 4],
    ['2m', 3],
    ['1g', 2],
  ] as const)('a walk to a %s page reads %i entries and writes none', (shape, levels) => {
    expect(countAccesses(module, 'walk', shape, 100)).toEqual({ loads: levels * 100, stores: 0 });
  });

  test.each(SHAPES)('batches of %s pages read addresses and write outcomes', (shape) => {
    for (const way of ['batch', 'tlb'] as const) {
      const { loads, stores } = countAccesses(module, way, shape, 256);
      expect(loads).toBeGreaterThan(256);
      expect(stores).toBeGreaterThanOrEqual(128);
    }
  });

  test.each(WAYS)('the same again: %s', (way) => {
    expect(countAccesses(module, way, 'mixed', 500)).toEqual(countAccesses(module, way, 'mixed', 500));
  });
});
