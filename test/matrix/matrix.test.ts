/**
 * The permission matrix over every build of the core: all combinations of entries, registers and accesses, each probed
 * or made twice, its outcome and all entries afterwards compared with what the manual demands. Intel SDM vol. 3A, 4.6
 * to 4.8; see assembly/expectation.ts for the rules and assembly/sweeps.ts for the combinations.
 *
 * One build, release over flat memory, goes through all of them each time, and in the thorough run through a TLB, too; the others through a
 * strided part, which is larger in the thorough run.
 */
import { describe, expect, test } from 'vitest';
import { type CoreModules, compileCoreSync } from '../../src/index.ts';
import { readFixture } from '../support/files.ts';
import { IN_BROWSER, partAndWhole, WHOLE } from '../support/thorough.ts';
import { Matrix, machine, type Translate } from './matrix.ts';
import { CLASSIC_COUNTS, EXTRA_SWEEPS, type Processor, type SweepName } from './sweeps.ts';

/** Tens of millions of cases, perhaps on a machine that has other things to do. */
const LONG = { timeout: 600_000 };
const LEVELS = [4, 5] as const;
const STRIDE = 61;
const STRIDE_THOROUGH = IN_BROWSER ? 29 : 15;

const PAIRED = ['in pairs', 'in mixed pairs'] as const;

const debug: CoreModules = {
  flat: new WebAssembly.Module(await readFixture('build/flat-debug.wasm')),
  sparse: new WebAssembly.Module(await readFixture('build/sparse-debug.wasm')),
  threads: new WebAssembly.Module(await readFixture('build/threads-debug.wasm')),
};
const release = compileCoreSync();
/* The browser's compiler is Node's: there batches, and the debug builds, are left out, for time. */
const BUILDS = (['flat', 'sparse', 'threads'] as const).flatMap((kind) => [
  { name: `release, ${kind}`, kind, cores: release, way: 'single' as const },
  ...(IN_BROWSER ? [] : [{ name: `debug, ${kind}`, kind, cores: debug, way: 'single' as const }]),
]);
const WAYS_HERE = IN_BROWSER ? (['through a TLB'] as const) : (['through a TLB', ...PAIRED] as const);
const OTHER_WAYS = WAYS_HERE.map((way) => {
  return { name: `release, flat, ${way}`, kind: 'flat' as const, cores: release, way };
});

describe('the combinations', () => {
  const matrix = new Matrix(machine('flat', release));

  test.each(CLASSIC_COUNTS)(
    'of a PTE and a PDE are $count with MAXPHYADDR $maxPhysicalAddress, protection keys: $hasKeys',
    ({ count, ...processor }) => {
      for (const levels of LEVELS) expect(matrix.count('classic', { levels, ...processor })).toBe(count);
    },
  );

  test.each(EXTRA_SWEEPS)('of $about are $counts.4 with 4 levels, $counts.5 with 5', ({ name, counts }) => {
    for (const levels of LEVELS) expect(matrix.count(name, { levels })).toBe(counts[levels]);
  });

  test('are each handed out once', () => {
    const found = [...matrix.cases('global', { levels: 5 })].map(({ combination }) => combination);
    expect(new Set(found).size).toBe(found.length);
    expect(found.length).toBe(matrix.count('global', { levels: 5 }));
    expect([...matrix.cases('global', { levels: 5 }, 1000)].map(({ combination }) => combination)).toEqual(
      found.filter((_, i) => i % 1000 === 0),
    );
  });
});

