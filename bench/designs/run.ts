/**
 * Measures the designs that were rejected beside the one that won, the library's batch, and the plain walk in C:
 *
 *   npm run bench:designs -- [--quick] [--filter TEXT]
 *
 *   --quick         two sizes of tables, fewer repetitions
 *   --filter TEXT   only cells with TEXT in their name, for instance 4k/8MiB
 *
 * Prints a table for each cell and, at the end, all of them in one, as Markdown. First outcomes are compared with the
 * library's, word for word; where they differ it fails.
 */
import { parseArgs } from 'node:util';
import { Mmu } from '../../src/index.ts';
import { Benchmark, type Figures, FULL, QUICK, sizeName } from '../benchmark.ts';
import { perMicrosecond, ratioOf } from '../figures.ts';
import { BENCH_ACCESS, flatMemoryOf, SHAPES, type Shape } from '../images.ts';
import { compileNative } from '../native.ts';
import { addressCount, addressesOf } from '../patterns.ts';
import { describeMachine } from '../report.ts';
import type { Side, Times } from '../rounds.ts';
import { BatchSide } from '../rows/walk.ts';
import { timed } from '../timed.ts';
import { DESIGNS, Design, difference, SharedArrays } from './designs.ts';

/** As in cells.ts: about a first-level cache, a second-level one, a share of a third, none. */
const SIZES = [2 ** 15, 2 ** 19, 2 ** 23, 2 ** 27];
const QUICK_SIZES = [2 ** 15, 2 ** 23];

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, filter: { type: 'string', default: '' } },
});
const cells = SHAPES.flatMap((shape) =>
  (values.quick ? QUICK_SIZES : SIZES).map((bytes) => ({ name: `${shape}/${sizeName(bytes)}`, shape, bytes })),
).filter(({ name }) => name.includes(values.filter));
if (cells.length === 0) {
  console.error(`bench: --filter: expected part of a cell's name such as 4k/8MiB, got ${values.filter}`);
  process.exit(2);
}

const bench = new Benchmark(values.quick ? QUICK : FULL, compileNative());
const { cpu, cpus, node, v8, compiler } = describeMachine(bench.native);
console.log(`${cpu}, ${cpus} CPUs, Node ${node} (V8 ${v8}); native: ${compiler}`);
const summary = new Map<string, string[]>();
for (const { name, shape, bytes } of cells) {
  const figures = await measure(shape, bytes);
  console.log(`\n${name.padEnd(20)}${'M walks/s'.padStart(24)}${'to native'.padStart(11)}`);
  for (const [side, times] of figures) {
    const ratio = ratioOf(figures, side, 'native')?.toFixed(2) ?? '-';
    console.log(`${side.padEnd(20)}${speedOf(times).padStart(24)}${ratio.padStart(11)}`);
    const cell = `${ratio} (${perMicrosecond(times.median).toFixed(0)})`;
    summary.set(side, [...(summary.get(side) ?? []), cell]);
  }
}
console.log(
  `\nTimes native, and in brackets millions of walks a second:\n\n| | ${cells.map(({ name }) => name).join(' | ')} |`,
);
console.log(`| --- |${' ---: |'.repeat(cells.length)}`);
for (const [side, row] of summary) console.log(`| ${side} | ${row.join(' | ')} |`);

/** Measures one cell. */
async function measure(shape: Shape, tableBytes: number): Promise<Figures> {
  const image = bench.image({ shape, tableBytes });
  const { registers, bytes } = image;
  const addresses = addressesOf(image, 'random', addressCount(image));
  const { length } = addresses;
  const memory = flatMemoryOf(image);
  const mmu = new Mmu(memory, registers);
  const library = new BatchSide('library', mmu, addresses, bench.effort);
  const expected = mmu.translateMany(addresses, BENCH_ACCESS);
  const arrays = new SharedArrays(memory, addresses);
  const designs = DESIGNS.map((name): Side => {
    const design = new Design(name, memory, registers, length);
    const pass = (): void => design.translate(arrays.from, length, BENCH_ACCESS, arrays.to);
    arrays.outcomes.fill(0n);
    pass();
    const wrong = difference(arrays.outcomes, expected);
    if (wrong) throw new Error(`${name}: ${wrong}`);
    return { name, repeat: timed(length, library.passes, pass) };
  });
  const { passes, checksum } = library;
  const job = { registers, access: BENCH_ACCESS, memory: bytes, addresses, passes };
  return bench.compareWithNative([library, ...designs], job, checksum);
}

/** Median (slowest-fastest), in millions a second. */
function speedOf({ median, max, min }: Times): string {
  const [middle, slowest, fastest] = [median, max, min].map((time) => perMicrosecond(time).toFixed(1));
  return `${middle} (${slowest}-${fastest})`;
}
