/**
 * The formats, in the order in which a file is tried. Each is loaded when there is a file of it.
 */
import type { DumpFormat } from './format.ts';
import { KDUMP } from './kdump/kdump.ts';
import { AVML_MAGIC, beginsWith, ELF_MAGIC, isVmwareState, LIME_MAGIC, WINDOWS_MAGIC } from './magic.ts';

const RAW_NAME = /\.(raw|mem|vmem|img|bin|dd)(\.gz)?$/i;

/** Whether a file's name says that it is a raw image: its content says nothing. */
export function isRawByName(name: string): boolean {
  return RAW_NAME.test(name);
}

/** Memory and nothing else: for what a user calls raw. */
export const RAW: DumpFormat = {
  name: 'raw',
  recognises: () => false,
  load: async () => (await import('./raw.ts')).openRaw,
};

export const FORMATS: readonly DumpFormat[] = [
  {
    name: 'elf-core',
    recognises: (start) => beginsWith(start, ELF_MAGIC),
    load: async () => (await import('./elf/elf-core.ts')).openElfCore,
  },
  KDUMP,
  {
    name: 'lime',
    recognises: (start) => beginsWith(start, LIME_MAGIC),
    load: async () => (await import('./lime.ts')).openLime,
  },
  {
    name: 'avml',
    recognises: (start) => beginsWith(start, AVML_MAGIC),
    load: async () => (await import('./avml/avml.ts')).openAvml,
  },
  {
    name: 'vmware',
    files: 2,
    recognises: isVmwareState,
    load: async () => (await import('./vmware/vmware.ts')).openVmware,
  },
  {
    name: 'windows',
    recognises: (start) => beginsWith(start, WINDOWS_MAGIC),
    load: async () => (await import('./windows/windows.ts')).openWindows,
  },
  RAW,
];
