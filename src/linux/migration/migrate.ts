/**
 * Moving a huge page to other memory while it is in use. mm/migrate.c of Linux 6.1: migrate_pages, migrate_hugetlbs,
 * unmap_and_move_huge_page, migrate_huge_page_move_mapping, alloc_migration_target; mm/hugetlb.c: folio_isolate_hugetlb,
 * folio_putback_hugetlb, alloc_huge_page_nodemask, move_hugetlb_state; fs/hugetlbfs/inode.c: hugetlbfs_migrate_folio. One node.
 *
 *   isolate ──> new page ──> page lock ──> entries ──> copy, file ──> leaves ──> old page freed
 *                               └── whoever faults meanwhile waits for the page lock, and faults again
 *
 * A page can move that nobody has a reference to but the page tables, its file, and who moves it. A pin is such a reference.
 */
import { hex } from '../../core/errors.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { putPage } from '../hugetlb/alloc-page.ts';
import type { Folio } from '../pool/folio.ts';
import { removeMigrationPtes, tryToMigrate } from './migration-ptes.ts';

/** `NR_MAX_MIGRATE_PAGES_RETRY`. */
const MOST_TRIES = 10;
/** Tries that do not wait for the page lock. */
const IMPATIENT_TRIES = 3;

/**
 * How a migration ends. 'EBUSY': the page is free, or somebody moves it already, or it is a private page of a mount with limits, which Linux
 * cannot tell from one that is being freed; 'EAGAIN': somebody had a reference at each of ten tries; 'ENOMEM': there is no page to move it to.
 */
export type Migrated = 'OK' | 'EBUSY' | 'EAGAIN' | 'ENOMEM';

/** `migrate_pages` of one page, as move_pages(2) and memory hot-remove have it done. */
export const migratePage: typeof migrate = kernelFunction('migrate_pages', migrate, {
  args: (folio) => `pfn ${hex(folio.pfn)}`,
});

function* migrate(task: Task, folio: Folio): Path<Migrated> {
  if (!(yield* isolate(task, folio))) return refuse(task, 'EBUSY', 'the page is free, or somebody moves it already');
  let result: Migrated = 'EAGAIN';
  for (let pass = 0; pass < MOST_TRIES && result === 'EAGAIN'; pass++) {
    yield* preemptionPoint(task, folio);
    result = yield* unmapAndMove(task, folio, pass >= IMPATIENT_TRIES);
  }
  if (result !== 'OK') yield* putback(task, folio);
  return result;
}

/** `folio_isolate_hugetlb`: takes a reference, and keeps others from moving it. False of a page that is free, or isolated already. */
const isolate = kernelFunction('folio_isolate_hugetlb', takeAside, { args: (folio) => `pfn ${hex(folio.pfn)}` });

function* takeAside(task: Task, folio: Folio): Path<boolean> {
  const { hugetlbLock } = folio.hstate.machine;
  yield* hugetlbLock.write(task);
  const can = folio.migratable && folio.refcount > 0;
  if (can) {
    folio.get();
    folio.migratable = false;
  }
  hugetlbLock.unlock(task);
  return can;
}

/** `folio_putback_hugetlb`. */
const putback = kernelFunction('folio_putback_hugetlb', giveBack, { args: (folio) => `pfn ${hex(folio.pfn)}` });

function* giveBack(task: Task, folio: Folio): Path<void> {
  const { hugetlbLock } = folio.hstate.machine;
  yield* hugetlbLock.write(task);
  folio.migratable = true;
  hugetlbLock.unlock(task);
  yield* putPage(task, folio);
}

/** `alloc_migration_target`: a page of the pool that nobody was promised; else, if it is not gigantic, one beyond the pool. */
const newPage = kernelFunction('alloc_migration_target', targetPage);

function* targetPage(task: Task, { hstate }: Folio): Path<Folio | undefined> {
  const { hugetlbLock } = hstate.machine;
  yield* hugetlbLock.write(task);
  const folio = hstate.dequeueAvailable();
  hugetlbLock.unlock(task);
  return folio ?? (yield* hstate.allocTemporary(task));
}

