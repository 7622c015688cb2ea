/**
 * Fields and answers that many operations have.
 */
import type { Process } from '../../linux/machine/process.ts';
import { PM_PRESENT, PM_SOFT_DIRTY } from '../../linux/syscalls/pagemap.ts';
import { actor, at, type Context, type Field, page, pages, Refusal, slot, withDefault } from '../line/fields.ts';
import type { Problem } from '../sequence/operation.ts';
import type { Answer } from '../stage/answer.ts';
import type { Caller } from '../stage/caller.ts';
import type { Stage } from '../stage/stage.ts';

/** The result of a call that returns an address. */
export function mapping(mapped: number | string, address: number): Answer {
  if (typeof mapped === 'string') return { result: mapped };
  return { result: mapped === address ? 'OK' : `OK at 0x${mapped.toString(16)}` };
}

/** The fields of a range of a slot. */
export const range: {
  readonly proc: Field<number>;
  readonly slot: Field<number>;
  readonly page: Field<number>;
  readonly pages: Field<number>;
} = { proc: actor, slot, page, pages };

/** The fields of a byte of a slot: in its page, that at `at`. */
export const spot: {
  readonly proc: Field<number>;
  readonly slot: Field<number>;
  readonly page: Field<number>;
  readonly at: Field<number>;
} = { proc: actor, slot, page, at: withDefault(at, 0) };

/** HGM's recordings call it so. */
export const OLD_SPOT = { byte: { is: 'at' } } as const;

/** A byte of a slot. */
export interface Spot {
  readonly proc: number;
  readonly slot: number;
  readonly page: number;
  /** Its offset in the page. */
  readonly at: number;
}

/** The address of a byte. */
export function addressOfSpot(stage: Stage, { slot, page, at }: Spot): number {
  return stage.address(slot, page, at);
}

/** A range ends within its slot. */
export function rangeProblem(
  values: { readonly page: number; readonly pages: number },
  { setting: { slotPages } }: Context,
): Problem | undefined {
  if (values.page + values.pages <= slotPages) return undefined;
  const most = slotPages - values.page;
  return { field: 'pages', refusal: new Refusal(`at most ${most}, as a slot has ${slotPages} pages`) };
}

/** Who makes the calls of an operation: a thread, or else the main thread of the process. */
export function callerOf(stage: Stage, thread: Caller | undefined, proc: number): Caller {
  return thread ?? stage.main(stage.process(proc));
}

/** The bits of a pagemap entry that are the frame's number. */
const PM_FRAME = PM_SOFT_DIRTY - 1n;

/** The frame of the 4 KiB behind an address: undefined where none is mapped. */
export function frameAt(process: Process, address: number): number | undefined {
  return frameIn(process.pagemap(address)[0]!);
}

/** The frame in an entry of pagemap: undefined where none is mapped. */
export function frameIn(entry: bigint): number | undefined {
  return entry & PM_PRESENT ? Number(entry & PM_FRAME) : undefined;
}

/** An answer that has a number of bytes. */
export interface Transferred extends Answer {
  readonly found: { readonly done: number };
}

/** Of a call that returns a number of bytes: -1 with an errno. */
export function transferred(done: number | string): Transferred {
  return typeof done === 'number' ? { result: 'OK', found: { done } } : { result: done, found: { done: -1 } };
}

/** The hash of the bytes that were transferred: 0 with an errno. */
export function hashOf(buffer: Uint8Array, done: number): number {
  return done < 0 ? 0 : fnv1a(buffer.subarray(0, done));
}

/** The hash of FNV-1a, 32 bits. */
function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193);
  return hash >>> 0;
}
