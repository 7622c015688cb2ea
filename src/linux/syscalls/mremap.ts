/**
 * mremap. mm/mremap.c of Linux 6.1: mremap, mremap_to, vma_to_resize, move_vma; mm/hugetlb.c: move_hugetlb_page_tables,
 * move_huge_pte, clear_vma_resv_huge_pages.
 */
import { hex } from '../../core/errors.ts';
import type { Errno, Hang } from '../base/errno.ts';
import { mremapWords } from '../base/flag-words.ts';
import { HGM_POSTED_SPLIT_LOSES_HGM } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { swpClearUffdWp } from '../base/migration-entry.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PTE_NONE } from '../base/pte.ts';
import type { Path, Task } from '../base/task.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../base/uapi.ts';
import { UFFD_FEATURE_EVENT_REMAP } from '../base/uffd-uapi.ts';
import { VM_HUGETLB_HGM } from '../base/vm-flags.ts';
import { watch } from '../base/watch.ts';
import type { HugetlbPte } from '../mm/hugetlb-pte.ts';
import { type Mm, TASK_SIZE } from '../mm/mm.ts';
import { MmuGather } from '../mm/mmu-gather.ts';
import type { Userfaultfd } from '../mm/userfaultfd.ts';
import type { Vma } from '../mm/vma.ts';
import { hugetlbFullWalkAlloc } from '../page-tables/hgm-walk.ts';
import { endOfTable, hugePteOffset, hugetlbFullWalkContinue, setHugePteAt } from '../page-tables/page-table.ts';
import { hugePmdUnshare, wantsSharedTable } from '../page-tables/pmd-share.ts';
import {
  mremapUserfaultfdComplete,
  mremapUserfaultfdPrep,
  type UnmapEvents,
  userfaultfdUnmapComplete,
} from '../userfaultfd/uffd-event.ts';
import { getUnmappedArea } from './mmap.ts';
import { doMunmap } from './munmap.ts';

/** What mremap was asked for. Bytes. */
export interface MremapRequest {
  readonly address: number;
  readonly oldLength: number;
  readonly newLength: number;
  readonly flags: number;
  readonly newAddress: number;
}

/** mremap(2): the new address. Huge pages can be moved and cut short, never grown. */
export const sysMremap: typeof mremap = kernelFunction('mremap', mremap, {
  args: (_mm, { address, oldLength, newLength, flags, newAddress }) =>
    `addr=${hex(address)}, old_len=${hex(oldLength)}, new_len=${hex(newLength)}, flags=${mremapWords(flags)}, new_addr=${hex(newAddress)}`,
});

function* mremap(task: Task, mm: Mm, request: MremapRequest): Path<number | Errno | Hang> {
  const { address, flags, oldLength, newLength } = request;
  if (flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) {
    return refuse(task, 'EINVAL', `flags ${mremapWords(flags)} has bits that are not known`);
  }
  if (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)) {
    return refuse(task, 'EINVAL', 'MREMAP_FIXED without MREMAP_MAYMOVE');
  }
  if (flags & MREMAP_DONTUNMAP && (!(flags & MREMAP_MAYMOVE) || oldLength !== newLength)) {
    return refuse(task, 'EINVAL', 'MREMAP_DONTUNMAP without MREMAP_MAYMOVE, or with another length');
  }
  if (address % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `addr ${hex(address)} is not aligned to a page`);
  if (newLength === 0) return refuse(task, 'EINVAL', 'new_len is 0');
  const events: MremapEvents = { early: [], late: [], moved: undefined, length: 0 };
  yield* mm.mmapLock.write(task);
  const result = yield* remap(task, mm, request, events);
  mm.mmapLock.unlock(task);
  yield* userfaultfdUnmapComplete(task, events.early);
  if (typeof result === 'number') {
    yield* mremapUserfaultfdComplete(task, events.moved, address, result, events.length);
  }
  yield* userfaultfdUnmapComplete(task, events.late);
  return result;
}

/** Whom to tell when mmap_lock is dropped. */
interface MremapEvents {
  /** Of what was mapped at the new place. */
  readonly early: UnmapEvents;
  /** Of the old place, which is unmapped in the end, and of what is cut off. */
  readonly late: UnmapEvents;
  /** Of the mapping that was moved. */
  moved: Userfaultfd | undefined;
  /** The length that it is told: the old one, though only the new one is moved. */
  length: number;
}

