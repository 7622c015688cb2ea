/**
 * The part of GUP that walks huge pages. mm/hugetlb.c of Linux 6.1: follow_hugetlb_page, __follow_hugetlb_must_fault,
 * record_subpages_vmas, hugetlbfs_pagecache_present; include/linux/mm.h: gup_must_unshare.
 *
 * Leaves that are present and permitted need nobody but the core (gup-scan.ts), as long as no other task can come in between:
 * then a whole range is followed under one hold of the VMA lock, and the page-table locks, which are free, are not taken one by
 * one. Where tasks take turns, or a trace is kept, it goes leaf by leaf, each under its lock. The results are the same.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import type { Errno, Hang } from '../base/errno.ts';
import { vmFaultToErrno } from '../base/fault-errno.ts';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
} from '../base/fault-flags.ts';
import { follWords } from '../base/flag-words.ts';
import { FOLL_DUMP, FOLL_NOWAIT, FOLL_PIN, FOLL_TRIED, FOLL_WRITE } from '../base/gup-flags.ts';
import { HGM_POSTED_GUP_DROPS_LOCK, HGM_POSTED_GUP_LEAKS_LOCK, HGM_POSTED_GUP_UNITS } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { resultWords } from '../base/trace-words.ts';
import { hugetlbFault } from '../fault/fault.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { raced } from '../mm/raced.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalk } from '../page-tables/page-table.ts';
import { walkLock } from '../page-tables/walk-lock.ts';
import type { Folio } from '../pool/folio.ts';
import { type PageList, tryGrabFolio } from '../pool/pin.ts';

/** How far GUP has come, and where it writes what it finds. */
export interface GupCursor {
  /** The next address; it may lie inside a 4 KiB page, and stays so. */
  position: number;
  /** 4 KiB pages still to do. */
  remaining: number;
  /** 4 KiB pages done. */
  done: number;
  /** Index in the lists of the first of them. */
  readonly base: number;
  /** Gets the frame number of each 4 KiB page. */
  readonly pages: PageList | undefined;
  /** Gets the VMA of each. */
  readonly vmas: Vma[] | undefined;
}

/** Whether mmap_lock is still held: a fault that waits drops it. */
export interface Locked {
  held: boolean;
}

/**
 * `follow_hugetlb_page`: from the cursor on, to the end of the VMA or of what is wanted.
 *
 * @param locked of a caller who can do with a dropped mmap_lock; then a fault may be retried
 * @returns an error if nothing at all is done, also by earlier calls, 0 for one without a name; else undefined. Early ends leave
 *   nothing `remaining`
 */
export const followHugetlbPage: typeof followAll = kernelFunction('follow_hugetlb_page', followAll, {
  args: (_vma, cursor, flags) =>
    `addr=${hex(cursor.position)}, nr_pages=${cursor.remaining}, flags=${follWords(flags)}`,
});

function* followAll(
  task: Task,
  vma: Vma,
  cursor: GupCursor,
  flags: number,
  locked: Locked | undefined,
): Path<Errno | Hang | 0 | undefined> {
  while (cursor.position < vma.end && cursor.remaining > 0) {
    const followed = task.killed
      ? refuse(task, 'EFAULT', 'a SIGKILL is pending')
      : yield* followNext(task, vma, cursor, flags, locked);
    if (followed === 'again') continue;
    cursor.remaining = 0;
    if (followed === 'retry' || (cursor.done > 0 && followed !== 'HANG')) return undefined;
    return followed;
  }
  return cursor.done > 0 ? undefined : refuse(task, 'EFAULT', 'nothing was to be done');
}

/** What comes of a step: 'again': look at the cursor, which may have gone on; 'retry': the caller does; or the error that ends it all. */
type Followed = 'again' | 'retry' | Errno | Hang | 0;

