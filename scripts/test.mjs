/*
 * Builds and tests:
 *
 *   node scripts/test.mjs part [ARGUMENTS]    all but the tests with the tag `thorough` (npm test)
 *   node scripts/test.mjs rest [ARGUMENTS]    those that `part` leaves out (npm run test:rest)
 *   node scripts/test.mjs all [ARGUMENTS]     both
 *
 * ARGUMENTS are Vitest's. It says at its beginning how long it will take: as long as last time on this machine, if it went through then,
 * else what the processors here need for the seconds in SECONDS. What it left out, test/support/left-out.ts lists at the end.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Tag filters of Vitest. */
const FILTERS = { part: ['--tags-filter=!thorough'], rest: ['--tags-filter=thorough'], all: [] };
/** Seconds of one processor, the builds included. */
const SECONDS = { part: 1000, rest: 650, all: 1650 };
/** The browser and the longest tests have a processor each: more do not help. */
const MOST_PROCESSORS = 4;

/** What a file of tests names that has a test with the tag: the names that test/support/thorough.ts exports. */
const TAGS = /\b(?:THOROUGH|AGAIN_IN_BROWSER|againInBrowser|longSuites|fewAndMany|partAndWhole)\b/;

const [extent, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(FILTERS, extent)) {
  console.error(`expected part, rest or all, got ${extent}`);
  process.exit(2);
}

const begin = Date.now();
const memory = new URL('../build/test-seconds.json', import.meta.url);
const remembered = existsSync(memory) ? JSON.parse(readFileSync(memory, 'utf8')) : {};
/* Of a whole run only: file names and other filters make it shorter. */
const whole = !rest.some((word) => !/^--(reporter|outputFile)/.test(word));
if (whole) console.log(expectation());

let status = await together(['scripts/build-core.mjs'], ['test/matrix/build.mjs']);
if (status === 0) status = await run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
if (status === 0) status = await run('scripts/finish-build.mjs');
if (status === 0) {
  status = await run(
    'node_modules/vitest/vitest.mjs',
    'run',
    ...FILTERS[extent],
    '--reporter=default',
    '--reporter=./test/support/left-out.ts',
    ...rest.filter((word) => word !== '--reporter=default'),
    ...(extent === 'rest' && !namesFiles() ? filesWithTag() : []),
  );
}
if (status === 0 && whole) {
  mkdirSync(new URL('.', memory), { recursive: true });
  writeFileSync(memory, JSON.stringify({ ...remembered, [extent]: Math.round((Date.now() - begin) / 1000) }));
}
process.exitCode = status;

/** Whether the arguments say which files to run. */
function namesFiles() {
  return rest.some((word) => !word.startsWith('-'));
}

/** The files that have a test with the tag: to load the others takes a minute. */
function filesWithTag() {
  return readdirSync(new URL('../test/', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `test/${name.replaceAll('\\', '/')}`)
    .filter((path) => TAGS.test(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')));
}

function expectation() {
  const name = { part: 'npm test', rest: 'npm run test:rest', all: 'npm run test:all' }[extent];
  const last = remembered[extent];
  if (last) return `${name}: about ${inWords(last)}, as last time`;
  const processors = Math.min(availableParallelism(), MOST_PROCESSORS);
  const seconds = SECONDS[extent] / processors;
  return `${name}: about ${inWords(seconds)} on ${processors === 1 ? 'one idle processor' : `${processors} idle processors`}`;
}

function inWords(seconds) {
  return seconds < 100 ? `${Math.ceil(seconds / 10) * 10} seconds` : `${Math.ceil(seconds / 30) / 2} minutes`;
}

/** Runs programs of Node at the same time; the first status that is not 0. */
async function together(...programs) {
  const ended = await Promise.all(programs.map((words) => run(...words)));
  return ended.find((one) => one !== 0) ?? 0;
}

/** Runs a program of Node; its exit status. */
function run(...words) {
  const child = spawn(process.execPath, words, { cwd: root, stdio: 'inherit' });
  return new Promise((resolve) => {
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
