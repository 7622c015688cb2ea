/**
 * An assembler of kdump-compressed files for tests, after makedumpfile's diskdump_mod.h and IMPLEMENTATION. Written apart from
 * the reader. Pages are stored as they are, or as given.
 */
import { concat } from '../elf-builder.ts';

/** A page, and how it lies in the file. */
export interface BuiltPage {
  readonly frame: number;
  /** What the file has of it. Pages of the same array share one place. */
  readonly stored: Uint8Array;
  /** Default 0: as it is. */
  readonly flags?: number;
}

/** A file to build. */
export interface BuiltKdump {
  readonly pages: readonly BuiltPage[];
  /** Default: up to the last page. */
  readonly frames?: number;
  /** Frames that are memory and whose pages were left out. */
  readonly excluded?: readonly number[];
  readonly level?: number;
  readonly signature?: string;
  readonly version?: number;
  readonly machine?: string;
  readonly status?: number;
  readonly part?: { readonly from: number; readonly to: number };
  /** Whether bitmap 2 of a part marks the pages of all parts. */
  readonly marksAll?: boolean;
  readonly notes?: Uint8Array;
  readonly vmcoreinfo?: string;
}

/** Where things are in a file with one sub-header block: the sub-header, bitmap 1. */
export const SUB_HEADER = 4096;
export const BITMAP = 8192;

/** Lays the file out. */
export function buildKdump(file: BuiltKdump): Uint8Array<ArrayBuffer> {
  const { pages, excluded = [], level = 0, part, version = 6 } = file;
  const frames = file.frames ?? Math.max(-1, ...excluded, ...pages.map(({ frame }) => frame)) + 1;
  const bitmapBlocks = Math.ceil(frames / 8 / 4096);
  const own = pages.filter(({ frame }) => !part || (part.from <= frame && frame < part.to));
  const descriptors = new DataView(new ArrayBuffer(own.length * 24));
  const contents: Uint8Array[] = [];
  const places = new Map<Uint8Array, number>();
  let end = BITMAP + 2 * bitmapBlocks * 4096 + descriptors.byteLength;
  for (const [i, { stored, flags = 0 }] of own.entries()) {
    if (!places.has(stored)) {
      places.set(stored, end);
      contents.push(stored);
      end += stored.length;
    }
    descriptors.setBigUint64(i * 24, BigInt(places.get(stored)!), true);
    descriptors.setUint32(i * 24 + 8, stored.length, true);
    descriptors.setUint32(i * 24 + 12, flags, true);
  }
  const notes = file.notes ?? new Uint8Array(0);
  const text = new TextEncoder().encode(file.vmcoreinfo ?? '');
  const sub = new DataView(new ArrayBuffer(4096));
  sub.setUint32(8, level, true);
  sub.setUint32(12, part ? 1 : 0, true);
  const words =
    version >= 6 ? { 80: part?.from ?? 0, 88: part?.to ?? 0, 96: frames } : { 16: part?.from ?? 0, 24: part?.to ?? 0 };
  const ranges = {
    32: text.length && SUB_HEADER + 104,
    40: text.length,
    48: notes.length && SUB_HEADER + 104 + text.length,
    56: notes.length,
  };
  for (const [at, value] of Object.entries({ ...words, ...ranges })) sub.setBigUint64(Number(at), BigInt(value), true);
  new Uint8Array(sub.buffer).set(text, 104);
  new Uint8Array(sub.buffer).set(notes, 104 + text.length);
  return concat([
    headerOf(file, frames, bitmapBlocks),
    new Uint8Array(sub.buffer),
    bitmapOf(bitmapBlocks, [...excluded, ...pages.map(({ frame }) => frame)]),
    bitmapOf(
      bitmapBlocks,
      (file.marksAll ? pages : own).map(({ frame }) => frame),
    ),
    new Uint8Array(descriptors.buffer),
    ...contents,
  ]);
}

/** The flattened form of a file: records of at most `longest` bytes, the later half first. */
export function flatten(file: Uint8Array, longest = 5000): Uint8Array<ArrayBuffer> {
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.length; at += longest) records.push(record(at, file.subarray(at, at + longest)));
  const half = records.splice(0, records.length / 2);
  return concat([flattenedHeader(), ...records, ...half, END]);
}

/** What a flattened file begins with. */
export function flattenedHeader(): Uint8Array {
  const header = new Uint8Array(4096);
  header.set(new TextEncoder().encode('makedumpfile'));
  header[23] = 1;
  header[31] = 1;
  return header;
}

/** What a flattened file ends with. */
export const END = new Uint8Array(16).fill(0xff);

/** A record of a flattened file; its size, if it is to lie. */
export function record(to: number | bigint, bytes: Uint8Array, size: number | bigint = bytes.length): Uint8Array {
  const head = new DataView(new ArrayBuffer(16));
  head.setBigInt64(0, BigInt(to));
  head.setBigInt64(8, BigInt(size));
  return concat([new Uint8Array(head.buffer), bytes]);
}

function headerOf(
  { signature = 'KDUMP   ', version = 6, machine = 'x86_64', status = 1 }: BuiltKdump,
  frames: number,
  blocks: number,
): Uint8Array {
  const header = new Uint8Array(4096);
  header.set(new TextEncoder().encode(signature));
  header.set(new TextEncoder().encode(machine), 272);
  const view = new DataView(header.buffer);
  for (const [at, value] of [
    [8, version],
    [424, status],
    [428, 4096],
    [432, 1],
    [436, 2 * blocks],
    [440, frames],
  ] as const) {
    view.setUint32(at, value, true);
  }
  return header;
}

function bitmapOf(blocks: number, frames: readonly number[]): Uint8Array {
  const bitmap = new Uint8Array(blocks * 4096);
  for (const frame of frames) bitmap[frame >>> 3]! |= 1 << (frame & 7);
  return bitmap;
}
