/**
 * What programs do with memory themselves, and with that of others.
 */
import { BUS_ADRERR, BUS_MCEERR_AR, SEGV_ACCERR, type SignalInfo } from '../../linux/base/siginfo.ts';
import type { Path } from '../../linux/base/task.ts';
import { actor, byte, integer, optional, text, truth } from '../line/fields.ts';
import { calling, type Operation, tasking } from '../sequence/operation.ts';
import type { Answer, Found } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import type { Stage } from '../stage/stage.ts';
import {
  addressOfSpot,
  callerOf,
  hashOf,
  OLD_SPOT,
  range,
  type Spot,
  spot,
  type Transferred,
  transferred,
} from './common.ts';

/** A hash of FNV-1a, 32 bits. */
const hash = optional(integer(0, 2 ** 32 - 1));
/** The most bytes that one program reads or writes of another's. */
const MOST_REMOTE = 2 ** 24;

const codes = text(/^(BUS_ADRERR|BUS_MCEERR_AR|SEGV_MAPERR|SEGV_ACCERR)$/, 'the name of an si_code');

export const read: Operation = calling(
  { ...spot, value: optional(integer(-1, 255)), si_code: optional(codes) },
  {
    old: OLD_SPOT,
    touches: true,
    found: ['value', 'si_code'],
    *calls(stage, values, thread) {
      const value = yield* callerOf(stage, thread, values.proc).read(addressOfSpot(stage, values));
      if (typeof value === 'number') return { result: 'OK', found: { value } };
      return { result: value, found: { value: -1, ...(!thread && codeOf(stage, values.proc, value)) } };
    },
  },
);

export const write: Operation = calling(
  { ...spot, value: byte, si_code: optional(codes) },
  {
    old: OLD_SPOT,
    touches: true,
    found: ['si_code'],
    *calls(stage, { value, ...spot }, thread) {
      const result = yield* callerOf(stage, thread, spot.proc).write(addressOfSpot(stage, spot), value);
      return result === 'OK' || thread ? { result } : { result, found: codeOf(stage, spot.proc, result) };
    },
  },
);

/** What came with the signal that a main thread has got. */
function codeOf(stage: Stage, proc: number, signal: string): Readonly<Record<string, Found>> {
  const { siginfo } = stage.process(proc);
  return siginfo?.signal === signal ? { si_code: nameOf(siginfo) } : {};
}

function nameOf({ signal, code }: SignalInfo): string {
  if (signal === 'SIGSEGV') return code === SEGV_ACCERR ? 'SEGV_ACCERR' : 'SEGV_MAPERR';
  return code === BUS_MCEERR_AR ? 'BUS_MCEERR_AR' : code === BUS_ADRERR ? 'BUS_ADRERR' : `${code}`;
}

/** How a program reads and writes another's memory. */
type RemoteAccess = 'processVm' | 'procMem';

const remote = { ...spot, length: integer(1, MOST_REMOTE), done: optional(integer(-1, MOST_REMOTE)) } as const;

/** Bytes that were read of a process's memory, and their hash: 0 with an errno. */
export function remoteRead(access: RemoteAccess): Operation {
  return calling(
    { ...remote, fnv1a: hash },
    {
      old: OLD_SPOT,
      found: ['done', 'fnv1a'],
      *calls(stage, { length, ...spot }, thread) {
        const buffer = new Uint8Array(length);
        const { result, found } = yield* transfer(stage, access, spot, buffer, 'read', thread);
        return { result, found: { ...found, fnv1a: hashOf(buffer, found.done) } };
      },
    },
  );
}

/** Writes bytes of a value. */
export function remoteWrite(access: RemoteAccess): Operation {
  return calling(
    { ...remote, value: byte },
    {
      old: OLD_SPOT,
      found: ['done'],
      calls: (stage, { length, value, ...spot }, thread) =>
        transfer(stage, access, spot, new Uint8Array(length).fill(value), 'write', thread),
    },
  );
}

function* transfer(
  stage: Stage,
  access: RemoteAccess,
  spot: Spot,
  buffer: Uint8Array,
  way: 'read' | 'write',
  thread: Caller | undefined,
): Path<Transferred> {
  const caller = thread ?? stage.main(stage.stranger(spot.proc));
  return transferred(yield* caller[access](stage.process(spot.proc), addressOfSpot(stage, spot), buffer, way));
}

/** Registers a buffer with io_uring. */
export const pin: Operation = tasking(
  { ...spot, length: integer(1, 2 ** 32) },
  {
    old: OLD_SPOT,
    *calls(stage, { length, ...spot }, task) {
      return { result: yield* callerOf(stage, task, spot.proc).registerBuffer(addressOfSpot(stage, spot), length) };
    },
  },
);

export const unpin: Operation = tasking(
  { proc: actor },
  {
    *calls(stage, { proc }, task) {
      return { result: yield* callerOf(stage, task, proc).unregisterBuffer() };
    },
  },
);

/** Puts pages into a new pipe, and reads them out of it. */
export const vmsplice: Operation = tasking(
  { ...remote, fnv1a: hash, same_as_memory: optional(truth) },
  {
    walks: true,
    old: OLD_SPOT,
    found: ['done', 'fnv1a', 'same_as_memory'],
    *calls(stage, { length, ...spot }, task) {
      const caller = callerOf(stage, task, spot.proc);
      const address = addressOfSpot(stage, spot);
      const pipe = stage.machine.createPipe();
      const { result, found } = transferred(yield* caller.vmsplice(pipe, address, length));
      const buffer = new Uint8Array(Math.max(found.done, 0));
      yield* caller.pipeRead(pipe, buffer);
      yield* caller.pipeClose(pipe);
      let same_as_memory = found.done >= 0;
      for (let i = 0; same_as_memory && i < buffer.length; i++) {
        same_as_memory = (yield* caller.read(address + i)) === buffer[i];
      }
      return { result, found: { ...found, fnv1a: hashOf(buffer, found.done), same_as_memory } };
    },
  },
);

/** How many pages are in core: -1 with an errno. */
export const mincore: Operation = calling(
  { ...range, incore: optional(integer(-1, 2 ** 24)), fnv1a: hash },
  {
    found: ['incore', 'fnv1a'],
    *calls(stage, { proc, slot, page, pages }, thread): Path<Answer> {
      const bytes = yield* callerOf(stage, thread, proc).mincore(stage.address(slot, page), stage.bytes(pages));
      if (typeof bytes === 'string') return { result: bytes, found: { incore: -1, fnv1a: 0 } };
      const incore = bytes.reduce((sum, one) => sum + one, 0);
      return { result: 'OK', found: { incore, fnv1a: hashOf(bytes, bytes.length) } };
    },
  },
);
