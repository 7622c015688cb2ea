import { checkAligned, wrongKind } from '../core/errors.ts';
import type { ByteSource } from './byte-source.ts';
import type { CpuState } from './qemu-note.ts';
import type { ByteRange } from './ranges.ts';
import { FRAME, FrameLocator, type Segment } from './segment.ts';

/** An image of physical memory, and what is known of the processors. */
export interface Dump {
  /** The file's name. */
  readonly name: string;
  readonly format: 'elf-core';
  /** The physical memory it holds, sorted by address, without overlap. */
  readonly segments: readonly Segment[];
  /** Its processors in order; empty where it says nothing of them. */
  readonly cpus: readonly CpuState[];
  /**
   * The 4 KiB frames at physical addresses (multiples of 4096, below 2^52), in the order asked, in one pass over the file.
   *
   * @returns 4096 bytes each, undefined where the dump has no whole frame; do not write to them, they may share memory
   * @throws TypeError or RangeError for an address that is none; {@link DumpError} when the file cannot be read
   */
  readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]>;
  /** Closes the file. More than once does nothing. */
  close(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

const HIGHEST = (1n << 52n) - 1n;

/** A part of a frame, and where it lies. */
interface Piece {
  readonly range: ByteRange;
  readonly frame: number;
  /** Where in the frame it begins. */
  readonly at: number;
}

/** Memory that lies in its file uncompressed, segment by segment. */
export class SegmentedDump implements Dump {
  readonly name: string;
  readonly format = 'elf-core';
  readonly segments: readonly Segment[];
  readonly cpus: readonly CpuState[];
  readonly #source: ByteSource;
  readonly #frames: FrameLocator;

  constructor(source: ByteSource, segments: readonly Segment[], cpus: readonly CpuState[]) {
    this.name = source.name;
    this.segments = segments;
    this.cpus = cpus;
    this.#source = source;
    this.#frames = new FrameLocator(segments);
  }

  async readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]> {
    if (!Array.isArray(physical)) throw wrongKind('physical', 'an array of addresses', physical);
    for (const address of physical) checkAligned('physical', address, BigInt(FRAME), HIGHEST);
    const asked = physical.map(Number);
    const pieces = [...new Set(asked)].flatMap((frame) => this.#piecesOf(frame));
    pieces.sort((a, b) => a.range.offset - b.range.offset);
    const contents = pieces.length ? await this.#source.read(pieces.map(({ range }) => range)) : [];

    const frames = new Map<number, Uint8Array>();
    for (const [i, { frame, at }] of pieces.entries()) {
      const content = contents[i]!;
      if (content.length === FRAME) {
        frames.set(frame, content);
      } else {
        const whole = frames.get(frame) ?? new Uint8Array(FRAME);
        whole.set(content, at);
        frames.set(frame, whole);
      }
    }
    return asked.map((frame) => frames.get(frame));
  }

  async close(): Promise<void> {
    await this.#source.close();
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