function* remap(task: Task, mm: Mm, request: MremapRequest, events: MremapEvents): Path<number | Errno | Hang> {
  const { address, flags, newAddress } = request;
  const vma = mm.vmaLookup(address);
  if (!vma) return refuse(task, 'EFAULT', `nothing is mapped at ${hex(address)}`);
  const { size } = vma.hstate;
  const oldLength = Math.ceil(request.oldLength / size) * size;
  const newLength = Math.ceil(request.newLength / size) * size;
  if (address % size !== 0) return refuse(task, 'EINVAL', `addr ${hex(address)} is not aligned to the huge page`);
  if (newAddress % size !== 0) {
    return refuse(task, 'EINVAL', `new_addr ${hex(newAddress)} is not aligned to the huge page`);
  }
  if (newLength > oldLength) {
    return refuse(task, 'EINVAL', `a hugetlb mapping cannot grow from ${hex(oldLength)} to ${hex(newLength)}`);
  }
  events.length = oldLength;
  if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
    return yield* remapTo(task, mm, { ...request, oldLength, newLength }, events);
  }
  if (newLength === oldLength) return address;
  const cut = yield* doMunmap(task, mm, address + newLength, oldLength - newLength, events.late);
  return cut === 'OK' ? address : cut;
}

/** `mremap_to`: what is mapped at the new place goes, even if the move then fails. */
const remapTo = kernelFunction('mremap_to', toFixedPlace, {
  args: (_mm, { address, oldLength, newAddress, newLength }) =>
    `addr=${hex(address)}, old_len=${hex(oldLength)}, new_addr=${hex(newAddress)}, new_len=${hex(newLength)}`,
});

function* toFixedPlace(task: Task, mm: Mm, request: MremapRequest, events: MremapEvents): Path<number | Errno | Hang> {
  const { address, oldLength, newLength, flags, newAddress } = request;
  if (newLength > TASK_SIZE || newAddress > TASK_SIZE - newLength) {
    return refuse(task, 'EINVAL', `the new end ${hex(newAddress + newLength)} is no program's address`);
  }
  if (address + oldLength > newAddress && newAddress + newLength > address) {
    return refuse(task, 'EINVAL', 'the old and the new place overlap');
  }
  if (flags & MREMAP_FIXED) {
    const unmapped = yield* doMunmap(task, mm, newAddress, newLength, events.early);
    if (unmapped !== 'OK') return unmapped;
  }
  if (oldLength > newLength) {
    const cut = yield* doMunmap(task, mm, address + newLength, oldLength - newLength, events.late);
    if (cut !== 'OK') return cut;
  }
  const vma = mm.vmaLookup(address);
  if (!vma) return refuse(task, 'EFAULT', `nothing is mapped at ${hex(address)} any more`);
  /* A hugetlb VMA has VM_DONTEXPAND, with which the old range cannot stay. */
  if (flags & MREMAP_DONTUNMAP) return refuse(task, 'EINVAL', 'MREMAP_DONTUNMAP of a mapping with VM_DONTEXPAND');
  if (newLength > vma.end - address) {
    return refuse(task, 'EFAULT', `old_len goes beyond the mapping, which ends at ${hex(vma.end)}`);
  }
  const target = getUnmappedArea(task, mm, newAddress, newLength, vma.hstate.size, true);
  if (typeof target === 'string') return target;
  return yield* moveVma(task, vma, address, newLength, target, events);
}

/** `move_vma`: a copy of the VMA at the new place takes over the entries and the reservations. */
const moveVma = kernelFunction('move_vma', moveToCopy, {
  args: (_vma, address, length, target) => `old_addr=${hex(address)}, len=${hex(length)}, new_addr=${hex(target)}`,
});

function* moveToCopy(
  task: Task,
  vma: Vma,
  address: number,
  length: number,
  target: number,
  events: MremapEvents,
): Path<number | Errno | Hang> {
  const { mm } = vma;
  const { pageCache } = vma.inode;
  const pgoff = vma.pgoff + (address - vma.start) / PAGE_SIZE;
  const copy = vma.duplicate({ start: target, end: target + length, pgoff });
  copy.open();
  yield* pageCache.iMmapRwsem.write(task);
  mm.insert(copy);
  pageCache.link(copy);
  pageCache.iMmapRwsem.unlock(task);

  const moved = yield* movePageTables(task, vma, copy, address, target, length);
  /* The pieces have come along, into tables that the copy does not know of. */
  if (mm.machine.hgmPosted(HGM_POSTED_SPLIT_LOSES_HGM)) copy.flags &= ~VM_HUGETLB_HGM;
  if (typeof moved === 'number' && moved >= length) {
    events.moved = mremapUserfaultfdPrep(copy);
    disownReserves(vma, address, length);
    yield* doMunmap(task, mm, address, length, events.late);
    return target;
  }
  /* Back again: the tables are still there. Of a hang, too: Linux would be stuck, the model's user can look around. */
  yield* movePageTables(task, copy, vma, target, address, typeof moved === 'number' ? moved : length);
  disownReserves(copy, target, length);
  yield* doMunmap(task, mm, target, length, events.late);
  if (typeof moved !== 'number') return moved;
  return refuse(
    task,
    'ENOMEM',
    `only ${hex(moved)} of ${hex(length)} bytes could be moved: no memory for tables, or an int overflowed`,
  );
}

/**
 * `clear_vma_resv_huge_pages`: the reservations live on with the copy. Linux forgets those of the whole VMA, also when only
 * a part of it moved: what was reserved for the rest stays reserved until the machine is restarted.
 */
