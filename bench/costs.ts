/**
 * Prints what a walk costs, as the tables of docs/performance.md have it:
 *
 *   npm run bench:costs
 *
 *   - nanoseconds a walk by bytes of tables, random addresses: the batch, the plain walk, C
 *   - nanoseconds a walk by addresses in a batch, tables of 32 KiB, a cache that knows nothing at first
 *   - nanoseconds a walk by the share of addresses that fault
 */
import { Mmu } from '../src/index.ts';
import { BENCH_ACCESS, buildImage, flatMemoryOf, type Image } from './images.ts';
import { compileNative, NativeProcess } from './native.ts';
import { addressCount, addressesOf } from './patterns.ts';
import { measureInTurn, type Side } from './rounds.ts';

const REPETITIONS = 7;
const WALKS = 2 ** 20;
const KIB = 1024;
const TABLE_BYTES = [32, 128, 512, 2048, 8192, 32768, 131072].map((kib) => kib * KIB);
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 512, 2048, 8192, 65536];
const FAULTS = [0, 0.001, 0.01, 0.1, 0.5, 1];

const native = compileNative();

console.log('\n| bytes of tables | batch | plain walk | C |\n| ---: | ---: | ---: | ---: |');
for (const tableBytes of TABLE_BYTES) {
  const image = buildImage({ shape: '4k', tableBytes });
  const addresses = addressesOf(image, 'random', addressCount(image));
  const mmu = new Mmu(flatMemoryOf(image), image.registers);
  const sides = [batchSide(mmu, addresses), plainSide(mmu, addresses)];
  console.log(`| ${tableBytes / KIB} KiB | ${(await nanoseconds(sides, image, addresses)).join(' | ')} |`);
}

const small = buildImage({ shape: '4k', tableBytes: 32 * KIB });
const some = addressesOf(small, 'random', 2 ** 16);

console.log('\n| addresses in a batch | batch | plain walk |\n| ---: | ---: | ---: |');
for (const size of BATCH_SIZES) {
  const mmu = new Mmu(flatMemoryOf(small), small.registers);
  const addresses = some.subarray(0, size);
  console.log(
    `| ${size} | ${(await nanoseconds([batchSide(mmu, addresses), plainSide(mmu, addresses)])).join(' | ')} |`,
  );
}

console.log('\n| addresses that fault | batch | C |\n| ---: | ---: | ---: |');
for (const share of FAULTS) {
  const mmu = new Mmu(flatMemoryOf(small), small.registers);
  const addresses = some.map((va, i) => ((i * 0.618_034) % 1 < share ? va + 2n ** 40n : va));
  console.log(
    `| ${share * 100} % | ${(await nanoseconds([batchSide(mmu, addresses)], small, addresses)).join(' | ')} |`,
  );
}

/** Median nanoseconds a walk, of each side and, where an image is given, of the native walker. */
async function nanoseconds(
  sides: readonly Side[],
  image?: Image,
  addresses?: BigUint64Array<ArrayBuffer>,
): Promise<string[]> {
  const all = [...sides];
  let walker: NativeProcess | undefined;
  if (image && addresses && native.binary !== undefined) {
    const { registers, bytes: memory } = image;
    const passes = Math.ceil(WALKS / addresses.length);
    const process = new NativeProcess(native.binary, { registers, access: BENCH_ACCESS, memory, addresses, passes });
    walker = process;
    all.push({ name: 'native', repeat: async () => (await process.repeat()).milliseconds });
  }
  try {
    const times = await measureInTurn(all, REPETITIONS);
    return [...times.values()].map(({ median }) => (median * 1e6).toFixed(2));
  } finally {
    walker?.end();
  }
}

function batchSide(mmu: Mmu, addresses: BigUint64Array): Side {
  const batch = mmu.batch(addresses.length);
  batch.addresses.set(addresses);
  return { name: 'batch', repeat: timed(addresses.length, () => batch.run(addresses.length, BENCH_ACCESS)) };
}

/** The same call, without a cache for it. */
function plainSide(mmu: Mmu, addresses: BigUint64Array): Side {
  const batch = mmu.batch(addresses.length);
  batch.addresses.set(addresses);
  const [from, to] = [batch.addresses.byteOffset, batch.outcomes.byteOffset];
  const walk = () => mmu.core.translateMany(from, addresses.length, BENCH_ACCESS, to, 0, 0, 0);
  return { name: 'plain', repeat: timed(addresses.length, walk) };
}

/** A repetition: as often as it takes for WALKS walks; milliseconds a walk. */
function timed(walks: number, work: () => void): () => number {
  const passes = Math.ceil(WALKS / walks);
  return () => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < passes; i++) work();
    return Number(process.hrtime.bigint() - start) / 1e6 / (passes * walks);
  };
}
