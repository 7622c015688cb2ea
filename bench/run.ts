/**
 * Measures how fast this machine walks, lists and translates, beside a plain walk in C that is measured in turn with ours.
 * What rows there are stands in bench/cells.ts, what they have to reach in bench/targets.ts.
 *
 *   npm run bench -- [--quick] [--filter TEXT] [--no-targets] [--json [FILE]]
 *
 *   --quick         a few rows, in about 15 seconds
 *   --filter TEXT   only rows with TEXT in their name, for instance walk/4k/8MiB
 *   --no-targets    the figures alone, without the targets that this project sets itself
 *   --json [FILE]   where the results go as JSON; default bench/results/DATE.json (with --quick: only when asked)
 *
 * The tables go to stdout, each line with the targets that it misses, then how many targets were met; progress goes to
 * stderr. Outcomes of both sides are compared; where they differ it fails. A missed target is no failure: `npm run
 * bench:check` fails, when figures have become worse.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Benchmark, FULL, QUICK, type Row } from './benchmark.ts';
import { planRows } from './cells.ts';
import { compileNative, projectRoot } from './native.ts';
import { describeMachine, resultsOf } from './report.ts';
import { headingOf, LEGEND, lineOf, summaryOf } from './table.ts';

const { values, positionals } = readOptions();
const withTargets = !values['no-targets'];
const plans = planRows(values.quick).filter(({ name }) => name.includes(values.filter));
if (positionals.length > (values.json ? 1 : 0)) refuse(`expected no more arguments, got ${positionals.at(-1)}`);
if (plans.length === 0) refuse(`--filter: expected part of a row's name such as walk/4k, got ${values.filter}`);

const native = compileNative();
const machine = describeMachine(native);
console.log(`${machine.cpu}, ${machine.cpus} CPUs, Node ${machine.node} (V8 ${machine.v8})`);
console.log(native.binary === undefined ? `Native columns are -: ${native.missing}` : `Native: ${native.compiler}`);

const bench = new Benchmark(values.quick ? QUICK : FULL, native);
const rows: Row[] = [];
let table = '';
for (const [done, plan] of plans.entries()) {
  progress(`${plan.name} (${done + 1} of ${plans.length})`);
  const row = await bench.run(plan);
  progress('');
  const kind = row.name.slice(0, row.name.indexOf('/'));
  if (kind !== table) console.log(`\n${LEGEND[kind]}\n\n${headingOf(kind)}`);
  table = kind;
  console.log(lineOf(row, withTargets));
  rows.push(row);
}
if (withTargets) console.log(`\n${summaryOf(rows)}`);

if (values.json || !values.quick) {
  const name = `${String(machine.date).replaceAll(':', '-').slice(0, 19)}.json`;
  const file = positionals[0] ? resolve(positionals[0]) : join(projectRoot(), 'bench/results', name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ machine, results: rows.flatMap(resultsOf) }, null, 2)}\n`);
  console.error(`written to ${file}`);
}

/** The command line; ends the program where it is wrong. */
function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        filter: { type: 'string', default: '' },
        'no-targets': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function refuse(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(2);
}

/** A line on the terminal that the next one takes the place of; nothing where stderr is no terminal. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
