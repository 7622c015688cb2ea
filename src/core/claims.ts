/**
 * Which bytes of a WebAssembly.Memory belong to whom, so that no two physical memories write to the same ones.
 *
 *   +-------+---------------------------+---------+---------+----------+
 *   |       | image of A, image of B    | scratch |         | scratch  |
 *   |       | (the very same range)     | of A    |         | of B     |
 *   +-------+---------------------------+---------+---------+----------+
 *
 * An image holds page tables, which any number of processors may walk at a time: several memories may have it, if they agree
 * where it begins and ends. A scratch piece holds what its owner caches and lists, and is the owner's alone.
 *
 * Claims are kept for each WebAssembly.Memory object, hence for one thread: pieces for other threads are set aside by
 * `FlatMemory.share`.
 */

import { hex } from './errors.ts';
import type { WasmMemory } from './platform.ts';

/** A piece of linear memory. */
export interface LinearRange {
  /** Byte offset in linear memory. */
  readonly at: number;
  /** Length in bytes. */
  readonly bytes: number;
}

type Use = 'image' | 'scratch';

interface Claim {
  readonly owner: object;
  readonly use: Use;
  readonly at: number;
  readonly end: number;
}

/** The owner of pieces that are set aside for other threads. */
export const SET_ASIDE: object = {};

const claims = new WeakMap<WasmMemory, Claim[]>();

/**
 * Claims a piece for an owner. Empty pieces need no claim.
 *
 * @param name how the caller calls the piece
 * @throws RangeError when it overlaps what belongs to somebody else
 */
export function claim(memory: WasmMemory, owner: object, use: Use, name: string, range: LinearRange): void {
  if (range.bytes === 0) return;
  const [at, end] = [range.at, range.at + range.bytes];
  const held = claims.get(memory) ?? [];
  for (const other of held) {
    const apart = other.end <= at || end <= other.at;
    const sameImage = use === 'image' && other.use === 'image' && other.at === at && other.end === end;
    if (!apart && !sameImage) throw new RangeError(`${name}: expected ${conflict(use, other)}, got ${text(at, end)}`);
  }
  claims.set(memory, [...held, { owner, use, at, end }]);
}

/** Notes that the piece of an owner that ended at `at` has become longer, or that there is a new one: nobody else has it. */
export function extendClaim(memory: WasmMemory, owner: object, { at, bytes }: LinearRange): void {
  const held = claims.get(memory) ?? [];
  const before = held.find((one) => one.owner === owner && one.use === 'scratch' && one.end === at);
  const grown: Claim = { owner, use: 'scratch', at: before?.at ?? at, end: at + bytes };
  claims.set(memory, [...held.filter((one) => one !== before), grown]);
}

/** Takes a part out of an owner's scratch, if it has it: whoever is given it may claim it. */
export function yieldClaim(memory: WasmMemory, owner: object, { at, bytes }: LinearRange): void {
  const end = at + bytes;
  const rest = (claims.get(memory) ?? []).flatMap((one) => {
    if (one.owner !== owner || one.use !== 'scratch' || one.end <= at || end <= one.at) return [one];
    const parts = [
      { ...one, end: at },
      { ...one, at: end },
    ];
    return parts.filter((part) => part.at < part.end);
  });
  claims.set(memory, rest);
}

/** Gives back all that an owner has claimed. */
export function releaseClaims(memory: WasmMemory, owner: object): void {
  const rest = (claims.get(memory) ?? []).filter((one) => one.owner !== owner);
  claims.set(memory, rest);
}

function conflict(use: Use, other: Claim): string {
  const whose = `another memory's ${other.use} at ${text(other.at, other.end)} (release() it, or choose other bytes)`;
  if (use === 'image' && other.use === 'image') return `the same bytes as, or none of, ${whose}`;
  return `none of the bytes of ${whose}`;
}

function text(at: number, end: number): string {
  return `${hex(at)} to ${hex(end - 1)}`;
}
