/**
 * Real dumps of real Linux guests: files with holes of gigabytes, frames of one format against those of another, and what only one kind has.
 * See test/fixtures/dumps/README.md; listings.test.ts has what is mapped.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { compileCoreSync } from '../../src/core/instantiate.ts';
import { AddressSpace, type AddressSpaceOptions } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import type { Dump } from '../../src/dump/dump.ts';
import { type OpenDumpOptions, openDump } from '../../src/dump/open-dump.ts';
import { openDumpFile } from '../../src/node.ts';

const core = compileCoreSync();
const path = (name: string): string => fileURLToPath(new URL(`../fixtures/dumps/${name}`, import.meta.url));
const open = (name: string, options?: OpenDumpOptions): Promise<Dump> => openDumpFile(path(name), options);

/** A register as QEMU's monitor printed it. */
function register(boot: string, name: string): bigint {
  const printed = readFileSync(path(`${boot}.txt`), 'utf8');
  return BigInt(`0x${new RegExp(`\\b${name}=([0-9a-f]+)`).exec(printed)![1]!}`);
}

/** QEMU's lines: `VA: PA XGPDACTUW`. */
function listed(name: string): string[] {
  return gunzipSync(readFileSync(path(name)))
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.trim());
}

const LETTERS = [63n, 8n, 7n, 6n, 5n, 4n, 3n, 2n, 1n];
const wide = (value: bigint): string => value.toString(16).padStart(16, '0');

/** The same of an address space, all of whose tables must be there. */
async function leavesOf(dump: Dump, options: AddressSpaceOptions = {}): Promise<string[]> {
  const space = await AddressSpace.open(dump, { core, ...options });
  expect((await space.load()).missing).toBe(0);
  return [...space.mmu.mappings()].map(({ va, pa, bytes, entry }) => {
    const flags = LETTERS.map((bit, i) =>
      (entry >> bit) & 1n && !(i === 2 && bytes === 4096n) ? 'XGPDACTUW'[i] : '-',
    ).join('');
    return `${wide(va)}: ${wide(pa)} ${flags}`;
  });
}

const folder = mkdtempSync(join(tmpdir(), 'hugewalk-fixtures-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Unpacks a file with holes of 1.4 or 5.25 GiB. */
function unpacked(name: string): string {
  execFileSync('tar', ['xzf', path(`${name}.tar.gz`), '-C', folder]);
  return join(folder, name);
}

describe('the pages that QEMU lists are those of', () => {
  test('b.raw, of 5.25 GiB with its hole, and b.backend.img, without it, by ranges', async () => {
    const options = { cr3: register('b.registers.cpu0', 'CR3'), cr4: register('b.registers.cpu0', 'CR4') };
    const ranges = [
      { physical: 0n, bytes: 0x800_0000n },
      { physical: 0x1_0000_0000n, bytes: 0x5000_0000n },
    ];
    await using raw = await openDumpFile(unpacked('b.raw'));
    await using backend = await openDumpFile(unpacked('b.backend.img'), { ranges, strict: true });
    for (const dump of [raw, backend]) {
      expect(dump.format).toBe('raw');
      expect(await leavesOf(dump, options)).toEqual(listed('b.info-tlb.cpu0.txt.gz'));
    }
    expect(backend.segments).toEqual(ranges);
  });
});

describe('frames', () => {
  /** Frames of zeros are not told from those that a dump lacks: of AVML's and of stripped dumps. */
  async function expectSame(one: Dump, other: Dump, atLeast: number): Promise<void> {
    let same = 0;
    for (let first = 0n; first < 0x800_0000n; first += 0x100_0000n) {
      const frames = Array.from({ length: 4096 }, (_, i) => first + BigInt(i) * 4096n);
      const [here, there] = [await one.readFrames(frames), await other.readFrames(frames)];
      for (const [i, content] of here.entries()) {
        if (!content || !there[i]) continue;
        if (Buffer.compare(content, there[i]) !== 0) expect(frames[i]).toBe('the same');
        same++;
      }
    }
    expect(same).toBeGreaterThan(atLeast);
  }

  test('of AVML are those of the raw image and of the ELF core of the same boot', async () => {
    await using avml = await open('a.avml.gz');
    await using elf = await open('a.qemu.elf.gz');
    await expectSame(avml, elf, 400);
    /* The AVML file was made of the whole memory, the raw image has zeros where there are no tables. */
    await using raw = await open('a.raw.gz');
    await expectSame(raw, elf, 400);
  });

  test('of LiME are those of the ELF core of the same boot where both have tables', async () => {
    await using lime = await open('c.lime.gz');
    await using elf = await open('c.qemu.elf.gz');
    const space = await AddressSpace.open(elf, { core });
    await space.load();
    const tables = elf.segments
      .flatMap(({ physical, bytes }) =>
        Array.from({ length: Number(bytes / 4096n) }, (_, i) => physical + BigInt(i) * 4096n),
      )
      .filter((frame) => space.memory.has(frame));
    expect(tables.length).toBeGreaterThan(10);
    expect(await lime.readFrames(tables)).toEqual(await elf.readFrames(tables));
  });

  test('of a streamed file are those of one that is kept', async () => {
    for (const name of ['a.avml.gz', 'c.lime.gz']) {
      const bytes = readFileSync(path(name));
      const streamed = await openDump(bytesSource(bytes, name), { keep: 0, strict: true });
      const kept = await openDump(bytesSource(bytes, name), { strict: true });
      expect(streamed.segments).toEqual(kept.segments);
      const frames = [0x100_0000n, 0x20c_5000n, 0x7f0_0000n, 0x7fd_c000n, 0x9f000n];
      expect(await streamed.readFrames(frames)).toEqual(await kept.readFrames(frames));
    }
  });
});

describe('what only one kind of core has:', () => {
  test('VMCOREINFO of QEMU, of /proc/vmcore, and of /proc/kcore', async () => {
    for (const name of ['a.qemu.elf.gz', 'd.vmcore.gz', 'k.kcore-head.gz']) {
      await using dump = await open(name);
      expect(dump.vmcoreinfo).toMatch(/^OSRELEASE=6\.1\.0-57-cloud-amd64\n/);
      expect(dump.vmcoreinfo).toMatch(/^SYMBOL\(swapper_pg_dir\)=ffffffff[0-9a-f]+$/m);
    }
  });

  test('QEMU with paging of a guest with PTI in user mode holds no tables: the root is missing', async () => {
    await using dump = await open('c.qemu-paging.elf.gz');
    await expect(AddressSpace.open(dump, { core })).rejects.toThrow(
      /expected the root table at CR3 = 0x2975000, found no whole frame/,
    );
  });

  test('the head of /proc/kcore has no memory, and says which segments have no physical address', async () => {
    await using dump = await open('k.kcore-head.gz');
    expect(dump.segments).toEqual([]);
    expect(dump.warnings).toEqual([
      'program header 0x2: expected a physical address, found none for virtual 0xffffcc9940000000: it is skipped (and 3 more like it)',
      'program header 0x1: expected 0x2830000 bytes at file offset 0x7fffb8204000, found the end of the file at 0x4000 (truncated?) (and 2 more like it)',
      'expected a PT_LOAD segment with content, found none',
    ]);
  });
});
