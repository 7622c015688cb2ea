import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { buildCore, concat, LONG_MODE, note, qemuNote, qemuState } from './elf-builder.ts';
import { complaintOf, NAME, open, pattern } from './support.ts';

const segments = [{ physical: 0n, content: pattern(4096) }];
const withNotes = (...notes: Uint8Array[]): Uint8Array => buildCore({ segments, notes });

describe('the notes of processors', () => {
  test('are read field by field, in order', async () => {
    const cpus = [0, 1, 2].map((i) => ({
      rip: 0xffff_ffff_8100_0000n + BigInt(i),
      rsp: 0x7ffe_0000_0000n + BigInt(i),
      rflags: 0x4_0246n,
      cs: 0x10 + i,
      cr0: 0x8005_0033n,
      cr2: 0xdead_0000n + BigInt(i),
      cr3: 0x1000n * BigInt(i),
      cr4: 0x75_0eb0n,
    }));
    const expected = cpus.map((cpu, i) => ({ ...cpu, cpl: i, efer: undefined }));
    expect((await open(buildCore({ segments, cpus }))).cpus).toEqual(expected);
    const apart = withNotes(note('CORE', pattern(0x150), 1), ...cpus.map(qemuNote));
    expect((await open(apart)).cpus).toEqual(expected);
  });

  test('may be shorter, without kernel_gs_base', async () => {
    const state = qemuState({ cr3: 0x5000n, ...LONG_MODE }).slice(0, 432);
    new DataView(state.buffer).setUint32(4, 432, true);
    expect((await open(withNotes(note('QEMU', state)))).cpus[0]!.cr3).toBe(0x5000n);
  });

  test('may be followed by zeros', async () => {
    for (const zeros of [1, 4, 11, 12, 40]) {
      const file = withNotes(concat([qemuNote(LONG_MODE), new Uint8Array(zeros)]));
      expect((await open(file)).cpus).toHaveLength(1);
    }
  });

  test('of other names are passed over', async () => {
    const file = withNotes(concat([note('QEMUX', pattern(3)), note('', pattern(5)), note('VMCOREINFO', pattern(77))]));
    expect((await open(file)).cpus).toEqual([]);
  });
});

describe('malformed notes', () => {
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = qemuNote(LONG_MODE);
    new DataView(bytes.buffer).setUint32(at, value, true);
    return withNotes(bytes);
  };

  test.each<[string, Uint8Array, string]>([
    [
      'with a name past their end',
      changed(0, 0xffff_ffff),
      'note at 0xb0: expected at most 0x1cc bytes to the end of its segment, found 0x1000001c4 (name 0xffffffff, description 0x1b8)',
    ],
    [
      'with a description past their end',
      changed(4, 0x1b9),
      'note at 0xb0: expected at most 0x1cc bytes to the end of its segment, found 0x1cd (name 0x5, description 0x1b9)',
    ],
    [
      'that end within a header',
      withNotes(concat([qemuNote(LONG_MODE), Uint8Array.of(0, 0, 0, 1)])),
      'note at 0x27c: expected at least 0xc bytes, found 0x4',
    ],
    ['of another version', changed(20, 2), 'QEMU note of CPU 0: expected version 0x1, found 0x2'],
    [
      'of a size that is not theirs',
      changed(24, 441),
      "QEMU note of CPU 0: expected a size from 0x1b0 to the note's 0x1b8, found 0x1b9",
    ],
    [
      'too short for CR4',
      withNotes(concat([qemuNote(LONG_MODE), note('QEMU', qemuState(LONG_MODE).subarray(0, 431))])),
      'QEMU note of CPU 1: expected at least 0x1b0 bytes, found 0x1af',
    ],
  ])('%s are left out, with a warning', async (_, file, message) => {
    const { message: warning, dump } = await complaintOf(bytesSource(file, NAME));
    expect(warning.startsWith(message), warning).toBe(true);
    expect(await dump!.readFrames([0n])).toEqual([pattern(4096)]);
  });
});
