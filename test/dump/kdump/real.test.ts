/**
 * Real kdump-compressed files, made by QEMU and makedumpfile, against the ELF core of the same moment and QEMU's listing.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { AddressSpace } from '../../../src/dump/address-space.ts';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import type { Dump } from '../../../src/dump/dump.ts';
import { openDump } from '../../../src/dump/open-dump.ts';
import { readFixture } from '../../support/files.ts';
import { listed, readListing, readRegisters } from '../../support/info-tlb.ts';
import { BOOTS, fixturePath } from './fixtures.ts';

async function open(files: readonly string[], strict = true): Promise<Dump> {
  const sources = files.map(async (file) => bytesSource(await readFixture(fixturePath(file)), file));
  return openDump(await Promise.all(sources), { strict });
}

/** Every frame of a core, by its address. */
async function framesOf(dump: Dump): Promise<Map<bigint, Uint8Array>> {
  const addresses = dump.segments.flatMap(({ physical, bytes }) =>
    Array.from({ length: Number(bytes / 4096n) }, (_, i) => physical + BigInt(i) * 4096n),
  );
  const contents = await dump.readFrames(addresses);
  return new Map(addresses.flatMap((at, i) => (contents[i] ? [[at, contents[i]] as const] : [])));
}

/** Whether two pages are the same; quicker than toEqual. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

describe.each(BOOTS)('boot $name', ({ core, cpus, listings, registers, dumps }) => {
  let frames: Map<bigint, Uint8Array>;

  beforeAll(async () => {
    /* The core of d has a segment without content: it is not opened strictly. */
    frames = await framesOf(await openDump(bytesSource(await readFixture(fixturePath(core)), core)));
    expect(frames.size).toBeGreaterThan(400);
  });

  describe.each(dumps.map((files) => ({ files, name: files.join(' + ') })))('$name', ({ files, name }) => {
    const leavesOut = name.includes('-d31-');

    test('holds every frame that the ELF core has, but those that were left out', async () => {
      const dump = await open(files);
      expect(dump.format).toBe('kdump');
      const addresses = [...frames.keys()].reverse();
      const contents = await dump.readFrames(addresses);
      const others = addresses.filter((at, i) => !contents[i] || !same(contents[i], frames.get(at)!));
      const absent = addresses.filter((_, i) => !contents[i]);
      expect(others).toEqual(absent);
      if (leavesOut) expect(absent.length).toBeLessThan(frames.size / 20);
      else expect(absent).toEqual([]);
    });

    test('maps what QEMU lists, for each processor', async () => {
      const dump = await open(files);
      expect(dump.cpus).toHaveLength(cpus);
      for (const [cpu, listing] of listings.entries()) {
        const { cr0, cr3, cr4, efer } = await readRegisters(fixturePath(registers[cpu]!));
        if (cpus > 0) expect(dump.cpus[cpu]).toMatchObject({ cr0, cr3, cr4 });
        const space = await AddressSpace.open(dump, cpus > 0 ? { cpu } : { cr0, cr3, cr4, efer });
        await space.load();
        const leaves = listed(space.mmu.mappings());
        expect(leaves.length).toBeGreaterThan(1000);
        expect(leaves).toEqual(await readListing(fixturePath(listing)));
      }
    });

    test('has the text of VMCOREINFO', async () => {
      expect((await open(files)).vmcoreinfo).toMatch(
        /^OSRELEASE=6\.1\.0-57-cloud-amd64\n.*^PAGESIZE=4096\n.*KERNELOFFSET=/ms,
      );
    });
  });
});
