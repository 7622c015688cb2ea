/**
 * The operations on userfaultfds. They have numbers: 0 and 1 are opened, 2 is what a fork's event brought, for the child.
 */

import type { Path } from '../../linux/base/task.ts';
import {
  UFFD_EVENT_FORK,
  UFFD_EVENT_PAGEFAULT,
  UFFD_EVENT_REMAP,
  UFFD_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFD_FEATURE_MISSING_HUGETLBFS,
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
  UFFDIO_COPY_MODE_WP,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../linux/base/uffd-uapi.ts';
import type { FillResult, UffdMessage, UserfaultFile } from '../../linux/machine/userfault-file.ts';
import type { UffdFill } from '../../linux/userfaultfd/uffd-fill.ts';
import {
  actor,
  byte,
  type Context,
  type Field,
  integer,
  list,
  optional,
  page,
  processNumber,
  Refusal,
  slot,
  text,
  truth,
  withDefault,
} from '../line/fields.ts';
import { placeOf } from '../line/setting.ts';
import { calling, type Operation, operation, type Problem } from '../sequence/operation.ts';
import type { Answer, Found } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import { DELIVERED, type Stage } from '../stage/stage.ts';
import { callerOf, rangeProblem } from './common.ts';
import { errnoOf, MOST_ERRNO } from './errno-numbers.ts';

/** What every userfaultfd of recordings has; with UFFD_FEATURE_SIGBUS, no fault ever waits. */
const FEATURES =
  UFFD_FEATURE_MISSING_HUGETLBFS |
  UFFD_FEATURE_MINOR_HUGETLBFS |
  UFFD_FEATURE_PAGEFAULT_FLAG_WP |
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

/** In what the formats differ. */
export interface UserfaultfdFormat {
  /** Which userfaultfd: where it may be left out, the process has one that nobody opens. */
  readonly uffd: Field<number | undefined>;
  /** What an empty range is: for the kernel to refuse (0), or not well-formed (1). */
  readonly fewestPages: 0 | 1;
  /** What there is to be copied from, in bytes; nothing is behind it. */
  readonly sourceBytes: number;
}

/** The numbers of userfaultfds. */
export const uffdNumber: Field<number> = integer(0, DELIVERED);

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

/** Bytes done, or an errno. */
const bytesDone = optional(integer(-MOST_ERRNO, 2 ** 40));
const off = withDefault(truth, false);

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

/** Opens one: {@link FEATURES} are there always, the others are asked for. */
const open: Operation = operation(
  {
    proc: actor,
    uffd: integer(0, DELIVERED - 1),
    hgm: off,
    exact_address: off,
    event_fork: off,
    event_remap: off,
    event_remove: off,
    event_unmap: off,
    waits: off,
  },
  {
    run(stage, { proc, uffd, ...asked }) {
      const features =
        FEATURES |
        (asked.waits ? 0 : UFFD_FEATURE_SIGBUS) |
        (asked.hgm ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0) |
        (asked.exact_address ? UFFD_FEATURE_EXACT_ADDRESS : 0) |
        (asked.event_fork ? UFFD_FEATURE_EVENT_FORK : 0) |
        (asked.event_remap ? UFFD_FEATURE_EVENT_REMAP : 0) |
        (asked.event_remove ? UFFD_FEATURE_EVENT_REMOVE : 0) |
        (asked.event_unmap ? UFFD_FEATURE_EVENT_UNMAP : 0);
      return { result: stage.openUserfaultfd(uffd, stage.process(proc), features) };
    },
  },
);

/** Which message: where, what for. */
const MESSAGE = {
  event: optional(text(/^(pagefault|fork|remap|remove|unmap)$/, 'pagefault, fork, remap, remove or unmap')),
  where: optional(list(integer(0, 2 ** 40), 2, 'a slot and a page')),
  flags: optional(text(/^(write|wp|minor|\|)*$/, 'some of write, wp, minor, with | between them')),
};

/** By the names that `op` gives. */
export function userfaultfdOperations(format: UserfaultfdFormat): Readonly<Record<string, Operation>> {
  const { uffd, fewestPages, sourceBytes } = format;
  const range = {
    proc: processNumber,
    uffd,
    slot,
    page,
    pages: integer(fewestPages, ({ slotPages }) => slotPages),
  } as const;
  const plain = (
    ioctl: (caller: Caller, file: UserfaultFile, start: number, length: number) => Path<string>,
  ): Operation =>
    calling(range, {
      ...CHECKS,
      *calls(stage, values, thread) {
        const [file, caller] = fileOf(stage, values, thread);
        if (!file) return { result: 'EBADF' };
        return {
          result: yield* ioctl(caller, file, stage.address(values.slot, values.page), stage.bytes(values.pages)),
        };
      },
    });
  const writeprotect = (mode: number): Operation =>
    plain((caller, file, start, length) => caller.uffdWriteprotect(file, start, length, mode));
  const fill = (told: 'mapped' | undefined, kind: 'continue' | 'zeropage'): Operation =>
    calling(told ? { ...range, mapped: bytesDone } : range, {
      ...CHECKS,
      ...(told && { found: [told] }),
      *calls(stage, values, thread): Path<Answer> {
        return yield* filled(stage, values, thread, { kind, mode: 0 }, told);
      },
    });
  return {
    uffd_open: open,
    uffd_close: operation(
      { proc: actor, uffd: uffdNumber },
      {
        run(stage, { proc, uffd }) {
          const file = stage.userfaultfd(uffd, proc);
          if (!file) return { result: 'EBADF' };
          stage.closeUserfaultfd(uffd);
          file.close();
          return { result: 'OK' };
        },
      },
    ),
    uffd_read: calling(
      { proc: actor, uffd, ...MESSAGE },
      {
        found: ['event', 'where', 'flags'],
        *calls(stage, { proc, uffd }, thread): Path<Answer> {
          const file = stage.userfaultfd(uffd, proc);
          if (!file) return { result: 'EBADF' };
          return answerOf(stage, yield* callerOf(stage, thread, proc).uffdRead(file));
        },
      },
    ),
    uffd_register: calling(
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
    ),
    uffd_unregister: plain((caller, ...args) => caller.uffdUnregister(...args)),
    uffd_continue: fill('mapped', 'continue'),
    uffd_zeropage: fill(undefined, 'zeropage'),
    uffd_copy: calling(
      { ...range, value: byte, wp: off, copied: bytesDone },
      {
        ...CHECKS,
        found: ['copied'],
        *calls(stage, { value, wp, ...values }, thread) {
          const bytes = new Uint8Array(Math.min(stage.bytes(values.pages), sourceBytes)).fill(value);
          const copy = { kind: 'copy', mode: wp ? UFFDIO_COPY_MODE_WP : 0, bytes } as const;
          return yield* filled(stage, values, thread, copy, 'copied');
        },
      },
    ),
    uffd_writeprotect: writeprotect(UFFDIO_WRITEPROTECT_MODE_WP),
    uffd_unwriteprotect: writeprotect(0),
    uffd_wake: operation(range, {
      ...CHECKS,
      run(stage, { proc, uffd, slot, page, pages }) {
        const file = stage.userfaultfd(uffd, proc);
        return { result: file ? file.wake(stage.address(slot, page), stage.bytes(pages)) : 'EBADF' };
      },
    }),
  };
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

/** A message in words. A fork's brings a userfaultfd. */
function answerOf(stage: Stage, message: UffdMessage | string): Answer {
  if (typeof message === 'string') return { result: message };
  const where = (address: number): Found => {
    const { slot, page } = placeOf(stage.setting, address);
    return [slot, page];
  };
  switch (message.event) {
    case UFFD_EVENT_PAGEFAULT: {
      const flags = PAGEFAULT_FLAGS.filter(([bit]) => message.flags & bit).map(([, name]) => name);
      return { result: 'OK', found: { event: 'pagefault', where: where(message.address), flags: flags.join('|') } };
    }
    case UFFD_EVENT_FORK:
      stage.deliverUserfaultfd(message.ufd);
      return { result: 'OK', found: { event: 'fork' } };
    case UFFD_EVENT_REMAP:
      return { result: 'OK', found: { event: 'remap', where: where(message.from) } };
    default: {
      const event = message.event === UFFD_EVENT_REMOVE ? 'remove' : 'unmap';
      return { result: 'OK', found: { event, where: where(message.start) } };
    }
  }
}

const PAGEFAULT_FLAGS = [
  [UFFD_PAGEFAULT_FLAG_WRITE, 'write'],
  [UFFD_PAGEFAULT_FLAG_WP, 'wp'],
  [UFFD_PAGEFAULT_FLAG_MINOR, 'minor'],
] as const;
