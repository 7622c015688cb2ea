import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ByteSource } from '../../src/dump/byte-source.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { streamSource } from '../../src/dump/stream-source.ts';
import { buildCore } from './elf-builder.ts';
import { dumpErrorOf, expectRanges, NAME, pattern } from './support.ts';

const CONTENT = pattern(300_000);

async function* pieces(bytes: Uint8Array, length = 70_001): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** A folder for temporary files that nobody else uses. */
const folder = mkdtempSync(join(tmpdir(), 'hugewalk-stream-'));
beforeEach(() => {
  vi.stubEnv('TMPDIR', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a stream', () => {
  test('can be read anywhere once it has ended, and leaves no file behind', async () => {
    const source = await streamSource(pieces(CONTENT), NAME);
    expect(readdirSync(folder)).toEqual([]);
    expect([source.name, source.size]).toEqual([NAME, CONTENT.length]);
    const ranges = [
      { offset: 0, length: 7 },
      { offset: 69_999, length: 4 },
      { offset: 70_000, length: 229_999 },
      { offset: 299_999, length: 1 },
    ];
    expectRanges(await source.read(ranges), CONTENT, ranges);
    await source.close();
  });

  test('may be a Readable, a gzipped dump, or empty', async () => {
    const core = buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] });
    const sources: ByteSource[] = [];
    for (const stream of [Readable.from([core]), pieces(gzipSync(core), 1), new Blob([core]).stream()]) {
      const source = await streamSource(stream as AsyncIterable<Uint8Array>, NAME);
      sources.push(source);
      const dump = await openDump(source);
      expect(await dump.readFrames([0n])).toEqual([pattern(4096)]);
      await dump.close();
      await dump.close();
    }
    expect(await dumpErrorOf(openDump(await streamSource(pieces(new Uint8Array(0)), NAME)))).toMatch(/an empty file$/);
  });

  test('tells how much has come', async () => {
    const told: number[] = [];
    const source = await streamSource(pieces(CONTENT, 100_000), NAME, { onProgress: (bytes) => told.push(bytes) });
    expect(told).toEqual([100_000, 200_000, 300_000]);
    await source.close();
  });

  test('that fails gives one error, and is ended', async () => {
    let ended = false;
    async function* failing(): AsyncGenerator<Uint8Array> {
      try {
        yield CONTENT;
        throw new Error('the other end has gone');
      } finally {
        ended = true;
      }
    }
    expect(await dumpErrorOf(streamSource(failing(), NAME))).toBe(
      'expected a readable stream, found the other end has gone',
    );
    expect([ended, readdirSync(folder)]).toEqual([true, []]);
  });

  test('without room for its bytes gives one error, and is not read on', async () => {
    vi.stubEnv('TMPDIR', '/nonexistent/folder');
    expect(await dumpErrorOf(streamSource(pieces(CONTENT), NAME))).toMatch(
      /^expected room for a copy of it in \/nonexistent\/folder, found ENOENT.*: name the file itself, or another folder in TMPDIR$/,
    );
  });

  test('of anything but bytes is the caller’s mistake', async () => {
    await expect(streamSource(Readable.from(['text']), NAME)).rejects.toThrow(
      /^stream: expected pieces that are Uint8Arrays, got "text"$/,
    );
  });
});
