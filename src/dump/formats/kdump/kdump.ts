import type { DumpFormat } from '../format.ts';
import { beginsWith } from '../magic.ts';
import { DISKDUMP_MAGIC, FLATTENED_MAGIC, KDUMP_MAGIC } from './magic.ts';

/** kdump-compressed files: what makedumpfile and QEMU write. */
export const KDUMP: DumpFormat = {
  name: 'kdump',
  files: Number.POSITIVE_INFINITY,
  recognises: (start) => [KDUMP_MAGIC, DISKDUMP_MAGIC, FLATTENED_MAGIC].some((magic) => beginsWith(start, magic)),
  load: async () => (await import('./open-kdump.ts')).openKdump,
};
