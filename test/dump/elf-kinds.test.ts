/**
 * ELF cores that no sample could be had of, built by the rules that their writers follow: VirtualBox, Xen, /proc/kcore with
 * its memory, and what is no dump of a machine.
 */
import { describe, expect, test } from 'vitest';
import { compileCoreSync } from '../../src/core/instantiate.ts';
import { AddressSpace } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { buildCore, LONG_MODE, note, PROGRAM_HEADER, PROGRAM_HEADERS } from './elf-builder.ts';
import { buildXen, words } from './image-builders.ts';
import { complaintOf, dumpErrorOf, NAME, open, pattern, table } from './support.ts';

const core = compileCoreSync();
const complaint = (bytes: Uint8Array): ReturnType<typeof complaintOf> => complaintOf(bytesSource(bytes, NAME));

/** Writes p_vaddr and p_paddr of segment n, of a file with so many notes before. */
function addresses(
  file: Uint8Array,
  notes: number,
  list: readonly (readonly [virtual: bigint, physical: bigint])[],
): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset);
  for (const [n, [virtual, physical]] of list.entries()) {
    const at = PROGRAM_HEADERS + (notes + n) * PROGRAM_HEADER;
    view.setBigUint64(at + 16, virtual, true);
    view.setBigUint64(at + 24, physical, true);
  }
  return file;
}

const NONE = 0xffff_ffff_ffff_ffffn;
const content = (seed: number): Uint8Array => pattern(4096, seed);
const three = [1, 2, 3].map((seed) => ({ physical: BigInt(seed) * 0x10_0000n, content: content(seed) }));

describe('a VirtualBox core', () => {
  const vbcore = (version: number): Uint8Array =>
    note('VBCORE', words([4, 0xc01a_c0de], [4, version], [4, 24], [4, 0x0700_0000], [4, 1], [4, 1]), 0xb00);
  const vbcpu = new Uint8Array(8768);
  vbcpu.set(words([8, 0xffff_ffff_8100_0000n], [8, 0x7000n], [8, 0], [8, 0x4_0246n]), 112);
  vbcpu.set(words([8, 0], [4, 0], [4, 0], [2, 0x33]), 144);
  vbcpu.set(words([8, 0x8005_0033n], [8, 0xdead_0000n], [8, 0x10_0000n], [8, 0x6f0n]), 288);
  vbcpu.set(words([8, 0xd01]), 488);

  test('has the registers of its CPUs, EFER among them', async () => {
    const dump = await open(buildCore({ segments: three, notes: [vbcore(0x1_0006), note('VBCPU', vbcpu, 0xb01)] }));
    expect(dump.warnings).toEqual([]);
    expect(dump.cpus).toEqual([
      {
        rip: 0xffff_ffff_8100_0000n,
        rsp: 0x7000n,
        rflags: 0x4_0246n,
        cs: 0x33,
        cpl: 3,
        cr0: 0x8005_0033n,
        cr2: 0xdead_0000n,
        cr3: 0x10_0000n,
        cr4: 0x6f0n,
        efer: 0xd01n,
      },
    ]);
  });

  test('of another version, or with a CPU cut short, is read without its CPUs, which is told', async () => {
    const old = await complaint(buildCore({ segments: three, notes: [vbcore(0x1_0000), note('VBCPU', vbcpu, 0xb01)] }));
    expect(old.message).toBe('VirtualBox note: expected format version 0x10006, found 0x10000: its CPUs are left out');
    const short = await complaint(
      buildCore({ segments: three, notes: [vbcore(0x1_0006), note('VBCPU', vbcpu.subarray(0, 495), 0xb01)] }),
    );
    expect(short.message).toBe('VBCPU note of CPU 0: expected at least 0x1f0 bytes, found 0x1ef: the CPU is left out');
    expect(await short.dump!.readFrames([0x10_0000n])).toEqual([content(1)]);
  });
});

