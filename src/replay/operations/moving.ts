/**
 * Memory that turns bad, pages that move, and a walk over all pages.
 */
import type { Path } from '../../linux/base/task.ts';
import { actor } from '../line/fields.ts';
import { calling, type Operation, tasking } from '../sequence/operation.ts';
import type { Answer } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import type { Stage } from '../stage/stage.ts';
import { addressOfSpot, callerOf, frameIn, OLD_SPOT, type Spot, spot } from './common.ts';

/** The frame behind a byte of a process's, as the process sees it. */
function* frameOf(stage: Stage, values: Spot, thread: Caller | undefined): Path<number | undefined> {
  const [entry] = yield* callerOf(stage, thread, values.proc).pagemap(addressOfSpot(stage, values));
  return frameIn(entry!);
}

/** The number of the frame that a byte lies in is written to corrupt-pfn. */
export const corruptPfn: Operation = tasking(spot, {
  old: OLD_SPOT,
  *calls(stage, values, task): Path<Answer> {
    const frame = yield* frameOf(stage, values, task);
    /* Nobody finds a number where nothing is mapped. */
    if (frame === undefined) return { result: 'ENXIO' };
    return { result: yield* callerOf(stage, task, values.proc).memoryFailure(frame) };
  },
});

/** move_pages(2) of one page: 'ENOENT' where none is mapped. */
export const migrate: Operation = calling(spot, {
  old: OLD_SPOT,
  *calls(stage, values, thread): Path<Answer> {
    const frame = yield* frameOf(stage, values, thread);
    if (frame === undefined) return { result: 'ENOENT' };
    return { result: yield* callerOf(stage, thread, values.proc).migrate(frame) };
  },
});

/** 1 is written to split_huge_pages, by a process. */
export const splitHugePages: Operation = tasking(
  { proc: actor },
  {
    *calls(stage, { proc }, task): Path<Answer> {
      return { result: yield* callerOf(stage, task, proc).splitHugePages() };
    },
  },
);
