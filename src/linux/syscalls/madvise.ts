/**
 * madvise. mm/madvise.c of Linux 6.1: do_madvise, madvise_walk_vmas, madvise_dontneed_free, madvise_remove,
 * madvise_update_vma; madvise_inject_error is in memory-failure.ts.
 */
import { hex } from '../../core/errors.ts';
import type { Hang, Result } from '../base/errno.ts';
import { adviceWords, lengthWords, rangeWords } from '../base/flag-words.ts';
import { HGM_POSTED_SPLIT_UNSHARES_FIRST } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import {
  MADV_COLLAPSE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_HWPOISON,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_SPLIT,
} from '../base/uapi.ts';
import { VM_DONTCOPY, VM_HUGETLB_HGM, VM_MAYWRITE, VM_SHARED } from '../base/vm-flags.ts';
import { populate } from '../gup/populate.ts';
import { collapse } from '../hugetlb/collapse.ts';
import { punchHole, putInode } from '../hugetlb/truncate.ts';
import { finishMmu, unmapSingleVma } from '../hugetlb/unmap.ts';
import { injectError } from '../memory-failure/memory-failure.ts';
import type { Mm } from '../mm/mm.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Vma } from '../mm/vma.ts';
import { hgmEligible } from '../page-tables/enable-hgm.ts';
import { unshareAllPmds } from '../page-tables/pmd-share.ts';
import { splitVma } from '../page-tables/split-vma.ts';
import { userfaultfdRemove } from '../userfaultfd/uffd-event.ts';

/** A piece of one VMA that an advice is about. */
type Advise = (task: Task, vma: Vma, start: number, end: number) => Path<Result | Hang>;

function pieceWords(_vma: Vma, start: number, end: number): string {
  return rangeWords(start, end);
}

const DONTNEED: Advise = kernelFunction('madvise_dontneed_free', dontneed, { args: pieceWords });

/** What each advice does to a VMA, and whether it needs mmap_lock for writing. */
const ADVICES: ReadonlyMap<number, { readonly advise: Advise; readonly write: boolean }> = new Map([
  [MADV_DONTNEED, { advise: DONTNEED, write: false }],
  [MADV_DONTNEED_LOCKED, { advise: DONTNEED, write: false }],
  [MADV_REMOVE, { advise: kernelFunction('madvise_remove', remove, { args: pieceWords }), write: false }],
  [MADV_POPULATE_READ, { advise: (...piece) => populate(...piece, false), write: false }],
  [MADV_POPULATE_WRITE, { advise: (...piece) => populate(...piece, true), write: false }],
  [MADV_COLLAPSE, { advise: collapse, write: false }],
  [MADV_SPLIT, { advise: kernelFunction('madvise_split', split, { args: pieceWords }), write: true }],
  [MADV_DONTFORK, { advise: dontfork, write: true }],
  [MADV_DOFORK, { advise: dofork, write: true }],
]);

/** The advices that the model knows. */
export const ADVICE_NUMBERS: readonly number[] = [...ADVICES.keys(), MADV_HWPOISON];

/** madvise(2). A range with holes: 'ENOMEM', after everything that is mapped was done. */
export const sysMadvise: typeof madvise = kernelFunction('do_madvise', madvise, {
  args: (_mm, start, length, advice) => `${lengthWords(start, length)}, ${adviceWords(advice)}`,
});

