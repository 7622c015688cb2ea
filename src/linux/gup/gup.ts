/**
 * GUP: the pages behind a process's addresses. mm/gup.c of Linux 6.1: check_vma_flags, __get_user_pages,
 * __get_user_pages_locked, __gup_longterm_locked, get_user_pages_remote, pin_user_pages.
 */
import { hex } from '../../core/errors.ts';
import type { Errno, Hang } from '../base/errno.ts';
import { follWords } from '../base/flag-words.ts';
import { FOLL_ANON, FOLL_FORCE, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_TRIED, FOLL_WRITE } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_MAYREAD, VM_READ, VM_WRITE } from '../base/vm-flags.ts';
import { watch } from '../base/watch.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import type { PageList } from '../pool/pin.ts';
import { followHugetlbPage, type GupCursor, type Locked } from './follow-hugetlb-page.ts';

/** Pages done; an error only if none is. */
export type GupResult = number | Errno | Hang;

/** What GUP is asked for. */
export interface GupRequest {
  readonly start: number;
  /** 4 KiB pages. */
  readonly nrPages: number;
  /** FOLL_ bits. */
  readonly flags: number;
  readonly pages?: PageList | undefined;
  readonly vmas?: Vma[] | undefined;
  /** Index in the lists where the first page goes. Default 0. */
  readonly base?: number;
}

/** What a trace shows of a request. */
export function requestWords({ start, nrPages, flags }: Pick<GupRequest, 'start' | 'nrPages' | 'flags'>): string {
  return `start=${hex(start)}, nr_pages=${nrPages}, gup_flags=${follWords(flags)}`;
}

/** `check_vma_flags`, as it meets hugetlb. */
export function checkVmaFlags(task: Task, vma: Vma, flags: number): 'OK' | 'EFAULT' {
  if (flags & FOLL_ANON) return refuse(task, 'EFAULT', 'FOLL_ANON, and the mapping has a file behind it');
  if (flags & FOLL_WRITE) {
    return vma.flags & VM_WRITE ? 'OK' : refuse(task, 'EFAULT', 'FOLL_WRITE, and the mapping may not be written');
  }
  if (vma.flags & VM_READ) return 'OK';
  if (flags & FOLL_FORCE && vma.flags & VM_MAYREAD) return 'OK';
  return refuse(task, 'EFAULT', 'the mapping may not be read');
}

/**
 * `__get_user_pages`, with mmap_lock held: VMA after VMA, until all is done or one refuses.
 *
 * @param locked of a caller who can do with a dropped mmap_lock: then a fault may be retried, and this returns
 */
export const getUserPagesOnce: typeof getPages = kernelFunction('__get_user_pages', getPages, {
  args: (_mm, request) => requestWords(request),
});

function* getPages(
  task: Task,
  mm: Mm,
  { start, nrPages, flags, pages, vmas, base = 0 }: GupRequest,
  locked?: Locked,
): Path<GupResult> {
  const cursor: GupCursor = { position: start, remaining: nrPages, done: 0, base, pages, vmas };
  let result: GupResult = 0;
  while (cursor.remaining > 0) {
    const vma = mm.vmaLookup(cursor.position);
    if (!vma) {
      result = refuse(task, 'EFAULT', `nothing is mapped at ${hex(cursor.position)}`);
      break;
    }
    result = checkVmaFlags(task, vma, flags) === 'OK' ? 0 : 'EFAULT';
    if (result !== 0) break;
    result = (yield* followHugetlbPage(task, vma, cursor, flags, locked)) ?? 0;
    if (locked && !locked.held) break;
  }
  return partOrError(cursor.done, result);
}

/** What was done hides what then went wrong. Who hangs never comes back to tell, and keeps what was taken. */
function partOrError(done: number, result: GupResult): GupResult {
  return result === 'HANG' || done === 0 ? result : done;
}

/**
 * `__get_user_pages_locked`: where a fault had to wait, and mmap_lock was dropped for it, takes the lock again, asks for that one
 * page, and goes on.
 *
 * @param locked `held` at the start; at the end false if the lock was ever dropped, and then it is not held any more
 */
export const getUserPagesLocked: typeof getLocked = kernelFunction('__get_user_pages_locked', getLocked, {
  args: (_mm, request) => requestWords(request),
});

function* getLocked(task: Task, mm: Mm, request: GupRequest, locked?: Locked): Path<GupResult> {
  watch?.gupBegins(mm, request.start, request.nrPages);
  const result = yield* getLockedOrRetry(task, mm, request, locked);
  if (!watch) return result;
  const { pages, base = 0, start, flags } = request;
  const done = typeof result === 'number' ? result : 0;
  watch.gupEnds(pages, base, done);
  if (pages && flags & FOLL_PIN) watch.pinned(mm, start, pages, base, done);
  return result;
}

function* getLockedOrRetry(task: Task, mm: Mm, request: GupRequest, locked?: Locked): Path<GupResult> {
  const { pages, vmas, base = 0 } = request;
  let { flags, start, nrPages } = request;
  if (flags & FOLL_PIN) mm.hasPinned = true;
  if (pages && !(flags & FOLL_PIN)) flags |= FOLL_GET;
  if (!locked) return yield* getUserPagesOnce(task, mm, { start, nrPages, flags, pages, vmas, base });

  let done = 0;
  let dropped = false;
  let result: GupResult;
  for (;;) {
    result = yield* getUserPagesOnce(task, mm, { start, nrPages, flags, pages, base: base + done }, locked);
    if (typeof result === 'number') {
      done += result;
      nrPages -= result;
      start += result * PAGE_SIZE;
    }
    if (nrPages === 0 || locked.held) break;
    dropped = true;
    const one = { start, nrPages: 1, flags: flags | FOLL_TRIED, pages, base: base + done };
    result = yield* retryOne(task, mm, one, locked);
    if (result !== 1) break;
    done++;
    nrPages--;
    start += PAGE_SIZE;
    if (nrPages === 0) break;
  }
  if (dropped && locked.held) {
    mm.mmapLock.unlock(task);
    locked.held = false;
  }
  return partOrError(done, result);
}

/** The page that a fault was retried for, as often as it takes. */
function* retryOne(task: Task, mm: Mm, request: GupRequest, locked: Locked): Path<GupResult> {
  for (;;) {
    if (task.killed) return refuse(task, 'EINTR', 'a SIGKILL is pending');
    yield* mm.mmapLock.read(task);
    locked.held = true;
    const result = yield* getUserPagesOnce(task, mm, request, locked);
    if (locked.held) return result;
  }
}

/** `__gup_longterm_locked`: a long-term pin needs FOLL_PIN. No page of the model has to be moved before it is pinned. */
export const gupLongtermLocked: typeof longtermLocked = kernelFunction('__gup_longterm_locked', longtermLocked, {
  args: (_mm, request) => requestWords(request),
});

function* longtermLocked(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  if (request.flags & FOLL_LONGTERM && !(request.flags & FOLL_PIN)) {
    return refuse(task, 'EINVAL', 'FOLL_LONGTERM without FOLL_PIN');
  }
  return yield* getUserPagesLocked(task, mm, request);
}
