/**
 * get_user_pages and its family. The pages go into a list, which has a number, until they are given back.
 */
import * as FLAGS from '../../linux/base/gup-flags.ts';
import type { Path } from '../../linux/base/task.ts';
import { bits, type Field, integer, optional, processNumber, truth, withDefault } from '../line/fields.ts';
import { calling, type Operation, tasking } from '../sequence/operation.ts';
import type { Answer } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import type { Hold } from '../stage/page-lists.ts';
import type { Stage } from '../stage/stage.ts';
import { addressOfSpot, callerOf, OLD_SPOT, spot } from './common.ts';

/** Lists have numbers below. */
const MOST_LISTS = 64;
/** 4 KiB pages of one call. */
const MOST_PAGES = 2 ** 21;

const list: Field<number> = withDefault(integer(0, MOST_LISTS - 1), 0);
const flags: Field<number> = withDefault(bits(FLAGS), 0);
/** How many pages there were: -1 with an errno. */
const got = optional(integer(-1, MOST_PAGES));

const wanted = { ...spot, nr_pages: integer(1, MOST_PAGES), flags, list, got } as const;

/** A call of the family, as far as operations have it. */
type Gup = (caller: Caller, start: number, nrPages: number, flags: number, pages: number[]) => Path<number | string>;

function gup(hold: Hold, call: Gup, walks = false): Operation {
  return calling(wanted, {
    walks,
    old: OLD_SPOT,
    found: ['got'],
    *calls(stage, { nr_pages, flags, list, ...spot }, thread) {
      const start = addressOfSpot(stage, spot);
      return yield* collected(stage, list, hold, (pages) =>
        call(callerOf(stage, thread, spot.proc), start, nr_pages, flags, pages),
      );
    },
  });
}

/** `proc` calls, and the pages are those of `target`. */
function gupRemote(hold: Hold, name: 'getUserPagesRemote' | 'pinUserPagesRemote'): Operation {
  return calling(
    { ...wanted, target: processNumber },
    {
      old: OLD_SPOT,
      found: ['got'],
      *calls(stage, { nr_pages, flags, list, target, ...spot }, thread) {
        if (!stage.has(target) || stage.process(target).mm.exited) return { result: 'ESRCH', found: { got: -1 } };
        const start = addressOfSpot(stage, spot);
        const caller = callerOf(stage, thread, spot.proc);
        return yield* collected(stage, list, hold, (pages) =>
          caller[name](stage.process(target), start, nr_pages, flags, pages),
        );
      },
    },
  );
}

/** Puts what a call gives into a list. */
function* collected(
  stage: Stage,
  list: number,
  hold: Hold,
  call: (pages: number[]) => Path<number | string>,
): Path<Answer> {
  const problem = stage.pageLists.problem(list, hold);
  if (problem) return problem;
  const pages: number[] = [];
  const got = yield* call(pages);
  if (typeof got === 'string') return { result: got, found: { got: -1 } };
  stage.pageLists.add(list, hold, pages.slice(0, got));
  return { result: 'OK', found: { got } };
}

function release(hold: Hold, ranged: boolean): Operation {
  if (hold === 'references') {
    return tasking(
      { list },
      { calls: (stage, { list }, task) => stage.pageLists.release(task ?? stage.anyone, list, hold, false, false) },
    );
  }
  return tasking(
    { list, dirty: withDefault(truth, false) },
    {
      calls: (stage, { list, dirty }, task) => stage.pageLists.release(task ?? stage.anyone, list, hold, dirty, ranged),
    },
  );
}

const followPage: Operation = calling(
  { ...spot, flags, list, got },
  {
    old: OLD_SPOT,
    found: ['got'],
    *calls(stage, { flags, list, ...spot }, thread) {
      const problem = stage.pageLists.problem(list, 'references');
      if (problem && flags & FLAGS.FOLL_GET) return problem;
      const frame = yield* callerOf(stage, thread, spot.proc).followPage(addressOfSpot(stage, spot), flags);
      if (frame === undefined) return { result: 'OK', found: { got: 0 } };
      if (flags & FLAGS.FOLL_GET) stage.pageLists.add(list, 'references', [frame]);
      return { result: 'OK', found: { got: 1 } };
    },
  },
);

/** What a core file would have of a range: how many pages are not left out. */
const getDumpPage: Operation = calling(
  { ...spot, nr_pages: integer(1, MOST_PAGES), got },
  {
    old: OLD_SPOT,
    found: ['got'],
    *calls(stage, { nr_pages, ...spot }, thread): Path<Answer> {
      const pages = yield* callerOf(stage, thread, spot.proc).dumpPages(addressOfSpot(stage, spot), nr_pages);
      if (typeof pages === 'string') return { result: pages, found: { got: -1 } };
      return { result: 'OK', found: { got: pages.filter((frame) => frame >= 0).length } };
    },
  },
);

/** By the names that `op` gives. */
export const GUP: Readonly<Record<string, Operation>> = {
  get_user_pages: gup('references', (caller, ...args) => caller.getUserPages(...args)),
  get_user_pages_remote: gupRemote('references', 'getUserPagesRemote'),
  get_user_pages_fast: gup('references', (caller, ...args) => caller.getUserPagesFast(...args), true),
  get_user_pages_fast_only: gup('references', (caller, ...args) => caller.getUserPagesFastOnly(...args), true),
  pin_user_pages: gup('pins', (caller, ...args) => caller.pinUserPages(...args)),
  pin_user_pages_remote: gupRemote('pins', 'pinUserPagesRemote'),
  pin_user_pages_fast: gup('pins', (caller, ...args) => caller.pinUserPagesFast(...args), true),
  follow_page: followPage,
  get_dump_page: getDumpPage,
  put_page: release('references', false),
  unpin_user_pages: release('pins', false),
  unpin_user_page_range: release('pins', true),
};
