/**
 * What is measured. A row has a path for a name, `walk/4k/8MiB/random`; a figure of it one more part, `.../batch`.
 *
 *   walk/SHAPE/TABLES/PATTERN     batches over flat memory, beside the native walker
 *   marks/SHAPE/TABLES/PATTERN    writes that set A and D, which are set already, beside probes and the native walker
 *   marks/.../anew                the same, but A and D have to be set
 *   sparse/SHAPE/TABLES/PATTERN   the same over sparse memory, beside flat memory
 *   list/SHAPE/TABLES             every leaf: as blocks of records, as one object a leaf
 *   list/DUMP                     the same for the address space of a real Linux process
 */
import { join } from 'node:path';
import { AddressSpace } from '../src/dump/address-space.ts';
import { openDumpFile } from '../src/dump/open-dump-file.ts';
import { Mmu, SparseMemory } from '../src/index.ts';
import { BENCH_ACCESS, buildImage, flatMemoryOf, type Image, type ImageOptions, SHAPES, type Shape } from './images.ts';
import type { Job } from './job.ts';
import { type Native, NativeProcess, projectRoot } from './native.ts';
import { addressCount, addressesOf, PATTERNS, type Pattern } from './patterns.ts';
import { measureInTurn, type Side, type Times } from './rounds.ts';
import { BatchSide, type Effort, listSides, MARKING_ACCESS, markSides, otherWays } from './sides.ts';

/** Times by figure. */
export type Figures = ReadonlyMap<string, Times>;

/** What was measured, and on which image. */
export interface Measured {
  readonly figures: Figures;
  readonly image?: Image;
}

/** A row: what it measured. */
export interface Row extends Measured {
  readonly name: string;
}

/** A row to come. */
export interface Plan {
  readonly name: string;
  readonly measure: (bench: Benchmark) => Promise<Measured>;
}

/** 32 KiB, 512 KiB, 8 MiB, 128 MiB: about a first-level cache, a second-level one, a share of a third, none. */
const SIZES = [2 ** 15, 2 ** 19, 2 ** 23, 2 ** 27] as const;
const [SMALL, , LARGE, HUGE] = SIZES;
const DUMP = 'linux-6.1-4level';

/** The rows, in an order that builds each image once. */
export function planRows(quick: boolean): Plan[] {
  const sizes = quick ? [SMALL, LARGE] : SIZES;
  const plans: Plan[] = [];
  for (const shape of SHAPES) {
    for (const tableBytes of sizes) {
      for (const pattern of PATTERNS) {
        if (quick && (pattern === 'line' || (shape === '2m' && tableBytes === LARGE))) continue;
        const everyWay = shape === '4k' && pattern !== 'line' && (tableBytes === SMALL || tableBytes === LARGE);
        plans.push(walkRow(shape, tableBytes, pattern, everyWay));
      }
    }
  }
  for (const tableBytes of sizes) plans.push(marksRow('4k', tableBytes, 'random', false));
  if (!quick) plans.push(marksRow('4k', HUGE, 'random', true), marksRow('4k', LARGE, 'page', true));
  plans.push(marksRow('4k', LARGE, 'random', true));
  for (const tableBytes of sizes) plans.push(sparseRow('4k', tableBytes, 'random'));
  plans.push(listRow('4k', LARGE), listRow('mixed', LARGE), dumpRow(DUMP));
  return plans;
}

/** What the rows share: how thoroughly to measure, the native walker, the image that was built last. */
export class Benchmark {
  readonly effort: Effort;
  readonly native: Native;
  #built: { wanted: string; image: Image } | undefined;

  constructor(effort: Effort, native: Native) {
    this.effort = effort;
    this.native = native;
  }

  /** Measures a row. */
  async run({ name, measure }: Plan): Promise<Row> {
    return { name, ...(await measure(this)) };
  }

