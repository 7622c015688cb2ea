/**
 * Memory of which a bitmap says which frames are there; their pages lie one after the other.
 */
import type { ByteSource } from '../../byte-source.ts';
import type { CpuState } from '../../cpu-state.ts';
import type { Dump, PhysicalRange, WindowsHeader } from '../../dump.ts';
import { FRAME } from '../../segment.ts';
import { checkedFrames } from '../../segmented-dump.ts';
import type { Warnings } from '../../warnings.ts';
import type { StoredFrames } from './bitmap.ts';

/** More pieces of memory than that are told as one. */
const MOST_SEGMENTS = 2 ** 16;

/** A bitmap dump of Windows. */
export class BitmapDump implements Dump {
  readonly name: string;
  readonly format = 'windows';
  readonly segments: readonly PhysicalRange[];
  readonly cpus: readonly CpuState[] = [];
  readonly windows: WindowsHeader;
  readonly warnings: readonly string[];
  readonly #source: ByteSource;
  readonly #frames: StoredFrames;

  constructor(source: ByteSource, frames: StoredFrames, windows: WindowsHeader, warnings: Warnings) {
    this.name = source.name;
    this.segments = frames.bitmap.ranges(MOST_SEGMENTS);
    this.windows = windows;
    this.warnings = warnings.lines;
    this.#source = source;
    this.#frames = frames;
  }

  async readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]> {
    const { bitmap, firstPage, held } = this.#frames;
    const asked = checkedFrames(physical);
    const frames = [...new Set(asked)].sort((a, b) => a - b);
    const there = frames.flatMap((frame) => {
      const number = frame / FRAME;
      if (!bitmap.has(number)) return [];
      const rank = bitmap.rank(number);
      return rank < held ? [{ frame, offset: firstPage + rank * FRAME, length: FRAME }] : [];
    });
    const contents = there.length > 0 ? await this.#source.read(there) : [];
    const pages = new Map(there.map(({ frame }, i) => [frame, contents[i]!]));
    return asked.map((frame) => pages.get(frame));
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
