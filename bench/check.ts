/**
 * Has anything become slower or larger than bench/baseline.json has it?
 *
 *   npm run bench:check        measures a few rows, in less than half a minute; exits with 1 if so
 *   npm run bench:baseline     writes the file anew
 *
 * What is compared: ratios to what was measured in turn, with much leave, since machines differ and are noisy; accesses to
 * memory, exactly; bytes of the cores, almost. Never times. Without a C compiler the ratios to native walks are left out.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Baseline,
  type Numbers,
  ratiosOf,
  unmatchedRatios,
  worseBytes,
  worseCounts,
  worseRatios,
} from './baseline.ts';
import { Benchmark, FULL, type Plan } from './benchmark.ts';
import { planRows } from './cells.ts';
import { coreBytes, countAll } from './counting.ts';
import { compileNative, projectRoot } from './native.ts';
import { describeMachine } from './report.ts';

/**
 * Kinds of rows that are measured: those with a yardstick that does other work than they do. How well workers get on depends
 * on the processors that there are; lists and calls have no yardstick.
 */
const KINDS = ['walk', 'tlb', 'marks', 'sparse'];
/** How often a row that looks worse is measured again before it counts. */
const AGAIN = 3;
/** A baseline's ratio is the lowest of so many, which lie as far apart as they can. */
const SWEEPS = 3;

const file = join(projectRoot(), 'bench/baseline.json');
const native = compileNative();
const bench = new Benchmark(FULL, native);
const plans = planRows(true).filter(({ name }) => KINDS.includes(name.slice(0, name.indexOf('/'))));

if (asksToWrite()) await write();
else await check();

function asksToWrite(): boolean {
  try {
    return parseArgs({ options: { write: { type: 'boolean', default: false } } }).values.write;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

async function check(): Promise<void> {
  const baseline = read();
  if (native.binary === undefined) console.log(`Ratios to native walks are left out: ${native.missing}`);
  const worse = [...worseCounts(baseline.counts, await countAll()), ...worseBytes(baseline.bytes, coreBytes())];
  const measured: Record<string, number> = {};
  for (const plan of plans) {
    const { ratios, lines } = await measureAgainst(baseline.ratios, plan);
    Object.assign(measured, ratios);
    worse.push(...lines);
  }
  worse.push(...unmatchedRatios(baseline.ratios, measured, native.binary !== undefined));
  for (const line of worse) console.log(`worse  ${line}`);
  const compared = Object.keys({ ...measured, ...baseline.counts, ...baseline.bytes }).length;
  console.log(`${compared} figures compared with bench/baseline.json, ${worse.length} worse`);
  if (worse.length) console.log('Where that is meant, npm run bench:baseline writes the file anew.');
  process.exitCode = worse.length ? 1 : 0;
}

/** A row's ratios, and what of them is worse than the baseline each time that they are measured. */
async function measureAgainst(baseline: Numbers, plan: Plan): Promise<{ ratios: Numbers; lines: string[] }> {
  for (let again = 0; ; again++) {
    const ratios = ratiosOf(await bench.run(plan));
    const lines = worseRatios(baseline, ratios);
    if (!lines.length || again === AGAIN) return { ratios, lines };
    console.log(`again  ${lines.join('; ')}`);
  }
}

async function write(): Promise<void> {
  if (native.binary === undefined) refuse(`expected a C compiler to measure beside: ${native.missing}`);
  const { cpu, node, v8, compiler } = describeMachine(native);
  const ratios: Record<string, number> = {};
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const plan of plans) {
      for (const [name, ratio] of Object.entries(ratiosOf(await bench.run(plan)))) {
        ratios[name] = Math.min(ratio, ratios[name] ?? ratio);
      }
    }
  }
  const machine = { cpu: cpu!, node: node!, v8: v8!, compiler: compiler! };
  const baseline: Baseline = { machine, ratios, counts: await countAll(), bytes: coreBytes() };
  writeFileSync(file, `${JSON.stringify(baseline, null, 2)}\n`);
  console.log(`written to ${file}`);
}

function read(): Baseline {
  if (!existsSync(file)) refuse('expected bench/baseline.json, found nothing: npm run bench:baseline writes it');
  return JSON.parse(readFileSync(file, 'utf8')) as Baseline;
}

function refuse(message: string): never {
  console.error(`bench:check: ${message}`);
  process.exit(2);
}
