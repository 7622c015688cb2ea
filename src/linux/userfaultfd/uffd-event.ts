/**
 * What a userfaultfd is told beside faults. fs/userfaultfd.c of Linux 6.1: dup_userfaultfd, dup_userfaultfd_complete,
 * mremap_userfaultfd_prep, mremap_userfaultfd_complete, userfaultfd_remove, userfaultfd_unmap_prep,
 * userfaultfd_unmap_complete, userfaultfd_event_wait_completion.
 *
 * Who acts prepares with mmap_lock held: from then on UFFDIO_COPY and its like are EAGAIN. With the lock dropped it
 * queues the event, and sleeps until it is read, the userfaultfd is closed, or a SIGKILL comes.
 */
import { rangeWords } from '../base/flag-words.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { type Path, sleepUntil, type Task } from '../base/task.ts';
import {
  UFFD_EVENT_FORK,
  UFFD_EVENT_REMAP,
  UFFD_EVENT_REMOVE,
  UFFD_EVENT_UNMAP,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
} from '../base/uffd-uapi.ts';
import type { Mm } from '../mm/mm.ts';
import type { UffdEvent, UffdEventBody } from '../mm/userfaultfd.ts';
import { eventWords, recordMessage, Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';

const NAMES: Readonly<Record<UffdEventBody['event'], string>> = {
  [UFFD_EVENT_FORK]: 'a fork',
  [UFFD_EVENT_REMAP]: 'an mremap',
  [UFFD_EVENT_REMOVE]: 'pages being removed',
  [UFFD_EVENT_UNMAP]: 'an munmap',
};

/** `userfaultfd_event_wait_completion`. */
const waitForReader = kernelFunction('userfaultfd_event_wait_completion', waitForRead, {
  args: (_context, body) => NAMES[body.event],
});

function* waitForRead(task: Task, context: Userfaultfd, body: UffdEventBody): Path<void> {
  const event: UffdEvent = { body, done: false };
  context.events.add(event);
  recordMessage(task, 'queued', context, eventWords(body));
  const what = `a userfaultfd to be read: ${NAMES[body.event]}`;
  yield* sleepUntil(task, what, context, () => event.done || context.released);
  context.events.delete(event);
  if (!event.done && body.event === UFFD_EVENT_FORK) yield* abandonChild(task, body.child);
  context.mmapChanging--;
}

/** Nobody will ever have the child's userfaultfd: its ranges are unregistered. */
function* abandonChild(task: Task, child: Userfaultfd): Path<void> {
  yield* child.mm.mmapLock.write(task);
  for (const vma of child.mm.vmas) if (vma.userfaultfd === child) vma.forgetUserfaultfd();
  child.mm.mmapLock.unlock(task);
}

/** The userfaultfds that a fork's child gets: for each of the parent's, its own. */
export type ForkedUserfaultfds = Map<Userfaultfd, Userfaultfd>;

/** `dup_userfaultfd`, of a fork's copy of a VMA. */
export function dupUserfaultfd(copy: Vma, forked: ForkedUserfaultfds): void {
  const context = copy.userfaultfd;
  if (!context?.has(UFFD_FEATURE_EVENT_FORK)) {
    copy.forgetUserfaultfd();
    return;
  }
  let child = forked.get(context);
  if (!child) {
    child = new Userfaultfd(copy.mm, context.flags);
    child.features = context.features;
    context.mmapChanging++;
    forked.set(context, child);
  }
  copy.userfaultfd = child;
}

/** `dup_userfaultfd_complete`, with no lock held. Linux 6.1 tells also of a fork that has failed. */
export const dupUserfaultfdComplete: typeof forkComplete = kernelFunction('dup_userfaultfd_complete', forkComplete);

function* forkComplete(task: Task, forked: ForkedUserfaultfds): Path<void> {
  for (const [context, child] of forked) yield* waitForReader(task, context, { event: UFFD_EVENT_FORK, child });
}

/** `mremap_userfaultfd_prep`, of the moved copy: whom to tell. Without the feature the copy is nobody's. */
export function mremapUserfaultfdPrep(copy: Vma): Userfaultfd | undefined {
  const context = copy.userfaultfd;
  if (!context?.has(UFFD_FEATURE_EVENT_REMAP)) {
    copy.forgetUserfaultfd();
    return undefined;
  }
  context.mmapChanging++;
  return context;
}

/** `mremap_userfaultfd_complete`, with no lock held. */
export function* mremapUserfaultfdComplete(
  task: Task,
  context: Userfaultfd | undefined,
  from: number,
  to: number,
  length: number,
): Path<void> {
  if (context) yield* waitForReader(task, context, { event: UFFD_EVENT_REMAP, from, to, length });
}

/**
 * `userfaultfd_remove`, with mmap_lock held for reading.
 *
 * @returns true if nobody had to be told; false after mmap_lock was dropped: the VMA may be another now
 */
export const userfaultfdRemove: typeof removeWithEvent = kernelFunction('userfaultfd_remove', removeWithEvent, {
  args: (_vma, start, end) => rangeWords(start, end),
});

function* removeWithEvent(task: Task, vma: Vma, start: number, end: number): Path<boolean> {
  const { mm, userfaultfd: context } = vma;
  if (!context?.has(UFFD_FEATURE_EVENT_REMOVE)) return true;
  context.mmapChanging++;
  mm.mmapLock.unlock(task);
  yield* waitForReader(task, context, { event: UFFD_EVENT_REMOVE, start, end });
  return false;
}

/** Whom to tell of ranges that were unmapped. */
export type UnmapEvents = { readonly context: Userfaultfd; readonly start: number; readonly end: number }[];

/** `userfaultfd_unmap_prep`, before anything is unmapped: each userfaultfd once, with the whole range. */
export function userfaultfdUnmapPrep(mm: Mm, start: number, end: number, unmaps: UnmapEvents): void {
  for (const { userfaultfd: context } of mm.intersecting(start, end)) {
    if (!context?.has(UFFD_FEATURE_EVENT_UNMAP)) continue;
    if (unmaps.some((told) => told.context === context && told.start === start && told.end === end)) continue;
    context.mmapChanging++;
    unmaps.push({ context, start, end });
  }
}

/** `userfaultfd_unmap_complete`, with no lock held. */
export function* userfaultfdUnmapComplete(task: Task, unmaps: UnmapEvents): Path<void> {
  for (const { context, start, end } of unmaps) {
    yield* waitForReader(task, context, { event: UFFD_EVENT_UNMAP, start, end });
  }
}
