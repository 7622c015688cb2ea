/**
 * Dumps larger than memory should ever be: files with holes, and what compresses well.
 */
import { createWriteStream, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { AddressSpace } from '../../src/dump/address-space.ts';
import { openDumpFile } from '../../src/node.ts';
import { THOROUGH } from '../support/thorough.ts';
import { buildCore, LONG_MODE, PROGRAM_HEADER, PROGRAM_HEADERS } from './elf-builder.ts';
import { table } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'hugewalk-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 2 ** 20;

/** A core of `bytes` of zeros but for four tables at the start, and its headers. */
function headOf(bytes: number): Uint8Array {
  const tables = Uint8Array.from([
    ...table({ 0: 0x1007n }),
    ...table({ 0: 0x2007n, 511: 0x3007n, 5: BigInt(bytes - 4096) | 7n }),
    ...table({ 1: 0x3007n }),
    ...table({ 0: 0x4007n, 9: BigInt(bytes - 4096) | 7n }),
  ]);
  const file = buildCore({ cpus: [{ ...LONG_MODE, cr3: 0n }], segments: [{ physical: 0n, content: tables }] });
  const view = new DataView(file.buffer);
  for (const size of [32, 40]) {
    view.setBigUint64(PROGRAM_HEADERS + PROGRAM_HEADER + size, BigInt(bytes), true);
  }
  return file;
}

/** Runs, and returns by how many bytes the process had grown at most. */
async function growth(run: () => Promise<void>): Promise<number> {
  const sample = (): number => {
    const { rss, arrayBuffers } = process.memoryUsage();
    return Math.max(rss, arrayBuffers);
  };
  const before = sample();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, sample());
  }, 5);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, sample()) - before;
}

async function useDump(path: string, keep?: number): Promise<void> {
  const dump = await openDumpFile(path, keep === undefined ? {} : { keep });
  const space = await AddressSpace.open(dump);
  expect(await space.translate(0x20_0123n)).toMatchObject({ kind: 'page', physicalAddress: 0x4123n });
  /* The root, three tables, and the last frame, which is empty; the tables at level 1 point to themselves and pages. */
  expect(await space.load()).toMatchObject({ missing: 0 });
  expect(await space.translate(5n << 30n)).toMatchObject({ kind: 'page-fault', level: 2 });
  await dump.close();
}

describe('a dump of 3 GiB', () => {
  const bytes = 3 * 2 ** 30;

  test('is opened, translated and loaded within a few MiB', async () => {
    const path = join(folder, 'sparse.elf');
    writeFileSync(path, headOf(bytes));
    truncateSync(path, 4096 + bytes);
    expect(await growth(() => useDump(path))).toBeLessThan(64 * MIB);
  });

  test('that is truncated is told at once', async () => {
    const path = join(folder, 'truncated.elf');
    writeFileSync(path, headOf(bytes));
    truncateSync(path, 4096 + bytes - 1);
    const message = /program header 0x1: expected 0xc0000000 bytes at file offset 0x1000/;
    await expect(openDumpFile(path, { strict: true })).rejects.toThrow(message);
    await using dump = await openDumpFile(path);
    expect(dump.warnings).toEqual([expect.stringMatching(message)]);
    expect(dump.segments.at(-1)!.bytes).toBe(BigInt(bytes - 1));
  });
});

describe('a gzipped dump of 300 MiB, more than is kept', () => {
  const bytes = 300 * MIB;
  const path = join(folder, 'zeros.elf.gz');

  async function write(): Promise<void> {
    const head = headOf(bytes);
    function* content(): Generator<Uint8Array> {
      yield head;
      for (let left = 4096 + bytes - head.length; left > 0; left -= MIB) yield new Uint8Array(Math.min(MIB, left));
    }
    await pipeline(Readable.from(content()), createGzip({ level: 1 }), createWriteStream(path));
  }

  test('is opened, translated and loaded without keeping it', THOROUGH, async () => {
    await write();
    expect(await growth(() => useDump(path, 16 * MIB))).toBeLessThan(128 * MIB);
    await useDump(path);
  });
});