/** The next leaves by the core, as long as it finds any; then one leaf, or hole, as the kernel's loop does it. */
function* followNext(
  task: Task,
  vma: Vma,
  cursor: GupCursor,
  flags: number,
  locked: Locked | undefined,
): Path<Followed> {
  const runs = yield* followRuns(task, vma, cursor, flags);
  if (runs !== 'none') return runs === 'some' ? 'again' : runs;
  const { machine } = vma.mm;
  const { tables } = machine;
  let lock = walkLock(vma);
  if (lock) yield* lock.read(task);
  const hpte = hugetlbFullWalk(vma, cursor.position);
  if (machine.hgmPosted(HGM_POSTED_GUP_DROPS_LOCK)) {
    lock?.unlock(task);
    lock = undefined;
  }
  if (hpte) yield* hpte.lockPte(task);
  const pte = hpte && tables.read(hpte.ptep);
  if (hpte && pte?.present && !hpte.isPresentLeaf(pte)) {
    /* A table was put here since the walk: look again. */
    hpte.lock.unlock(task);
    if (machine.hgmPosted(HGM_POSTED_GUP_LEAKS_LOCK)) lock?.leak(task);
    else lock?.unlock(task);
    raced(task, tables, 'follow_hugetlb_page');
    return 'again';
  }
  const needs = followLeaf(task, vma, cursor, flags, hpte, pte);
  hpte?.lock.unlock(task);
  lock?.unlock(task);
  if (needs === 'nothing') return 'again';
  if (needs === 'EFAULT' || needs === 'ENOMEM') return needs;
  return yield* faultIn(task, vma, cursor, flags, needs === 'own page', locked);
}

/**
 * A leaf, or what stands in its place, with its lock held: its pages are recorded, or it needs a fault: for a page, or for a page of the
 * process's own. 'EFAULT': a hole that is to stay one; 'ENOMEM': a huge page that could not be grabbed.
 */
function followLeaf(
  task: Task,
  vma: Vma,
  cursor: GupCursor,
  flags: number,
  hpte: HugetlbPte | undefined,
  pte: Pte | undefined,
): 'nothing' | 'page' | 'own page' | 'EFAULT' | 'ENOMEM' {
  if (!hpte || !pte || pte.none) {
    /* A core file keeps its holes: no page is made for them. */
    const isHole = flags & FOLL_DUMP && !vma.inode.pageCache.find(vma.hugeIndex(cursor.position));
    return isHole ? refuse(task, 'EFAULT', 'FOLL_DUMP, and a hole: nothing in the page cache') : 'page';
  }
  /* A marker of userfaultfd is an entry: a page behind it is faulted in. */
  if (!hpte.isPresentLeaf(pte)) return 'page';
  const folio = vma.mm.machine.frames.folio(pte.pfn);
  if (!pte.write && mustUnshare(flags, folio)) return 'own page';
  if (mustFault(flags, pte)) return 'page';
  assertPinnable(flags, folio);
  if (record(vma, cursor, hpte, pte, folio, flags)) return 'nothing';
  return refuse(task, 'ENOMEM', `try_grab_folio: pfn ${hex(folio.pfn)} has _refcount ${folio.refcount}`);
}

/**
 * As many leaves as the core finds present and permitted. 'none': the next one is not, or has to be done alone; 'ENOMEM': a huge
 * page could not be grabbed.
 */
function* followRuns(task: Task, vma: Vma, cursor: GupCursor, flags: number): Path<'some' | 'none' | 'ENOMEM'> {
  const { mm } = vma;
  const { machine } = mm;
  const { pages, vmas, position } = cursor;
  if (task.preemptible || machine.trace || (!pages && machine.hgmPosted(HGM_POSTED_GUP_UNITS))) return 'none';
  const inVma = (vma.end - (position - (position % PAGE_SIZE))) / PAGE_SIZE;
  const most = Math.min(inVma, cursor.remaining);
  const write = (flags & FOLL_WRITE) !== 0;
  const lock = walkLock(vma);
  if (lock) yield* lock.read(task);
  const at = cursor.base + cursor.done;
  let refused = false;
  const grab = (folio: Folio, refs: number): boolean => {
    if (mustUnshare(flags, folio)) return false;
    assertPinnable(flags, folio);
    refused = !tryGrabFolio(folio, refs, flags);
    return !refused;
  };
  const done = pages
    ? machine.gupScan.list(mm, position, most, write, pages, at, grab)
    : machine.gupScan.count(mm, position, most, write);
  lock?.unlock(task);
  if (vmas) for (let page = 0; page < done; page++) vmas[at + page] = vma;
  advance(cursor, done);
  if (refused) return refuse(task, 'ENOMEM', 'try_grab_folio: no reference can be had');
  return done > 0 ? 'some' : 'none';
}

