import { describe, expect, test } from 'vitest';
import type { RootCandidate } from '../../../src/dump/roots/candidate.ts';
import { findRoots } from '../../../src/dump/roots/find-roots.ts';
import { changed, framesWithUpperHalfOf, memoryDump, rawImage, realDump, register } from './support.ts';

const addresses = (roots: readonly RootCandidate[]): number[] =>
  roots.map(({ root }) => Number(root)).sort((a, b) => a - b);

describe.each(['a', 'e'] as const)('in the raw image of boot %s, without registers,', (boot) => {
  const cr3 = register(`${boot}.registers.txt`, 'CR3');

  test('exactly the five tables that share the kernel’s upper half are roots, the live one among them', async () => {
    const image = rawImage(boot);
    const { roots, more } = await findRoots(memoryDump(image));
    const sharing = framesWithUpperHalfOf(image, Number(cr3));
    expect(sharing.length).toBe(5);
    expect(sharing).toContain(Number(cr3));
    expect(addresses(roots)).toEqual(sharing);
    expect(more).toBe(false);
    for (const { levels, evidence } of roots) expect([levels, evidence.sharedWith, evidence.others]).toEqual([4, 4, 0]);
  });

  test('init_top_pgt comes first, and three roots are processes', async () => {
    const { roots, vmcoreinfo } = await findRoots(memoryDump(rawImage(boot)));
    expect(roots[0]).toMatchObject({ root: vmcoreinfo!.root, kind: 'kernel', evidence: { vmcoreinfo: true } });
    expect(roots.filter(({ kind }) => kind === 'process').length).toBe(3);
    expect(roots.find(({ root }) => root === cr3)).toMatchObject({ kind: 'process', lowerEntries: 7 });
  });

  test('the same roots are found where VMCOREINFO is lost', async () => {
    const image = rawImage(boot).slice();
    for (let at = 0; at < image.length; at += 4096) {
      for (const place of [at, at + 24])
        if (String.fromCharCode(...image.subarray(place, place + 4)) === 'OSRE') image[place] = 0;
    }
    const { roots, vmcoreinfo } = await findRoots(memoryDump(image));
    expect(vmcoreinfo).toBeUndefined();
    expect(addresses(roots)).toEqual(framesWithUpperHalfOf(image, Number(cr3)));
  });
});

test('a root maps itself where the direct map has its frame: nokaslr’s begins at 0xffff888000000000', async () => {
  const { roots } = await findRoots(memoryDump(rawImage('e')));
  const live = roots.find(({ root }) => root === register('e.registers.txt', 'CR3'))!;
  expect(live.evidence.ownAddress).toBe(0xffff_8880_0000_0000n + live.root);
});

test('five levels are told by the tables, over a hole in memory', async () => {
  const dump = changed(await realDump('b.makedumpfile.elf.gz'), { cpus: [] });
  const { roots, vmcoreinfo } = await findRoots(dump);
  expect(vmcoreinfo!.levels).toBe(5);
  expect(new Set(roots.map(({ levels }) => levels))).toEqual(new Set([5]));
  expect(roots.map(({ root }) => root)).toContain(register('b.registers.cpu0.txt', 'CR3'));
  expect(roots[0]!.root).toBe(vmcoreinfo!.root);
});

test('page-table isolation has pairs of roots in neighbouring frames, and the live CR3 may be the user’s', async () => {
  const { roots } = await findRoots(await realDump('c.qemu.elf.gz'));
  const cr3 = register('c.registers.txt', 'CR3');
  const live = roots.find(({ root }) => root === cr3)!;
  expect(live).toMatchObject({
    kind: 'process',
    isolation: { half: 'user', other: cr3 - 0x1000n },
    evidence: { cpus: [0] },
  });
  const pairs = roots.filter(({ isolation }) => isolation !== undefined);
  expect(pairs.length).toBe(8);
  for (const { root, isolation } of pairs) {
    const user = isolation!.half === 'user';
    expect(isolation!.other).toBe(user ? root - 0x1000n : root + 0x1000n);
    expect(Number((root >> 12n) & 1n)).toBe(user ? 1 : 0);
  }
});

test('a crashed kernel’s roots are in its vmcore, which has no registers', async () => {
  const { roots, vmcoreinfo } = await findRoots(await realDump('d.stripped.vmcore.gz'));
  expect(roots.map(({ root }) => root)).toEqual(
    expect.arrayContaining([register('d.pre.registers.txt', 'CR3'), vmcoreinfo!.root]),
  );
  expect(roots.length).toBe(5);
});

/** Writes entries into a frame of memory. */
function put(memory: Uint8Array, frame: number, entries: Readonly<Record<number, bigint>>): void {
  const words = new BigUint64Array(memory.buffer, frame, 512);
  for (const [index, entry] of Object.entries(entries)) words[Number(index)] = entry;
}

