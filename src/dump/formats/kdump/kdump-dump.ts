/**
 * Memory whose pages lie compressed in one file or several, each by itself.
 */
import { checkAligned, hex, wrongKind } from '../../../core/errors.ts';
import type { CpuState } from '../../cpu-state.ts';
import type { Dump, PhysicalRange } from '../../dump.ts';
import { messageOf } from '../../dump-error.ts';
import { readNearby } from '../in-file.ts';
import type { PageBitmap } from '../page-bitmap.ts';
import { CODEC_FLAGS, CODECS, type Decompress } from './codecs.ts';
import { DESCRIPTOR, type Descriptor, readDescriptors } from './descriptors.ts';
import type { Part } from './parts.ts';

const FRAME = 4096;
const HIGHEST = (1n << 52n) - 1n;
/** Of the pages that several frames share, so many stay in memory. */
const MOST_SHARED = 64;
/** More pieces of memory than that are told as one. */
const MOST_SEGMENTS = 2 ** 16;
/** The dump level of those who left out pages of zeros and no others. */
const ONLY_ZEROS = 1;

/** What is known of a dump beside its pages. */
export interface About {
  readonly name: string;
  readonly cpus: readonly CpuState[];
  readonly vmcoreinfo: string | undefined;
  /** May grow as pages are read. */
  readonly warnings: readonly string[];
}

/** A page as it lies in a file. */
interface Stored extends Descriptor {
  readonly key: string;
  /** Frames that have it. */
  readonly frames: number[];
}

/** A kdump-compressed dump. */
export class KdumpDump implements Dump {
  readonly name: string;
  readonly format = 'kdump';
  readonly segments: readonly PhysicalRange[];
  readonly cpus: readonly CpuState[];
  readonly vmcoreinfo?: string;
  readonly warnings: readonly string[];
  readonly #parts: readonly Part[];
  readonly #memory: PageBitmap;
  /** Pages that several frames share, by where they are: above all the one of zeros. */
  readonly #shared = new Map<string, Uint8Array>();
  readonly #codecs = new Map<number, Decompress>();
  /** What stands for each page of zeros that was left out. */
  readonly #zeros: Uint8Array | undefined;

  constructor(parts: readonly Part[], memory: PageBitmap, { name, cpus, vmcoreinfo, warnings }: About) {
    this.name = name;
    this.segments = memory.ranges(MOST_SEGMENTS);
    this.cpus = cpus;
    if (vmcoreinfo !== undefined) this.vmcoreinfo = vmcoreinfo;
    this.warnings = warnings;
    this.#parts = parts;
    this.#memory = memory;
    if (parts[0]!.header.level === ONLY_ZEROS) this.#zeros = new Uint8Array(FRAME);
  }

  async readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]> {
    if (!Array.isArray(physical)) throw wrongKind('physical', 'an array of addresses', physical);
    for (const address of physical) checkAligned('physical', address, BigInt(FRAME), HIGHEST);
    const asked = physical.map((address) => Number(address) / FRAME);
    const pages = new Map<number, Uint8Array>();
    const frames = [...new Set(asked)].sort((a, b) => a - b);
    for (const part of this.#parts) {
      const here = frames.filter((frame) => part.from <= frame && frame < part.to);
      const wanted = here.filter((frame) => part.dumped.has(frame));
      if (wanted.length > 0) await this.#readPart(part, wanted, pages);
      for (const frame of this.#zeros ? here : []) {
        if (!part.dumped.has(frame) && this.#memory.has(frame)) pages.set(frame, this.#zeros!);
      }
    }
    return asked.map((frame) => pages.get(frame));
  }

  async close(): Promise<void> {
    for (const { source } of this.#parts) await source.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Adds those of the frames (ascending) to `pages` that a file has. */
  async #readPart(part: Part, frames: readonly number[], pages: Map<number, Uint8Array>): Promise<void> {
    const stored = await this.#locate(part, frames);
    const unread: Stored[] = [];
    for (const place of stored) {
      const known = this.#shared.get(place.key);
      if (!known) unread.push(place);
      else for (const frame of place.frames) pages.set(frame, known);
    }
    const contents = await readNearby(part.source, unread);
    for (const [i, place] of unread.entries()) {
      const page = await this.#decompress(part, place, contents[i]!);
      if (!page) continue;
      if (place.frames.length > 1 && this.#shared.size < MOST_SHARED) this.#shared.set(place.key, page);
      for (const frame of place.frames) pages.set(frame, page);
    }
  }

  /** Where the frames' pages lie in a file, in its order; without those that cannot be there. */
  async #locate(part: Part, frames: readonly number[]): Promise<Stored[]> {
    const { source, header, dumped, first, warnings } = part;
    const numbers = frames.map((frame) => dumped.rank(frame) - first);
    const descriptors = await readDescriptors(source, header.descriptors, numbers);
    const pages = header.descriptors + DESCRIPTOR * (dumped.rank(part.to) - first);
    const places = new Map<string, Stored>();
    for (const [i, { offset, length, flags }] of descriptors.entries()) {
      const frame = frames[i]!;
      const key = `${part.from} ${offset} ${length} ${flags}`;
      const place = places.get(key);
      if (place) {
        place.frames.push(frame);
        continue;
      }
      const isBehind = offset > source.size || offset + length > source.size;
      if (offset === 0) {
        warnings.add('expected all pages that the bitmap names, found some that were not written');
      } else if (isBehind || offset < pages || length === 0 || length > FRAME) {
        warnings.add(
          `page at physical ${hex(frame * FRAME)}: expected 0x1 to 0x1000 bytes from file offset ${hex(pages)} to ${hex(source.size)}, found ${hex(length)} at ${hex(offset)}: left out`,
        );
      } else {
        places.set(key, { key, offset, length, flags, frames: [frame] });
      }
    }
    return [...places.values()].sort((a, b) => a.offset - b.offset);
  }

  /** The page that was stored so; undefined, with a warning, where it is damaged. */
  async #decompress(
    { warnings }: Part,
    { flags, frames }: Stored,
    content: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    const kind = flags & CODEC_FLAGS;
    const codec = CODECS.get(kind);
    let page: Uint8Array | undefined;
    let fault = '';
    if (kind === 0) {
      /* Not a view, which would keep all that was read with it. */
      page = content.slice();
    } else if (codec) {
      if (!this.#codecs.has(kind)) this.#codecs.set(kind, await codec.load());
      try {
        page = this.#codecs.get(kind)!(content);
      } catch (error) {
        fault = ` (${messageOf(error)})`;
      }
    } else {
      fault = `, flags ${hex(flags)}`;
    }
    if (page?.length === FRAME) return page;
    warnings.add(
      `page at physical ${hex(frames[0]! * FRAME)}: expected 0x1000 bytes, ${codec ? `compressed by ${codec.name}` : 'stored'}, found a damaged page${fault}: left out`,
    );
    return undefined;
  }
}
