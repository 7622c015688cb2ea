import { expect, test } from 'vitest';
import { lanes } from '../../../src/explore/show/lanes.ts';
import type { TraceEvent } from '../../../src/linux/base/trace.ts';

const task = 'process 0';
const enter = (name: string): TraceEvent => ({ kind: 'enter', task, name, args: '' });
const leave = (name: string): TraceEvent => ({ kind: 'leave', task, name, result: '' });
const lock = (of: string): TraceEvent => ({ kind: 'lock', task, lock: of, mode: 'write' });
const unlock = (of: string): TraceEvent => ({ kind: 'unlock', task, lock: of });
const textOf = (...runs: (readonly TraceEvent[])[]): string[] =>
  lanes(
    runs.map((events, index) => ({ task: index % 2, events })),
    () => true,
  ).map(({ run, text }) => (run === undefined ? text : `${run} ${text}`));

test('a run in which nothing is to be shown names the function that it begins with, or goes on in', () => {
  expect(
    textOf([enter('dup_mmap'), lock('a')], [], [enter('hugetlb_vm_op_open'), leave('hugetlb_vm_op_open')]),
  ).toEqual(['1 dup_mmap', 'takes a', '2 nothing that others see', '3 hugetlb_vm_op_open']);
  expect(textOf([enter('dup_mmap'), lock('a')], [], [leave('dup_mmap')]).at(-1)).toBe('3 dup_mmap');
});

test('of a run that goes round to its end two rounds are shown, and how many there are', () => {
  const rounds = (count: number) =>
    Array.from({ length: count }, () => [lock('a'), lock('b'), unlock('a'), unlock('b')]).flat();
  const round = ['takes a', 'takes b', 'releases a', 'releases b'];
  expect(textOf([enter('gup'), lock('m'), ...rounds(100)])).toEqual([
    '1 gup',
    'takes m',
    ...round,
    ...round,
    'and so on, 98 times more',
  ]);
  expect(textOf([enter('gup'), ...rounds(3)])).toEqual(['1 gup', ...round, ...round, ...round]);
});
