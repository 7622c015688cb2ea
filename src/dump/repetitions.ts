/**
 * Memory that a dump holds twice should be the same both times. Linux's /proc/vmcore has the kernel's image (at most 1 GiB)
 * once by itself and once within the RAM around it: kernel/crash_core.c, fs/proc/vmcore.c. Where it is not the same, nobody
 * knows which is right: the one that sortSegments has kept is used, and a warning says so.
 */
import { hex } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';
import type { Repetition } from './segment.ts';
import type { Warnings } from './warnings.ts';

/** More than that is no kernel image, and not compared. */
const MOST = 16;
const MOST_BYTES = 2 ** 30;
/** Bytes compared at a time. */
const CHUNK = 2 ** 24;

/** Warns where memory differs from its repetition, or more is repeated than any system does. */
export async function checkRepetitions(
  source: ByteSource,
  repetitions: readonly Repetition[],
  warnings: Warnings,
): Promise<void> {
  const total = repetitions.reduce((sum, { places }) => sum + places[0].length, 0);
  if (repetitions.length > MOST || total > MOST_BYTES) {
    warnings.add(
      `expected segments of separate physical memory, found ${hex(total)} bytes from physical ${hex(repetitions[0]!.physical)} on in two places of the file: one of each is used, and they were not compared`,
    );
    return;
  }
  for (const repetition of repetitions) {
    const { length } = repetition.places[0];
    for (let done = 0; done < length; done += CHUNK) {
      if (await differs(source, repetition, done, warnings)) break;
    }
  }
}

async function differs(
  source: ByteSource,
  { physical, places }: Repetition,
  done: number,
  warnings: Warnings,
): Promise<boolean> {
  const length = Math.min(CHUNK, places[0].length - done);
  const ranges = places.map(({ offset }) => ({ offset: offset + done, length })).sort((a, b) => a.offset - b.offset);
  const [first, second] = await source.read(ranges);
  const at = first!.findIndex((byte, i) => byte !== second![i]);
  if (at < 0) return false;
  warnings.add(
    `expected the same memory at file offsets ${hex(ranges[0]!.offset + at)} and ${hex(ranges[1]!.offset + at)}, both physical ${hex(physical + BigInt(done + at))}, found ${hex(first![at]!)} and ${hex(second![at]!)}: that from file offset ${hex(places[0].offset + done + at)} is used`,
  );
  return true;
}
