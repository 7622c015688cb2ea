import { checkAligned, wrongKind } from '../core/errors.ts';
import type { CpuState } from './cpu-state.ts';
import type { Dump, PhysicalRange, WindowsHeader } from './dump.ts';
import type { ByteRange } from './ranges.ts';
import { FRAME, FrameLocator, type Segment } from './segment.ts';
import type { Warnings } from './warnings.ts';

const HIGHEST = (1n << 52n) - 1n;

/** Where the bytes of segments lie: a byte source, or what a format unpacks. */
export interface Content {
  /** Like {@link ByteSource.read}; undefined for what cannot be had, of which a warning tells. */
  read(ranges: readonly ByteRange[]): Promise<readonly (Uint8Array | undefined)[]>;
  close(): Promise<void>;
}

/** What a format knows of a dump. */
export interface Described {
  readonly name: string;
  readonly format: string;
  /** Sorted, without overlap; their offsets are places of the content. */
  readonly segments: readonly Segment[];
  readonly content: Content;
  readonly warnings: Warnings;
  readonly cpus?: readonly CpuState[];
  readonly vmcoreinfo?: string | undefined;
  readonly windows?: WindowsHeader;
}

/** A part of a frame, and where it lies. */
interface Piece {
  readonly range: ByteRange;
  readonly frame: number;
  /** Where in the frame it begins. */
  readonly at: number;
}

/** Memory that lies in its content segment by segment. */
export class SegmentedDump implements Dump {
  readonly name: string;
  readonly format: string;
  readonly segments: readonly PhysicalRange[];
  readonly cpus: readonly CpuState[];
  readonly vmcoreinfo?: string;
  readonly windows?: WindowsHeader;
  readonly warnings: readonly string[];
  readonly #content: Content;
  readonly #frames: FrameLocator;

  constructor({ name, format, segments, content, warnings, cpus = [], vmcoreinfo, windows }: Described) {
    this.name = name;
    this.format = format;
    this.segments = segments.map(({ physical, bytes }) => ({ physical, bytes }));
    this.cpus = cpus;
    if (vmcoreinfo !== undefined) this.vmcoreinfo = vmcoreinfo;
    if (windows) this.windows = windows;
    this.warnings = warnings.lines;
    this.#content = content;
    this.#frames = new FrameLocator(segments);
  }

  async readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]> {
    const asked = checkedFrames(physical);
    const pieces = [...new Set(asked)].flatMap((frame) => this.#piecesOf(frame));
    pieces.sort((a, b) => a.range.offset - b.range.offset);
    const contents = pieces.length ? await this.#content.read(pieces.map(({ range }) => range)) : [];

    const frames = new Map<number, Uint8Array>();
    const broken = new Set<number>();
    for (const [i, { frame, at }] of pieces.entries()) {
      const content = contents[i];
      if (!content) {
        broken.add(frame);
      } else if (content.length === FRAME) {
        frames.set(frame, content);
      } else {
        const whole = frames.get(frame) ?? new Uint8Array(FRAME);
        whole.set(content, at);
        frames.set(frame, whole);
      }
    }
    return asked.map((frame) => (broken.has(frame) ? undefined : frames.get(frame)));
  }

  async close(): Promise<void> {
    await this.#content.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #piecesOf(frame: number): Piece[] {
    let at = 0;
    return (this.#frames.locate(frame) ?? []).map((range) => {
      const piece = { range, frame, at };
      at += range.length;
      return piece;
    });
  }
}

/**
 * Addresses of frames as numbers, which are exact.
 *
 * @throws TypeError or RangeError for what is no array of multiples of 4096 below 2^52
 */
export function checkedFrames(physical: readonly bigint[]): number[] {
  if (!Array.isArray(physical)) throw wrongKind('physical', 'an array of addresses', physical);
  for (const address of physical) checkAligned('physical', address, BigInt(FRAME), HIGHEST);
  return physical.map(Number);
}
