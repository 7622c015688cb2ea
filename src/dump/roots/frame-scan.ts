/**
 * One pass over all frames of a dump, in ascending order, with a bounded part of them in memory.
 */
import type { Dump } from '../dump.ts';
import { TABLE_BYTES, wordsOf } from './entry-halves.ts';

/** Frames asked of the dump at a time: 8 MiB. */
const CHUNK = 2048;

/** A part of physical memory. */
export interface Span {
  readonly physical: bigint;
  readonly bytes: bigint;
}

/** The frames that a scan goes over: first frame, and the address after the last, of each part that has whole frames. */
function wholeFrames(segments: readonly Span[]): { readonly from: number; readonly to: number }[] {
  const parts: { from: number; to: number }[] = [];
  for (const { physical, bytes } of segments) {
    const from = Math.floor(Number(physical) / TABLE_BYTES) * TABLE_BYTES;
    const to = Math.ceil(Number(physical + bytes) / TABLE_BYTES) * TABLE_BYTES;
    const last = parts.at(-1);
    /* Segments may meet within a frame, which is looked at once. */
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else parts.push({ from, to });
  }
  return parts;
}

/**
 * Shows every frame that the dump has to `visit`, until that answers true.
 *
 * @param onProgress called as the scan goes on, with bytes done and bytes there are
 */
export async function scanFrames(
  dump: Dump,
  visit: (frame: number, words: Int32Array) => boolean | undefined,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  const parts = wholeFrames(dump.segments);
  const total = parts.reduce((sum, { from, to }) => sum + to - from, 0);
  let done = 0;
  for (const { from, to } of parts) {
    for (let first = from; first < to; first += CHUNK * TABLE_BYTES) {
      const length = Math.min(CHUNK, (to - first) / TABLE_BYTES);
      const addresses = Array.from({ length }, (_, i) => BigInt(first + i * TABLE_BYTES));
      const frames = await dump.readFrames(addresses);
      for (let i = 0; i < length; i++) {
        const frame = frames[i];
        if (frame && visit(first + i * TABLE_BYTES, wordsOf(frame))) return;
      }
      done += length * TABLE_BYTES;
      onProgress?.(done, total);
    }
  }
}

/** The physical address after the last that a dump may have. */
export function topOf(segments: readonly Span[]): number {
  return segments.reduce((top, { physical, bytes }) => Math.max(top, Number(physical + bytes)), 0);
}
