/**
 * `{"smaps":...}`: what /proc/PID/smaps has for the mappings of slot 0 of process 0.
 */
import { PAGE_SIZE } from '../../linux/base/page.ts';
import { type Field, Refusal } from '../line/fields.ts';
import { isObject } from '../line/lines.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import type { Found } from '../stage/answer.ts';

const KIB = 1024;
const NAMES = ['page', 'pages', 'kernel_page_kb', 'mmu_page_kb', 'shared_kb', 'private_kb'];

/** A mapping's fields, in the order of NAMES. */
const mappings: Field<number[][]> = (value) => {
  const numbersOf = (mapping: unknown): number[] => {
    if (!isObject(mapping) || Object.keys(mapping).length !== NAMES.length) return [];
    return NAMES.map((name) => mapping[name]).filter((item): item is number => Number.isInteger(item));
  };
  const lists = Array.isArray(value) ? value.map(numbersOf) : [[]];
  const right = lists.every((numbers) => numbers.length === NAMES.length);
  return right ? lists : new Refusal(`a list of mappings with ${NAMES.join(', ')}`);
};

/** Looks at all mappings of the slot. */
export const smaps: Operation = operation(
  { smaps: mappings },
  {
    found: ['smaps'],
    run(stage) {
      const process = stage.process(0);
      const start = stage.address(0, 0);
      const end = stage.address(1, 0);
      const listed: Found[] = process
        .smaps(start, end - start)
        .map((mapping) => [
          (mapping.start - start) / PAGE_SIZE,
          (mapping.end - mapping.start) / PAGE_SIZE,
          mapping.kernelPageSize / KIB,
          mapping.mmuPageSize / KIB,
          mapping.sharedHugetlb / KIB,
          mapping.privateHugetlb / KIB,
        ]);
      return { result: 'OK', found: { smaps: listed } };
    },
  },
);
