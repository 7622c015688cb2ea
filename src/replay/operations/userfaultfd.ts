/**
 * What userfaultfds do with ranges.
 */

import type { Path } from '../../linux/base/task.ts';
import {
  UFFDIO_COPY_MODE_WP,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../linux/base/uffd-uapi.ts';
import type { FillResult, UserfaultFile } from '../../linux/machine/userfault-file.ts';
import type { UffdFill } from '../../linux/userfaultfd/uffd-fill.ts';
import {
  actor,
  byte,
  type Context,
  type Field,
  integer,
  optional,
  page,
  processNumber,
  Refusal,
  slot,
  truth,
  withDefault,
} from '../line/fields.ts';
import { calling, type Operation, type Problem, tasking } from '../sequence/operation.ts';
import type { Answer } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import { DELIVERED, type Stage } from '../stage/stage.ts';
import { rangeProblem } from './common.ts';
import { errnoOf, MOST_ERRNO } from './errno-numbers.ts';
import { uffdClose, uffdOpen } from './uffd-files.ts';
import { uffdRead } from './uffd-messages.ts';

/** In what the formats differ. */
export interface UserfaultfdFormat {
  /** Which userfaultfd: where it may be left out, the process has one that nobody opens. */
  readonly uffd: Field<number | undefined>;
  /** What an empty range is: for the kernel to refuse (0), or not well-formed (1). */
  readonly fewestPages: 0 | 1;
  /** What there is to be copied from, in bytes; nothing is behind it. */
  readonly sourceBytes: number;
}

const UFFD_MODES: Readonly<Record<string, number>> = {
  m: UFFDIO_REGISTER_MODE_MISSING,
  w: UFFDIO_REGISTER_MODE_WP,
  c: UFFDIO_REGISTER_MODE_MINOR,
};

/** `mcw` in any order, each at most once: what userfaultfd is registered for. */
const uffdMode: Field<number> = (value) => {
  const letters = typeof value === 'string' ? [...value] : [];
  const known = letters.every((letter) => letter in UFFD_MODES) && new Set(letters).size === letters.length;
  if (letters.length === 0 || !known) return new Refusal('one or more of the letters m, w and c');
  return letters.reduce((mode, letter) => mode | UFFD_MODES[letter]!, 0);
};

const off: Field<boolean> = withDefault(truth, false);
/** Bytes done, or an errno. */
const bytesDone: Field<number | undefined> = optional(integer(-MOST_ERRNO, 2 ** 40));

/** A range of memory that a userfaultfd is for. Its process may be gone, if the userfaultfd is the parent's. */
interface Range {
  readonly proc: number;
  readonly uffd: number | undefined;
  readonly slot: number;
  readonly page: number;
  readonly pages: number;
}

const CHECKS = {
  problem(values: Range, context: Context): Problem | undefined {
    const proc = values.uffd === DELIVERED ? values.proc : actor(values.proc, context);
    return proc instanceof Refusal ? { field: 'proc', refusal: proc } : rangeProblem(values, context);
  },
  needs: ({ proc, uffd }: Range): number | undefined => (uffd === DELIVERED ? undefined : proc),
};

/** The fields of a range. */
type RangeFields = {
  readonly proc: Field<number>;
  readonly uffd: Field<number | undefined>;
  readonly slot: Field<number>;
  readonly page: Field<number>;
  readonly pages: Field<number>;
};

function rangeOf({ uffd, fewestPages }: UserfaultfdFormat): RangeFields {
  const pages = integer(fewestPages, ({ slotPages }) => slotPages);
  return { proc: processNumber, uffd, slot, page, pages } as const;
}

/** By the names that `op` gives. */
export function userfaultfdOperations(format: UserfaultfdFormat): Readonly<Record<string, Operation>> {
  const range = rangeOf(format);
  return {
    uffd_open: uffdOpen,
    uffd_close: uffdClose,
    uffd_read: uffdRead(format.uffd),
    uffd_register: register(range),
    uffd_unregister: plain(range, (caller, ...args) => caller.uffdUnregister(...args)),
    uffd_continue: fill(range, 'continue', 'mapped'),
    uffd_zeropage: fill(range, 'zeropage', undefined),
    uffd_copy: copy(range, format.sourceBytes),
    uffd_writeprotect: writeprotect(range, UFFDIO_WRITEPROTECT_MODE_WP),
    uffd_unwriteprotect: writeprotect(range, 0),
    uffd_wake: wake(range),
  };
}

type Ioctl = (caller: Caller, file: UserfaultFile, start: number, length: number) => Path<string>;

function plain(range: RangeFields, ioctl: Ioctl): Operation {
  return calling(range, {
    ...CHECKS,
    *calls(stage, values, thread) {
      const [file, caller] = fileOf(stage, values, thread);
      if (!file) return { result: 'EBADF' };
      const { slot, page, pages } = values;
      return { result: yield* ioctl(caller, file, stage.address(slot, page), stage.bytes(pages)) };
    },
  });
}

function writeprotect(range: RangeFields, mode: number): Operation {
  return plain(range, (caller, file, start, length) => caller.uffdWriteprotect(file, start, length, mode));
}

function register(range: RangeFields): Operation {
  return calling(
    { ...range, mode: uffdMode },
    {
      ...CHECKS,
      *calls(stage, { mode, ...values }, thread) {
        const [file, caller] = fileOf(stage, values, thread);
        if (!file) return { result: 'EBADF' };
        const { slot, page, pages } = values;
        const { result } = yield* caller.uffdRegister(file, stage.address(slot, page), stage.bytes(pages), mode);
        return { result };
      },
    },
  );
}

function fill(range: RangeFields, kind: 'continue' | 'zeropage', told: 'mapped' | undefined): Operation {
  return calling(told ? { ...range, mapped: bytesDone } : range, {
    ...CHECKS,
    ...(told && { found: [told] }),
    calls: (stage, values, thread) => filled(stage, values, thread, { kind, mode: 0 }, told),
  });
}

function copy(range: RangeFields, sourceBytes: number): Operation {
  return calling(
    { ...range, value: byte, wp: off, copied: bytesDone },
    {
      ...CHECKS,
      found: ['copied'],
      calls(stage, { value, wp, ...values }, thread) {
        const bytes = new Uint8Array(Math.min(stage.bytes(values.pages), sourceBytes)).fill(value);
        const mode = wp ? UFFDIO_COPY_MODE_WP : 0;
        return filled(stage, values, thread, { kind: 'copy', mode, bytes }, 'copied');
      },
    },
  );
}

function wake(range: RangeFields): Operation {
  return tasking(range, {
    ...CHECKS,
    *calls(stage, values, task) {
      const [file, caller] = fileOf(stage, values, task);
      if (!file) return { result: 'EBADF' };
      return {
        result: yield* caller.uffdWake(file, stage.address(values.slot, values.page), stage.bytes(values.pages)),
      };
    },
  });
}

/** The userfaultfd, and who calls it: of the delivered one the process may be gone, and its file knows who has it. */
function fileOf(
  stage: Stage,
  { uffd, proc }: Range,
  thread: Caller | undefined,
): readonly [file: UserfaultFile | undefined, caller: Caller] {
  return [stage.userfaultfd(uffd, proc), thread ?? stage.main(stage.process(uffd === DELIVERED ? 0 : proc))];
}

/** Fills a range, and tells how much was done. */
function* filled(
  stage: Stage,
  values: Range,
  thread: Caller | undefined,
  fill: UffdFill,
  told: 'mapped' | 'copied' | undefined,
): Path<Answer> {
  const [file, caller] = fileOf(stage, values, thread);
  if (!file) return { result: 'EBADF', ...(told && { found: { [told]: 0 } }) };
  const length = stage.bytes(values.pages);
  const result = yield* caller.uffdFill(file, stage.address(values.slot, values.page), length, fill);
  return { result: result.result, ...(told && { found: { [told]: writtenBack(result, length) } }) };
}

/** What the ioctl writes back: nothing, if it refuses before it begins. */
function writtenBack({ done }: FillResult, length: number): number {
  if (typeof done === 'number') return done;
  return length === 0 || done === 'ESRCH' ? 0 : -errnoOf(done);
}