  /** An image; kept while the same one is asked for. */
  image(options: ImageOptions): Image {
    const wanted = JSON.stringify(options);
    if (this.#built?.wanted !== wanted) this.#built = { wanted, image: buildImage(options) };
    return this.#built.image;
  }
}

function walkRow(shape: Shape, tableBytes: number, pattern: Pattern, everyWay: boolean): Plan {
  const name = `walk/${shape}/${sizeName(tableBytes)}/${pattern}`;
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const mmu = new Mmu(flatMemoryOf(image), image.registers);
    const batch = new BatchSide('batch', mmu, addresses, bench.effort);
    const sides: Side[] = [batch, ...(everyWay ? otherWays(mmu, addresses, bench.effort) : [])];
    const { registers, bytes: memory } = image;
    const { passes, checksum } = batch;
    const job = { registers, access: BENCH_ACCESS, memory, addresses, passes };
    return { image, figures: await measureBesideNative(bench, sides, job, checksum) };
  };
  return { name, measure };
}

function marksRow(shape: Shape, tableBytes: number, pattern: Pattern, anew: boolean): Plan {
  const name = `marks/${shape}/${sizeName(tableBytes)}/${pattern}${anew ? '/anew' : ''}`;
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const { sides, passes, checksum } = markSides(image, addresses, anew, bench.effort);
    const { registers, bytes: memory } = image;
    const marking = anew ? 'mark-anew' : 'mark';
    const job: Job = { registers, access: MARKING_ACCESS, marking, memory, addresses, passes };
    return { image, figures: await measureBesideNative(bench, sides, job, checksum) };
  };
  return { name, measure };
}

/** Measures the sides and, where there is a native walker, that one in turn with them. */
async function measureBesideNative(
  { native, effort }: Benchmark,
  sides: readonly Side[],
  job: Job,
  checksum: number,
): Promise<Figures> {
  if (native.binary === undefined) return measureInTurn(sides, effort.repetitions);
  const walker = new NativeProcess(native.binary, job);
  try {
    const nativeSide: Side = { name: 'native', repeat: () => nativeRepetition(walker, checksum) };
    return await measureInTurn([...sides, nativeSide], effort.repetitions);
  } finally {
    walker.end();
  }
}

/** @throws Error when the native walker's outcomes differ from ours */
async function nativeRepetition(walker: NativeProcess, expected: number): Promise<number> {
  const { milliseconds, checksum } = await walker.repeat();
  if (checksum !== expected) throw new Error(`expected outcomes with checksum ${expected}, got native ${checksum}`);
  return milliseconds;
}

function sparseRow(shape: Shape, tableBytes: number, pattern: Pattern): Plan {
  const name = `sparse/${shape}/${sizeName(tableBytes)}/${pattern}`;
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const flat = new BatchSide('flat', new Mmu(flatMemoryOf(image), image.registers), addresses, bench.effort);
    const sparse = new BatchSide('sparse', new Mmu(sparseMemoryOf(image), image.registers), addresses, bench.effort);
    if (flat.checksum !== sparse.checksum) throw new Error('expected the same outcomes over both memories');
    return { image, figures: await measureInTurn([flat, sparse], bench.effort.repetitions) };
  };
  return { name, measure };
}

function sparseMemoryOf({ bytes }: Image): SparseMemory {
  const memory = new SparseMemory();
  for (let at = 0; at < bytes.length; at += 4096) memory.addFrame(BigInt(at), bytes.subarray(at, at + 4096));
  return memory;
}

function listRow(shape: Shape, tableBytes: number): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const mmu = new Mmu(flatMemoryOf(image), image.registers);
    const sides = listSides(mmu, image.leaves.count, bench.effort);
    return { image, figures: await measureInTurn(sides, bench.effort.repetitions) };
  };
  return { name: `list/${shape}/${sizeName(tableBytes)}`, measure };
}

function dumpRow(dumpName: string): Plan {
  const measure = async ({ effort }: Benchmark): Promise<Measured> => {
    const dump = await openDumpFile(join(projectRoot(), `test/fixtures/${dumpName}.elf.gz`));
    try {
      const space = await AddressSpace.open(dump);
      await space.load();
      const leaves = [...space.mmu.mappings()].length;
      return { figures: await measureInTurn(listSides(space.mmu, leaves, effort), effort.repetitions) };
    } finally {
      await dump.close();
    }
  };
  return { name: `list/${dumpName}`, measure };
}

function sizeName(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes / 2 ** 10}KiB` : `${bytes / 2 ** 20}MiB`;
}
