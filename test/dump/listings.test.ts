/**
 * Real dumps of real Linux guests in every format but kdump's, which has its own suite: what is mapped is what QEMU listed of the same
 * moment. In Node and in Chromium. See test/fixtures/dumps/README.md.
 */
import { describe, expect, test } from 'vitest';
import { AddressSpace, type AddressSpaceOptions } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { readFixture } from '../support/files.ts';
import { type Listed, listed, readListing, readRegisters } from '../support/info-tlb.ts';
import { AGAIN_IN_BROWSER } from '../support/thorough.ts';
import { fixturePath } from './kdump/fixtures.ts';

async function open(file: string, strict = true): Promise<Dump> {
  return openDump(bytesSource(await readFixture(fixturePath(file)), file), { strict });
}

/** All that is mapped; all tables must be there. */
async function leavesOf(dump: Dump, options: AddressSpaceOptions = {}): Promise<Listed[]> {
  const space = await AddressSpace.open(dump, options);
  expect((await space.load()).missing).toBe(0);
  return listed(space.mmu.mappings());
}

const listing = (name: string): Promise<Listed[]> => readListing(fixturePath(`${name}.txt.gz`));
const registers = (name: string) => readRegisters(fixturePath(`${name}.txt`));

/** One comparison: toEqual takes seconds for thousands of leaves. */
function expectSame(leaves: readonly Listed[], theirs: readonly Listed[]): void {
  const line = ({ va, pa, flags }: Listed): string => `${va.toString(16)} ${pa.toString(16)} ${flags}`;
  expect(leaves.length).toBeGreaterThan(1000);
  expect(leaves.map(line).join('\n')).toBe(theirs.map(line).join('\n'));
}

describe('the pages that QEMU lists are those of', AGAIN_IN_BROWSER, () => {
  test.each([
    ['a.qemu.elf.gz', 'a.info-tlb'],
    ['a.qemu-paging.elf.gz', 'a.info-tlb'],
    ['a.makedumpfile.elf.gz', 'a.info-tlb'],
    ['a.makedumpfile-d31.elf.gz', 'a.info-tlb'],
    ['c.qemu.elf.gz', 'c.info-tlb'],
    ['e.qemu.elf.gz', 'e.info-tlb'],
    ['e.qemu-paging.elf.gz', 'e.info-tlb'],
  ])('%s, whose notes have the registers', async (file, name) => {
    const dump = await open(file);
    expect(dump.format).toBe('elf-core');
    expectSame(await leavesOf(dump), await listing(name));
  });

  test.each(['b.qemu.elf.gz', 'b.makedumpfile.elf.gz'])('%s, of both its processors, with 5 levels', async (file) => {
    const dump = await open(file);
    expect(dump.cpus).toHaveLength(2);
    for (const cpu of [0, 1]) {
      expect(dump.cpus[cpu]!.cr3).toBe((await registers(`b.registers.cpu${cpu}`)).cr3);
      expectSame(await leavesOf(dump, { cpu }), await listing(`b.info-tlb.cpu${cpu}`));
    }
  });

  test.each([
    ['d.vmcore.gz', 'elf-core', 'd.pre.registers', 'd.pre.info-tlb'],
    ['d.stripped.vmcore.gz', 'elf-core', 'd.pre.registers', 'd.pre.info-tlb'],
    ['a.raw.gz', 'raw', 'a.registers', 'a.info-tlb'],
    ['e.raw.gz', 'raw', 'e.registers', 'e.info-tlb'],
    ['a.avml.gz', 'avml', 'a.registers', 'a.info-tlb'],
    /* The machine ran on after LiME had read it; in this one no page of the process was moved meanwhile. */
    ['c.lime.gz', 'lime', 'c.registers', 'c.info-tlb'],
  ])('%s, a dump of format %s, with the CR3 of %s', async (file, format, printed, name) => {
    const dump = await open(file);
    expect([dump.format, dump.cpus]).toEqual([format, []]);
    const { cr3 } = await registers(printed);
    expectSame(await leavesOf(dump, { cr3 }), await listing(name));
  });

  test('a.iomem-end.avml.gz, whose ranges lack their last byte, which is told', async () => {
    const dump = await open('a.iomem-end.avml.gz', false);
    expect(dump.warnings).toEqual([
      'expected ranges of whole pages, found that AVML left out their last byte, at physical 0x7fdffff: it is taken for 0x0',
    ]);
    const { cr3 } = await registers('a.registers');
    expectSame(await leavesOf(dump, { cr3 }), await listing('a.info-tlb'));
    await expect(open('a.iomem-end.avml.gz')).rejects.toThrow(/AVML left out their last byte/);
  });
});