describe.each([...BUILDS, ...OTHER_WAYS])('$name', ({ kind, cores, way }) => {
  const one = machine(kind, cores);
  if (way === 'through a TLB') one.core.makeTlb(one.memory.arena.allocate(one.core.tlbBytes(0, 0)), 0, 0);
  const matrix = new Matrix(one, way === 'through a TLB' ? one.core.tlbTranslate : one.core.translate);

  /* Batches are slow, and what they do with leaves does not depend on how many levels are above them. */
  const mixed = way === 'in mixed pairs';
  const batched = mixed || way === 'in pairs';
  const wholeEachTime = !IN_BROWSER && cores === release && kind === 'flat' && way === 'single';
  const parts = partAndWhole(STRIDE, way === 'through a TLB' && !IN_BROWSER ? 5 : STRIDE_THOROUGH);

  /** Checks a sweep's combinations that are `stride` apart, and that it was as many as that makes. */
  const check = (name: SweepName, processor: Processor, stride: number) => {
    expect(matrix.firstWrong(name, processor, way, stride)).toBeUndefined();
    expect(matrix.checked).toBe(Math.ceil(matrix.count(name, processor) / stride));
  };

  describe.each(mixed ? [4 as const] : LEVELS)('%i levels', (levels) => {
    for (const { part, stride, options } of wholeEachTime ? [WHOLE] : parts) {
      test(`${part} of the states of a PTE and a PDE under every access does what the rules say`, {
        ...LONG,
        ...options,
      }, () => {
        check('classic', { levels, maxPhysicalAddress: 36, hasKeys: !mixed && !(batched && levels === 5) }, stride);
        if (!mixed) check('classic', { levels, maxPhysicalAddress: 46, hasKeys: false }, stride);
      });

      test.each(EXTRA_SWEEPS)(`so does ${part} of those that concern $about`, { ...LONG, ...options }, ({ name }) => {
        check(name, { levels }, stride);
      });
    }
  });
});

describe('a walker that is wrong once is caught, and its case named:', () => {
  const SWEEP = 'global';
  const PROCESSOR = { levels: 4 } as const;
  const right = new Matrix(machine('flat', release));
  const cases = [...right.cases(SWEEP, PROCESSOR)];
  /** A case from the middle on: the core is asked twice for each, a probe and an access, or two accesses. */
  const pick = (twice: boolean, reaches: boolean) => {
    const place = cases.findIndex(
      ({ case: one }, i) =>
        i > 12_345 && one.twice === twice && one.access === 6 && reaches === one.expected < 1n << 63n,
    );
    return { place, combination: cases[place]!.combination };
  };
  /** What is reported when one call, the first or second of the case at a place, is answered by `wrong`. */
  const reported = (place: number, call: 0 | 1, wrong: (core: Translate, va: bigint, access: number) => bigint) => {
    const one = machine('flat', release);
    let calls = 0;
    const translate: Translate = (va, access) =>
      calls++ === place * 2 + call ? wrong(one.core.translate, va, access) : one.core.translate(va, access);
    return new Matrix(one, translate).firstWrong(SWEEP, PROCESSOR);
  };
  const named = (combination: number) => `global, combination 0x${combination.toString(16)}: `;

  test('an error code', () => {
    const { place, combination } = pick(true, false);
    const words = reported(place, 0, (core, va, access) => core(va, access) ^ 4n);
    expect(words).toContain(`${named(combination)}user write, 4 levels`);
    expect(words).toMatch(/expected page-fault, errorCode 0x[67].*\n {2}got page-fault, errorCode 0x[23]/);
    expect(right.wrong(SWEEP, PROCESSOR, combination)).toBeUndefined();
  });

  test('a page where there should be a fault', () => {
    const { place, combination } = pick(true, false);
    const words = reported(place, 0, () => 0x0010_0001_2345_6abcn);
    expect(words).toContain(named(combination));
    expect(words).toMatch(/expected page-fault.*\n {2}got page, physicalAddress 0x123456abc/);
  });

  test('a D bit that is not set', () => {
    const { place, combination } = pick(false, true);
    const words = reported(place, 1, (core, va, access) => {
      const word = core(va, access & ~2);
      core(va, access & ~0x200);
      return word;
    });
    expect(words).toContain(`${named(combination)}user write`);
    expect(words).toMatch(/: expected P W U.* A D.*, found P W U.* A(?! D)/);
  });

  test('a probe that marks', () => {
    const { place, combination } = pick(false, true);
    const words = reported(place, 0, (core, va, access) => core(va, access | 0x200));
    expect(words).toContain(`${named(combination)}a probe of user write`);
  });

  test('a second access that comes out otherwise', () => {
    const { place, combination } = pick(true, true);
    const words = reported(place, 1, (core, va, access) => core(va, access) ^ 0x1000n);
    expect(words).toContain(`${named(combination)}user write once more`);
  });
});
