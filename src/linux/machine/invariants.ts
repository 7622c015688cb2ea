/**
 * What must hold whenever nobody is in the kernel. Every count that the kernel keeps is counted again, from page tables,
 * page caches and reserve maps.
 *
 *   nr_hugepages  = free + in use                  resv_hugepages ≤ free, unless a mount has a minimum
 *   references    = entries + page cache + GUP's   map counts     = entries, of the whole and of each piece
 *                  + memory failure's
 *   resv_hugepages = shared maps' entries without a page in the cache
 *                  + private owners' indexes that are not in their maps
 *                  + what is left of mounts' minima
 *                  + what Linux lost by mistakes of its own
 */
import { InvariantError } from '../../core/errors.ts';
import { VM_UFFD_FLAGS } from '../base/vm-flags.ts';
import type { Mm } from '../mm/mm.ts';
import { entryAt, PUD_SIZE } from '../page-tables/page-table.ts';
import { wantPmdShare } from '../page-tables/pmd-share.ts';
import type { Folio } from '../pool/folio.ts';
import type { Hstate } from '../pool/hstate.ts';
import type { Machine } from './machine.ts';
import { type Mapped, recount } from './recount.ts';

const PMD_SHIFT = 21;

/** @throws InvariantError that names the count, what it is and what it should be */
export function checkInvariants(machine: Machine): void {
  const { mapped, usage } = recount(machine);
  for (const hstate of machine.hstates) {
    checkPool(machine, hstate);
    checkReservations(machine, hstate);
  }
  for (const folio of machine.folios()) checkFolio(folio, mapped.get(folio) ?? UNMAPPED);
  for (const { mm } of machine.processes) {
    /* Linux counts for whoever faults and unmaps, which are not the same where tables are shared. */
    if (!mm.hasSharedTables)
      expectEqual(`hugetlb_usage of ${mm.process}`, mm.hugetlbUsage, usage.get(mm)! + mm.miscounted);
    checkUserfaultfds(mm);
    checkSharedTables(mm);
  }
}

function expectEqual(what: string, found: number, expected: number): void {
  if (found !== expected) throw new InvariantError(`checkInvariants: ${what} is ${found}, expected ${expected}`);
}

const UNMAPPED: Mapped = { entries: 0, whole: 0, pieces: undefined };

function checkFolio(folio: Folio, { entries, whole, pieces }: Mapped): void {
  const name = `of pfn 0x${folio.pfn.toString(16)}`;
  const cached = folio.pageCache ? 1 : 0;
  expectEqual(`the count of entries ${name}`, folio.leaves, entries);
  const perHead = folio.hstate.machine.mapcounts === 'head';
  expectEqual(`the map count ${name}`, folio.mapcount, perHead ? entries : whole);
  if (folio.countsPieces || (pieces && !perHead)) checkPieces(folio, whole, pieces, name);
  expectEqual(
    `the reference count ${name}`,
    folio.refcount,
    entries + cached + folio.pincount + folio.getcount + folio.hwpoisonReferences,
  );
  if (cached && folio.pageCache?.find(folio.index) !== folio) {
    throw new InvariantError(`checkInvariants: the page cache does not know ${name.slice(3)}`);
  }
  if (folio.anonExclusive && entries > 1)
    throw new InvariantError(`checkInvariants: exclusive and mapped twice: ${name}`);
  if (folio.lock.isHeld) throw new InvariantError(`checkInvariants: locked: ${name}`);
}

function checkPieces(folio: Folio, whole: number, pieces: Int32Array | undefined, name: string): void {
  for (let page = 0; page < folio.pages; page++) {
    const found = folio.pageMapcount(page) - whole;
    const expected = pieces?.[page] ?? 0;
    if (found !== expected) expectEqual(`the map count of page ${page} ${name}`, found, expected);
  }
}

function checkPool(machine: Machine, hstate: Hstate): void {
  let inUse = 0;
  for (const folio of machine.folios()) if (folio.hstate === hstate) inUse++;
  expectEqual('nr_hugepages', hstate.nrHugePages, hstate.freeHugePages + inUse);
  if (
    (hstate.available < 0 && !hstate.hadMinimum) ||
    hstate.surplusHugePages < 0 ||
    hstate.surplusHugePages > hstate.nrHugePages
  ) {
    throw new InvariantError(
      `checkInvariants: free ${hstate.freeHugePages}, reserved ${hstate.resvHugePages}, surplus ${hstate.surplusHugePages} of ${hstate.nrHugePages}`,
    );
  }
}

function checkReservations(machine: Machine, hstate: Hstate): void {
  let reserved = hstate.lostReservations;
  for (const inode of machine.inodes) {
    if (inode.hstate !== hstate) continue;
    expectEqual(`addsInProgress of ${inode.name}`, inode.reserveMap.addsInProgress, 0);
    for (const { from, to } of inode.reserveMap) {
      reserved += to - from - inode.pageCache.range(from, to).length;
    }
    for (const { index } of inode.pageCache.folios()) {
      expectEqual(
        `the reserve map's entry for page ${index} of ${inode.name}`,
        inode.reserveMap.count(index, index + 1),
        1,
      );
    }
  }
  for (const { mm } of machine.processes) {
    for (const vma of mm.vmas) {
      if (vma.hstate !== hstate || !vma.ownsReserves || !vma.privateMap) continue;
      const from = vma.hugeIndex(vma.start);
      const to = vma.hugeIndex(vma.end);
      reserved += to - from - vma.privateMap.count(from, to);
    }
  }
  for (const subpool of machine.subpools) {
    if (subpool.hstate === hstate && subpool.minPages !== -1) reserved += subpool.reservedPages;
  }
  expectEqual('resv_hugepages', hstate.resvHugePages, reserved);
}

/** A range that is registered has a userfaultfd, of this process, that is open, and no other range has. */
function checkUserfaultfds(mm: Mm): void {
  for (const { start, flags, userfaultfd } of mm.vmas) {
    if ((userfaultfd !== undefined) === ((flags & VM_UFFD_FLAGS) !== 0) && (userfaultfd?.mm ?? mm) === mm) continue;
    throw new InvariantError(`checkInvariants: ${mm.process} at 0x${start.toString(16)}: not its userfaultfd`);
  }
}

/** A table that processes share lies under a mapping that may share it: see page-tables/pmd-share.ts. */
function checkSharedTables(mm: Mm): void {
  if (!mm.hasSharedTables) return;
  const { tables } = mm.machine;
  for (const vma of mm.vmas) {
    for (let address = vma.start; address < vma.end; address = (Math.floor(address / PUD_SIZE) + 1) * PUD_SIZE) {
      const pmd = entryAt(mm, address, PMD_SHIFT);
      if (pmd === undefined || tables.page(pmd).shareCount === 0 || wantPmdShare(vma, address)) continue;
      throw new InvariantError(
        `checkInvariants: ${mm.process} at 0x${address.toString(16)}: a table that others use, under a mapping that may not share`,
      );
    }
  }
}
