/**
 * Memory that a dump holds twice must be the same both times. Linux's /proc/vmcore has the kernel's image (at most 1 GiB)
 * once by itself and once within the RAM around it: kernel/crash_core.c, fs/proc/vmcore.c.
 */
import { hex } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';
import { DumpError } from './dump-error.ts';
import type { Repetition } from './segment.ts';

/** More than that is no kernel image. */
const MOST = 16;
const MOST_BYTES = 2 ** 30;
/** Bytes compared at a time. */
const CHUNK = 2 ** 24;

/** @throws {@link DumpError} where memory differs from its repetition, or more is repeated than any system does */
export async function checkRepetitions(source: ByteSource, repetitions: readonly Repetition[]): Promise<void> {
  const total = repetitions.reduce((sum, { places }) => sum + places[0].length, 0);
  if (repetitions.length > MOST || total > MOST_BYTES) {
    throw new DumpError(
      source.name,
      `expected segments of separate physical memory, found ${hex(total)} bytes from physical ${hex(repetitions[0]!.physical)} on in two places of the file`,
    );
  }
  for (const repetition of repetitions) {
    const { length } = repetition.places[0];
    for (let done = 0; done < length; done += CHUNK) await checkPart(source, repetition, done);
  }
}

async function checkPart(source: ByteSource, { physical, places }: Repetition, done: number): Promise<void> {
  const length = Math.min(CHUNK, places[0].length - done);
  const ranges = places.map(({ offset }) => ({ offset: offset + done, length })).sort((a, b) => a.offset - b.offset);
  const [first, second] = await source.read(ranges);
  const at = first!.findIndex((byte, i) => byte !== second![i]);
  if (at < 0) return;
  throw new DumpError(
    source.name,
    `expected the same memory at file offsets ${hex(ranges[0]!.offset + at)} and ${hex(ranges[1]!.offset + at)}, both physical ${hex(physical + BigInt(done + at))}, found ${hex(first![at]!)} and ${hex(second![at]!)}`,
  );
}
