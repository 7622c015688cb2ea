import { describe, expect, test } from 'vitest';
import { AddressSpace, type AddressSpaceOptions } from '../../../src/dump/address-space.ts';
import type { Dump } from '../../../src/dump/dump.ts';
import { findRoots } from '../../../src/dump/roots/find-roots.ts';
import { changed, memoryDump, rawImage, realDump, register } from './support.ts';

async function leavesOf(dump: Dump, options: AddressSpaceOptions): Promise<string[]> {
  const space = await AddressSpace.open(dump, options);
  await space.load();
  return [...space.mmu.mappings()].map(({ va, pa, bytes }) => `${va} ${pa} ${bytes}`);
}

describe('the root is', () => {
  test('the one given, before all others', async () => {
    const dump = await realDump('c.qemu.elf.gz');
    const { origin, mmu } = await AddressSpace.open(dump, { cr3: 0x105a000n });
    expect([origin.from, origin.cpu, mmu.registers.cr3, origin.levelsWhy]).toEqual(['given', 0, 0x105a000n, undefined]);
  });

  test('CR3 of a CPU, before VMCOREINFO', async () => {
    const { origin, mmu } = await AddressSpace.open(await realDump('c.qemu.elf.gz'));
    expect([origin.from, origin.cpu, mmu.registers.cr3]).toEqual(['cpu', 0, register('c.registers.txt', 'CR3')]);
    /* CR4.PKE is set: see test/fixtures/dumps/c.registers.txt. */
    expect(origin.assumed).toEqual(['efer', 'pkru', 'maxPhysicalAddress', 'vendor', 'page1G']);
  });

  test('VMCOREINFO’s, in the memory of a dump that has no CPU', async () => {
    const { origin, mmu } = await AddressSpace.open(memoryDump(rawImage('a')));
    expect([origin.from, mmu.registers.cr3, mmu.levels]).toEqual(['vmcoreinfo', 0x6210000n, 4]);
    expect(origin.why).toBe('from VMCOREINFO');
  });

  test('VMCOREINFO’s, of the file, without a look at the memory', async () => {
    const text =
      'SYMBOL(swapper_pg_dir)=ffffffffb8e10000\nNUMBER(phys_base)=-851443712\nNUMBER(pgtable_l5_enabled)=0\n';
    const asked: number[] = [];
    const dump = changed(memoryDump(rawImage('a')), { vmcoreinfo: text }, (_, frame) => {
      asked.push(1);
      return frame;
    });
    expect((await AddressSpace.open(dump)).mmu.registers.cr3).toBe(0x6210000n);
    expect(asked.length).toBeLessThan(4);
  });

  test('the best of a search, where nothing names one', async () => {
    const image = rawImage('a').slice();
    for (let at = 0; at < image.length; at += 4096)
      for (const place of [at, at + 24]) if (image[place] === 0x4f) image[place] = 0;
    const { origin, mmu } = await AddressSpace.open(memoryDump(image));
    expect(origin.from).toBe('search');
    expect(origin.why).toMatch(/^found by search, the best of 5: 69 of 69 upper entries shared with 4 more/);
    expect((await findRoots(memoryDump(image))).roots.map(({ root }) => root)).toContain(mmu.registers.cr3);
  });
});

describe('a 5-level vmcore without a QEMU note (volatility3#1991)', () => {
  const cr3 = register('b.registers.cpu0.txt', 'CR3');

  test('is walked with five levels by VMCOREINFO', async () => {
    const dump = changed(await realDump('b.makedumpfile.elf.gz'), {});
    const { mmu, origin } = await AddressSpace.open(dump);
    expect([mmu.levels, origin.from, origin.levelsWhy]).toEqual([
      5,
      'vmcoreinfo',
      "by VMCOREINFO's pgtable_l5_enabled",
    ]);
  });

  test('is walked with five levels by what its tables look like, and maps what its CPU maps', async () => {
    const real = await realDump('b.makedumpfile.elf.gz');
    const { mmu, origin } = await AddressSpace.open(changed(real, {}), { cr3 });
    expect([mmu.levels, origin.from, origin.levelsWhy]).toEqual([5, 'given', 'by what its tables look like']);
    const expected = await leavesOf(real, { cpu: 0 });
    expect(expected.length).toBeGreaterThan(9000);
    expect(await leavesOf(changed(real, {}), { cr3 })).toEqual(expected);
  });

  test('a root of four levels stays one of four', async () => {
    const dump = memoryDump(rawImage('a'));
    const space = await AddressSpace.open(dump, { cr3: register('a.registers.txt', 'CR3') });
    expect([space.mmu.levels, space.origin.levelsWhy]).toEqual([4, 'by what its tables look like']);
  });

  test('of which the file has VMCOREINFO and the root is given, has the levels that it tells', async () => {
    const dump = changed(await realDump('b.makedumpfile.elf.gz'), { vmcoreinfo: 'NUMBER(pgtable_l5_enabled)=1\n' });
    const { mmu, origin } = await AddressSpace.open(dump, { cr3 });
    expect([mmu.levels, origin.from, origin.levelsWhy]).toEqual([5, 'given', "by VMCOREINFO's pgtable_l5_enabled"]);
  });

  test('levels that are asked for go before everything', async () => {
    const dump = changed(await realDump('b.makedumpfile.elf.gz'), {});
    expect((await AddressSpace.open(dump, { cr3, levels: 4 })).mmu.levels).toBe(4);
  });
});

test('LAM_U57 and LAM_U48 in CR3 are no part of the root (deepin kernel#539)', async () => {
  const dump = memoryDump(rawImage('a'));
  const cr3 = register('a.registers.txt', 'CR3');
  const plain = await leavesOf(dump, { cr3 });
  for (const bit of [61n, 62n]) expect(await leavesOf(dump, { cr3: cr3 | (1n << bit) })).toEqual(plain);
  await expect(AddressSpace.open(dump, { cr3: cr3 | (1n << 60n) })).rejects.toThrow(/^cr3: expected no bit/);
});

describe('a C-bit in every entry (x86_64#542)', () => {
  const cr3 = register('a.registers.txt', 'CR3');
  const C = 1n << 47n;
  /** The image with the C-bit in every present entry of every table. */
  const encrypted = async (): Promise<Dump> => {
    const space = await AddressSpace.open(memoryDump(rawImage('a')), { cr3 });
    await space.load();
    return changed(memoryDump(rawImage('a')), {}, (physical, frame) => {
      if (!space.memory.has(physical)) return frame;
      const words = new BigUint64Array(frame.slice().buffer).map((entry) => (entry & 1n ? entry | C : entry));
      return new Uint8Array(words.buffer);
    });
  };

  test('is taken out of addresses: the same is mapped', async () => {
    const plain = await leavesOf(memoryDump(rawImage('a')), { cr3 });
    expect(await leavesOf(await encrypted(), { cr3: cr3 | C, cBit: 47 })).toEqual(plain);
  });

  test('without being told, leads nowhere', async () => {
    const dump = await encrypted();
    expect((await (await AddressSpace.open(dump, { cr3 })).load()).missing).toBeGreaterThan(0);
  });

  test('that is told, or that VMCOREINFO tells of, lets roots be found', async () => {
    const dump = await encrypted();
    expect((await findRoots(dump, { cBit: 47 })).roots.map(({ root }) => root)).toContain(cr3);
    const told = { ...dump, vmcoreinfo: `NUMBER(sme_mask)=${C}\n` };
    const found = await findRoots(told);
    expect(found.cBit).toBe(47);
    expect(found.roots.map(({ root }) => root)).toContain(cr3);
  });
});
