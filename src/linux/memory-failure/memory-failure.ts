/**
 * Memory that turns bad. mm/memory-failure.c of Linux 6.1: memory_failure, try_memory_failure_hugetlb, get_huge_page_for_hwpoison,
 * hugetlb_update_hwpoison, me_huge_page, __page_handle_poison, has_extra_refcount; mm/madvise.c: madvise_inject_error.
 *
 *   free, in the pool       leaves the pool, and is memory again, but for the bad 4 KiB
 *   a file's                unmapped; stays in the page cache, where later faults find it, and keeps a reference for good
 *   a process's own         unmapped; when nobody has it any more, it leaves the pool as a free one does
 *
 * With HGM v2, a second failure in a huge page of a file is one of its own, as Jiaqi Yan's memory failure of 4 KiB has it (2023). Without, it is
 * only noted: the huge page is given up already.
 */
import { hex } from '../../core/errors.ts';
import type { Errno, Hang } from '../base/errno.ts';
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction, recordCall, refuse } from '../base/kernel-function.ts';
import { type Path, sleepUntil, type Task } from '../base/task.ts';
import { getUserPagesFast } from '../gup/get-user-pages.ts';
import { putPage } from '../hugetlb/alloc-page.ts';
import type { Mm } from '../mm/mm.ts';
import type { MmMachine } from '../mm/mm-machine.ts';
import type { Folio } from '../pool/folio.ts';
import type { PoolMachine } from '../pool/pool-machine.ts';
import { hwpoisonUserMappings } from './hwpoison-unmap.ts';

/**
 * How memory failure ends: 'OK' recovered; 'EBUSY' not, somebody still has the page; 'EHWPOISON' that was known; 'ENXIO' there is no such
 * memory.
 */
export type MemoryFailure = 'OK' | 'EBUSY' | 'EHWPOISON' | 'ENXIO';

/** `madvise_inject_error` of MADV_HWPOISON: of every huge page the 4 KiB where the range begins, or where it is a huge page further. */
export const injectError: typeof inject = kernelFunction('madvise_inject_error', inject, {
  args: (_mm, start, end) => rangeWords(start, end),
});

function* inject(task: Task, mm: Mm, start: number, end: number): Path<'OK' | Errno | Hang> {
  const pages: number[] = [];
  for (let at = start; at < end; ) {
    const got = yield* getUserPagesFast(task, mm, { start: at, nrPages: 1, flags: 0, pages });
    /* Nothing is got without an error only of a fault that has none. */
    if (got !== 1) return typeof got === 'string' ? got : 'OK';
    const frame = pages[0]!;
    const { hstate } = mm.machine.frames.folio(frame);
    const result = yield* memoryFailure(task, mm.machine, frame, true);
    if (result !== 'OK') return result;
    at += hstate.size;
  }
  return 'OK';
}

/**
 * `memory_failure`.
 *
 * @param frame number of a 4 KiB frame
 * @param countIncreased whether the caller has a reference of GUP's to it, which becomes this function's
 */
export const memoryFailure: typeof failure = kernelFunction('memory_failure', failure, {
  args: (_machine, frame) => `pfn ${hex(frame)}`,
});

function* failure(task: Task, machine: MmMachine, frame: number, countIncreased = false): Path<MemoryFailure> {
  const { mutex } = machine.badMemory;
  yield* mutex.write(task);
  const folio = hugePageOf(machine, frame);
  const result = folio
    ? yield* tryMemoryFailureHugetlb(task, machine, folio, frame - folio.pfn, countIncreased)
    : smallPageFailure(task, machine, frame);
  mutex.unlock(task);
  return result;
}

/** The huge page that a frame belongs to, in use or free. */
function hugePageOf({ frames, hstates }: PoolMachine, frame: number): Folio | undefined {
  const folio = frames.find(frame);
  if (folio) return folio;
  for (const hstate of hstates) {
    const free = hstate.freeFolio(frame);
    if (free) return free;
  }
  return undefined;
}

/** What is no huge page: free memory is not handed out any more, the kernel's own page tables are beyond help. */
function smallPageFailure(task: Task, machine: PoolMachine, frame: number): MemoryFailure {
  const { frames } = machine;
  const kind = frames.kindOf(frame);
  if (kind === 'none') return refuse(task, 'ENXIO', `there is no memory at pfn ${hex(frame)}`);
  if (frames.isPoisoned(frame)) return refuse(task, 'EHWPOISON', `pfn ${hex(frame)} was bad already`);
  frames.poison(frame);
  machine.badMemory.hardwareCorrupted++;
  return kind === 'memory' ? 'OK' : refuse(task, 'EBUSY', 'a page table of the kernel');
}

/** `try_memory_failure_hugetlb`, and what it ends in. */
const tryMemoryFailureHugetlb = kernelFunction('try_memory_failure_hugetlb', hugetlbFailure, {
  args: (_machine, folio, page) => `pfn ${hex(folio.pfn + page)}`,
});

