/**
 * `{"pagemap":...}`: what /proc/PID/pagemap of process 0 has for pages of slot 0, and /proc/kpagecount for their frames.
 */
import { PM_FILE, PM_MMAP_EXCLUSIVE, PM_PRESENT, PM_UFFD_WP } from '../../linux/syscalls/pagemap.ts';
import { choice, type Field, optional, page, Refusal } from '../line/fields.ts';
import { frameAt } from '../operations/common.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import type { Found } from '../stage/answer.ts';
import type { Stage } from '../stage/stage.ts';

/** Frame numbers are told modulo the 4 KiB pages of 2 MiB, since nobody knows which frames there were. */
const TOLD = 512;

const MEANS = 'present,file,exclusive,uffd_wp,pfn modulo 512,kpagecount of that pfn';

/** Present, file, exclusive, write-protected, frame modulo 512 (-1: none), map count. */
const entries: Field<number[][]> = (value) => {
  const right = (entry: unknown): boolean =>
    Array.isArray(entry) && entry.length === 6 && entry.every((item) => Number.isInteger(item));
  return Array.isArray(value) && value.length > 0 && value.every(right)
    ? (value as number[][])
    : new Refusal('a list of pages, each a list of 6 integers');
};

/** Looks at as many pages as are told. */
export const pagemap: Operation = operation(
  { page, entries, means: optional(choice({ [MEANS]: MEANS })) },
  {
    found: ['entries'],
    run: (stage, { page, entries }) => ({
      result: 'OK',
      found: { entries: Array.from(entries, (_, i) => entryOf(stage, page + i)) },
    }),
  },
);

function entryOf(stage: Stage, page: number): Found {
  const [entry = 0n] = stage.process(0).pagemap(stage.address(0, page));
  const has = (bit: bigint): number => (entry & bit ? 1 : 0);
  const bits = [PM_PRESENT, PM_FILE, PM_MMAP_EXCLUSIVE, PM_UFFD_WP].map(has);
  if (!has(PM_PRESENT)) return [...bits, -1, 0];
  const frame = frameAt(stage.process(0), stage.address(0, page))!;
  const folio = stage.machine.frames.folio(frame);
  return [...bits, frame % TOLD, folio.pageMapcount(frame - folio.pfn)];
}
