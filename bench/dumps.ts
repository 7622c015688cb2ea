/**
 * Measures how fast pages of dumps of all formats are read, beside libkdumpfile where it reads the format, and bitmaps indexed.
 *
 *   npm run bench:dumps
 *
 * A row reads all pages of a file in test/fixtures/dumps that has some hundred of them, with a dump that is opened anew each time and
 * has decompressed nothing yet; the file is in memory, as the disk is no part of this. The time is the best of some rounds. Nothing
 * fails here. libkdumpfile is measured through its Python module, which costs it a microsecond or two a page; without that
 * (python3-libkdumpfile of Debian), its column is left out.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { bytesSource } from '../src/dump/byte-source.ts';
import type { Dump } from '../src/dump/dump.ts';
import { PageBitmap } from '../src/dump/formats/page-bitmap.ts';
import { openDump } from '../src/dump/open-dump.ts';
import { projectRoot } from './native.ts';

const ROUNDS = 20;
const BITMAP_BYTES = 2 ** 26;
const FILES = [
  { row: 'raw', file: 'a.raw' },
  { row: 'lime', file: 'c.lime' },
  { row: 'avml', file: 'a.avml' },
  { row: 'elf-core', file: 'b.qemu.elf' },
  { row: 'kdump/zlib', file: 'b.makedumpfile-zlib' },
  { row: 'kdump/zlib/flattened', file: 'b.makedumpfile-zlib.flat' },
  { row: 'kdump/lzo', file: 'b.makedumpfile-lzo' },
  { row: 'kdump/snappy', file: 'b.makedumpfile-snappy' },
  { row: 'kdump/zstd', file: 'b.makedumpfile-zstd' },
];

for (const { row, file } of FILES) {
  const bytes = new Uint8Array(gunzipSync(readFileSync(join(projectRoot(), `test/fixtures/dumps/${file}.gz`))));
  const frames = await framesOf(await openDump(bytesSource(bytes, file)));
  const seconds = await best(async () => {
    const dump = await openDump(bytesSource(bytes, file));
    const pages = await dump.readFrames(frames);
    if (!pages.every((page) => page?.length === 4096)) throw new Error(`${file}: expected all pages`);
  });
  const ours = frames.length / seconds;
  const theirs = libkdumpfile(bytes, frames);
  const beside = theirs === undefined ? '' : `, libkdumpfile ${rounded(theirs)}: ${(ours / theirs).toFixed(1)} times`;
  console.log(`${row.padEnd(24)}${rounded(ours).padStart(10)} pages a second, cold${beside}`);
}

/** All frames that a dump has. */
async function framesOf(dump: Dump): Promise<bigint[]> {
  const frames: bigint[] = [];
  for (const { physical, bytes } of dump.segments) {
    for (let at = 0n; at < bytes; at += 4096n) frames.push(physical + at);
  }
  const pages = await dump.readFrames(frames);
  return frames.filter((_, index) => pages[index]);
}

function rounded(rate: number): string {
  return Math.round(rate).toLocaleString('en');
}

/** Pages a second of libkdumpfile; undefined where it is not there, or cannot read the file. */
function libkdumpfile(bytes: Uint8Array, frames: readonly bigint[]): number | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'hugewalk-bench-'));
  try {
    const path = join(folder, 'dump');
    writeFileSync(path, bytes);
    const script = join(projectRoot(), 'bench/libkdumpfile.py');
    const input = frames.map((frame) => `${frame.toString(16)}\n`).join('');
    const { status, stdout } = spawnSync('/usr/bin/python3', [script, path, String(ROUNDS)], {
      input,
      encoding: 'utf8',
    });
    return status === 0 ? Number(stdout) : undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const { row, fill } of [
  { row: 'bitmap/runs', fill: (i: number) => ((i >>> 12) & 1 ? 0xff : 0) },
  { row: 'bitmap/mixed', fill: (i: number) => Math.imul(i, 0x9e37_79b1) >>> 24 },
]) {
  const source = bytesSource(
    new Uint8Array(BITMAP_BYTES).map((_, i) => fill(i)),
    row,
  );
  const seconds = await best(async () => {
    await PageBitmap.read(source, { offset: 0, length: BITMAP_BYTES }, BITMAP_BYTES * 8);
  });
  console.log(`${row.padEnd(24)}${(BITMAP_BYTES / seconds / 1e9).toFixed(2).padStart(10)} GB of bitmap a second`);
}

/** Seconds of the best round. */
async function best(run: () => Promise<void>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await run();
    least = Math.min(least, (performance.now() - start) / 1000);
  }
  return least;
}
