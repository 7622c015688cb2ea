/**
 * UFFDIO_COPY, UFFDIO_CONTINUE, UFFDIO_ZEROPAGE: putting pages where a userfaultfd's program wants them.
 * fs/userfaultfd.c of Linux 6.1: userfaultfd_copy and its like; mm/userfaultfd.c: __mcopy_atomic, __mcopy_atomic_hugetlb.
 */
import { hex } from '../../core/errors.ts';
import type { Errno } from '../base/errno.ts';
import { copyModeWords, lengthWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
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
import { findDestination, validateRange } from './uffd-range.ts';

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
export const uffdFill: typeof fillRange = kernelFunction(
  (_context, _start, _length, { kind }) => `userfaultfd_${kind}`,
  fillRange,
  { args: (_context, start, length, { mode }) => `${lengthWords(start, length)}, mode=${copyModeWords(mode)}` },
);

function* fillRange(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  fill: UffdFill,
): Path<number | Errno> {
  const { mm } = context;
  if (context.mmapChanging > 0) return refuse(task, 'EAGAIN', 'mmap_changing: an event is on its way');
  const modes = UFFDIO_COPY_MODE_DONTWAKE | (fill.kind === 'copy' ? UFFDIO_COPY_MODE_WP : 0);
  if (validateRange(task, start, length) !== 'OK') return 'EINVAL';
  if (fill.mode & ~modes) return refuse(task, 'EINVAL', `mode ${hex(fill.mode)} has bits that are not known`);
  if (mm.exited) return refuse(task, 'ESRCH', 'the process has ended');
  yield* mm.mmapLock.read(task);
  const done = yield* mcopyAtomic(task, context, start, length, fill);
  mm.mmapLock.unlock(task);
  /* The ioctl's own end; bytes are the caller's to make of that. */
  if (typeof done === 'number' && done < length)
    refuse(task, 'EAGAIN', `${hex(done)} of ${hex(length)} bytes are done`);
  if (typeof done === 'number' && !(fill.mode & UFFDIO_COPY_MODE_DONTWAKE)) wakeUserfault(task, context, start, done);
  return done;
}

/** `__mcopy_atomic`, with mmap_lock held for reading. */
const mcopyAtomic = kernelFunction('__mcopy_atomic', fillLocked, {
  args: (_context, start, length, fill) => `dst_start=${hex(start)}, len=${hex(length)}, ${fill.kind}`,
});

function* fillLocked(
  task: Task,
  context: Userfaultfd,
  start: number,
  length: number,
  fill: UffdFill,
): Path<number | Errno> {
  if (context.mmapChanging > 0) return refuse(task, 'EAGAIN', 'mmap_changing: an event is on its way');
  const vma = findDestination(task, context.mm, start, length);
  if (vma === 'ENOENT') return vma;
  if (wantsWp(fill) && !(vma.flags & VM_UFFD_WP)) {
    return refuse(task, 'EINVAL', 'UFFDIO_COPY_MODE_WP of a mapping without UFFDIO_REGISTER_MODE_WP');
  }
  if (fill.kind === 'zeropage') return refuse(task, 'EINVAL', 'there is no huge zero page of hugetlb');
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
const mcopyAtomicHugetlb = kernelFunction('__mcopy_atomic_hugetlb', fillHugePages, {
  args: (_vma, start, length, fill) => `dst_start=${hex(start)}, len=${hex(length)}, ${fill.kind}`,
});

function* fillHugePages(task: Task, vma: Vma, start: number, length: number, fill: UffdFill): Path<number | Errno> {
  const { tables } = vma.mm.machine;
  const finely = fill.kind === 'continue' && continuesFinely(vma);
  const unit = finely ? PAGE_SIZE : vma.hstate.size;
  const aligned = finely ? 'a page' : 'the huge page';
  if (start % unit !== 0) return refuse(task, 'EINVAL', `dst_start ${hex(start)} is not aligned to ${aligned}`);
  if (length % unit !== 0) return refuse(task, 'EINVAL', `len ${hex(length)} is not a multiple of ${aligned}`);
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
    else if (fill.kind !== 'continue' && !tables.read(hpte.ptep).noneMostly)
      result = refuse(task, 'EEXIST', `something is mapped at ${hex(address)}`);
    else if (fill.kind === 'continue') result = yield* continuePage(task, vma, address, hpte);
    else result = yield* copyPage(task, vma, address, hpte, sourceOf(vma, fill, done), wantsWp(fill));
    lock?.unlock(task);
    mutex.unlock(task);
    if (typeof hpte === 'string') return done || hpte;
    if (result !== 'OK') return done || result;
    done += hpte.size;
    if (task.killed) break;
  }
  return done;
}
