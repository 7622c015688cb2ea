import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { DumpError } from '../../src/dump/dump-error.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { buildCore } from './elf-builder.ts';
import { dumpErrorOf, NAME, open, pattern, recorded } from './support.ts';

const beginning = (start: string): Uint8Array => {
  const bytes = new Uint8Array(8192);
  for (let i = 0; i < start.length; i++) bytes[i] = start.charCodeAt(i);
  return bytes;
};

describe('a file that is no dump', () => {
  test.each([
    ['PAGEDUMP', /a 32-bit Windows crash dump: hugewalk walks the tables of 64-bit systems only$/],
    ['MDMP\x93\xa7', /a minidump of a Windows process, which holds none of the machine's tables: take a raw image/],
    ['hibr', /a Windows hibernation file: convert it to a raw image/],
    ['HIBR', /a Windows hibernation file: convert it to a raw image/],
    ['RSTR', /a Windows hibernation file: convert it to a raw image/],
    ['QEVM\0\0\0\x03', /a QEMU saved state \(savevm, migrate\): load it and run dump-guest-memory FILE/],
    ['LibvirtQemudSave', /a guest saved by libvirt \(virsh save\): .*virsh dump --memory-only DOMAIN FILE$/],
    ['LibvirtQemudPart', /has not finished saving \(virsh save\): run virsh dump --memory-only DOMAIN FILE$/],
    ['Xen saved domain, xl format\n \0 \r', /a guest saved by Xen \(xl save\): .*run xl dump-core DOMAIN FILE$/],
    ['LinuxGuestRecord', /a guest saved by Xen \(xl save\): .*run xl dump-core DOMAIN FILE$/],
    ['libvirt-xml\n \0 \r', /a guest saved by Xen \(xl save\): .*run xl dump-core DOMAIN FILE$/],
    ['\xff\xff\xff\xff\xff\xff\xff\xffXENF', /a guest saved by Xen \(xl save\): .*run xl dump-core DOMAIN FILE$/],
    ['\x7fVirtualBox SavedState V2.0', /a VirtualBox saved state: .*VBoxManage debugvm NAME dumpvmcore/],
    ['QFI\xfb', /a QEMU disk image \(qcow2\): if it holds a savevm snapshot, load that \(loadvm\) and run/],
    ['QED\0', /a QEMU disk image \(QED\): that is a disk, not memory$/],
    ['KDMV', /a VMware disk image \(VMDK\): that is a disk, not memory$/],
    ['COWD', /a VMware disk image \(VMDK\): that is a disk, not memory$/],
    ['# Disk DescriptorFile\nversion=1', /a VMware disk image \(VMDK\): that is a disk, not memory$/],
    ['<<< Oracle VM VirtualBox Disk Image >>>', /a VirtualBox disk image \(VDI\): that is a disk, not memory$/],
    ['vhdxfile', /a Hyper-V disk image \(VHDX\): that is a disk, not memory$/],
    [
      'EVF\x09\x0d\x0a\xff\0',
      /an E01 file \(EnCase, Expert Witness\): export the memory in it: ewfexport -f raw FILE$/,
    ],
    ['EVF2\x0d\x0a\x81\0', /an Ex01 file \(EnCase\): export the memory in it: ewfexport -f raw FILE$/],
    ['PK\x03\x04\x14\0\0\0aff4://c215ba20', /an AFF4 file: extract its image of memory/],
    ['PK\x03\x04\x14\0\0\0memory.raw', /a zip archive: unpack it first$/],
    ['\xed\x23\x8f\x61\x73\x01\x19\xa8', /an LKCD dump of an old Linux: crash reads it$/],
    ['sadump\0\0', /a dump of the firmware \(sadump\): convert it with makedumpfile$/],
    ['\xfd7zXZ\0', /an xz-compressed file: decompress it first$/],
    ['\x28\xb5\x2f\xfd', /a zstd-compressed file: decompress it first$/],
    [
      'hello, world',
      /a file that begins with 68 65 6c 6c 6f 2c 20 77 \(0x2000 bytes\): if that is raw memory, say --format raw$/,
    ],
    ['\x7fELG', /a file that begins with 7f 45 4c 47 00 00 00 00 \(0x2000 bytes\)/],
  ])('but begins with %j is named with what helps, plain or gzipped', async (start, is) => {
    const message = await dumpErrorOf(open(beginning(start)));
    expect(message).toMatch(
      /^expected an ELF64 core, a kdump-compressed, LiME, AVML, VMware or Windows file, or a raw image \(--format raw\), /,
    );
    expect(message).toMatch(is);
    expect(await dumpErrorOf(open(gzipSync(beginning(start))))).toBe(message);
  });

  test('but has its magic further on is named', async () => {
    const at = (magic: string, offset: number): Uint8Array => {
      const bytes = new Uint8Array(8192);
      bytes.set(new TextEncoder().encode(magic), offset);
      return bytes;
    };
    expect(await dumpErrorOf(open(at('S1SUSPEND', 4086)))).toMatch(/a Linux swap area with a hibernated system: /);
    expect(await dumpErrorOf(open(at('EFI PART', 512)))).toMatch(/a disk with a GUID partition table: /);
    expect(await dumpErrorOf(open(at('ustar', 257)))).toMatch(/a tar archive: unpack it first$/);
  });

  test('is named also if it is called as raw images are', async () => {
    for (const start of ['QFI\xfb', '\xfd7zXZ\0']) {
      await dumpErrorOf(openDump(bytesSource(beginning(start), 'memory.raw')), 'memory.raw');
    }
  });

  test('but is empty, plain or gzipped, is named', async () => {
    expect(await dumpErrorOf(open(new Uint8Array(0)))).toMatch(/found an empty file$/);
    expect(await dumpErrorOf(open(gzipSync(new Uint8Array(0))))).toMatch(/found an empty file$/);
  });

  test.each([
    ['a 32-bit guest, by its class', 4, 1, /: a 32-bit guest, or one whose CPU was not in 64-bit mode/],
    ['a 32-bit guest, by its machine', 18, 3, /: a 32-bit guest, or one whose CPU was not in 64-bit mode/],
    ['a program', 16, 2, /: a program \(a vmlinux\?\), not a dump$/],
  ])('but an ELF file of %s is named', async (_, at, value, is) => {
    const core = buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] });
    core[at] = value;
    expect(await dumpErrorOf(open(core))).toMatch(is);
  });

  test('but gzipped twice is named', async () => {
    expect(await dumpErrorOf(open(gzipSync(gzipSync(pattern(100)))))).toMatch(/found a gzip stream within a gzip/);
  });

  test('but a few bytes is named', async () => {
    expect(await dumpErrorOf(open(Uint8Array.of(0x7f, 0x45)))).toMatch(/found a file that begins with 7f 45 /);
  });
});

