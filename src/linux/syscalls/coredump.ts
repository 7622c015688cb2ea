/**
 * What a core file holds of a range. fs/coredump.c of Linux 6.1: dump_user_range; mm/gup.c: get_dump_page.
 *
 * A page that is neither mapped nor in the file is left out, as a hole: none is made only to be written as zeros.
 */
import { hex } from '../../core/errors.ts';
import type { Hang } from '../base/errno.ts';
import { FOLL_DUMP, FOLL_FORCE, FOLL_GET } from '../base/gup-flags.ts';
import { kernelFunction } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import type { Locked } from '../gup/follow-hugetlb-page.ts';
import { type GupResult, getUserPagesLocked } from '../gup/gup.ts';
import type { Mm } from '../mm/mm.ts';
import { releasePages } from '../pool/pin.ts';

const FLAGS = FOLL_FORCE | FOLL_DUMP | FOLL_GET;

/** What stands for a hole in the list of a core file's pages. */
export const CORE_FILE_HOLE = -1;

/** `dump_user_range`: the frame number of each page, as it was when it was its turn; {@link CORE_FILE_HOLE} for none. */
export const dumpPages: typeof dumpUserRange = kernelFunction('dump_user_range', dumpUserRange, {
  args: (_mm, start, nrPages) => `start=${hex(start)}, pages=${nrPages}`,
});

function* dumpUserRange(task: Task, mm: Mm, start: number, nrPages: number): Path<Float64Array | Hang> {
  const dumped = new Float64Array(nrPages).fill(CORE_FILE_HOLE);
  const page: number[] = [];
  /* PF_DUMPCORE: nobody is left to handle a userfaultfd. */
  const { exiting } = task;
  task.exiting = true;
  for (let at = 0; at < nrPages; at++) {
    const result = yield* getDumpPage(task, mm, start + at * PAGE_SIZE, page);
    if (result === 'HANG') {
      task.exiting = exiting;
      return result;
    }
    if (result !== 1) continue;
    dumped[at] = page[0]!;
    /* Here it is written to the core file. */
    yield* releasePages(task, mm.machine.frames, page, 1, FOLL_GET, false);
  }
  task.exiting = exiting;
  return dumped;
}

/** `get_dump_page`. */
const getDumpPage = kernelFunction('get_dump_page', getPage, { args: (_mm, start) => `addr=${hex(start)}` });

function* getPage(task: Task, mm: Mm, start: number, pages: number[]): Path<GupResult> {
  if (task.killed) return 0;
  const locked: Locked = { held: true };
  yield* mm.mmapLock.read(task);
  const result = yield* getUserPagesLocked(task, mm, { start, nrPages: 1, flags: FLAGS, pages }, locked);
  if (locked.held) mm.mmapLock.unlock(task);
  return result;
}
