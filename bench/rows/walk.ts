/**
 * Batches: over flat memory beside the native walker (`walk`), over sparse memory beside flat memory (`sparse`).
 */
import { Mmu, SparseMemory } from '../../src/index.ts';
import { type Benchmark, type Effort, type Measured, type Plan, sizeName } from '../benchmark.ts';
import { BENCH_ACCESS, flatMemoryOf, type Image, type Shape } from '../images.ts';
import { checksumOf } from '../job.ts';
import { addressCount, addressesOf, type Pattern } from '../patterns.ts';
import type { Side } from '../rounds.ts';
import { timed } from '../timed.ts';

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

export function walkRow(shape: Shape, tableBytes: number, pattern: Pattern): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const batch = new BatchSide('batch', new Mmu(flatMemoryOf(image), image.registers), addresses, bench.effort);
    const { registers, bytes: memory } = image;
    const { passes, checksum } = batch;
    const job = { registers, access: BENCH_ACCESS, memory, addresses, passes };
    return { image, figures: await bench.compareWithNative([batch], job, checksum) };
  };
  return { name: `walk/${shape}/${sizeName(tableBytes)}/${pattern}`, measure };
}

export function sparseRow(shape: Shape, tableBytes: number, pattern: Pattern): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, pattern, addressCount(image));
    const flat = new BatchSide('flat', new Mmu(flatMemoryOf(image), image.registers), addresses, bench.effort);
    const sparse = new BatchSide('sparse', new Mmu(sparseMemoryOf(image), image.registers), addresses, bench.effort);
    if (flat.checksum !== sparse.checksum) throw new Error('expected the same outcomes over both memories');
    return { image, figures: await bench.compare([flat, sparse]) };
  };
  return { name: `sparse/${shape}/${sizeName(tableBytes)}/${pattern}`, measure };
}

function sparseMemoryOf({ bytes }: Image): SparseMemory {
  const memory = new SparseMemory();
  for (let at = 0; at < bytes.length; at += 4096) memory.addFrame(BigInt(at), bytes.subarray(at, at + 4096));
  return memory;
}
