/**
 * Measures how fast pages of compressed dumps are read, and bitmaps indexed.
 *
 *   npm run bench:dumps
 *
 * A row reads all pages of a file in test/fixtures/dumps that has some hundred of them, with a dump that is opened anew each time and
 * has decompressed nothing yet; the file is in memory, as the disk is no part of this. The time is the best of some rounds. Nothing
 * fails here.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { bytesSource } from '../src/dump/byte-source.ts';
import { PageBitmap } from '../src/dump/formats/page-bitmap.ts';
import { openDump } from '../src/dump/open-dump.ts';
import { projectRoot } from './native.ts';

const ROUNDS = 20;
const BITMAP_BYTES = 2 ** 26;
const FILES = [
  { row: 'elf-core', file: 'b.qemu.elf' },
  { row: 'kdump/zlib', file: 'b.makedumpfile-zlib' },
  { row: 'kdump/zlib/flattened', file: 'b.makedumpfile-zlib.flat' },
  { row: 'kdump/lzo', file: 'b.makedumpfile-lzo' },
  { row: 'kdump/snappy', file: 'b.makedumpfile-snappy' },
  { row: 'kdump/zstd', file: 'b.makedumpfile-zstd' },
];

for (const { row, file } of FILES) {
  const bytes = new Uint8Array(gunzipSync(readFileSync(join(projectRoot(), `test/fixtures/dumps/${file}.gz`))));
  const frames: bigint[] = [];
  const { segments } = await openDump(bytesSource(bytes, file));
  for (const { physical, bytes: length } of segments) {
    for (let at = 0n; at < length; at += 4096n) frames.push(physical + at);
  }
  const seconds = await best(async () => {
    const dump = await openDump(bytesSource(bytes, file));
    const pages = await dump.readFrames(frames);
    if (!pages.every((page) => page?.length === 4096)) throw new Error(`${file}: expected all pages`);
  });
  console.log(
    `${row.padEnd(24)}${Math.round(frames.length / seconds)
      .toLocaleString('en')
      .padStart(10)} pages a second, cold`,
  );
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
