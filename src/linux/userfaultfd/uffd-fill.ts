/**
 * UFFDIO_COPY, UFFDIO_CONTINUE, UFFDIO_ZEROPAGE: putting pages where a userfaultfd's program wants them.
 * fs/userfaultfd.c of Linux 6.1: userfaultfd_copy and its like; mm/userfaultfd.c: __mcopy_atomic, __mcopy_atomic_hugetlb.
 */
import type { Errno } from '../base/errno.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { UFFD_FEATURE_MINOR_HUGETLBFS_HGM, UFFDIO_COPY_MODE_DONTWAKE, UFFDIO_COPY_MODE_WP } from '../base/uffd-uapi.ts';
import { VM_SHARED, VM_UFFD_WP } from '../base/vm-flags.ts';
import { wakeUserfault } from '../fault/uffd-fault.ts';
import { hgmEnabled } from '../mm/hgm-enabled.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import type { Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbAllocLargestPte, hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import { continuePage, copyPage } from './mcopy-atomic-pte.ts';
import { findDestination, validRange } from './uffd-range.ts';

/** What to put there, and how. */
export interface UffdFill {
  /** New pages with `bytes`; the file's own pages; pages of zeros, which hugetlb has not. */
  readonly kind: 'copy' | 'continue' | 'zeropage';
  /** UFFDIO_COPY_MODE_ bits; those of the others are among them. */
  readonly mode: number;
  /** Of a copy: the first byte is for the first address. Where it is shorter than the range, no more of the source is mapped. */
  readonly bytes?: Uint8Array;
}

/** Bytes done, which may be a part; 'EAGAIN' is the caller's to make of that. Wakes who waits for one of them. */
export function* uffdFill(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  fill: UffdFill,
): Path<number | Errno> {
  const { mm } = context;
  if (context.mmapChanging > 0) return 'EAGAIN';
  const modes = UFFDIO_COPY_MODE_DONTWAKE | (fill.kind === 'copy' ? UFFDIO_COPY_MODE_WP : 0);
  if (!validRange(start, length) || fill.mode & ~modes) return 'EINVAL';
  if (mm.exited) return 'ESRCH';
  yield* mm.mmapLock.read(task);
  const done = yield* mcopyAtomic(task, context, start, length, fill);
  mm.mmapLock.unlock(task);
  if (typeof done === 'number' && !(fill.mode & UFFDIO_COPY_MODE_DONTWAKE)) wakeUserfault(context, start, done);
  return done;
}

/** `__mcopy_atomic`, with mmap_lock held for reading. */
function* mcopyAtomic(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  fill: UffdFill,
): Path<number | Errno> {
  if (context.mmapChanging > 0) return 'EAGAIN';
  const vma = findDestination(context.mm, start, length);
  if (!vma) return 'ENOENT';
  if (wantsWp(fill) && !(vma.flags & VM_UFFD_WP)) return 'EINVAL';
  if (fill.kind === 'zeropage') return 'EINVAL';
  return yield* mcopyAtomicHugetlb(task, vma, start, length, fill);
}

function wantsWp({ kind, mode }: UffdFill): boolean {
  return kind === 'copy' && (mode & UFFDIO_COPY_MODE_WP) !== 0;
}

/**
 * Whether UFFDIO_CONTINUE takes pieces. v2 asks the mapping. RFC v2 asks the mapping's userfaultfd (`uffd_ctx_has_hgm`): a fork's child has the
 * feature, but a mapping without HGM, and is refused only where the walk finds that, one huge page after the other.
 */
function continuesFinely(vma: Vma): boolean {
  if (vma.mm.machine.hgm !== 'rfc-v2') return hgmEnabled(vma);
  return vma.userfaultfd!.has(UFFD_FEATURE_MINOR_HUGETLBFS_HGM);
}

/** The bytes for a huge page. @param offset of the page in the range */
function sourceOf({ hstate }: Vma, { bytes }: UffdFill, offset: number): Uint8Array {
  return bytes!.subarray(offset, offset + hstate.size);
}

/** `__mcopy_atomic_hugetlb`: bytes done, or the error of the first page. */
function* mcopyAtomicHugetlb(
  task: Task,
  vma: Vma,
  start: number,
  length: number,
  fill: UffdFill,
): Path<number | Errno> {
  const { tables } = vma.mm.machine;
  const finely = fill.kind === 'continue' && continuesFinely(vma);
  const unit = finely ? PAGE_SIZE : vma.hstate.size;
  if (start % unit !== 0 || length % unit !== 0) return 'EINVAL';
  if (!(vma.flags & VM_SHARED)) vma.anonVma = true;
  let done = 0;
  while (done < length) {
    const address = start + done;
    const mutex = vma.inode.faultMutex(vma.hugeIndex(address));
    const lock = vma.hugetlbLock;
    yield* mutex.write(task);
    if (lock) yield* lock.read(task);
    const hpte: HugetlbPte | Errno = finely
      ? yield* hugetlbAllocLargestPte(task, vma, address, start + length)
      : yield* hugetlbFullWalkAlloc(task, vma, address, vma.hstate.size);
    let result: 'OK' | Errno;
    if (typeof hpte === 'string') result = hpte;
    else if (fill.kind !== 'continue' && !tables.read(hpte.ptep).noneMostly) result = 'EEXIST';
    else if (fill.kind === 'continue') result = yield* continuePage(task, vma, address, hpte);
    else result = yield* copyPage(task, vma, address, hpte, sourceOf(vma, fill, done), wantsWp(fill));
    lock?.unlock(task);
    mutex.unlock(task);
    if (result !== 'OK') return done || result;
    done += (hpte as HugetlbPte).size;
    if (task.killed) break;
  }
  return done;
}