describe('options', () => {
  const core = bytesSource(buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] }), NAME);

  test.each<[object, RegExp]>([
    [{ format: 'zip' }, /^format: expected one of elf-core, kdump, lime, avml, vmware, windows, raw, got "zip"$/],
    [{ format: 1 }, /^format: expected a string, got 0x1$/],
    [{ strict: 1 }, /^strict: expected a boolean, got 0x1$/],
    [{ strickt: true }, /^options: .* did you mean strict\?$/],
    [
      { format: 'lime', ranges: [{ physical: 0n, bytes: 1n }] },
      /^ranges: expected the format raw with them, got lime$/,
    ],
    [{ ranges: [] }, /^ranges: expected at least one range, got an empty array$/],
    [{ ranges: 7 }, /^ranges: expected an array of ranges, got 0x7$/],
    [{ ranges: [{ physical: 0, bytes: 1n }] }, /^ranges\[0\]\.physical: expected a bigint, got 0x0$/],
    [{ ranges: [{ physical: 0n, bytes: 0n }] }, /^ranges\[0\]\.bytes: expected 0x1 to 0x10000000000000, got 0x0$/],
    [{ ranges: [{ physical: (1n << 52n) - 1n, bytes: 2n }] }, /^ranges\[0\]\.bytes: expected 0x1 to 0x1, got 0x2$/],
    [{ ranges: [{ physical: 0n, bytes: 1n, offset: -1 }] }, /^ranges\[0\]\.offset: expected an integer/],
  ])('that are wrong in themselves are the caller’s mistake: %o', async (options, message) => {
    await expect(openDump(core, options)).rejects.toThrow(message);
    await expect(openDump(core, options)).rejects.not.toBeInstanceOf(DumpError);
  });

  test('may name the format, which then must be it', async () => {
    expect((await openDump(core, { format: 'elf-core' })).format).toBe('elf-core');
    expect((await openDump(core, { format: 'raw' })).segments).toEqual([{ physical: 0n, bytes: BigInt(core.size) }]);
    expect(await dumpErrorOf(openDump(core, { format: 'lime' }))).toMatch(
      /^range at file offset 0x0: expected the magic "EMiL"/,
    );
  });
});

test('a dump of one file may not have two', async () => {
  const core = bytesSource(buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] }), NAME);
  expect(await dumpErrorOf(openDump([core, core]))).toBe('expected one file of format elf-core, found one more');
  await expect(openDump([])).rejects.toThrow(/^source: expected a ByteSource or a Blob, got an empty array$/);
});

describe('the source of a dump', () => {
  const core = buildCore({ segments: [{ physical: 0n, content: pattern(4096) }] });

  test('is closed with the dump', async () => {
    const source = recorded(bytesSource(core, NAME));
    const dump = await openDump(source);
    expect(source.closed).toBe(0);
    await dump.close();
    expect(source.closed).toBe(1);
  });

  test('is closed by [Symbol.asyncDispose]', async () => {
    const source = recorded(bytesSource(core, NAME));
    await (await openDump(source))[Symbol.asyncDispose]();
    expect(source.closed).toBe(1);
  });

  test('is closed when opening fails', async () => {
    const source = recorded(bytesSource(core.subarray(0, 100), NAME));
    await dumpErrorOf(openDump(source));
    expect(source.closed).toBe(1);
  });

  test('may be a Blob or a File', async () => {
    for (const [blob, name] of [
      [new Blob([core]), 'blob'],
      [new File([gzipSync(core)], 'dropped.elf.gz'), 'dropped.elf.gz'],
    ] as const) {
      const dump = await openDump(blob);
      expect(dump.name).toBe(name);
      expect(await dump.readFrames([0n])).toEqual([pattern(4096)]);
    }
  });

  test('may be nothing else', async () => {
    for (const wrong of [undefined, null, 'path', core]) {
      await expect(Reflect.apply(openDump, undefined, [wrong])).rejects.toThrow(
        /^source: expected a ByteSource or a Blob, got (undefined|null|"path"|a \w+)$/,
      );
    }
  });
});
