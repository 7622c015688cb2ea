/**
 * The locks of Linux 6.1.192 have one order: in all that the scenario library and the recordings of real kernels do, taken together. The one exception is
 * hugetlb_wp, which keeps pages locked while it takes locks that come before them. The collapse of the series as it was posted has another.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/explore/explore.ts';
import { KernelProgram } from '../../src/explore/kernel/kernel-program.ts';
import { cycleOf } from '../../src/explore/kernel/lock-cycle.ts';
import { type Nesting, together } from '../../src/explore/kernel/lock-order.ts';
import { SequenceScene } from '../../src/explore/scenario/sequence-scene.ts';
import { BoundedSearch } from '../../src/explore/search/bounded.ts';
import { Driver } from '../../src/explore/search/driver.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import type { Sequence } from '../../src/replay/sequence/sequence.ts';
import { THOROUGH } from '../support/thorough.ts';

const folder = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const SCENARIOS = folder('scenarios');
const RECORDINGS = folder('test/recordings');

/** Lines of different files are no operations of one: all are taken for one operation. */
const added = (all: readonly Nesting[], more: readonly Nesting[]): readonly Nesting[] =>
  together([all, more.map((nesting) => ({ ...nesting, operation: 0 }))]);

/** What hugetlb_wp takes with a page of the file locked: i_mmap_rwsem in unmap_ref_private, then the fault mutex and the VMA lock again. */
const TAKEN_BY_WP = ['i_mmap_rwsem', 'hugetlb_fault_mutex', 'vma_lock', 'private vma_lock'];

/** All but those. Whoever else takes one of them so is a truncation or a hole, which has the file's i_rwsem. */
const withoutWp = (all: readonly Nesting[]): readonly Nesting[] =>
  all.filter(
    ({ held, wanted, holds }) =>
      !held.startsWith('page lock of a file') ||
      !TAKEN_BY_WP.includes(wanted) ||
      holds.some(({ kind }) => kind === 'i_rwsem'),
  );

const words = (cycle: readonly Nesting[] | undefined): string[] | undefined =>
  cycle?.map(({ held, wanted }) => `${held}, then ${wanted}`);

/** What a scenario of the library shows with at most one preemption. */
function ofScenario(name: string): readonly Nesting[] {
  let all: readonly Nesting[] = [];
  for (const sequence of parseScenario(name, readFileSync(join(SCENARIOS, name), 'utf8')).sequences) {
    const search = explore(new SequenceScene(sequence), { preemptions: 1 });
    for (let step = search.next(); ; step = search.next()) {
      if (!step.done) continue;
      all = added(all, step.value.nestings());
      break;
    }
  }
  return all;
}

/** What a sequence of a recording shows, whose operations one task does. */
function ofSequence(sequence: Sequence): readonly Nesting[] {
  const steps = sequence.steps
    .filter(({ kind, operation }) => kind === 'operation' && operation.path && !operation.ends)
    .map(({ result: _result, found: _found, ...step }) => ({ ...step, task: 0 }));
  if (steps.length === 0) return [];
  const program = new KernelProgram(new SequenceScene({ ...sequence, steps }));
  new BoundedSearch(new Driver(program), 0).next();
  return program.order.nestings;
}

const names = readdirSync(SCENARIOS).sort();
const isOfWp = (name: string): boolean => /^cow-(without|takes)/.test(name);
const isAsPosted = (name: string): boolean => name.includes('-as-posted-');

describe('over scenarios', () => {
  for (const [which, some, options] of [
    ['those of holes and truncations', names.filter((name) => /^(hole-punch|truncate)/.test(name)), {}],
    ['all', names, THOROUGH],
  ] as const) {
    test(`${which}: no cycle without hugetlb_wp`, options, () => {
      let all: readonly Nesting[] = [];
      for (const name of some.filter((name) => !isOfWp(name) && !isAsPosted(name))) all = added(all, ofScenario(name));
      expect(words(cycleOf(all))).toBeUndefined();
      expect(all.length).toBeGreaterThan(50);
    });
  }

  test('that have hugetlb_wp take a page from others: a page of the file is locked before the fault mutex', () => {
    const all = names.filter(isOfWp).reduce((so, name) => added(so, ofScenario(name)), [] as readonly Nesting[]);
    expect(words(cycleOf(all))).toEqual([
      "hugetlb_fault_mutex, then page lock of a file's page",
      "page lock of a file's page, then hugetlb_fault_mutex",
    ]);
  });

  test("that have the series' collapse as it was posted: a file's page is locked with i_mmap_rwsem held", () => {
    const some = [...names.filter(isAsPosted), 'exit-against-truncate.jsonl'];
    const all = some.reduce((so, name) => added(so, ofScenario(name)), [] as readonly Nesting[]);
    expect(words(cycleOf(all))).toEqual([
      "i_mmap_rwsem, then page lock of a file's page",
      "page lock of a file's page, then i_mmap_rwsem",
    ]);
  });
});

describe('over recordings', () => {
  const files = readdirSync(RECORDINGS).filter((name) => name.endsWith('.gz'));
  for (const [which, some, every, options] of [
    ['one sequence in 10 of one', ['hugetlb-2M-A.jsonl.gz'], 10, {}],
    ['one sequence in 3 of all', files, 3, THOROUGH],
  ] as const) {
    test(`${which}: no cycle but that one`, options, () => {
      let all: readonly Nesting[] = [];
      for (const name of some) {
        const { sequences } = parseScenario(name, gunzipSync(readFileSync(join(RECORDINGS, name))).toString());
        for (const [index, sequence] of sequences.entries()) {
          if (index % every === 0) all = added(all, ofSequence(sequence));
        }
      }
      expect(words(cycleOf(withoutWp(all)))).toBeUndefined();
      expect(all.length).toBeGreaterThan(100);
    });
  }
});