function* hugetlbFailure(
  task: Task,
  machine: MmMachine,
  folio: Folio,
  page: number,
  countIncreased: boolean,
): Path<MemoryFailure> {
  yield* machine.hugetlbLock.write(task);
  const got = getHugePageForHwpoison(task, machine, folio, page, countIncreased);
  machine.hugetlbLock.unlock(task);
  if (got.known) {
    if (got.state === 'in use') yield* release(task, folio);
    return refuse(task, 'EHWPOISON', `pfn ${hex(folio.pfn + page)} was bad already`);
  }
  machine.badMemory.hardwareCorrupted++;
  /* It is being made, or on its way to the pool: nothing can be done about it. */
  if (got.state === 'busy') return refuse(task, 'EBUSY', 'the page is being made, isolated, or on its way to the pool');
  if (got.state === 'free') {
    return (yield* dissolve(task, folio)) ? 'OK' : refuse(task, 'EBUSY', 'the pool cannot spare a free page');
  }
  yield* folio.lock.write(task);
  const unmapped = yield* hwpoisonUserMappings(task, folio, page);
  if (unmapped) return yield* meHugePage(task, folio);
  folio.lock.unlock(task);
  return refuse(task, 'EBUSY', 'the page could not be unmapped everywhere');
}

/** What a huge page was when its memory turned bad, and whether that had happened before. */
interface Met {
  readonly state: 'free' | 'in use' | 'busy';
  readonly known: boolean;
}

/** `get_huge_page_for_hwpoison`, with hugetlb_lock: a reference is taken to a page in use, and the failure noted. */
function getHugePageForHwpoison(
  task: Task,
  machine: MmMachine,
  folio: Folio,
  page: number,
  countIncreased: boolean,
): Met {
  let state: Met['state'] = 'in use';
  if (countIncreased) folio.getcount--;
  else if (folio.freed || (folio.migratable && folio.refcount === 0)) state = 'free';
  else if (folio.migratable) folio.get();
  else state = 'busy';
  if (state === 'in use') folio.hwpoisonReferences++;
  return { state, known: !updateHwpoison(task, machine, folio, page) };
}

/** `hugetlb_update_hwpoison`: false where there is nothing left to be done. */
function updateHwpoison(task: Task, machine: MmMachine, folio: Folio, page: number): boolean {
  if (folio.hasRawHwp(page)) return false;
  const first = !folio.hwpoison;
  folio.addRawHwp(page);
  recordCall(task, 'hugetlb_update_hwpoison', () => `pfn ${hex(folio.pfn + page)} is noted as bad`);
  if (first || (machine.hgm === 'v2' && folio.pageCache)) return true;
  machine.badMemory.hardwareCorrupted++;
  return false;
}

/** `me_huge_page`: called with the page's lock, which is dropped. */
const meHugePage = kernelFunction('me_huge_page', recover, { args: (folio) => `pfn ${hex(folio.pfn)}` });

function* recover(task: Task, folio: Folio): Path<'OK' | 'EBUSY'> {
  const inCache = folio.pageCache !== undefined;
  folio.lock.unlock(task);
  if (inCache) {
    return hasExtraRefcount(folio)
      ? refuse(task, 'EBUSY', `somebody has a reference: _refcount is ${folio.refcount}`)
      : 'OK';
  }
  yield* release(task, folio);
  return (yield* dissolve(task, folio))
    ? 'OK'
    : refuse(task, 'EBUSY', 'somebody still has the page, or the pool cannot spare it');
}

/** `has_extra_refcount`: whether somebody has the page beside its entries, the page cache, and memory failure. */
function hasExtraRefcount({ refcount, leaves, hwpoisonReferences }: Folio): boolean {
  return refcount > leaves + hwpoisonReferences + 1;
}

/** Drops the reference that memory failure took. */
function* release(task: Task, folio: Folio): Path<void> {
  folio.hwpoisonReferences--;
  yield* putPage(task, folio);
}

/** `__page_handle_poison`: whether the page has left the pool, be it only now. */
const dissolve = kernelFunction('__page_handle_poison', leavePool, { args: (folio) => `pfn ${hex(folio.pfn)}` });

function* leavePool(task: Task, folio: Folio): Path<boolean> {
  const { hstate, pfn } = folio;
  const { hugetlbLock, frames } = hstate.machine;
  const hasLeft = () => frames.find(pfn) !== folio;
  for (;;) {
    yield* hugetlbLock.write(task);
    /* Whoever had the last reference has not put it on the free list yet: the kernel looks again until it is there. */
    const isOnItsWay = !hasLeft() && folio.refcount === 0 && !folio.freed && hstate.available > 0 && !task.killed;
    const dissolved = !isOnItsWay && (hasLeft() || hstate.dissolve(folio));
    hugetlbLock.unlock(task);
    if (!isOnItsWay) return dissolved;
    yield* sleepUntil(
      task,
      `huge page 0x${pfn.toString(16)} to be freed`,
      hugetlbLock,
      () => folio.freed || folio.refcount > 0 || hasLeft(),
    );
  }
}
