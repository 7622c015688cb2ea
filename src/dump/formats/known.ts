/**
 * Files that are no dump that can be read, told by how they begin, so that a message can name what was found and what helps.
 * Sources: QEMU's migration stream, libvirt's qemu_saveimage.h and libxl_conf.h, Xen's xl.h and libxc-migration-stream,
 * Volatility's crash64.json, LKCD's dump.h, crash's sadump.h, libewf's and AFF4's format notes, and the formats' own specifications.
 *
 * What netdump and crash call an ELF vmcore is an ELF core, and told by elf/.
 */

import { beginsWith } from './magic.ts';

interface Known {
  readonly magic: string;
  /** Where the magic stands; default: at the start. */
  readonly at?: number;
  readonly is: string;
  /** What to do about it. */
  readonly remedy?: string;
}

const QEMU_DUMP = "run dump-guest-memory FILE in QEMU's monitor (without -z, -l, -s)";
const LIBVIRT_DUMP = 'run virsh dump --memory-only DOMAIN FILE';
const XEN_DUMP = 'restore it and run xl dump-core DOMAIN FILE';
const WINDOWS = 'take a raw image or a LiME file instead, for instance with QEMU or DumpIt';
const DISK = 'that is a disk, not memory';

const KNOWN: readonly Known[] = [
  {
    magic: 'PAGEDUMP',
    is: 'a 32-bit Windows crash dump',
    remedy: 'hugewalk walks the tables of 64-bit systems only',
  },
  { magic: 'MDMP', is: "a minidump of a Windows process, which holds none of the machine's tables", remedy: WINDOWS },
  ...['hibr', 'HIBR', 'wake', 'WAKE', 'RSTR', 'rstr'].map((magic) => ({
    magic,
    is: 'a Windows hibernation file',
    remedy: 'convert it to a raw image, for instance with hibr2bin',
  })),
  { magic: 'QEVM', is: 'a QEMU saved state (savevm, migrate)', remedy: `load it and ${QEMU_DUMP}` },
  { magic: 'LibvirtQemudSave', is: 'a guest saved by libvirt (virsh save)', remedy: `restore it and ${LIBVIRT_DUMP}` },
  {
    magic: 'LibvirtQemudPart',
    is: 'a guest that libvirt has not finished saving (virsh save)',
    remedy: LIBVIRT_DUMP,
  },
  ...['Xen saved domain, ', 'LinuxGuestRecord', 'libvirt-xml\n \0 \r', `${'\xff'.repeat(8)}XENF`].map((magic) => ({
    magic,
    is: 'a guest saved by Xen (xl save)',
    remedy: XEN_DUMP,
  })),
  {
    magic: 'QFI\xfb',
    is: 'a QEMU disk image (qcow2)',
    remedy: `if it holds a savevm snapshot, load that (loadvm) and ${QEMU_DUMP}`,
  },
  {
    magic: '\x7fVirtualBox SavedState',
    is: 'a VirtualBox saved state',
    remedy: 'start the machine from it and run VBoxManage debugvm NAME dumpvmcore --filename FILE',
  },
  { magic: '<<< ', is: 'a VirtualBox disk image (VDI)', remedy: DISK },
  ...['KDMV', 'COWD', '# Disk DescriptorFile'].map((magic) => ({
    magic,
    is: 'a VMware disk image (VMDK)',
    remedy: DISK,
  })),
  { magic: 'QED\0', is: 'a QEMU disk image (QED)', remedy: DISK },
  { magic: 'vhdxfile', is: 'a Hyper-V disk image (VHDX)', remedy: DISK },
  { magic: 'conectix', is: 'a Hyper-V disk image (VHD)', remedy: DISK },
  {
    magic: 'EVF\x09\x0d\x0a\xff\0',
    is: 'an E01 file (EnCase, Expert Witness)',
    remedy: 'export the memory in it: ewfexport -f raw FILE',
  },
  {
    magic: 'EVF2\x0d\x0a\x81\0',
    is: 'an Ex01 file (EnCase)',
    remedy: 'export the memory in it: ewfexport -f raw FILE',
  },
  ...['\xed\x23\x8f\x61\x73\x01\x19\xa8', '\xcd\x23\x8f\x61\x73\x01\x19\xa8'].map((magic) => ({
    magic,
    is: 'an LKCD dump of an old Linux',
    remedy: 'crash reads it',
  })),
  { magic: 'sadump\0\0', is: 'a dump of the firmware (sadump)', remedy: 'convert it with makedumpfile' },
  {
    magic: 'S1SUSPEND',
    at: 4086,
    is: 'a Linux swap area with a hibernated system',
    remedy: 'its pages are packed by the kernel, and only the kernel resumes them',
  },
  { magic: 'SWAPSPACE2', at: 4086, is: 'a Linux swap area', remedy: DISK },
  { magic: 'EFI PART', at: 512, is: 'a disk with a GUID partition table', remedy: DISK },
  { magic: 'ustar', at: 257, is: 'a tar archive', remedy: 'unpack it first' },
  { magic: '\x1f\x8b', is: 'a gzip stream within a gzip stream', remedy: 'decompress it once' },
  { magic: '\xfd7zXZ\0', is: 'an xz-compressed file', remedy: 'decompress it first' },
  { magic: '\x28\xb5\x2f\xfd', is: 'a zstd-compressed file', remedy: 'decompress it first' },
  { magic: 'BZh', is: 'a bzip2-compressed file', remedy: 'decompress it first' },
  { magic: '\x04\x22\x4d\x18', is: 'an lz4-compressed file', remedy: 'decompress it first' },
  { magic: '7z\xbc\xaf\x27\x1c', is: 'a 7z archive', remedy: 'unpack it first' },
];

const ZIP = 'PK\x03\x04';
/** A URN that AFF4's container.description, its first member, begins with. */
const AFF4 = 'aff4://';

/** What a file is, and what helps: undefined for one that is not known. */
export function knownFormat(start: Uint8Array): string | undefined {
  if (start.length === 0) return 'an empty file';
  if (beginsWith(start, ZIP)) {
    return latin1(start).includes(AFF4)
      ? 'an AFF4 file: extract its image of memory, for instance with aff4.py --export-all, and name that'
      : 'a zip archive: unpack it first';
  }
  const known = KNOWN.find(({ magic, at }) => beginsWith(start, magic, at));
  if (!known) return undefined;
  return known.remedy ? `${known.is}: ${known.remedy}` : known.is;
}

/** The first bytes of a file that nobody knows: `a file that begins with 00 11 22 33`. */
export function unknownFormat(start: Uint8Array): string {
  const bytes = Array.from(start.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0'));
  return `a file that begins with ${bytes.join(' ')}`;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
