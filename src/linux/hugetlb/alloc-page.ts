/**
 * Taking a huge page for a VMA, and giving it back. mm/hugetlb.c of Linux 6.1: alloc_huge_page, dequeue_huge_page_vma,
 * vma_has_reserves, put_page.
 */
import { hex } from '../../core/errors.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { VM_MAYSHARE, VM_NORESERVE } from '../base/vm-flags.ts';
import type { Folio } from '../pool/folio.ts';
import type { Hstate } from '../pool/hstate.ts';
import {
  type PageClaim,
  restoreReserveOnError,
  vmaCommitReservation,
  vmaEndReservation,
  vmaNeedsReservation,
} from '../pool/reserve-map.ts';
import { subpoolGetPages, subpoolPutPages } from '../pool/subpool.ts';

/**
 * `vma_has_reserves`: whether a page may come out of those that are promised.
 *
 * @param change pages that the pool has not reserved for this one: 0 if there is a reservation
 */
export function vmaHasReserves(claim: PageClaim, change: number): boolean {
  /* A MAP_NORESERVE mapping of a part that another shared mapping has reserved still consumes that reservation: its page goes
     into the page cache, and would be counted as reserved for ever. */
  if (claim.flags & VM_NORESERVE) return (claim.flags & VM_MAYSHARE) !== 0 && change === 0;
  /* Otherwise a missing entry means that a hole was punched, after which there is no reservation any more. */
  if (claim.flags & VM_MAYSHARE) return change === 0;
  return claim.ownsReserves && change === 0;
}

/**
 * `alloc_huge_page`: a page for one address, with one reference and any content.
 *
 * @param avoidReserve does not touch the reservation that the address may have: for a copy, whose original consumed it
 * @returns 'ENOSPC' over the mount's limit, or where the pool has none left
 */
export const allocHugePage: typeof takePage = kernelFunction('alloc_huge_page', takePage, {
  args: (_claim, address, avoidReserve) => `addr=${hex(address)}, avoid_reserve=${avoidReserve}`,
});

function* takePage(task: Task, claim: PageClaim, address: number, avoidReserve: boolean): Path<Folio | 'ENOSPC'> {
  const { hstate } = claim;
  const { subpool } = claim.inode;
  const { hugetlbLock } = hstate.machine;
  const mapChange = yield* vmaNeedsReservation(task, claim, address);
  const charge = mapChange === 1 || avoidReserve;
  let poolChange: number = mapChange;
  if (charge) {
    const needed = yield* subpoolGetPages(task, subpool, 1);
    if (needed === 'ENOMEM') {
      yield* vmaEndReservation(task, claim);
      return refuse(task, 'ENOSPC', "over the mount's maximum");
    }
    poolChange = needed;
  }

  yield* hugetlbLock.write(task);
  const hasReserve = vmaHasReserves(claim, poolChange);
  let folio = hasReserve || hstate.available > 0 ? hstate.dequeue() : undefined;
  if (folio && hasReserve) {
    folio.restoreReserve = true;
    hstate.reserve(-1);
  }
  hugetlbLock.unlock(task);
  if (!folio) {
    folio = yield* hstate.allocSurplusInUse(task);
    if (folio && !avoidReserve && hasReserve) {
      yield* hugetlbLock.write(task);
      folio.restoreReserve = true;
      hstate.reserve(-1);
      hugetlbLock.unlock(task);
    }
  }
  if (!folio) {
    if (charge) {
      /* Linux 6.1 does not look at what the mount takes back: from then on the pool has reserved less than the mount thinks. */
      const dropped = yield* subpoolPutPages(task, subpool, 1);
      hstate.lostReservations += dropped - poolChange;
    }
    yield* vmaEndReservation(task, claim);
    return refuse(task, 'ENOSPC', noPageWords(hstate));
  }
  folio.subpool = subpool;
  /* What the mount gave out of its minimum is reserved in the pool, too, and stays so unless this page consumed it: Linux's mistake. */
  if (charge && !folio.restoreReserve) hstate.lostReservations += 1 - poolChange;

  const mapCommit = yield* vmaCommitReservation(task, claim, address);
  if (mapChange > mapCommit) {
    /* Another mmap reserved the page in between: its reservation is in the count, and this page used it. */
    const dropped = yield* subpoolPutPages(task, subpool, 1);
    yield* hstate.acctMemory(task, -dropped);
  }
  return folio;
}

/** Why the pool has no page to give. */
function noPageWords({ freeHugePages, resvHugePages, surplusHugePages, nrOvercommitHugePages }: Hstate): string {
  return `${freeHugePages} pages are free, ${resvHugePages} reserved, and ${surplusHugePages} of ${nrOvercommitHugePages} surplus pages made`;
}

/** `put_page`: drops references; the last one gives the page back to the pool. */
export function* putPage(task: Task, folio: Folio, references = 1): Path<void> {
  if (folio.putTestZero(references)) yield* folio.hstate.freeHugePage(task, folio);
}

/** Gives back a page of `allocHugePage` that was not mapped, with its reservation. */
export function* giveBack(task: Task, claim: PageClaim, address: number, folio: Folio): Path<void> {
  yield* restoreReserveOnError(task, claim, address, folio.restoreReserve);
  yield* putPage(task, folio);
}
