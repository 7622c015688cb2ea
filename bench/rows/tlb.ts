/**
 * Hits in a TLB, in batches, beside the native walker's plain walks of the same addresses: what an emulator pays for a
 * memory access whose page it has met before. The TLB has a slot for every page, and is filled before anything is measured.
 */
import { Mmu, Tlb } from '../../src/index.ts';
import type { Benchmark, Effort, Measured, Plan } from '../benchmark.ts';
import { BENCH_ACCESS, flatMemoryOf, type Image, type Leaves, type Shape } from '../images.ts';
import { checksumOf } from '../job.ts';
import { addressCount, addressesOf } from '../patterns.ts';
import type { Side } from '../rounds.ts';
import { timed } from '../timed.ts';
import { BatchSide } from './walk.ts';

/** The largest TLB there is. */
const MOST_LOG2_PAGES = 20;

export function tlbRow(shape: Shape, tableBytes: number): Plan {
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape, tableBytes });
    const addresses = addressesOf(image, 'random', addressCount(image));
    const { registers, bytes: memory } = image;
    const { checksum, passes } = new BatchSide(
      'batch',
      new Mmu(flatMemoryOf(image), registers),
      addresses,
      bench.effort,
    );
    const hits = hitSide(image, addresses, checksum, bench.effort);
    const job = { registers, access: BENCH_ACCESS, memory, addresses, passes };
    return { image, figures: await bench.compareWithNative([hits], job, checksum) };
  };
  return { name: `tlb/${shape}/random`, measure };
}

/** @throws Error when an outcome is not that of the walk, or an address misses that was met before */
function hitSide(image: Image, addresses: BigUint64Array, checksum: number, { walks }: Effort): Side {
  const mmu = new Mmu(flatMemoryOf(image), image.registers);
  const tlb = new Tlb(mmu, { log2Pages: log2PagesFor(image) });
  const { length } = addresses;
  const batch = tlb.batch(length);
  batch.addresses.set(addresses);
  const access = (): void => batch.access(length, BENCH_ACCESS);
  access();
  const { misses } = tlb.counts;
  access();
  const found = checksumOf(batch.outcomes);
  if (found !== checksum) throw new Error(`expected hits with the walk's checksum ${checksum}, got ${found}`);
  const repeat = timed(length, Math.ceil(walks / length), access);
  return {
    name: 'hits',
    repeat: () => {
      const milliseconds = repeat();
      const missed = tlb.counts.misses - misses;
      if (missed) throw new Error(`expected nothing but hits, got ${missed} misses`);
      return milliseconds;
    },
  };
}

/** The smallest TLB, of those from the default size on, in which no two pages of the image want the same slot. */
export function log2PagesFor({ leavesByLevel }: Image): number {
  for (let log2 = 10; log2 <= MOST_LOG2_PAGES; log2++) {
    if (leavesByLevel.every((leaves) => fits(leaves, 2 ** log2))) return log2;
  }
  throw new Error(`expected an image whose pages fit into a TLB of 2^${MOST_LOG2_PAGES} slots`);
}

function fits(leaves: Leaves, slots: number): boolean {
  const taken = new Set<number>();
  for (let i = 0; i < leaves.count; i++) {
    const { page, pages } = leaves.at(i);
    taken.add((page / pages) % slots);
    if (taken.size === i) return false;
  }
  return true;
}
