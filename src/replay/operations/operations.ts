/**
 * The operations that both formats have, by the names that `op` gives.
 */
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_HWPOISON,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
} from '../../linux/base/uapi.ts';
import type { OldNames } from '../line/fields.ts';
import type { Operation } from '../sequence/operation.ts';
import { fileOperations } from './files.ts';
import { GUP } from './gup.ts';
import { exit, fork, locking, madvise, mmap, mprotect, mremap, munmap } from './mappings.ts';
import { corruptPfn, migrate, splitHugePages } from './moving.ts';
import { mincore, pin, read, remoteRead, remoteWrite, unpin, vmsplice, write } from './touches.ts';
import { type UserfaultfdFormat, userfaultfdOperations } from './userfaultfd.ts';
import { waiting } from './wait.ts';

/** In what the operations of formats differ. */
export interface OperationsFormat extends UserfaultfdFormat {
  /** What `hugepages` of mappings and files was called before. */
  readonly oldHugepages: OldNames;
  /** Operations that only this format has. */
  readonly own: Readonly<Record<string, Operation>>;
}

/** All operations of a format. */
export function operationsOf({ oldHugepages, own, ...userfaultfd }: OperationsFormat): ReadonlyMap<string, Operation> {
  const operations = new Map(
    Object.entries({
      mmap: mmap(oldHugepages),
      munmap,
      mprotect,
      mremap,
      mincore,
      read,
      write,
      fork,
      exit,
      madvise_dontneed: madvise(MADV_DONTNEED),
      madvise_remove: madvise(MADV_REMOVE),
      madvise_populate_read: madvise(MADV_POPULATE_READ),
      madvise_populate_write: madvise(MADV_POPULATE_WRITE),
      madvise_dontfork: madvise(MADV_DONTFORK),
      madvise_dofork: madvise(MADV_DOFORK),
      madvise_hwpoison: madvise(MADV_HWPOISON),
      mlock: locking('mlock'),
      munlock: locking('munlock'),
      process_vm_read: remoteRead('processVm'),
      process_vm_write: remoteWrite('processVm'),
      proc_mem_read: remoteRead('procMem'),
      proc_mem_write: remoteWrite('procMem'),
      pin_longterm_write: pin,
      unpin,
      vmsplice,
      ...GUP,
      ...userfaultfdOperations(userfaultfd),
      ...fileOperations(oldHugepages),
      corrupt_pfn: corruptPfn,
      migrate,
      split_huge_pages: splitHugePages,
      ...own,
    }),
  );
  return operations.set('wait', waiting(operations.values()));
}
