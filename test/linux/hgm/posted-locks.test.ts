/**
 * Faults of the series as posted that are about locks, and about errors taken for success: found by reviewers, or by the author; no recorded
 * kernel has them. Each behind its HGM_POSTED_ bit; by default it is right.
 */
import { expect, test } from 'vitest';
import {
  FOLL_PIN,
  HGM_POSTED_CHANGE_PROTECTION,
  HGM_POSTED_FORK_TRY_GET,
  HGM_POSTED_GUP_DROPS_LOCK,
  HGM_POSTED_GUP_LEAKS_LOCK,
  MADV_COLLAPSE,
  type Path,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { machineWith, mapPrivate, mapShared } from '../support.ts';
import { actor, together } from '../userfaultfd/stage.ts';
import { continuePages, folioOf, hgmScene, KIB4, MIB2, ok, PAGES_2M, runs } from './support.ts';

const CONTINUE = { kind: 'continue', mode: 0 } as const;

/** Turns of a thread in which all of its places are passed where another one may come in between. */
const TURNS = 30;

/** What comes of it where the second thread comes in between the first one's turns, after none, one, two..., and runs to its end: each outcome once. */
function outcomes(run: (pick: (count: number) => number) => string): string[] {
  const all = Array.from({ length: TURNS }, (_, turns) => {
    let left = turns;
    return run((count) => (left-- > 0 ? 0 : count - 1));
  });
  return [...new Set(all)].sort();
}

test('v1: GUP that lost a race to a split looks again without having dropped the VMA lock: nobody can write any more', () => {
  const collapses = (posted: number): string[] =>
    outcomes((pick) => {
      const scene = hgmScene({ posted, checks: false });
      const { process, at, uffd } = scene;
      continuePages(scene, PAGES_2M, 1);
      const [pinner, filler] = [process.thread(), process.thread()];
      const pages = new Float64Array(1);
      /* A place for 2 MiB is found empty; before GUP has the page-table lock, a table for 4 KiB is put there. */
      together(
        [
          actor(pinner, pinner.pinUserPages(at, 1, FOLL_PIN, pages)),
          actor(filler, filler.uffdFill(uffd, at, KIB4, CONTINUE)),
        ],
        pick,
      );
      return String(process.madvise(at, MIB2, MADV_COLLAPSE));
    });
  expect(collapses(HGM_POSTED_GUP_LEAKS_LOCK)).toEqual(['HANG', 'OK']);
  expect(collapses(0)).toEqual(['OK']);
});

test('RFC v2: GUP without the VMA lock reads a table that was freed, and is another one by now: it pins a foreign page', () => {
  const pinned = (posted: number): string[] =>
    outcomes((pick) => {
      const scene = hgmScene({ version: 'rfc-v2', posted, checks: false });
      const { machine, process, at, uffd } = scene;
      continuePages(scene, 0, 1);
      const [pinner, other] = [process.thread(), process.thread()];
      const pages = new Float64Array(1);
      function* reusesTable(): Path<void> {
        ok(yield* other.madvise(at, MIB2, MADV_COLLAPSE));
        yield* other.uffdFill(uffd, at + MIB2, KIB4, CONTINUE);
      }
      together([actor(pinner, pinner.pinUserPages(at, 1, FOLL_PIN, pages)), actor(other, reusesTable())], pick);
      return pages[0] === folioOf(machine, 0).pfn ? 'its page' : pages[0] === folioOf(machine, 1).pfn ? 'foreign' : '?';
    });
  expect(pinned(HGM_POSTED_GUP_DROPS_LOCK)).toEqual(['foreign', 'its page']);
  expect(pinned(0)).toEqual(['its page']);
});

test.each([
  [0, 'OK', [[0, 2, PAGES_2M, 'm']]],
  [HGM_POSTED_CHANGE_PROTECTION, 'ENOMEM', []],
] as const)('v1: write protection takes a new table for a failure (%i)', (posted, result, markers) => {
  const machine = machineWith({ pages: 4, hgm: { posted } });
  const process = machine.createProcess();
  const at = mapShared(process, 2, { file: machine.memfdCreate(), address: 2 ** 40 });
  const uffd = process.userfaultfd();
  ok(uffd.api(UFFD_FEATURE_SIGBUS).result);
  ok(uffd.register(at, 2 * MIB2, UFFDIO_REGISTER_MODE_WP).result);
  expect(uffd.writeprotect(at, 2 * MIB2, UFFDIO_WRITEPROTECT_MODE_WP)).toBe(result);
  expect(runs(process, at, 2 * MIB2)).toEqual(markers);
});

test.each([
  [0, 'object'],
  [HGM_POSTED_FORK_TRY_GET, 'HANG'],
] as const)(
  'v2: fork takes success for failure, and leaves its locks to whoever ends the child (%i)',
  (posted, outcome) => {
    const process = machineWith({ pages: 2, hgm: { posted } }).createProcess();
    ok(process.write(mapPrivate(process, 1), 1));
    const child = process.fork();
    expect(typeof child === 'string' ? child : typeof child).toBe(outcome);
  },
);
