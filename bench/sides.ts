/**
 * The ways to ask the library that are measured, each as one side of a comparison.
 */
import { ACCESS_MARK } from '../src/core/generated/layout.ts';
import { Access, type FlatMemory, Mmu } from '../src/index.ts';
import { BENCH_ACCESS, flatMemoryOf, type Image } from './images.ts';
import { checksumOf } from './job.ts';
import type { Side } from './rounds.ts';

/** How thoroughly to measure. */
export interface Effort {
  /** Repetitions that count. */
  readonly repetitions: number;
  /** Walks a repetition, at least. */
  readonly walks: number;
}

/** Fills a batch once and runs it over and over. */
export class BatchSide implements Side {
  readonly name: string;
  readonly passes: number;
  readonly checksum: number;
  readonly repeat: () => number;

  constructor(name: string, mmu: Mmu, addresses: BigUint64Array, { walks }: Effort) {
    const batch = mmu.batch(addresses.length);
    batch.addresses.set(addresses);
    batch.run(addresses.length, BENCH_ACCESS);
    this.name = name;
    this.checksum = checksumOf(batch.outcomes);
    this.passes = Math.ceil(walks / addresses.length);
    this.repeat = timed(addresses.length, this.passes, () => batch.run(addresses.length, BENCH_ACCESS));
  }
}

/** The access that sets both A and D. */
export const MARKING_ACCESS: number = Access.user | Access.write;

/** What the sides that set A and D have in common. */
export interface MarkSides {
  readonly passes: number;
  /** Checksum of outcomes and memory. */
  readonly checksum: number;
  readonly sides: readonly Side[];
}

/**
 * The same writes over one memory: `probe` as a batch that changes nothing, `access` as one that sets A and D. The
 * image has them set already, as images in use have. With `anew` all are cleared before each pass of either side, which
 * is not measured.
 */
export function markSides(image: Image, addresses: BigUint64Array, anew: boolean, { walks }: Effort): MarkSides {
  const memory = flatMemoryOf(image);
  const mmu = new Mmu(memory, image.registers);
  const { length } = addresses;
  const batch = mmu.batch(length);
  batch.addresses.set(addresses);
  const probe = (): void => batch.run(length, MARKING_ACCESS);
  const [from, to] = [batch.addresses.byteOffset, batch.outcomes.byteOffset];
  const access = (): void => mmu.core.translateMany(from, length, MARKING_ACCESS | ACCESS_MARK, to);
  const prepare = anew ? () => clearMarks(memory) : undefined;

  prepare?.();
  probe();
  const probed = checksumOf(batch.outcomes);
  access();
  if (checksumOf(batch.outcomes) !== probed) throw new Error('expected the same outcomes of probes and of accesses');
  const passes = Math.ceil(walks / length);
  return {
    passes,
    checksum: checksumOf(batch.outcomes, memory.view()),
    sides: [
      { name: 'probe', repeat: timed(length, passes, probe, prepare) },
      { name: 'access', repeat: timed(length, passes, access, prepare) },
    ],
  };
}

const NEITHER_A_NOR_D = ~0x60;

/** Clears A and D wherever an entry may have them. */
function clearMarks(memory: FlatMemory): void {
  const { buffer, byteOffset, byteLength } = memory.view();
  const halves = new Uint32Array(buffer, byteOffset, byteLength / 4);
  for (let i = 0; i < halves.length; i += 2) halves[i]! &= NEITHER_A_NOR_D;
}

/**
 * `translate`: an address a call, an object each; `word`: the same, a bigint each; `many`: arrays that are copied. The
 * first two take a part of the addresses: they are that much slower.
 */
export function otherWays(mmu: Mmu, addresses: BigUint64Array<ArrayBuffer>, { walks }: Effort): Side[] {
  const some = addresses.subarray(0, Math.ceil(walks / 8));
  const passes = Math.ceil(walks / 8 / some.length);
  const outcomes = new BigUint64Array(addresses.length);
  const translate = (): void => {
    for (const va of some) mmu.translate(va, BENCH_ACCESS);
  };
  const word = (): void => {
    for (const va of some) mmu.translateWord(va, BENCH_ACCESS);
  };
  const many = (): void => {
    mmu.translateMany(addresses, BENCH_ACCESS, outcomes);
  };
  return [
    { name: 'translate', repeat: timed(some.length, passes, translate) },
    { name: 'word', repeat: timed(some.length, passes, word) },
    { name: 'many', repeat: timed(addresses.length, Math.ceil(walks / addresses.length), many) },
  ];
}

/**
 * Every leaf, of which there are `total`: `blocks` of records, `mappings`, one object each.
 *
 * @throws Error when a list has another length
 */
export function listSides(mmu: Mmu, total: number, { walks }: Effort): Side[] {
  const check = (leaves: number): void => {
    if (leaves !== total) throw new Error(`expected a list of ${total} leaves, got ${leaves}`);
  };
  const blocks = (): void => {
    let leaves = 0;
    for (const { count } of mmu.scanBlocks()) leaves += count;
    check(leaves);
  };
  const mappings = (): void => {
    let leaves = 0;
    for (const { kind } of mmu.mappings()) if (kind === 'leaf') leaves++;
    check(leaves);
  };
  const passes = Math.ceil(walks / 8 / total);
  return [
    { name: 'blocks', repeat: timed(total, passes, blocks) },
    { name: 'mappings', repeat: timed(total, passes, mappings) },
  ];
}

/**
 * A repetition: `passes` times some work of `operations` operations; answers with milliseconds an operation. One pass
 * before them does not count: it brings back what the other sides took from the caches. `prepare` is called before each
 * pass and does not count either.
 */
function timed(operations: number, passes: number, work: () => void, prepare?: () => void): () => number {
  const pass = (): bigint => {
    prepare?.();
    const start = process.hrtime.bigint();
    work();
    return process.hrtime.bigint() - start;
  };
  return () => {
    pass();
    let nanoseconds = 0n;
    for (let i = 0; i < passes; i++) nanoseconds += pass();
    return Number(nanoseconds) / 1e6 / (passes * operations);
  };
}
