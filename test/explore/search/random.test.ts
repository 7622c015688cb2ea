import { describe, expect, test } from 'vitest';
import { BoundedSearch } from '../../../src/explore/search/bounded.ts';
import { Driver } from '../../../src/explore/search/driver.ts';
import { OptimalSearch } from '../../../src/explore/search/optimal.ts';
import { RandomSearch } from '../../../src/explore/search/random.ts';
import { Random } from '../../support/random.ts';
import { Cells } from './cells.ts';
import { every, finish } from './every.ts';
import { randomProgram } from './random-programs.ts';

/** Programs small enough that every interleaving can be run, with what came of that. */
function programs(tasks: number, waits: boolean) {
  return Array.from({ length: tasks === 2 ? 200 : 100 }, (_, index) => {
    const random = new Random((index + 1) * 7919 + tasks);
    const { bodies, text } = randomProgram((n) => random.below(n), { tasks, operations: tasks === 2 ? 3 : 2, waits });
    const program = new Cells(bodies);
    return { bodies, text, all: every(program, () => program.state, 600) };
  }).flatMap(({ all, ...program }) => (all ? [{ ...program, all }] : []));
}

const mixes = [
  { what: '2 tasks', tasks: 2, waits: false },
  { what: '2 tasks that wait for each other, and try locks', tasks: 2, waits: true },
  { what: '3 tasks', tasks: 3, waits: false },
  { what: '3 tasks that wait for each other, and try locks', tasks: 3, waits: true },
];

describe.each(mixes)('random programs, $what', ({ tasks, waits }) => {
  const programsOfMix = programs(tasks, waits);

  test('the reduced search comes to every final state, with one execution a trace', () => {
    let executions = 0;
    let allTraces = 0;
    for (const {
      bodies,
      text,
      all: { states, traces },
    } of programsOfMix) {
      const program = new Cells(bodies);
      const found = finish(new OptimalSearch(new Driver(program)), program);
      expect(found.states, text).toEqual(states);
      executions += found.executions;
      allTraces += traces;
    }
    expect(allTraces).toBeGreaterThan(100);
    expect(executions).toBeLessThanOrEqual(1.02 * allTraces);
  });

  test('with enough preemptions the bounded search comes to every final state; with none, to some of them', () => {
    let fewer = 0;
    for (const {
      bodies,
      text,
      all: { states },
    } of programsOfMix) {
      const program = new Cells(bodies);
      expect(finish(new BoundedSearch(new Driver(program), 100), program).states, text).toEqual(states);
      const without = finish(new BoundedSearch(new Driver(program), 0), program);
      for (const state of without.states) expect(states, text).toContain(state);
      if (without.states.size < states.size) fewer++;
    }
    expect(fewer).toBeGreaterThan(2);
  });

  test('executions by chance come to final states that there are', () => {
    for (const {
      bodies,
      text,
      all: { states },
    } of programsOfMix) {
      for (const depth of [0, 3]) {
        const program = new Cells(bodies);
        const search = new RandomSearch(new Driver(program), { seed: 1, executions: 20, depth });
        for (const state of finish(search, program).states) expect(states, text).toContain(state);
      }
    }
  });
});
