/**
 * Real files that were truncated, or of which a byte has changed: one error of one line, or a dump whose pages are the right
 * ones or are not in it.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/dump/byte-source.ts';
import type { Dump } from '../../../src/dump/dump.ts';
import { DumpError } from '../../../src/dump/dump-error.ts';
import { openDump } from '../../../src/dump/open-dump.ts';
import { Random } from '../../support/random.ts';
import { partAndWhole } from '../../support/thorough.ts';
import { NAME } from '../support.ts';
import { fixturePath } from './fixtures.ts';

const content = (file: string): Uint8Array =>
  new Uint8Array(gunzipSync(readFileSync(new URL(`../../../${fixturePath(file)}`, import.meta.url))));

/** Pages of a sound file, some of its memory. */
async function pagesOf(file: Uint8Array): Promise<Map<bigint, Uint8Array>> {
  const dump = await openDump(bytesSource(file, NAME), { strict: true });
  const addresses: bigint[] = [];
  for (const { physical, bytes } of dump.segments.slice(0, 400)) {
    for (let at = 0n; at < bytes && at < 0x40_0000n; at += 4096n) addresses.push(physical + at);
  }
  const contents = await dump.readFrames(addresses);
  const all = addresses.flatMap((at, i) => (contents[i] ? [[at, contents[i]] as const] : []));
  return new Map(all.filter((_, i) => i % Math.ceil(all.length / 20) === 0));
}

/** Opens a file and reads pages of it; undefined where it cannot be opened. */
async function use(file: Uint8Array, addresses: readonly bigint[]) {
  let dump: Dump;
  try {
    dump = await openDump(bytesSource(file, NAME));
  } catch (error) {
    expect(error).toBeInstanceOf(DumpError);
    expect((error as DumpError).message).toMatch(/^guest\.elf: [^\r\n]+$/);
    return undefined;
  }
  const frames = await dump.readFrames(addresses);
  for (const line of dump.warnings) expect(line).toMatch(/^[^\r\n]+$/);
  return { frames, warnings: dump.warnings };
}

const FILES = [
  'a.makedumpfile-zlib.gz',
  'a.makedumpfile-lzo.gz',
  'a.makedumpfile-zlib.flat.gz',
  'a.qemu.kdump-zlib.flat.gz',
];

describe.each(FILES)('%s', (name) => {
  const file = content(name);
  const isFlat = name.includes('.flat');

  test('truncated anywhere, is refused or has the right pages and a warning', async () => {
    const pages = await pagesOf(file);
    const random = new Random(file.length);
    const borders = [
      0,
      8,
      16,
      464,
      4096,
      4096 + 104,
      8192,
      12288,
      16384,
      20480,
      20480 + 24 * 100,
      file.length - 1,
    ].flatMap((at) => [at - 1, at, at + 1]);
    const lengths = [...borders, ...Array.from({ length: 100 }, () => random.below(file.length))];
    let opened = 0;
    for (const length of lengths.filter((at) => at >= 0 && at < file.length)) {
      const used = await use(file.subarray(0, length), [...pages.keys()]);
      if (!used) continue;
      opened++;
      expect(used.warnings.length, `of ${length}`).toBeGreaterThan(0);
      for (const [i, page] of [...pages.values()].entries()) {
        if (used.frames[i]) expect(Buffer.compare(used.frames[i], page), `of ${length}`).toBe(0);
      }
    }
    expect(opened).toBeGreaterThan(isFlat ? 1 : 20);
  });

  for (const { part, stride, options } of partAndWhole(31, 5)) {
    test(
      `with a changed byte in its headers, bitmaps, descriptors or records, is refused or can be read: ${part} of the bytes`,
      options,
      async () => {
        const addresses = [...(await pagesOf(file)).keys()].slice(0, 5);
        const damaged = file.slice();
        let refused = 0;
        let uses = 0;
        const end = isFlat ? 4096 + 16 + 500 : 4096 + 104;
        const rest = new Random(stride);
        const places = Array.from({ length: 300 / Math.min(stride, 3) }, () =>
          rest.below(Math.min(file.length, 0x5000 + 430 * 24)),
        );
        for (let at = 0; at < end; at += at > 464 && at < 4096 ? 97 : stride) places.push(at);
        for (const at of places) {
          for (const value of [0xff, 0x80, 0, file[at]! ^ 1]) {
            damaged[at] = value;
            uses++;
            if (!(await use(damaged, addresses))) refused++;
          }
          damaged[at] = file[at]!;
        }
        expect(refused).toBeGreaterThan(0);
        expect(refused).toBeLessThan(uses);
      },
    );
  }
});
