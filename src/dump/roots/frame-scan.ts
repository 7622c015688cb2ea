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

/** Frames that are asked for together. */
interface Chunk {
  readonly first: number;
  readonly length: number;
}

function* chunksOf(parts: readonly { readonly from: number; readonly to: number }[]): Generator<Chunk> {
  for (const { from, to } of parts) {
    for (let first = from; first < to; first += CHUNK * TABLE_BYTES) {
      yield { first, length: Math.min(CHUNK, (to - first) / TABLE_BYTES) };
    }
  }
}

/**
 * Shows every frame that the dump has to `visit`, until that answers true. While it looks at a chunk the next is read.
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
  const chunks = chunksOf(parts);
  const ask = (): { readonly chunk: Chunk; readonly frames: ReturnType<Dump['readFrames']> } | undefined => {
    const { value: chunk } = chunks.next();
    if (!chunk) return undefined;
    const addresses = Array.from({ length: chunk.length }, (_, i) => BigInt(chunk.first + i * TABLE_BYTES));
    return { chunk, frames: dump.readFrames(addresses) };
  };
  let done = 0;
  for (let asked = ask(); asked; ) {
    const frames = await asked.frames;
    const { first, length } = asked.chunk;
    asked = ask();
    /* Whoever stops before it arrives does not hear of it. */
    asked?.frames.catch(() => undefined);
    for (let i = 0; i < length; i++) {
      const frame = frames[i];
      if (frame && visit(first + i * TABLE_BYTES, wordsOf(frame))) {
        await asked?.frames.catch(() => undefined);
        return;
      }
    }
    done += length * TABLE_BYTES;
    onProgress?.(done, total);
  }
}

/** The physical address after the last that a dump may have. */
export function topOf(segments: readonly Span[]): number {
  return segments.reduce((top, { physical, bytes }) => Math.max(top, Number(physical + bytes)), 0);
}
