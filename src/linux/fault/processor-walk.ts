/**
 * A program's access as another processor can come in between: by the TLB, or level by level. SDM volume 3, 4.6 (access rights), 4.8 (accessed and
 * dirty flags), 4.10.2 (TLBs). Only where a search watches: elsewhere the core walks in one step.
 *
 *   TLB ──hit──────────────────────────────────────────────────────────> memory
 *    └──miss──> PGD entry ─> PUD entry ─> PMD entry ─> PTE ──A, D, and the TLB──> memory
 *                         └────────────┴────────────┴────> a fault
 *
 * An entry is read and marked in one step, as a processor does it with a locked access. Nothing but user pages and pointers to tables that permit
 * everything is in a process's tables here; so P, R/W and U/S are all that decides.
 */
import { ERROR_PRESENT } from '../../core/generated/layout.ts';
import { Access } from '../../mmu/access.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Processor } from '../base/processor.ts';
import { PAGE_ACCESSED, PAGE_DIRTY, PAGE_PRESENT, PAGE_RW, PAGE_USER, type Pte } from '../base/pte.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { unwatched } from '../base/watch.ts';
import type { Mm } from '../mm/mm.ts';
import { entryOffset, entryPath, hugetlbPteAt, tableOf } from '../page-tables/page-table.ts';

const PAGE_SHIFT = 12;
/** Bits of an index into a table. */
const INDEX_BITS = 9;

/** The physical address of an access that the TLB or the page tables permit; else -1 - the error code. */
export function* processorAccess(
  task: Task,
  processor: Processor,
  mm: Mm,
  address: number,
  access: number,
): Path<number> {
  yield* preemptionPoint(task, processor);
  const hit = processor.lookup(mm, address, (access & Access.write) !== 0);
  if (hit) {
    const pfn = hit.pfn + Math.floor((address - hit.start) / PAGE_SIZE);
    checkStale(mm, address, pfn, hit.uses, (access & Access.write) !== 0);
    return pfn * PAGE_SIZE + (address % PAGE_SIZE);
  }
  processor.instruction.begin(mm.machine.tables);
  const reached = yield* walk(task, processor, mm, address, access);
  processor.instruction.end();
  return reached;
}

/** From the root down. */
function* walk(task: Task, processor: Processor, mm: Mm, address: number, access: number): Path<number> {
  const { tables } = mm.machine;
  const needed = PAGE_USER | (access & Access.write ? PAGE_RW : 0);
  let rights = needed;
  for (let shift = mm.topShift, table = mm.pgd.address; ; shift -= INDEX_BITS) {
    const at = table + entryOffset(address, shift);
    yield* preemptionPoint(task, at);
    const pte = tables.read(at);
    processor.instruction.saw(at, pte);
    if ((pte.lo & PAGE_PRESENT) === 0) return -1 - errorCode(access);
    rights &= pte.lo;
    if (shift > PAGE_SHIFT && !pte.huge) {
      if ((pte.lo & PAGE_ACCESSED) === 0) tables.mark(at, PAGE_ACCESSED);
      table = tableOf(pte);
      continue;
    }
    if (rights !== needed) return -1 - (errorCode(access) | ERROR_PRESENT);
    const marks = access & Access.write ? PAGE_ACCESSED | PAGE_DIRTY : PAGE_ACCESSED;
    if ((pte.lo & marks) !== marks) tables.mark(at, marks);
    fill(processor, mm, address, 2 ** shift, pte, marks);
    return (pte.pfn + Math.floor((address % 2 ** shift) / PAGE_SIZE)) * PAGE_SIZE + (address % PAGE_SIZE);
  }
}

/** The access is its error code. */
function errorCode(access: number): number {
  return access & (Access.user | Access.write);
}

function fill(processor: Processor, mm: Mm, address: number, size: number, { lo, pfn }: Pte, marks: number): void {
  const writes = (lo & PAGE_RW) !== 0 && ((lo | marks) & PAGE_DIRTY) !== 0;
  const uses = mm.machine.frames.find(pfn)?.uses ?? 0;
  processor.fill({ mm, start: address - (address % size), size, pfn, writes, uses });
}

/** A translation from the TLB was used that nobody is about to flush any more, or whose page has been let go. */
export class StaleTranslation extends Error {}

/**
 * Between a change of an entry and the flush, processors go on with the old one: whoever changed it holds the entry's lock, or has said that a flush is
 * pending, and keeps the page until then.
 */
function checkStale(mm: Mm, address: number, pfn: number, uses: number, write: boolean): void {
  const { tables, frames } = mm.machine;
  const where = `pfn 0x${pfn.toString(16)} for 0x${address.toString(16)} of ${mm.process}`;
  const folio = frames.find(pfn);
  if (!folio || folio.uses !== uses || unwatched(() => folio.refcount) === 0) {
    throw new StaleTranslation(`the TLB has ${where}, a page that was let go`);
  }
  const path = entryPath(mm, address);
  const shift = mm.topShift - INDEX_BITS * (path.length - 1);
  const at = path.at(-1)!;
  const pte = tables.read(at);
  const needed = PAGE_PRESENT | PAGE_USER | (write ? PAGE_RW : 0);
  const isLeaf = shift === PAGE_SHIFT || pte.huge;
  const maps = isLeaf && pte.pfn + Math.floor((address % 2 ** shift) / PAGE_SIZE) === pfn;
  if (maps && (pte.lo & needed) === needed) return;
  if (mm.isTlbFlushPending) return;
  if (unwatched(() => hugetlbPteAt(mm, at, shift).lock.isHeld)) return;
  throw new StaleTranslation(`the TLB has ${where}, where the entry is another, and nobody is about to flush it`);
}
