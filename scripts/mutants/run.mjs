/*
 * Plants the faults of faults.mjs in the core, one at a time, and looks whether the suites notice that get there.
 *
 *   node scripts/mutants/run.mjs [--only N,M | WORDS | FILE] [--jobs N]
 *
 *   --only   numbers of faults, words of their names, or a file: leaf.ts
 *   --jobs   how many to look at at a time, default 1
 *
 * The sources are not changed: a fault is put in while the compiler reads them. The mutated cores are left in
 * build/mutants/N/, those without a fault in build/mutants/0/. Progress goes to stderr, the result to stdout; exits with
 * 1 when a mutant survived or a fault of the table does not fit the sources any more.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import asc from 'assemblyscript/asc';
import { FAULTS } from './faults.mjs';

const KINDS = ['flat', 'sparse', 'threads'];
/** A run that takes so many times as long as one without a fault does not end; or so many milliseconds, if that is more. */
const HANGS_AFTER = { times: 1.5, atLeast: 30_000 };
/** The run without a fault must end within so many milliseconds. */
const SOUND_ENDS_WITHIN = 900_000;
/** How long a run that is killed has to be gone, in milliseconds; nobody waits any longer. */
const GONE_WITHIN = 5000;

const root = new URL('../../', import.meta.url);
const folder = (n) => `build/mutants/${n}`;
const coreFile = (n, kind) => new URL(`${folder(n)}/${kind}.wasm`, root);

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, jobs: { type: 'string', default: '1' } },
});

const sources = new Map();
let limit = SOUND_ENDS_WITHIN;
checkTable();
const chosen = FAULTS.map((fault, i) => ({ ...fault, n: i + 1 })).filter(isAskedFor);
if (!chosen.length) fail(`no fault is called ${options.only}`);

const started = performance.now();
await compile(0, KINDS);
const sound = await look(0, KINDS, [...new Set(chosen.flatMap(({ suites }) => suites))]);
if (!sound.passed) fail(`the suites fail without any fault: ${sound.by}`);
console.error(`without a fault: passed in ${seconds(sound.milliseconds)}`);
limit = Math.max(HANGS_AFTER.times * sound.milliseconds, HANGS_AFTER.atLeast);

const queue = [...chosen];
const results = [];
await Promise.all(Array.from({ length: Number(options.jobs) }, worker));
report(results.sort((a, b) => a.n - b.n));

async function worker() {
  for (let fault = queue.shift(); fault; fault = queue.shift()) {
    const useless = await compile(fault.n, fault.kinds, fault);
    const { passed, by, milliseconds } = useless ?? (await look(fault.n, fault.kinds, fault.suites));
    results.push({ ...fault, survived: passed, by });
    const fate = passed ? 'SURVIVED' : 'killed  ';
    console.error(`${results.length}/${chosen.length} ${fate} ${title(fault)} (${seconds(milliseconds)})`);
  }
}

/** Every fault must fit the sources as they are, and be told from the others by its name. */
function checkTable() {
  const wrong = [];
  const names = new Set();
  for (const { name, file, original, mutated, kinds } of FAULTS) {
    const count = source(file).split(original).length - 1;
    if (count !== 1) wrong.push(`${file}: ${name}: the original occurs ${count} times instead of once: ${original}`);
    if (original === mutated) wrong.push(`${file}: ${name}: the mutated text is the original`);
    if (names.has(name)) wrong.push(`${file}: ${name}: a name that occurs twice`);
    if (!kinds.every((kind) => KINDS.includes(kind))) wrong.push(`${file}: ${name}: no such kinds: ${kinds}`);
    names.add(name);
  }
  if (wrong.length) fail(wrong.join('\n'));
}

/** A source of the core, as it was when the run began: somebody may be editing it. */
function source(file) {
  if (!sources.has(file)) sources.set(file, readFileSync(new URL(`assembly/${file}`, root), 'utf8'));
  return sources.get(file);
}

function isAskedFor({ n, name, file }) {
  if (options.only === undefined) return true;
  if (/^[\d,]+$/.test(options.only)) return options.only.split(',').includes(`${n}`);
  return name.includes(options.only) || file === options.only;
}

/**
 * Compiles the cores of some kinds with a fault in them; the other kinds are those without one. A fault that is none, or
 * no program any more, survives: somebody has to look at it.
 */
