/**
 * How files of each format begin.
 */
export const ELF_MAGIC = '\x7fELF';
export const LIME_MAGIC = 'EMiL';
export const AVML_MAGIC = 'AVML';
export const WINDOWS_MAGIC = 'PAGEDU64';
/** VMware's state files: see vmware/tags.ts. */
const VMWARE_MAGICS = ['\xd0\xbe\xd2\xbe', '\xd1\xba\xd1\xba', '\xd2\xbe\xd2\xbe', '\xd3\xbe\xd3\xbe'];

/** Bytes of a file's start that are enough to tell a format. */
export const START_BYTES = 4096;

/** Whether a file begins with a magic, or has it at an offset. */
export function beginsWith(start: Uint8Array, magic: string, at = 0): boolean {
  if (start.length < at + magic.length) return false;
  for (let i = 0; i < magic.length; i++) if (start[at + i] !== magic.charCodeAt(i)) return false;
  return true;
}

/** Whether a file is the state of a VMware machine. */
export function isVmwareState(start: Uint8Array): boolean {
  return VMWARE_MAGICS.some((magic) => beginsWith(start, magic));
}
