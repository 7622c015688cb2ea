/**
 * Measures the core as C beside the plain walker in C (bench/native/walk.c) and the core in WebAssembly.
 *
 *   npm run bench:c
 *
 * A row is an image and a pattern; all walkers do the same job in turn; those in C must answer with the same words. The time of each is the
 * best of some rounds.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { FlatMemory, Mmu } from '../src/index.ts';
import { BENCH_ACCESS, buildImage } from './images.ts';
import type { Job } from './job.ts';
import { compileNative, NativeProcess, projectRoot } from './native.ts';
import { addressesOf } from './patterns.ts';

const ROUNDS = 9;
const COUNT = 2 ** 15;

const native = compileNative();
if (native.binary === undefined) {
  console.error(native.missing);
  process.exit(2);
}
const walkers = {
  'walk.c': native.binary,
  'C, single': compiled('core'),
  'C, through a TLB': compiled('core-tlb', '-DTLB'),
};

for (const [shape, tableBytes] of [
  ['4k', 32 << 10],
  ['4k', 8 << 20],
  ['2m', 32 << 10],
  ['mixed', 8 << 20],
] as const) {
  const image = buildImage({ shape, tableBytes });
  const memory = image.bytes;
  const addresses = addressesOf(image, 'random', COUNT);
  const job: Job = { registers: image.registers, access: BENCH_ACCESS, memory, addresses, passes: 4 };
  const times = new Map<string, number>();
  const checksums = new Set<number>();
  for (const [name, binary] of Object.entries(walkers)) times.set(name, await best(binary, job, checksums));
  if (checksums.size !== 1) throw new Error('expected the same words of all walkers, found others');
  times.set('WebAssembly, batch', inWebAssembly(job));
  const yardstick = times.get('walk.c')!;
  console.log(`${shape}, ${tableBytes >> 10} KiB of tables, random`);
  for (const [name, ns] of times) {
    console.log(
      `  ${name.padEnd(20)}${ns.toFixed(1).padStart(7)} ns${(yardstick / ns).toFixed(2).padStart(7)} times as fast as walk.c`,
    );
  }
}

async function best(binary: string, job: Job, checksums: Set<number>): Promise<number> {
  const walker = new NativeProcess(binary, job);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const { milliseconds, checksum } = await walker.repeat();
    least = Math.min(least, milliseconds * 1e6);
    checksums.add(checksum);
  }
  walker.end();
  return least;
}

function inWebAssembly({ registers, access, memory, addresses }: Job): number {
  const flat = new FlatMemory({ bytes: memory.length });
  flat.view().set(memory);
  const batch = new Mmu(flat, registers).batch(addresses.length);
  batch.addresses.set(addresses);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const start = performance.now();
    batch.run(addresses.length, access);
    least = Math.min(least, ((performance.now() - start) * 1e6) / addresses.length);
  }
  return least;
}

/** The core as C, with the jobs of walk.c. */
function compiled(name: string, ...options: string[]): string {
  const root = projectRoot();
  const binary = join(root, 'build/c', name);
  const sources = [join(root, 'bench/native/core.c'), join(root, 'build/c/hugewalk.c')];
  const flags = ['-O3', '-march=native', '-std=c11', `-I${join(root, 'build/c')}`, ...options];
  const { status, stderr } = spawnSync(process.env.CC ?? 'cc', [...flags, '-o', binary, ...sources], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return binary;
}
