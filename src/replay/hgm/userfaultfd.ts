/**
 * The operations on userfaultfds, which are numbered: 0 and 1 are opened, 2 is what a fork's event brought, for the child.
 */
import {
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFD_FEATURE_MISSING_HUGETLBFS,
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  UFFDIO_COPY_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../linux/base/uffd-uapi.ts';
import type { FillResult, UserfaultFile } from '../../linux/machine/userfault-file.ts';
import { rangeProblem, uffdMode } from '../calls.ts';
import { actor, byte, type Context, integer, optional, page, processNumber, Refusal, slot, truth } from '../fields.ts';
import { type Answer, type Operation, operation, type Problem } from '../operation.ts';
import { errnoOf, MOST_ERRNO } from './errno-numbers.ts';
import { DELIVERED, type HgmStage } from './stage.ts';

/** What every userfaultfd of recordings has: no fault ever waits. */
export const FEATURES: number =
  UFFD_FEATURE_SIGBUS |
  UFFD_FEATURE_MISSING_HUGETLBFS |
  UFFD_FEATURE_MINOR_HUGETLBFS |
  UFFD_FEATURE_PAGEFAULT_FLAG_WP |
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

/** What there is to be copied from: a huge page of 2 MiB. Nothing is behind it, so that no copy of 1 GiB succeeds. */
const SOURCE_BYTES = 2 ** 21;

/** A range of memory that a userfaultfd is for. Its process may be gone, if the userfaultfd is the parent's. */
const range = {
  proc: processNumber,
  uffd: integer(0, DELIVERED),
  slot,
  page,
  /* The kernel refuses an empty range itself. */
  pages: integer(0, ({ slotPages }) => slotPages),
} as const;

/** Bytes done, or an errno. */
const bytesDone = optional(integer(-MOST_ERRNO, 2 ** 40));

interface Range {
  readonly proc: number;
  readonly uffd: number;
  readonly slot: number;
  readonly page: number;
  readonly pages: number;
}

const checks = {
  problem(values: Range, context: Context): Problem | undefined {
    const proc = values.uffd === DELIVERED ? values.proc : actor(values.proc, context);
    return proc instanceof Refusal ? { field: 'proc', refusal: proc } : rangeProblem(values, context);
  },
  needs: ({ proc, uffd }: Range): number | undefined => (uffd === DELIVERED ? undefined : proc),
};

/** Calls a userfaultfd, if it is open. */
function call(
  stage: HgmStage,
  { uffd, slot, page, pages }: Range,
  ioctl: (uffd: UserfaultFile, start: number, length: number) => Answer,
  closed: Answer = { result: 'EBADF' },
): Answer {
  const file = stage.userfaultfd(uffd);
  return file ? ioctl(file, stage.address(slot, page), stage.bytes(pages)) : closed;
}

function plain(ioctl: (uffd: UserfaultFile, start: number, length: number) => string): Operation {
  return operation(range, {
    ...checks,
    run: (stage: HgmStage, values) => call(stage, values, (...args) => ({ result: ioctl(...args) })),
  });
}

const register: Operation = operation(
  { ...range, mode: uffdMode },
  {
    ...checks,
    run: (stage: HgmStage, values) =>
      call(stage, values, (uffd, start, length) => ({ result: uffd.register(start, length, values.mode).result })),
  },
);

const fillContinue: Operation = operation(
  { ...range, mapped: bytesDone },
  {
    ...checks,
    found: ['mapped'],
    run: (stage: HgmStage, values) =>
      call(
        stage,
        values,
        (uffd, start, length) => {
          const { result, done } = uffd.continue(start, length);
          return { result, found: { mapped: told({ result, done }, length) } };
        },
        { result: 'EBADF', found: { mapped: 0 } },
      ),
  },
);

const fillCopy: Operation = operation(
  { ...range, value: byte, wp: truth, copied: bytesDone },
  {
    ...checks,
    found: ['copied'],
    run: (stage: HgmStage, values) =>
      call(
        stage,
        values,
        (uffd, start, length) => {
          const { result, done } = copy(uffd, start, length, values.value, values.wp);
          return { result, found: { copied: told({ result, done }, length) } };
        },
        { result: 'EBADF', found: { copied: 0 } },
      ),
  },
);

/** What the ioctl writes back: nothing, if it refuses before it begins. */
function told({ done }: FillResult, length: number): number {
  if (typeof done === 'number') return done;
  return length === 0 || done === 'ESRCH' ? 0 : -errnoOf(done);
}

/** UFFDIO_COPY of a value. */
function copy(uffd: UserfaultFile, start: number, length: number, value: number, wp: boolean): FillResult {
  const source = new Uint8Array(Math.min(length, SOURCE_BYTES)).fill(value);
  return uffd.copy(start, source, wp ? UFFDIO_COPY_MODE_WP : 0, length);
}

/** By the names that `op` gives. */
export const USERFAULTFDS: Readonly<Record<string, Operation>> = {
  uffd_register: register,
  uffd_unregister: plain((uffd, start, length) => uffd.unregister(start, length)),
  uffd_continue: fillContinue,
  uffd_copy: fillCopy,
  uffd_writeprotect: plain((uffd, start, length) => uffd.writeprotect(start, length, UFFDIO_WRITEPROTECT_MODE_WP)),
  uffd_unwriteprotect: plain((uffd, start, length) => uffd.writeprotect(start, length, 0)),
};
