/**
 * The functions that drivers and file systems call. mm/gup.c of Linux 6.1: is_valid_gup_flags, get_user_pages,
 * get_user_pages_remote, pin_user_pages, pin_user_pages_remote, get_user_pages_unlocked, get_user_pages_fast and its like.
 *
 * Where the kernel's caller holds mmap_lock, it is taken here, around the call.
 */
import { FOLL_FAST_ONLY, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_REMOTE, FOLL_TOUCH } from '../base/gup-flags.ts';
import type { Path, Task } from '../base/task.ts';
import type { Mm } from '../mm/mm.ts';
import type { PageList } from '../pool/pin.ts';
import type { Locked } from './follow-hugetlb-page.ts';
import { type GupRequest, type GupResult, getUserPagesLocked, gupLongtermLocked } from './gup.ts';
import { internalGetUserPagesFast } from './gup-fast.ts';

/** What GUP-fast is asked for: it needs a list. */
export interface FastRequest {
  readonly start: number;
  readonly nrPages: number;
  readonly flags: number;
  readonly pages: PageList;
}

/** `is_valid_gup_flags`: pins are for the pin functions, and long-term is a kind of pin. */
function areValid(flags: number): boolean {
  return (flags & (FOLL_PIN | FOLL_LONGTERM)) === 0;
}

/** Whether a request to pin can be one. */
function maySetPin({ flags, pages }: Pick<GupRequest, 'flags' | 'pages'>): boolean {
  return (flags & FOLL_GET) === 0 && pages !== undefined;
}

function withFlags<R extends { readonly flags: number }>(request: R, flags: number): R {
  return { ...request, flags: request.flags | flags };
}

/** `get_user_pages`. */
export function* getUserPages(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  if (!areValid(request.flags)) return 'EINVAL';
  return yield* underMmapLock(task, mm, gupLongtermLocked(task, mm, withFlags(request, FOLL_TOUCH)));
}

/** `pin_user_pages`. */
export function* pinUserPages(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  if (!maySetPin(request)) return 'EINVAL';
  return yield* underMmapLock(task, mm, gupLongtermLocked(task, mm, withFlags(request, FOLL_PIN)));
}

/** `get_user_pages_remote`. @param locked see {@link getUserPagesLocked} */
export function* getUserPagesRemote(task: Task, mm: Mm, request: GupRequest, locked?: Locked): Path<GupResult> {
  if (!areValid(request.flags)) return 'EINVAL';
  return yield* remote(task, mm, request, locked);
}

/** `pin_user_pages_remote`. */
export function* pinUserPagesRemote(task: Task, mm: Mm, request: GupRequest, locked?: Locked): Path<GupResult> {
  if (!maySetPin(request)) return 'EINVAL';
  return yield* remote(task, mm, withFlags(request, FOLL_PIN), locked);
}

/** `__get_user_pages_remote`: a long-term pin cannot do with a dropped lock. */
function* remote(task: Task, mm: Mm, request: GupRequest, locked: Locked | undefined): Path<GupResult> {
  const longterm = (request.flags & FOLL_LONGTERM) !== 0;
  if (longterm && locked) return 'EINVAL';
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
export function* getUserPagesFast(task: Task, mm: Mm, request: FastRequest): Path<GupResult> {
  if (!areValid(request.flags)) return 'EINVAL';
  return yield* internalGetUserPagesFast(task, mm, withFlags(request, FOLL_GET));
}

/** `pin_user_pages_fast`. */
export function* pinUserPagesFast(task: Task, mm: Mm, request: GupRequest): Path<GupResult> {
  const { start, nrPages, flags, pages } = request;
  if (flags & FOLL_GET || !pages) return 'EINVAL';
  return yield* internalGetUserPagesFast(task, mm, { start, nrPages, flags: flags | FOLL_PIN, pages });
}

/** `get_user_pages_fast_only`: never an error. */
export function* getUserPagesFastOnly(task: Task, mm: Mm, request: FastRequest): Path<number> {
  const result = yield* internalGetUserPagesFast(task, mm, withFlags(request, FOLL_GET | FOLL_FAST_ONLY));
  return typeof result === 'number' ? result : 0;
}