function disownReserves(vma: Vma, start: number, length: number): void {
  const map = vma.mayShare ? undefined : vma.privateMap;
  if (map && vma.ownsReserves) {
    const unused = (from: number, to: number): number => to - from - map.count(from, to);
    const from = vma.hugeIndex(start);
    const all = unused(vma.hugeIndex(vma.start), vma.hugeIndex(vma.end));
    vma.hstate.lostReservations += all - unused(from, from + length / vma.hstate.size);
    map.references--;
  }
  vma.forgetPrivate();
}

/**
 * `move_hugetlb_page_tables`: moves every leaf of [start, start + length), each as large as it is.
 *
 * @returns bytes moved, as Linux 6.1 counts them: a missing table counts to its end, beyond the range, and the sum is
 *   returned as an `int`. So a move of 1 GiB pages without any table fails, and so does one of 4 GiB or more, of which
 *   only the remainder then moves back.
 */
const movePageTables = kernelFunction('move_hugetlb_page_tables', moveTables, {
  args: (_from, _to, start, target, length) => `old_addr=${hex(start)}, new_addr=${hex(target)}, len=${hex(length)}`,
});

function* moveTables(
  task: Task,
  from: Vma,
  to: Vma,
  start: number,
  target: number,
  length: number,
): Path<number | Hang> {
  const { iMmapRwsem } = from.inode.pageCache;
  const vmaLock = from.hugetlbLock;
  const gather = new MmuGather(from.mm);
  if (vmaLock) yield* vmaLock.write(task);
  yield* iMmapRwsem.write(task);
  const reached = yield* moveLeaves(task, gather, from, to, start, target, start + length);
  yield* gather.flushTlbOnly(task);
  yield* gather.flushUnsharedTables(task);
  iMmapRwsem.unlock(task);
  vmaLock?.unlock(task);
  yield* gather.finish(task);
  if (typeof reached !== 'number') return reached;
  const moved = Number(BigInt.asIntN(32, BigInt(reached - start)));
  /* The caller takes it for an unsigned number of 64 bits: what is negative is more than enough. */
  return moved < 0 ? Number.POSITIVE_INFINITY : moved;
}

/** Returns the address behind the last leaf that was moved or skipped; at or behind `end` if nothing was in the way. */
function* moveLeaves(
  task: Task,
  gather: MmuGather,
  from: Vma,
  to: Vma,
  start: number,
  target: number,
  end: number,
): Path<number | Hang> {
  const { mm, hstate } = from;
  const { tables } = mm.machine;
  const forget = from.userfaultfd !== undefined && !from.userfaultfd.has(UFFD_FEATURE_EVENT_REMAP);
  let address = start;
  while (address < end) {
    const top = hugePteOffset(from, address);
    if (!top) {
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const source = hugetlbFullWalkContinue(from, top, address);
    if (tables.read(source.ptep).none) {
      address += source.size;
      continue;
    }
    if (hugePmdUnshare(task, gather, from, address, source)) {
      address = endOfTable(address, hstate.shift);
      continue;
    }
    const there = target + (address - start);
    /* huge_pmd_share takes i_mmap_rwsem, which this path holds already: Linux 6.1 waits for itself. */
    if (wantsSharedTable(to, there)) {
      return refuse(
        task,
        'HANG',
        `huge_pmd_share at ${hex(there)} waits for i_mmap_rwsem, which this task holds for writing`,
      );
    }
    const destination = yield* hugetlbFullWalkAlloc(task, to, there, source.size);
    if (typeof destination === 'string') break;
    yield* moveHugePte(task, mm, address, there, source, destination, forget);
    gather.removeTlbEntry();
    address += source.size;
  }
  return address;
}

/**
 * `move_huge_pte`.
 *
 * @param forget whether userfaultfd's write protection does not move with the page
 */
const moveHugePte = kernelFunction('move_huge_pte', moveEntry, {
  args: (_mm, address, there) => `old_addr=${hex(address)}, new_addr=${hex(there)}`,
});

function* moveEntry(
  task: Task,
  mm: Mm,
  address: number,
  there: number,
  source: HugetlbPte,
  destination: HugetlbPte,
  forget: boolean,
): Path<void> {
  const { tables } = mm.machine;
  yield* destination.lockPte(task);
  if (source.lock !== destination.lock) yield* source.lockPte(task);
  const pte = tables.read(source.ptep);
  setHugePteAt(mm, address, source, PTE_NONE);
  watch?.unmaps(mm, address, source.size);
  if (!forget) setHugePteAt(mm, there, destination, pte);
  else if (!pte.isMarker) {
    setHugePteAt(mm, there, destination, pte.present ? pte.clearUffdWp() : swpClearUffdWp(pte));
  }
  if (source.lock !== destination.lock) source.lock.unlock(task);
  destination.lock.unlock(task);
}
