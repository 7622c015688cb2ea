/**
 * A write of 1 to /sys/kernel/debug/split_huge_pages: a walk over all frames. mm/huge_memory.c of Linux 6.1: split_huge_pages_all.
 *
 * It looks for transparent huge pages, of which there are none here. But before it looks what a page is, it takes a reference to it, whatever it is, and gives
 * it back: `get_page_unless_zero`, `put_page`. So for a moment page tables and hugetlb's pages have a reference more than who uses them.
 *
 *   frames   │ page table │ page table │ free │ ...  │ huge page                      │ ...
 *              +1 -1        +1 -1        0             +1 -1 (the other frames have no
 *                                                      count of their own)
 */
import { hex } from '../../core/errors.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { Touch, watch } from '../base/watch.ts';
import { putPage } from '../hugetlb/alloc-page.ts';
import { recordReference } from '../mm/has-sharers.ts';
import type { MmMachine } from '../mm/mm-machine.ts';
import { TABLE } from '../mm/tables.ts';

/** `split_huge_pages_all`. */
export const splitHugePagesAll: typeof walkFrames = kernelFunction('split_huge_pages_all', walkFrames, {
  args: () => '',
});

function* walkFrames(task: Task, machine: MmMachine): Path<'OK'> {
  yield* lookAtTables(task, machine);
  yield* lookAtHugePages(task, machine);
  return 'OK';
}

function* lookAtTables(task: Task, machine: MmMachine): Path<void> {
  const { tables } = machine;
  for (let at = TABLE; at < tables.lookedThrough; at += TABLE) {
    yield* preemptionPoint(task, at);
    const page = tables.tryGet(at);
    if (!page) continue;
    recordReference(machine, page, 1);
    yield* preemptionPoint(task, page);
    tables.put(page);
    recordReference(machine, page, -1);
  }
}

function* lookAtHugePages(task: Task, { frames }: MmMachine): Path<void> {
  for (let pfn = frames.first; pfn < frames.end; ) {
    const name = `pfn ${hex(pfn)}`;
    yield* preemptionPoint(task, { name });
    const folio = frames.find(pfn);
    if (folio?.tryGet(1)) {
      yield* preemptionPoint(task, folio);
      yield* putPage(task, folio);
      /* Somebody may take the page for the first time meanwhile. */
    } else if (!folio) watch?.touch(Touch.add, { name }, 0);
    pfn += folio?.pages ?? frames.unit;
  }
}