function* madvise(task: Task, mm: Mm, start: number, length: number, advice: number): Path<Result | Hang> {
  if (advice === MADV_SPLIT && mm.machine.hgm !== 'v2') {
    return refuse(task, 'EINVAL', 'MADV_SPLIT is of HGM v2, which this kernel has not');
  }
  if (start % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to a page`);
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (end === start) return 'OK';
  if (advice === MADV_HWPOISON) return yield* injectError(task, mm, start, start + length);
  const { advise, write } = ADVICES.get(advice)!;
  yield* write ? mm.mmapLock.write(task) : mm.mmapLock.read(task);
  const result = yield* walkVmas(task, mm, start, end, advise);
  mm.mmapLock.unlock(task);
  return result;
}

/** `madvise_walk_vmas`. */
function* walkVmas(task: Task, mm: Mm, start: number, end: number, advise: Advise): Path<Result | Hang> {
  let result: Result = 'OK';
  for (let at = start; at < end; ) {
    const vma = mm.findVma(at);
    if (!vma) return refuse(task, 'ENOMEM', `nothing is mapped from ${hex(at)} on`);
    if (at < vma.start) {
      result = refuse(task, 'ENOMEM', `nothing is mapped at ${hex(at)}; what follows is advised all the same`);
      at = vma.start;
      if (at >= end) break;
    }
    const until = Math.min(vma.end, end);
    const advised = yield* advise(task, vma, at, until);
    if (advised !== 'OK') return advised;
    at = until;
  }
  return result;
}

/** `madvise_dontneed_free`: the end is rounded down to a huge page, so that no more is lost than was named. */
function* dontneed(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  const until = dontneedEnd(task, vma, start, end);
  if (until === 'EINVAL') return until;
  if (until === start) return 'OK';
  if (yield* userfaultfdRemove(task, vma, start, until)) return yield* zap(task, vma, start, until);

  /* mmap_lock was dropped: somebody else may be mapped here by now, with other pages. */
  const { mm } = vma;
  yield* mm.mmapLock.read(task);
  const here = mm.vmaLookup(start);
  if (!here) return refuse(task, 'ENOMEM', `nothing is mapped at ${hex(start)} any more`);
  const left = dontneedEnd(task, here, start, until);
  if (left === 'EINVAL') return left;
  return yield* zap(task, here, start, Math.min(left, here.end));
}

/** `madvise_dontneed_free_valid_vma`. */
function dontneedEnd(task: Task, vma: Vma, start: number, end: number): number | 'EINVAL' {
  const { size } = vma.hstate;
  if (start % size === 0) return Math.floor(end / size) * size;
  return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to the huge page`);
}

/** `madvise_dontneed_single_vma`. */
function* zap(task: Task, vma: Vma, start: number, end: number): Path<'OK'> {
  if (start === end) return 'OK';
  const gather = new MmuGather(vma.mm);
  yield* unmapSingleVma(task, gather, vma, start, end, false);
  yield* finishMmu(task, gather);
  return 'OK';
}

/** `madvise_remove`: punches a hole into the file. mmap_lock is dropped for that, since the file's lock comes before it. */
function* remove(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  if ((vma.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) {
    return refuse(task, 'EACCES', 'only what is shared, and may be written, can be removed');
  }
  const { mm, inode } = vma;
  const offset = start - vma.start + vma.pgoff * PAGE_SIZE;
  inode.references++;
  if (yield* userfaultfdRemove(task, vma, start, end)) mm.mmapLock.unlock(task);
  const result = yield* punchHole(task, inode, offset, end - start);
  yield* putInode(task, inode);
  yield* mm.mmapLock.read(task);
  return result;
}

/** MADV_SPLIT of HGM v2: pieces of huge pages may be mapped from now on. */
function* split(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  if (!hgmEligible(vma)) return refuse(task, 'EINVAL', 'a private mapping cannot be split');
  if (vma.mm.machine.hgmPosted(HGM_POSTED_SPLIT_UNSHARES_FIRST)) yield* unshareAllPmds(task, vma);
  const updated = yield* updateVma(task, vma, start, end, vma.flags | VM_HUGETLB_HGM);
  if (updated === 'OK') yield* unshareAllPmds(task, vma);
  return updated;
}

/** MADV_DONTFORK: the child does not get this part. */
function* dontfork(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  return yield* updateVma(task, vma, start, end, vma.flags | VM_DONTCOPY);
}

/** MADV_DOFORK: the child gets it again. */
function* dofork(task: Task, vma: Vma, start: number, end: number): Path<Result> {
  return yield* updateVma(task, vma, start, end, vma.flags & ~VM_DONTCOPY);
}

/** `madvise_update_vma`: other flags for a part of a VMA, which is cut for it. */
function* updateVma(task: Task, vma: Vma, start: number, end: number, flags: number): Path<Result> {
  if (flags === vma.flags) return 'OK';
  if (start !== vma.start && (yield* splitVma(task, vma, start, true)) === 'EINVAL') return 'EINVAL';
  if (end !== vma.end && (yield* splitVma(task, vma, end, false)) === 'EINVAL') return 'EINVAL';
  vma.flags = flags;
  return 'OK';
}