async function compile(n, kinds, fault) {
  rmSync(new URL(folder(n), root), { recursive: true, force: true });
  mkdirSync(new URL(folder(n), root), { recursive: true });
  for (const kind of KINDS) {
    const { core, wrong } = kinds.includes(kind)
      ? await compiled(kind, fault)
      : { core: readFileSync(coreFile(0, kind)) };
    const changesNothing = fault && core && kinds.includes(kind) && readFileSync(coreFile(0, kind)).equals(core);
    const why = wrong ?? (changesNothing ? `the fault changes nothing in the compiled ${kind} core` : undefined);
    if (why && !fault) fail(`without a fault: ${why}`);
    if (why) {
      console.error(`${title({ ...fault, n })}: ${why}`);
      return { passed: true, by: '', milliseconds: 0 };
    }
    writeFileSync(coreFile(n, kind), core);
  }
  return undefined;
}

async function compiled(kind, fault) {
  let core;
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--target', kind], {
    readFile: (name, base) => {
      try {
        if (!name.startsWith('assembly/')) return readFileSync(new URL(name, new URL(`${base}/`, root)), 'utf8');
        const file = name.slice('assembly/'.length);
        return fault?.file === file ? source(file).replace(fault.original, () => fault.mutated) : source(file);
      } catch {
        return null;
      }
    },
    writeFile: (name, content) => {
      if (name.endsWith('.wasm')) core = content;
    },
  });
  if (error || !core) return { wrong: `does not compile\n${stderr.toString() || error}` };
  return { core: Buffer.from(core) };
}

/** Runs the suites over a mutant: whether they passed, and if not, the first test that failed. */
function look(n, kinds, suites) {
  const begun = performance.now();
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['node_modules/vitest/vitest.mjs', 'run', '--config', 'scripts/mutants/vitest.config.mjs', '--reporter', 'json'],
      {
        cwd: fileURLToPath(root),
        env: { ...process.env, MUTANT_CORES: folder(n), MUTANT_KINDS: kinds.join(), MUTANT_SUITES: suites.join() },
        stdio: ['ignore', 'pipe', 'pipe'],
        /* A group of its own, so that a worker that hangs ends with it. */
        detached: true,
      },
    );
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    const end = (result) => {
      clearTimeout(timer);
      killGroup(child.pid);
      resolve({ ...result, milliseconds: performance.now() - begun });
    };
    const timer = setTimeout(() => {
      const hangs = { passed: false, by: 'the suites, which do not end' };
      child.removeAllListeners('close').once('close', () => end(hangs));
      killGroup(child.pid);
      setTimeout(end, GONE_WITHIN, hangs).unref();
    }, limit);
    child.once('error', (error) => end({ passed: false, by: `the suites, which do not run: ${error.message}` }));
    child.once('close', (status) => end(verdict(status, output, errors)));
  });
}

/** Ends a run and all that it has started. That it has ended already is fine. */
function killGroup(leader) {
  if (!leader) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    /* ESRCH: nobody is left of it. */
  }
}

/** What a run means that has ended. A mutant may also take the whole process down, for want of memory. */
function verdict(status, output, errors) {
  if (status === 0) return { passed: true, by: '' };
  let suites = [];
  try {
    suites = JSON.parse(output.slice(output.indexOf('{'))).testResults;
  } catch {
    /* It did not get so far. */
  }
  for (const { name, message, assertionResults } of suites) {
    const suite = name.replace(/^.*\/test\//, 'test/');
    const failed = assertionResults.find((test) => test.status === 'failed');
    if (failed) return { passed: false, by: `${suite} > ${failed.fullName.trim()}` };
    if (message) return { passed: false, by: `${suite}: ${message.split('\n')[0]}` };
  }
  const reason = /^.*(?:out of memory|exited unexpectedly|Error: ).*$/m.exec(errors)?.[0].trim() ?? `status ${status}`;
  return { passed: false, by: `the suites, which die: ${reason}` };
}

function report(results) {
  for (const { survived, by, ...fault } of results) {
    console.log(`${survived ? 'SURVIVED' : 'killed  '} ${title(fault)}${survived ? '' : `\n           by ${by}`}`);
  }
  console.log();
  const files = [...new Set(results.map(({ file }) => file))];
  for (const file of files) {
    const here = results.filter((result) => result.file === file);
    const killed = here.filter(({ survived }) => !survived).length;
    console.log(`${file.padEnd(14)} ${`${here.length}`.padStart(4)} mutants ${`${killed}`.padStart(4)} killed`);
  }
  const survived = results.filter((result) => result.survived).length;
  const time = seconds(performance.now() - started);
  console.log(`\n${results.length} mutants, ${results.length - survived} killed, ${survived} survived (${time})`);
  process.exitCode = survived ? 1 : 0;
}

function title({ n, file, kinds, name }) {
  return `${`${n}`.padStart(3)} ${file}${kinds.join() === 'flat' ? '' : ` (${kinds})`}: ${name}`;
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
