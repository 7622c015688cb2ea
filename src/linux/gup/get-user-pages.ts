/**
 * The functions that drivers and file systems call. mm/gup.c of Linux 6.1: is_valid_gup_flags, get_user_pages,
 * get_user_pages_remote, pin_user_pages, pin_user_pages_remote, get_user_pages_unlocked, get_user_pages_fast and its like.
 *
 * Where the kernel's caller holds mmap_lock, it is taken here, around the call.
 */
import { follWords } from '../base/flag-words.ts';
import { FOLL_FAST_ONLY, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_REMOTE, FOLL_TOUCH } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import type { Mm } from '../mm/mm.ts';
import type { Locked } from './follow-hugetlb-page.ts';
import { type GupRequest, type GupResult, getUserPagesLocked, gupLongtermLocked, requestWords } from './gup.ts';
import { type FastRequest, internalGetUserPagesFast } from './gup-fast.ts';

/** `is_valid_gup_flags`: pins are for the pin functions, and long-term is a kind of pin. */
function areValid(task: Task, flags: number): boolean {
  const pins = flags & (FOLL_PIN | FOLL_LONGTERM);
  if (pins !== 0) refuse(task, 'EINVAL', `${follWords(pins)} is for the pin functions alone`);
  return pins === 0;
}

/** Whether a request to pin can be one. */
function maySetPin(task: Task, { flags, pages }: Pick<GupRequest, 'flags' | 'pages'>): boolean {
  if (flags & FOLL_GET) refuse(task, 'EINVAL', 'FOLL_GET with FOLL_PIN');
  else if (!pages) refuse(task, 'EINVAL', 'pins without a list of pages to give back');
  else return true;
  return false;
}

function withFlags<R extends { readonly flags: number }>(request: R, flags: number): R {
  return { ...request, flags: request.flags | flags };
}

/** `get_user_pages`. */
export const getUserPages: typeof getPages = kernelFunction('get_user_pages', getPages, {
  args: (_mm, request) => requestWords(request),
});

function* getPages(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  if (!areValid(task, request.flags)) return 'EINVAL';
  return yield* underMmapLock(task, mm, gupLongtermLocked(task, mm, withFlags(request, FOLL_TOUCH)));
}

/** `pin_user_pages`. */
export const pinUserPages: typeof pinPages = kernelFunction('pin_user_pages', pinPages, {
  args: (_mm, request) => requestWords(request),
});

function* pinPages(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  if (!maySetPin(task, request)) return 'EINVAL';
  return yield* underMmapLock(task, mm, gupLongtermLocked(task, mm, withFlags(request, FOLL_PIN)));
}

/** `get_user_pages_remote`. @param locked see {@link getUserPagesLocked} */
export const getUserPagesRemote: typeof getRemote = kernelFunction('get_user_pages_remote', getRemote, {
  args: (mm, request) => `${mm.process}, ${requestWords(request)}`,
});

function* getRemote(task: Task, mm: Mm, request: GupRequest, locked?: Locked): Path<GupResult> {
  if (!areValid(task, request.flags)) return 'EINVAL';
  return yield* remote(task, mm, request, locked);
}

/** `pin_user_pages_remote`. */
export const pinUserPagesRemote: typeof pinRemote = kernelFunction('pin_user_pages_remote', pinRemote, {
  args: (mm, request) => `${mm.process}, ${requestWords(request)}`,
});

function* pinRemote(task: Task, mm: Mm, request: GupRequest, locked?: Locked): Path<GupResult> {
  if (!maySetPin(task, request)) return 'EINVAL';
  return yield* remote(task, mm, withFlags(request, FOLL_PIN), locked);
}

/** `__get_user_pages_remote`: a long-term pin cannot do with a dropped lock. */
function* remote(task: Task, mm: Mm, request: GupRequest, locked: Locked | undefined): Path<GupResult> {
  const longterm = (request.flags & FOLL_LONGTERM) !== 0;
  if (longterm && locked) return refuse(task, 'EINVAL', 'FOLL_LONGTERM, and mmap_lock may not be dropped for it');
  const asked = withFlags(request, FOLL_TOUCH | FOLL_REMOTE);
  const path = longterm ? gupLongtermLocked(task, mm, asked) : getUserPagesLocked(task, mm, asked, locked);
  return yield* underMmapLock(task, mm, path, locked);
}

function* underMmapLock(task: Task, mm: Mm, path: Path<GupResult>, locked?: Locked): Path<GupResult> {
  yield* mm.mmapLock.read(task);
  const result = yield* path;
  if (!locked || locked.held) mm.mmapLock.unlock(task);
  return result;
}

/** `get_user_pages_fast`. */
export const getUserPagesFast: typeof getFast = kernelFunction('get_user_pages_fast', getFast, {
  args: (_mm, request) => requestWords(request),
});

function* getFast(task: Task, mm: Mm, request: FastRequest): Path<GupResult> {
  if (!areValid(task, request.flags)) return 'EINVAL';
  return yield* internalGetUserPagesFast(task, mm, withFlags(request, FOLL_GET));
}

/** `pin_user_pages_fast`. */
export const pinUserPagesFast: typeof pinFast = kernelFunction('pin_user_pages_fast', pinFast, {
  args: (_mm, request) => requestWords(request),
});

function* pinFast(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  const { start, nrPages, flags, pages } = request;
  if (!maySetPin(task, request) || !pages) return 'EINVAL';
  return yield* internalGetUserPagesFast(task, mm, { start, nrPages, flags: flags | FOLL_PIN, pages });
}

/** `get_user_pages_fast_only`: never an error. */
export const getUserPagesFastOnly: typeof getFastOnly = kernelFunction('get_user_pages_fast_only', getFastOnly, {
  args: (_mm, request) => requestWords(request),
});

function* getFastOnly(task: Task, mm: Mm, request: FastRequest): Path<number> {
  const result = yield* internalGetUserPagesFast(task, mm, withFlags(request, FOLL_GET | FOLL_FAST_ONLY));
  return typeof result === 'number' ? result : 0;
}
