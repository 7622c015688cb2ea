/**
 * Which physical memory a dump holds, and where in its file.
 */
import { hex } from '../core/errors.ts';
import type { PhysicalRange } from './dump.ts';
import { DumpError } from './dump-error.ts';
import type { ByteRange } from './ranges.ts';

/** A piece of physical memory that a dump holds, and where. */
export interface Segment extends PhysicalRange {
  /** Where in the (decompressed) file it begins. */
  readonly offset: number;
}

/** Bytes of a frame. */
export const FRAME = 4096;

/** Physical memory that lies in two places of a file. */
export interface Repetition {
  readonly physical: bigint;
  readonly places: readonly [ByteRange, ByteRange];
}

/** Segments in order. */
export interface SortedSegments {
  /** Sorted by physical address, without overlap. */
  readonly segments: readonly Segment[];
  /** What was left out, since an earlier segment holds that memory, too. */
  readonly repetitions: readonly Repetition[];
}

/**
 * Sorts segments by physical address, and lets no two hold the same memory: QEMU's `dump-guest-memory -p` writes a
 * segment for each virtual mapping, and /proc/vmcore the kernel's image twice, in two places of the file.
 *
 * @throws {@link DumpError} where one place of the file is memory at two physical addresses
 */
export function sortSegments(name: string, unsorted: readonly Segment[]): SortedSegments {
  const segments: Segment[] = [];
  const repetitions: Repetition[] = [];
  for (const segment of [...unsorted].sort((a, b) => order(a.physical, b.physical))) {
    const last = segments.at(-1);
    const shared = last ? last.physical + last.bytes - segment.physical : 0n;
    if (!last || shared <= 0n) {
      segments.push(segment);
      continue;
    }
    const length = Number(shared < segment.bytes ? shared : segment.bytes);
    const offset = last.offset + Number(segment.physical - last.physical);
    if (offset !== segment.offset) {
      const places = [
        { offset, length },
        { offset: segment.offset, length },
      ] as const;
      repetitions.push({ physical: segment.physical, places });
    }
    if (shared < segment.bytes) {
      segments.push({
        physical: segment.physical + shared,
        bytes: segment.bytes - shared,
        offset: segment.offset + length,
      });
    }
  }
  checkPlaces(name, segments);
  return { segments, repetitions };
}

function checkPlaces(name: string, segments: readonly Segment[]): void {
  const byOffset = [...segments].sort((a, b) => a.offset - b.offset);
  for (const [i, segment] of byOffset.entries()) {
    const before = byOffset[i - 1];
    if (!before || segment.offset >= before.offset + Number(before.bytes)) continue;
    const found = `${inWords(before)} and ${inWords(segment)}`;
    throw new DumpError(name, `expected segments in separate parts of the file, found ${found}`);
  }
}

function inWords({ physical, bytes, offset }: Segment): string {
  return `physical ${hex(physical)} + ${hex(bytes)} at file offset ${hex(offset)}`;
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Physical memory that a processor can have: SDM 4.1.4, MAXPHYADDR is at most 52. */
export const PHYSICAL_LIMIT: bigint = 1n << 52n;

/** Finds frames in sorted segments. Physical addresses have at most 52 bits, so they are exact as numbers. */
export class FrameLocator {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #offsets: Float64Array;

  constructor(segments: readonly Segment[]) {
    this.#starts = Float64Array.from(segments, ({ physical }) => Number(physical));
    this.#ends = Float64Array.from(segments, ({ physical, bytes }) => Number(physical + bytes));
    this.#offsets = Float64Array.from(segments, ({ offset }) => offset);
  }

  /** Where the 4 KiB frame at a physical address lies: one range, more where segments meet within it; undefined if not whole. */
  locate(frame: number): ByteRange[] | undefined {
    const ranges: ByteRange[] = [];
    const end = frame + FRAME;
    let i = this.#lastFrom(frame);
    for (let at = frame; at < end; i++) {
      if (!(this.#starts[i]! <= at && at < this.#ends[i]!)) return undefined;
      const to = Math.min(this.#ends[i]!, end);
      ranges.push({ offset: this.#offsets[i]! + (at - this.#starts[i]!), length: to - at });
      at = to;
    }
    return ranges;
  }

  /** Index of the last segment that begins at or below an address; -1 if none does. */
  #lastFrom(physical: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= physical) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
