/**
 * A second reader: libkdumpfile, which crash and drgn use. Where Debian's python3-libkdumpfile is not installed, this is skipped, and
 * named at the end of the run. libkdumpfile 0.5.1 reads neither the flattened form nor some files together.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { openDumpFile } from '../../../src/node.ts';
import { Random } from '../../support/random.ts';
import { THOROUGH } from '../../support/thorough.ts';
import { BOOTS, fixturePath } from './fixtures.ts';

/** Debian's Python has it, whatever stands before it on the PATH. */
const PYTHON = '/usr/bin/python3';
const isThere = spawnSync(PYTHON, ['-c', 'import kdumpfile']).status === 0;
const script = fileURLToPath(new URL('libkdumpfile.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hugewalk-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What libkdumpfile does not have, and we say is zeros: pages that were left out because they are. */
const ZEROS = createHash('sha256').update(new Uint8Array(4096)).digest('hex');

const files = BOOTS.flatMap(({ dumps }) => dumps).flatMap((names) =>
  names.length === 1 && !names[0]!.includes('.flat') ? names : [],
);

describe.skipIf(!isThere)(`libkdumpfile${isThere ? '' : ', python3-libkdumpfile is not installed'}`, THOROUGH, () => {
  test.each(files)('has the same pages of %s at 10,000 physical addresses', async (file) => {
    const path = join(folder, file.replace('.gz', ''));
    writeFileSync(path, gunzipSync(readFileSync(new URL(`../../../${fixturePath(file)}`, import.meta.url))));
    const dump = await openDumpFile(path, { strict: true });
    const random = new Random(file.length);
    const frames: bigint[] = [];
    for (const { physical, bytes } of dump.segments) {
      for (let at = 0n; at < bytes && frames.length < 1_000_000; at += 4096n) frames.push(physical + at);
    }
    const held = (await dump.readFrames(frames)).flatMap((page, i) =>
      page?.some((byte) => byte !== 0) ? [frames[i]!] : [],
    );
    /* All that has content, and others by chance: of memory, and a few beyond. */
    const asked = [...held];
    while (asked.length < 10_000)
      asked.push(random.chance(98) ? frames[random.below(frames.length)]! : BigInt(random.below(2 ** 21)) * 4096n);
    const input = asked.map((at) => `${at.toString(16)}\n`).join('');
    const theirs = execFileSync(PYTHON, [script, path], { input, encoding: 'utf8', maxBuffer: 2 ** 26 })
      .trim()
      .split('\n');
    const ours = (await dump.readFrames(asked)).map((page) =>
      page ? createHash('sha256').update(page).digest('hex') : '-',
    );
    const differing = asked.flatMap((at, i) =>
      ours[i] === theirs[i] || (ours[i] === ZEROS && theirs[i] === '-')
        ? []
        : [`${at.toString(16)}: ${ours[i]} ${theirs[i]}`],
    );
    expect(differing.length, differing.slice(0, 5).join('; ')).toBe(0);
    expect(held.length).toBeGreaterThan(300);
    await dump.close();
  });
});