/** `__follow_hugetlb_must_fault`, for a present page, but for the unsharing. */
function mustFault(flags: number, pte: Pte): boolean {
  return !pte.write && (flags & FOLL_WRITE) !== 0;
}

/** `gup_must_unshare`: a reader who pins a private page needs one that is the process's own. */
export function mustUnshare(flags: number, folio: Folio): boolean {
  return (flags & (FOLL_WRITE | FOLL_PIN)) === FOLL_PIN && folio.anon && !folio.anonExclusive;
}

/** What is pinned of private memory is the process's own by now. */
function assertPinnable(flags: number, folio: Folio): void {
  if (!(flags & FOLL_PIN) || !folio.anon || folio.anonExclusive) return;
  throw new InvariantError('followHugetlbPage: pins a page that others have, too');
}

/** Records the pages of one leaf, as many as are wanted; false where they could not be grabbed. */
function record(vma: Vma, cursor: GupCursor, hpte: HugetlbPte, pte: Pte, folio: Folio, flags: number): boolean {
  const { pages, vmas, position } = cursor;
  const offset = Math.floor((position % hpte.size) / PAGE_SIZE);
  /* Of bytes: as posted, the series added pages, and then found itself in the same leaf again. */
  const step = vma.mm.machine.hgmPosted(HGM_POSTED_GUP_UNITS) ? hpte.pages : hpte.size;
  if (!pages && !vmas && offset === 0 && position + step < vma.end && cursor.remaining >= hpte.pages) {
    /* Nobody wants to know which: the leaf is passed in one step. The VMA's last one never is. */
    cursor.position += step;
    cursor.remaining -= hpte.pages;
    cursor.done += hpte.pages;
    return true;
  }
  const untilEnd = (vma.end - (position - (position % PAGE_SIZE))) / PAGE_SIZE;
  const refs = Math.min(hpte.pages - offset, cursor.remaining, untilEnd);
  const first = pte.pfn + offset;
  const at = cursor.base + cursor.done;
  for (let page = 0; page < refs; page++) {
    if (pages) pages[at + page] = first + page;
    if (vmas) vmas[at + page] = vma;
  }
  if (pages && !tryGrabFolio(folio, refs, flags)) return false;
  advance(cursor, refs);
  return true;
}

function advance(cursor: GupCursor, pages: number): void {
  cursor.position += pages * PAGE_SIZE;
  cursor.remaining -= pages;
  cursor.done += pages;
}

/** Has a page mapped, or one's own. Tells whether to look again, to leave it to the caller to retry, or the error. */
function* faultIn(
  task: Task,
  vma: Vma,
  cursor: GupCursor,
  flags: number,
  unshare: boolean,
  locked: Locked | undefined,
): Path<Followed> {
  const { tables } = vma.mm.machine;
  let faultFlags = flags & FOLL_WRITE ? FAULT_FLAG_WRITE : unshare ? FAULT_FLAG_UNSHARE : 0;
  if (locked) faultFlags |= FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
  if (flags & FOLL_NOWAIT) faultFlags |= FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
  if (flags & FOLL_TRIED) faultFlags |= FAULT_FLAG_TRIED;
  const { changes } = tables;
  const result = yield* hugetlbFault(task, vma, cursor.position, faultFlags);
  if (result === 'RETRY') {
    if (locked && !(faultFlags & FAULT_FLAG_RETRY_NOWAIT)) locked.held = false;
    return 'retry';
  }
  if (result === 'HANG') return result;
  if (result !== 'done') {
    const errno = vmFaultToErrno(result, flags);
    return errno === 0 ? 0 : refuse(task, errno, `vm_fault_to_errno of ${resultWords(result)}`);
  }
  /* The same fault would follow, unless another task does something. */
  if (tables.changes !== changes || task.preemptible) return 'again';
  return refuse(task, 'HANG', 'the fault has changed no entry: the same follows for ever');
}