describe('a kernel of one root', () => {
  const small = (): Uint8Array => {
    const memory = new Uint8Array(64 * 4096);
    put(memory, 0x2000, { 0: 0x3003n });
    put(memory, 0x3000, { 0: 0x83n, 1: 0x20_0083n });
    return memory;
  };

  test('is found by its identity map', async () => {
    const memory = small();
    put(memory, 0x1000, { 0: 0x2003n });
    const { roots } = await findRoots(memoryDump(memory));
    expect(roots).toMatchObject([{ root: 0x1000n, levels: 4, kind: 'kernel', evidence: { ownAddress: 0x1000n } }]);
  });

  test('is found by an entry that points to itself', async () => {
    const memory = small();
    put(memory, 0x1000, { 256: 0x2003n, 510: 0x1003n });
    put(memory, 0x3000, { 0: 0x4000_0083n, 1: 0x4020_0083n });
    const { roots } = await findRoots(memoryDump(memory));
    expect(roots).toMatchObject([{ root: 0x1000n, evidence: { recursiveEntry: 510, ownAddress: undefined } }]);
  });

  test('is none without any of this: tables alone are too little', async () => {
    const memory = small();
    put(memory, 0x1000, { 256: 0x2003n });
    put(memory, 0x3000, { 0: 0x4000_0083n, 1: 0x4020_0083n });
    expect((await findRoots(memoryDump(memory))).roots).toEqual([]);
  });
});

describe('no root is', () => {
  /** Where frames are planted: above the memory of the vmcore, the first of them zeros. */
  const PLANTED = 0x1200_0000;
  const plant = async (frames: readonly ((index: number) => bigint)[]): Promise<readonly RootCandidate[]> => {
    const planted = new Uint8Array((frames.length + 1) * 4096);
    for (const [i, entryAt] of frames.entries()) {
      const entries = Array.from({ length: 512 }, (_, index) => [index, entryAt(index)] as const);
      put(planted, (i + 1) * 4096, Object.fromEntries(entries));
    }
    const real = await realDump('d.stripped.vmcore.gz');
    const more = memoryDump(planted);
    const found = await findRoots({
      ...changed(real, {}),
      segments: [...real.segments, { physical: BigInt(PLANTED), bytes: BigInt(planted.length) }],
      readFrames: async (physical) => {
        const frames = await real.readFrames(physical);
        const above = physical.map((at) => at - BigInt(PLANTED));
        const own = await more.readFrames(above.map((at) => (at < 0n ? 1n << 50n : at)));
        return frames.map((frame, i) => own[i] ?? frame);
      },
    });
    return found.roots;
  };

  let state = 1n;
  const random = (): bigint => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return state ^ (state >> 31n);
  };

  test.each<[string, () => readonly ((index: number) => bigint)[]]>([
    ['random data', () => Array.from({ length: 64 }, () => random)],
    ['an interrupt table', () => [(i) => (i % 2 ? 0xffff_ffffn : 0xb740_8e00_0010_0e00n | BigInt(i << 4))]],
    ['a page full of PTEs, as of a direct map, that maps roots', () => [(i) => (BigInt(0x7000 + i) << 12n) | 0x163n]],
    ['a page of PTEs all over memory', () => [(i) => (BigInt((i * 7919) % 0x12000) << 12n) | 0x67n]],
    ['a page of PTEs of a page of zeros', () => [() => BigInt(PLANTED) | 0x25n]],
    ['a page of PTEs of one page table', () => [() => 0x701_5025n]],
    ['a table of 2 MiB pages', () => [(i) => (BigInt(i % 64) * 0x20_0000n) | 0xe7n]],
    ['a table that points only to itself', () => [(i) => (i === 5 ? BigInt(PLANTED + 0x1003) : 0n)]],
  ])('%s', async (_, frames) => {
    const found = addresses(await plant(frames()));
    expect(found).toEqual(addresses((await findRoots(await realDump('d.stripped.vmcore.gz'))).roots));
    expect(found.length).toBe(5);
  });

  test('but a copy of a root is one', async () => {
    const [frame] = await (await realDump('d.stripped.vmcore.gz')).readFrames([0x701_0000n]);
    const words = new BigUint64Array(new Uint8Array(frame!).buffer);
    expect(addresses(await plant([(i) => words[i]!]))).toContain(PLANTED + 0x1000);
  });
});

test('tables that point to each other in circles end the search, whatever they look like', async () => {
  const memory = new Uint8Array(256 * 4096);
  for (let frame = 0; frame < 256; frame++) {
    put(
      memory,
      frame * 4096,
      Object.fromEntries(Array.from({ length: 512 }, (_, i) => [i, BigInt(((frame * 31 + i * 7) % 256) << 12) | 7n])),
    );
  }
  const began = performance.now();
  await findRoots(memoryDump(memory));
  expect(performance.now() - began).toBeLessThan(20_000);
});

test('frames that are missing, or a dump without any, are no error', async () => {
  expect((await findRoots(memoryDump(new Uint8Array(0)))).roots).toEqual([]);
  const dump = await realDump('d.stripped.vmcore.gz');
  const holes = { ...changed(dump, {}), readFrames: async (p: readonly bigint[]) => p.map(() => undefined) };
  expect((await findRoots(holes)).roots).toEqual([]);
});

test('progress ends with all of the memory', async () => {
  const told: [number, number][] = [];
  await findRoots(memoryDump(rawImage('e')), { onProgress: (done, total) => told.push([done, total]) });
  expect(told.at(-1)).toEqual([96 * 2 ** 20, 96 * 2 ** 20]);
  expect(told.length).toBeGreaterThan(4);
});

test.each([[{ cBit: 31 }], [{ cBit: 52 }], [{ cBit: 47.5 }]])('%o is no C-bit', async (options) => {
  await expect(findRoots(memoryDump(new Uint8Array(4096)), options)).rejects.toThrow(/^cBit: expected/);
});