describe('a Xen core, of sections only', () => {
  const frames = [content(1), content(2), content(3), content(4)];

  test('of a guest with nested paging has its frames by .xen_pfn', async () => {
    const file = buildXen(frames, words([8, 5], [8, 6], [8, NONE], [8, 0x10_0000]), '.xen_pfn');
    const dump = await open(file);
    expect([dump.format, dump.warnings]).toEqual(['elf-core', []]);
    expect(dump.segments).toEqual([
      { physical: 0x5000n, bytes: 0x2000n },
      { physical: 0x1_0000_0000n, bytes: 0x1000n },
    ]);
    expect(await dump.readFrames([0x6000n, 0x7000n, 0x1_0000_0000n])).toEqual([content(2), undefined, content(4)]);
  });

  test('of a paravirtual guest has them by machine frames, which its page tables hold', async () => {
    const file = buildXen(
      frames,
      words([8, 0], [8, 9], [8, 1], [8, 7], [8, 2], [8, 8], [8, 3], [8, 0xffff_ffffn]),
      '.xen_p2m',
    );
    const dump = await open(file);
    expect(await dump.readFrames([0x7000n, 0x8000n, 0x9000n, 0n])).toEqual([
      content(2),
      content(3),
      content(1),
      undefined,
    ]);
  });

  test('with a frame number that there cannot be, or a table cut short, is warned of', async () => {
    const wrong = await complaint(buildXen(frames, words([8, 5], [8, 1n << 41n], [8, 7], [8, 8]), '.xen_pfn'));
    expect(wrong.message).toMatch(/^expected frames below 0x10000000000 in Xen's table, found 0x20000000000/);
    const short = await complaint(buildXen(frames, words([8, 5], [8, 6]), '.xen_pfn'));
    expect(short.message).toBe("expected as many entries as pages in Xen's sections, found 0x2 and 0x4 (truncated?)");
    expect(await short.dump!.readFrames([0x5000n])).toEqual([content(1)]);
  });

  test('truncated anywhere gives one error, as its sections are told of at its end', async () => {
    const file = buildXen(frames, words([8, 5], [8, 6], [8, 7], [8, 8]), '.xen_pfn');
    for (let length = 64; length < file.length; length += 61) {
      expect(await dumpErrorOf(open(file.subarray(0, length)))).toMatch(
        /^expected a PT_LOAD segment with content, found none/,
      );
    }
  });
});

describe('/proc/kcore', () => {
  test('has the memory whose physical address is told, though the kernel changes it meanwhile', async () => {
    const list = [
      [0xffff_ffff_b820_0000n, 0x10_0000n],
      [0xffff_cc99_4000_0000n, NONE],
      [0xffff_89f0_0010_0000n, 0x10_0000n],
    ] as const;
    const { message, dump } = await complaint(addresses(buildCore({ segments: three }), 0, list));
    expect(message).toBe(
      'program header 0x1: expected a physical address, found none for virtual 0xffffcc9940000000: it is skipped',
    );
    expect(dump!.segments).toEqual([{ physical: 0x10_0000n, bytes: 0x1000n }]);
    expect(dump!.warnings).toHaveLength(1);
  });

  test.each([0n, NONE])(
    'of a kernel that gives every segment the physical address %d has its direct map',
    async (physical) => {
      const notes = [note('VMCOREINFO', new TextEncoder().encode('OSRELEASE=4.4\nNUMBER(phys_base)=2097152\n'))];
      const segments = [...three, { physical: 0x40_0000n, content: content(4), memorySize: 1n << 45n }];
      const list = [
        [0xffff_8800_0010_0000n, physical],
        [0xffff_8801_0000_0000n, physical],
        [0xffff_ffff_8100_0000n, physical],
        [0xffff_c900_0000_0000n, physical],
      ] as const;
      const { message, dump } = await complaint(addresses(buildCore({ segments, notes }), 1, list));
      expect(message).toBe(
        'no segment tells a physical address: the direct map is taken to begin at virtual 0xffff880000000000, the lowest',
      );
      expect(await dump!.readFrames([0x10_0000n, 0x1_0000_0000n, 0x120_0000n])).toEqual([
        content(1),
        content(2),
        content(3),
      ]);
      expect(dump!.segments).toHaveLength(3);
    },
  );
});

describe('what is no dump of a 64-bit machine is named:', () => {
  test('the core of a process', async () => {
    const file = buildCore({ segments: three, notes: [note('CORE', pattern(336), 1)] });
    const list = [
      [0x40_0000n, 0n],
      [0x7fff_0000_0000n, 0n],
      [0xffff_ffff_ff60_0000n, 0n],
    ] as const;
    expect(await dumpErrorOf(open(addresses(file, 1, list)))).toMatch(
      /^expected physical memory, found the core of a process, which holds none of its page tables: dump the machine's memory/,
    );
  });

  test.each([
    ['a core of 32 bits', 4, 1],
    ['a core of a CPU that was not in 64-bit mode', 18, 3],
  ])('%s', async (_, at, value) => {
    const file = buildCore({ segments: three });
    file[at] = value;
    expect(await dumpErrorOf(open(file))).toMatch(/: a 32-bit guest, or one whose CPU was not in 64-bit mode/);
  });
});

/* drgn#203: what p_memsz has beyond p_filesz is not in the file; whoever takes it for zeros hides tables that are missing. */
test('what a segment has in memory and not in the file is missing, not zero', async () => {
  const dump = await open(buildCore({ segments: [{ physical: 0x1000n, content: content(1), memorySize: 0x3000n }] }));
  const [first, second] = await dump.readFrames([0x1000n, 0x2000n]);
  expect([first, second]).toEqual([content(1), undefined]);
});

describe('a CPU that does not page', () => {
  const root = { physical: 0x1000n, content: table({ 0: 0x87n }) };
  const off = { cr0: 0x11n, cr3: 0x7_7000n };

  test('is passed over for the first that does, which is told', async () => {
    const dump = await open(buildCore({ segments: [root], cpus: [off, { ...LONG_MODE, cr3: 0x1000n }] }));
    const space = await AddressSpace.open(dump, { core });
    expect([space.origin.cpu, space.mmu.registers.cr3]).toEqual([1, 0x1000n]);
    expect(space.origin.problem).toMatch(/^CPU 0: cr0: expected PG and PE set /);
    await expect(AddressSpace.open(dump, { core, cpu: 0 })).rejects.toThrow(/CPU 0: cr0: expected PG and PE set/);
  });

  test('does not hide tables whose root is given', async () => {
    const dump = await open(buildCore({ segments: [root], cpus: [off] }));
    const space = await AddressSpace.open(dump, { core, cr3: 0x1000n });
    expect([space.origin.cpu, space.mmu.levels]).toEqual([undefined, 4]);
    expect(space.origin.problem).toMatch(/^CPU 0: cr0: /);
  });
});
