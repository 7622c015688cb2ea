/**
 * Taking a huge page out of all page tables for as long as it moves, and putting it, or its copy, back. mm/rmap.c of Linux 6.1:
 * try_to_migrate; mm/migrate.c: remove_migration_ptes; both as the HGM series has them.
 *
 *   leaf ──tryToMigrate──> migration entry, with the old page's frame ──removeMigrationPtes──> leaf of the same size, of the new page
 *
 * An entry holds no reference, and is no mapping. Its place in the huge page follows from its address.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { makeMigrationEntry, readMigrationEntry } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { Pte } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_WRITE } from '../base/vm-flags.ts';
import { watch } from '../base/watch.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Vma } from '../mm/vma.ts';
import { hugePtepClearFlush, setHugePteAt } from '../page-tables/page-table.ts';
import { PageVmaMappedWalk } from '../page-tables/page-vma-mapped.ts';
import { hugePmdUnshare } from '../page-tables/pmd-share.ts';
import { rmapWalk } from '../page-tables/rmap.ts';
import type { Folio } from '../pool/folio.ts';

/**
 * `try_to_migrate`. The caller has locked the page and has a reference; of a file's page it holds i_mmap_rwsem for writing. Where a VMA lock
 * is taken, or a private page is pinned, it stops: then the page is still mapped somewhere.
 */
export const tryToMigrate: typeof putEntries = kernelFunction('try_to_migrate', putEntries, {
  args: (folio) => `pfn ${hex(folio.pfn)}`,
});

function* putEntries(task: Task, folio: Folio): Path<void> {
  yield* rmapWalk(task, folio, (vma, address) => tryToMigrateOne(task, folio, vma, address), {
    locked: !folio.anon,
    done: () => folio.leaves === 0,
  });
}

/** `try_to_migrate_one`. */
const tryToMigrateOne = kernelFunction('try_to_migrate_one', putEntriesInOne, {
  args: (_folio, vma, address) => `${vma.mm.process}, addr=${hex(address)}`,
});

function* putEntriesInOne(task: Task, folio: Folio, vma: Vma, address: number): Path<boolean> {
  const walk = new PageVmaMappedWalk(task, vma, folio, address);
  while (yield* walk.next()) {
    const { hpte, pte } = walk;
    if (!folio.anon) {
      /* It comes before i_mmap_rwsem, which is held: only try. */
      if (!vma.tryLockWrite(task)) {
        walk.done();
        return false;
      }
      const gather = new MmuGather(vma.mm);
      const unshared = hugePmdUnshare(task, gather, vma, walk.address, hpte);
      vma.unlockWrite(task);
      yield* gather.flushUnsharedTables(task);
      yield* gather.finish(task);
      if (unshared) {
        /* With the table the page is gone from here. Those who still have the table are met later. */
        walk.done();
        return true;
      }
    }
    /* First the entry, then the look for pins: GUP-fast pins first, and then looks at the entry again. */
    yield* hugePtepClearFlush(task, vma.mm, walk.address, hpte);
    if (pte.dirty) folio.dirty = true;
    if (folio.hwpoison) {
      /* What is left of it in page tables is lost: it is not to be touched for a copy. */
      setHugePteAt(vma.mm, walk.address, hpte, Pte.hwpoison(pte.pfn));
      vma.mm.hugetlbUsage -= hpte.pages;
      unmapped(folio, pte, hpte);
      continue;
    }
    const exclusive = folio.anonExclusive;
    if (exclusive && folio.pincount > 0) {
      if (watch) setHugePteAt(vma.mm, walk.address, hpte, pte);
      walk.done();
      return false;
    }
    folio.anonExclusive = false;
    const { machine } = vma.mm;
    const { pfn, young, dirty, softDirty, uffdWp } = pte;
    const kind = pte.write ? 'write' : exclusive ? 'exclusive' : 'read';
    const entry = makeMigrationEntry(machine, { kind, pfn, young, dirty, softDirty, uffdWp });
    setHugePteAt(vma.mm, walk.address, hpte, entry);
    unmapped(folio, pte, hpte);
  }
  return true;
}

/** The entry's mapping and reference are gone. */
function unmapped(folio: Folio, { pfn }: Pte, { pages }: HugetlbPte): void {
  folio.removeRmap(pfn - folio.pfn, pages);
  if (folio.putTestZero()) throw new InvariantError('tryToMigrateOne: the caller has no reference');
}

/**
 * `remove_migration_ptes`.
 *
 * @param old the page that the entries stand for
 * @param folio what is mapped instead: the same, or its copy, which has taken its place in the file
 */
export const removeMigrationPtes: typeof removeEntries = kernelFunction('remove_migration_ptes', removeEntries, {
  args: (old, folio) => `pfn ${hex(old.pfn)}, now pfn ${hex(folio.pfn)}`,
});

function* removeEntries(task: Task, old: Folio, folio: Folio): Path<void> {
  const visit = (vma: Vma, address: number): Path<boolean> => removeMigrationPte(task, old, folio, vma, address);
  yield* rmapWalk(task, folio, visit, { locked: !folio.anon });
}

/** `remove_migration_pte`. */
const removeMigrationPte = kernelFunction('remove_migration_pte', removeEntriesInOne, {
  args: (_old, _folio, vma, address) => `${vma.mm.process}, addr=${hex(address)}`,
});

function* removeEntriesInOne(task: Task, old: Folio, folio: Folio, vma: Vma, address: number): Path<boolean> {
  const { mm } = vma;
  const walk = new PageVmaMappedWalk(task, vma, old, address, true);
  while (yield* walk.next()) {
    const { hpte } = walk;
    const { kind, young, dirty, softDirty, uffdWp } = readMigrationEntry(mm.machine, walk.pte);
    const page = (walk.address - address) / PAGE_SIZE;
    folio.get();
    /* With the rights that the VMA has by now. */
    let pte = Pte.of(folio.pfn + page, vma.protection);
    if (softDirty) pte = pte.mksoftDirty();
    if (!young) pte = pte.mkold();
    if (dirty && folio.dirty) pte = pte.mkdirty();
    if (kind === 'write') {
      if (vma.flags & VM_WRITE) pte = pte.mkwrite();
    } else pte = uffdWp ? pte.mkuffdWp() : pte.wrprotect();
    if (folio.anon) folio.addAnonRmap(kind !== 'read');
    else folio.addFileRmap(page, hpte.pages);
    setHugePteAt(mm, walk.address, hpte, pte.mkhuge(hpte.shift));
  }
  return true;
}
