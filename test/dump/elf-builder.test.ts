import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildCore, LONG_MODE, note, qemuState } from './elf-builder.ts';
import { FIXTURES, pattern } from './support.ts';

describe.each(FIXTURES)('the fixture of $levels levels', ({ plain }) => {
  test('is built again, byte for byte, from its notes and segments', () => {
    const file = plain();
    const view = new DataView(file.buffer);
    const headers = Array.from({ length: view.getUint16(56, true) }, (_, i) => 64 + i * 56);
    const [notes, ...segments] = headers.map((at) => {
      const offset = Number(view.getBigUint64(at + 8, true));
      const content = file.subarray(offset, offset + Number(view.getBigUint64(at + 32, true)));
      return { physical: view.getBigUint64(at + 24, true), content };
    });
    const built = buildCore({ segments, notes: [notes!.content] });
    /* The fixture says 8 where the size of the ELF header belongs, and readers do not care. */
    expect(new DataView(built.buffer).getUint16(52, true)).toBe(64);
    built[52] = 8;
    expect(Buffer.compare(built, file)).toBe(0);
  });

  test('has the notes that the builder writes, registers apart', () => {
    const file = Buffer.from(plain());
    const at = file.indexOf('QEMU\0');
    const mine = note('QEMU', qemuState({}));
    expect(file.subarray(at - 12, at + 16)).toEqual(Buffer.from(mine.subarray(0, 28)));
    expect(at - 12 + mine.length).toBe(0x548 + (file.readUInt16LE(56) - 23) * 56 + 0x330);
  });
});

test('readelf agrees, where there is one', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'hugewalk-'));
  try {
    const file = join(folder, 'core');
    const segments = [{ physical: 0x1234_5000n, content: pattern(0x1800), memorySize: 0x3000n }];
    writeFileSync(file, buildCore({ segments, cpus: [LONG_MODE, LONG_MODE], extendedCount: true }));
    const printed = readelf(file);
    if (printed === undefined) return context.annotate('no readelf here');
    expect(printed).toMatch(/LOAD +0x0+1000 0x0+ 0x0+12345000\s+0x0+1800 0x0+3000 +RWE +0x1000/);
    expect(printed.match(/QEMU +0x0+1b8/g)).toHaveLength(2);
    expect(printed).not.toMatch(/warning|error/i);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function readelf(file: string): string | undefined {
  try {
    return execFileSync('readelf', ['-hln', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
