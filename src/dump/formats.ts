/**
 * Files that are no ELF core, told by how they begin, so that a message can name what was found.
 * Sources: makedumpfile's diskdump_mod.h, LiME's and AVML's format notes, Volatility's crash64.json, QEMU's migration
 * stream, and the formats' own specifications.
 */

const KNOWN: readonly { readonly magic: string; readonly is: string }[] = [
  { magic: 'KDUMP   ', is: 'a kdump-compressed file (makedumpfile)' },
  { magic: 'DISKDUMP', is: 'a diskdump file' },
  { magic: 'makedumpfile', is: 'a kdump-compressed file in flattened form (makedumpfile -F)' },
  { magic: 'EMiL', is: 'a LiME file' },
  { magic: 'AVML', is: 'an AVML file' },
  { magic: 'PAGEDU64', is: 'a Windows crash dump' },
  { magic: 'PAGEDUMP', is: 'a 32-bit Windows crash dump' },
  { magic: 'QEVM', is: 'a QEMU saved state (savevm)' },
  { magic: 'QFI\xfb', is: 'a QEMU disk image (qcow2)' },
  { magic: '\x1f\x8b', is: 'a gzip stream within a gzip stream' },
  { magic: '\xfd7zXZ\0', is: 'an xz-compressed file; decompress it first' },
  { magic: '\x28\xb5\x2f\xfd', is: 'a zstd-compressed file; decompress it first' },
  { magic: 'BZh', is: 'a bzip2-compressed file; decompress it first' },
  { magic: '\x04\x22\x4d\x18', is: 'an lz4-compressed file; decompress it first' },
  { magic: 'PK\x03\x04', is: 'a zip archive; unpack it first' },
];

/** How an ELF file begins. */
export const ELF_MAGIC = '\x7fELF';

/** Bytes that are enough to tell a format. */
export const MAGIC_BYTES = 16;

/** Whether a file begins with a magic. */
export function beginsWith(start: Uint8Array, magic: string): boolean {
  if (start.length < magic.length) return false;
  for (let i = 0; i < magic.length; i++) if (start[i] !== magic.charCodeAt(i)) return false;
  return true;
}

/** What a file is, given how it begins: `a LiME file`, `an empty file`, `a file that begins with 00 11 22 33`. */
export function describeFormat(start: Uint8Array): string {
  if (start.length === 0) return 'an empty file';
  const known = KNOWN.find(({ magic }) => beginsWith(start, magic));
  if (known) return known.is;
  const bytes = Array.from(start.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0'));
  return `a file that begins with ${bytes.join(' ')}`;
}
