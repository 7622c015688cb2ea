/**
 * `{"uffd_message":...}`: a minor fault that waits, what its message says, and what wakes it.
 */
import { PAGE_SIZE } from '../../linux/base/page.ts';
import { interleave, type Path, preemptionPoint, sleepUntil } from '../../linux/base/task.ts';
import { UFFD_EVENT_PAGEFAULT, UFFD_FEATURE_EXACT_ADDRESS } from '../../linux/base/uffd-uapi.ts';
import type { Process } from '../../linux/machine/process.ts';
import { choice, integer, text, truth } from '../line/fields.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import type { Answer, Found } from '../stage/answer.ts';
import { type Scene, sceneOf } from './scene.ts';
import type { HgmStage } from './stage.ts';

/** What the program asks for: HGM, exact addresses. */
const FEATURES = {
  plain: { hgm: false, exact: false },
  exact: { hgm: false, exact: true },
  hgm: { hgm: true, exact: false },
  'hgm+exact': { hgm: true, exact: true },
} as const;

const result = text(/^(OK|E[A-Z0-9]+)$/, '"OK" or the name of an errno');

/** A byte of the first of two huge pages is read. */
export const uffdMessage: Operation = operation(
  {
    uffd_message: choice<(typeof FEATURES)[keyof typeof FEATURES]>(FEATURES),
    register: result,
    touch_page: integer(0, ({ hugePageSize }) => hugePageSize / PAGE_SIZE - 2),
    touch_byte: integer(0, PAGE_SIZE - 1),
    message_offset: integer(0, ({ hugePageSize }) => hugePageSize - 1),
    flags: integer(0, 7),
    continue: result,
    woken_by_other_continue: truth,
    woken_by_continue: truth,
  },
  {
    found: ['register', 'message_offset', 'flags', 'continue', 'woken_by_other_continue', 'woken_by_continue'],
    run: (stage: HgmStage, { uffd_message: { hgm, exact }, touch_page, touch_byte }) =>
      stage.withProcess((process): Answer => {
        const scene = sceneOf(stage, process, hgm, exact ? UFFD_FEATURE_EXACT_ADDRESS : 0);
        if (scene.result !== 'OK') return { result: 'OK', found: { register: scene.result } };
        /* The pieces that can be continued: the one that is touched, and its neighbour. */
        const piece = hgm ? PAGE_SIZE : stage.setting.hugePageSize;
        const touched = hgm ? touch_page : 0;
        const pieces = { touched: touched * piece, other: (touched + 1) * piece, length: piece };
        return { result: 'OK', found: messageOf(process, scene, touch_page * PAGE_SIZE + touch_byte, pieces) };
      }),
  },
);

interface Pieces {
  readonly touched: number;
  readonly other: number;
  readonly length: number;
}

/** One thread faults; another one reads the message, and continues pieces until the first one goes on. */
function messageOf(
  process: Process,
  { uffd, start }: Scene,
  offset: number,
  pieces: Pieces,
): Readonly<Record<string, Found>> {
  const [faulting, handling] = [process.thread(), process.thread()];
  let woken = false;
  function* fault(): Path<unknown> {
    const read = yield* faulting.read(start + offset);
    woken = true;
    return read;
  }
  /* Who is awake runs first, to its end. */
  function* wakes(at: number): Path<{ readonly result: string; readonly woken: boolean }> {
    const fill = { kind: 'continue', mode: 0 } as const;
    const { result } = yield* handling.uffdFill(uffd, start + at, pieces.length, fill);
    yield* preemptionPoint(handling.task, 0);
    return { result, woken };
  }
  let found: Readonly<Record<string, Found>> = { register: 'OK' };
  function* handle(): Path<unknown> {
    /* A fault that needs nobody sends no message: all that a message says is missing then. */
    yield* sleepUntil(handling.task, 'the message of a fault', handling.task, () => woken || uffd.pending);
    if (!uffd.pending) return;
    const message = yield* handling.uffdRead(uffd);
    if (typeof message === 'string' || message.event !== UFFD_EVENT_PAGEFAULT) return;
    const other = yield* wakes(pieces.other);
    const touched = yield* wakes(pieces.touched);
    yield* handling.uffdClose(uffd);
    found = {
      register: 'OK',
      message_offset: message.address - start,
      flags: message.flags,
      continue: touched.result,
      woken_by_other_continue: other.woken,
      woken_by_continue: touched.woken,
    };
  }
  const works = [
    { task: faulting.task, path: fault() },
    { task: handling.task, path: handle() },
  ];
  interleave<unknown>(works, () => 0);
  return found;
}