/** `unmap_and_move_huge_page`: one try. Of a page that has moved, the isolation is undone. @param force waits for the page lock */
const unmapAndMove = kernelFunction('unmap_and_move_huge_page', tryOnce, { args: (old) => `pfn ${hex(old.pfn)}` });

function* tryOnce(task: Task, old: Folio, force: boolean): Path<Migrated> {
  if (old.refcount === 1) {
    /* Everybody else has let it go: with that, it is free. */
    yield* putback(task, old);
    return 'OK';
  }
  const fresh = yield* newPage(task, old);
  if (!fresh) return refuse(task, 'ENOMEM', 'no page to move it to');
  let result: Migrated = 'EAGAIN';
  if (old.lock.tryWrite(task) || force) {
    if (!old.lock.isWriteHeldBy(task)) yield* old.lock.write(task);
    result =
      old.subpool && !old.pageCache
        ? refuse(task, 'EBUSY', 'a private page of a mount with limits: it may be about to be freed')
        : yield* moveLocked(task, old, fresh);
    old.lock.unlock(task);
  }
  if (result === 'OK') yield* putback(task, old);
  yield* putPage(task, fresh);
  return result;
}

/** The part with the page lock. The new page is locked, too: what is mapped again at the end is not to be found unlocked. */
function* moveLocked(task: Task, old: Folio, fresh: Folio): Path<'OK' | 'EAGAIN'> {
  if (!fresh.lock.tryWrite(task)) return refuse(task, 'EAGAIN', 'the new page is locked');
  const result = yield* moveMapped(task, old, fresh);
  fresh.lock.unlock(task);
  if (result === 'OK') yield* moveHugetlbState(task, old, fresh);
  return result;
}

function* moveMapped(task: Task, old: Folio, fresh: Folio): Path<'OK' | 'EAGAIN'> {
  if (old.leaves === 0) return moveToNewFolio(task, old, fresh);
  /* Of a file's page, i_mmap_rwsem comes before the page lock: only try. */
  const iMmapRwsem = old.anon ? undefined : old.pageCache?.iMmapRwsem;
  if (!old.anon && !iMmapRwsem?.tryWrite(task)) return refuse(task, 'EAGAIN', 'i_mmap_rwsem is taken');
  yield* tryToMigrate(task, old);
  const result =
    old.leaves === 0
      ? moveToNewFolio(task, old, fresh)
      : refuse(task, 'EAGAIN', 'the page is still mapped: pinned, or a VMA lock is taken');
  yield* removeMigrationPtes(task, old, result === 'OK' ? fresh : old);
  iMmapRwsem?.unlock(task);
  return result;
}

/** `move_to_new_folio`: unless somebody has a reference, the new page takes the old one's place, and its contents. */
function moveToNewFolio(task: Task, old: Folio, fresh: Folio): 'OK' | 'EAGAIN' {
  const { pageCache } = old;
  const expected = pageCache ? 2 : 1;
  if (old.refcount !== expected) {
    return refuse(task, 'EAGAIN', `_refcount is ${old.refcount}, not ${expected}: somebody has a reference`);
  }
  if (pageCache) {
    pageCache.replace(old, fresh);
    fresh.subpool = old.subpool;
    old.subpool = undefined;
  } else {
    fresh.index = old.index;
    fresh.anon = old.anon;
    fresh.anonVma = old.anonVma;
  }
  fresh.contents.copyFrom(old.contents);
  fresh.uptodate = old.uptodate;
  fresh.dirty = old.dirty;
  return 'OK';
}

/** `move_hugetlb_state`: if one of the two is beyond the pool, it is the old one now. */
const moveHugetlbState = kernelFunction('move_hugetlb_state', moveState, {
  args: (old, fresh) => `pfn ${hex(old.pfn)}, now pfn ${hex(fresh.pfn)}`,
});

function* moveState(task: Task, old: Folio, fresh: Folio): Path<void> {
  const { hugetlbLock } = old.hstate.machine;
  if (fresh.temporary) {
    old.temporary = true;
    fresh.temporary = false;
  }
  yield* hugetlbLock.write(task);
  fresh.migratable = true;
  hugetlbLock.unlock(task);
}
