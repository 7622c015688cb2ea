/**
 * Measures the kernel model:
 *
 *   npm run bench:linux
 *
 * Rates are the best of some rounds, as whoever shares the machine can only slow them down; the first round compiles. A line
 * says what was wanted. Nothing fails here.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  PROT_READ,
  PROT_WRITE,
  type Process,
  UFFDIO_REGISTER_MODE_MINOR,
} from '../src/linux/index.ts';
import { replay } from '../src/replay/replay.ts';
import { parseScenario } from '../src/replay/scenario.ts';

const HUGE_PAGE = 2 ** 21;
const PAGES = 100_000;
const ROUNDS = 8;
const RECORDING = 'test/recordings/hugetlb-2M-A.jsonl.gz';

console.log('| what | measured | wanted |\n| --- | ---: | ---: |');

line('a machine with the default options', `${machines().toFixed(2)} ms`, 'under 0.5 ms');

const { seconds: created, megabytes } = creation();
line('a machine with 1 TiB of 2 MiB pages', `${(created * 1e3).toFixed(0)} ms`, 'under 1 s');
line('memory that it takes', `${megabytes.toFixed(0)} MB`, 'under 200 MB');

for (const [name, type] of [
  ['private', MAP_PRIVATE],
  ['shared', MAP_SHARED],
] as const) {
  const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: PAGES }] });
  const process = machine.createProcess();
  const fault = best((at) => touch(at, (address) => process.read(address)), process, type);
  line(`faults, ${name}, a read of each page`, rate(fault), '300,000 a second');
  const write = best((at) => touch(at, (address) => process.write(address, 1)), process, type);
  line(`faults, ${name}, a write of each page`, rate(write), '300,000 a second');
}

const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: PAGES }] });
const parent = machine.createProcess();
const reads = best(
  (at) => {
    touch(at, (address) => parent.read(address));
    return touch(at, (address) => parent.read(address));
  },
  parent,
  MAP_PRIVATE,
);
line('reads of touched pages', rate(reads), '1,000,000 a second');

line('UFFDIO_CONTINUE, a call a page', rate(continues()), '200,000 a second');

const forks = best(
  (at) => {
    touch(at, (address) => parent.write(address, 1));
    const start = performance.now();
    const child = parent.fork();
    const milliseconds = performance.now() - start;
    if (typeof child === 'string') throw new Error(`fork: ${child}`);
    child.exit();
    return milliseconds;
  },
  parent,
  MAP_PRIVATE,
);
line(
  `fork of a process with ${PAGES.toLocaleString('en')} mapped huge pages`,
  `${forks.toFixed(0)} ms`,
  'under 100 ms',
);

const text = gunzipSync(readFileSync(RECORDING)).toString();
const replays = Array.from({ length: 3 }, () => {
  const start = performance.now();
  const differences = [...replay(parseScenario(RECORDING, text))].length;
  if (differences > 0) throw new Error(`${RECORDING}: ${differences} differences`);
  return performance.now() - start;
});
line('replay of file A, with all checks', `${(Math.min(...replays) / 1e3).toFixed(2)} s`, 'under 2 s');

/** Many machines, one after the other, as a search of interleavings makes them: the mean, in milliseconds. */
function machines(): number {
  const count = 200;
  const start = performance.now();
  for (let made = 0; made < count; made++) new Machine();
  return (performance.now() - start) / count;
}

/** Maps all pages, measures, unmaps them; the best of some rounds, in milliseconds. */
function best(measure: (at: number) => number, process: Process, type: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const at = process.mmap({
      length: PAGES * HUGE_PAGE,
      prot: PROT_READ | PROT_WRITE,
      flags: type | MAP_ANONYMOUS | MAP_HUGETLB,
    });
    if (typeof at === 'string') throw new Error(`mmap: ${at}`);
    least = Math.min(least, measure(at));
    process.munmap(at, PAGES * HUGE_PAGE);
  }
  return least;
}

/** A file that is full, and a mapping of it that is registered for minor faults; milliseconds. */
function continues(): number {
  const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: PAGES }] });
  const process = machine.createProcess();
  const file = machine.memfdCreate({ hugePageSize: HUGE_PAGE });
  const length = PAGES * HUGE_PAGE;
  if (file.fallocate(0, length) !== 'OK') throw new Error('fallocate');
  const uffd = process.userfaultfd();
  uffd.api();
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const at = process.mmap({ length, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file });
    if (typeof at === 'string') throw new Error(`mmap: ${at}`);
    if (uffd.register(at, length, UFFDIO_REGISTER_MODE_MINOR).result !== 'OK') throw new Error('register');
    least = Math.min(
      least,
      touch(at, (address) => uffd.continue(address, HUGE_PAGE)),
    );
    process.munmap(at, length);
  }
  return least;
}

/** Accesses each page once; milliseconds. */
function touch(at: number, access: (address: number) => unknown): number {
  const start = performance.now();
  for (let page = 0; page < PAGES; page++) access(at + page * HUGE_PAGE);
  return performance.now() - start;
}

function creation(): { seconds: number; megabytes: number } {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: 2 ** 40 / HUGE_PAGE }] });
  const seconds = (performance.now() - start) / 1e3;
  if (machine.hstate(HUGE_PAGE).nrHugePages !== 2 ** 19) throw new Error('not a machine with 1 TiB');
  return { seconds, megabytes: (process.memoryUsage().rss - before) / 1e6 };
}

function rate(milliseconds: number): string {
  return `${Math.round((PAGES / milliseconds) * 1e3).toLocaleString('en')} a second`;
}

function line(what: string, measured: string, wanted: string): void {
  console.log(`| ${what} | ${measured} | ${wanted} |`);
}
