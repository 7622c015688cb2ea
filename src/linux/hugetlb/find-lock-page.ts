/**
 * A page of a file, locked. mm/filemap.c of Linux 6.1: find_lock_page.
 */
import { kernelFunction } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { resultWords } from '../base/trace-words.ts';
import type { Folio } from '../pool/folio.ts';
import type { PageCache } from '../pool/page-cache.ts';
import { putPage } from './alloc-page.ts';

/** The page at an index, with a reference and its lock; it may have been truncated while its lock was waited for. */
export const findLockPage: typeof find = kernelFunction('find_lock_page', find, {
  args: ({ file }, index) => `${file}, idx=${index}`,
  result: (folio) => (folio ? resultWords(folio) : 'NULL'),
});

function* find(task: Task, pageCache: PageCache, index: number): Path<Folio | undefined> {
  for (;;) {
    const folio = pageCache.find(index);
    if (!folio) return undefined;
    folio.get();
    yield* folio.lock.write(task);
    if (folio.pageCache === pageCache && folio.index === index) return folio;
    yield* unlockAndPut(task, folio);
  }
}

/** `unlock_page` and `put_page`. */
export function* unlockAndPut(task: Task, folio: Folio): Path<void> {
  folio.lock.unlock(task);
  yield* putPage(task, folio);
}
