/**
 * Bytes at linear addresses: what the processor of a dump would have read, page by page.
 */
import { checkBigint, checkInteger, hex } from '../../core/errors.ts';
import type { Outcome } from '../../reference/outcome.ts';
import type { Dump } from '../dump.ts';

/** Why there are no bytes: nothing is mapped, the frame is not in the dump, or a table is not. */
export type HoleReason = 'not-mapped' | 'not-in-dump' | 'missing-table';

/** A stretch of what was asked for that cannot be read. */
export interface MemoryHole {
  /** First linear address. */
  readonly va: bigint;
  /** Bytes. */
  readonly bytes: number;
  readonly why: HoleReason;
}

/** What stands at a range of linear addresses. */
export interface MemoryContents {
  /** First linear address. */
  readonly va: bigint;
  /** As many bytes as were asked for; zero where there is a hole. */
  readonly bytes: Uint8Array;
  /** What could not be read, in ascending order; empty where everything could. */
  readonly holes: readonly MemoryHole[];
}

const FRAME = 4096;
/** Bytes that one call reads at most: 256 MiB. */
const MOST_BYTES = 2 ** 28;
/** Frames asked of the dump at a time. */
const CHUNK = 4096;

/** Translates an address for a read, and loads the tables that this takes. */
export type Translate = (va: bigint) => Promise<Outcome>;

/** A part of the range within one page of 4 KiB. */
interface Piece {
  readonly va: bigint;
  readonly at: number;
  readonly bytes: number;
}

/**
 * Reads a range.
 *
 * @throws TypeError or RangeError for a range that is none; DumpError when the file cannot be read
 */
export async function readMemory(
  dump: Dump,
  width: number,
  translate: Translate,
  va: bigint,
  length: number,
): Promise<MemoryContents> {
  checkRange(va, length, width);
  const bytes = new Uint8Array(length);
  const holes: MemoryHole[] = [];
  for (let done = 0; done < length; ) {
    const pieces = piecesOf(va, done, length);
    await readPieces(dump, translate, pieces, bytes, holes);
    const last = pieces.at(-1)!;
    done = last.at + last.bytes;
  }
  return { va, bytes, holes };
}

function checkRange(va: bigint, length: number, width: number): void {
  checkBigint('va', va);
  checkInteger('length', length, 0, MOST_BYTES);
  const last = va + BigInt(Math.max(length, 1) - 1);
  for (const address of [va, last]) {
    if (BigInt.asUintN(64, BigInt.asIntN(width, address)) === address) continue;
    throw new RangeError(`va: expected canonical addresses for ${hex(length)} bytes, got ${hex(va)} to ${hex(last)}`);
  }
}

/** The next pages' parts, from an offset into the range on. */
function piecesOf(va: bigint, from: number, length: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = from; at < length && pieces.length < CHUNK; ) {
    const start = va + BigInt(at);
    const bytes = Math.min(length - at, FRAME - Number(start % BigInt(FRAME)));
    pieces.push({ va: start, at, bytes });
    at += bytes;
  }
  return pieces;
}

async function readPieces(
  dump: Dump,
  translate: Translate,
  pieces: readonly Piece[],
  into: Uint8Array,
  holes: MemoryHole[],
): Promise<void> {
  const found: { readonly piece: Piece; readonly outcome: Outcome }[] = [];
  for (const piece of pieces) found.push({ piece, outcome: await translate(piece.va) });
  const physical = found.flatMap(({ outcome }) => (outcome.kind === 'page' ? [frameOf(outcome.physicalAddress)] : []));
  const frames = physical.length > 0 ? await dump.readFrames(physical) : [];
  let next = 0;
  for (const { piece, outcome } of found) {
    if (outcome.kind !== 'page') {
      addHole(holes, piece, outcome.kind === 'missing-table' ? 'missing-table' : 'not-mapped');
      continue;
    }
    const frame = frames[next++];
    const from = Number(piece.va % BigInt(FRAME));
    if (frame) into.set(frame.subarray(from, from + piece.bytes), piece.at);
    else addHole(holes, piece, 'not-in-dump');
  }
}

function frameOf(physical: bigint): bigint {
  return physical - (physical % BigInt(FRAME));
}

/** Joins a hole with the one before it, if that ends where it begins. */
function addHole(holes: MemoryHole[], { va, bytes }: Piece, why: HoleReason): void {
  const last = holes.at(-1);
  if (last?.why === why && last.va + BigInt(last.bytes) === va) {
    holes[holes.length - 1] = { ...last, bytes: last.bytes + bytes };
  } else holes.push({ va, bytes, why });
}
