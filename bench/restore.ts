/**
 * Measures what a search of interleavings pays for an execution: a small machine does something, and is put back.
 *
 *   npm run bench:restore
 *
 * Two processes share a file of 8 huge pages of 2 MiB, half of them mapped in 4 KiB pieces, with HGM v2 and the default options. The calls run
 * straight through: no turns, no checks. Times are the best of some rounds, as in bench/linux.ts, and nothing fails here.
 */
import {
  MADV_COLLAPSE,
  MADV_SPLIT,
  MAP_SHARED,
  Machine,
  PROT_READ,
  PROT_WRITE,
  type Process,
  UFFDIO_REGISTER_MODE_MINOR,
} from '../src/linux/index.ts';

const PAGE = 4096;
const HUGE_PAGE = 2 ** 21;
const HUGE_PAGES = 8;
const LENGTH = HUGE_PAGES * HUGE_PAGE;
/** Pieces that are mapped of each huge page that is mapped in pieces. */
const PIECES = 16;
const GOT = 8;
const EXECUTIONS = 20_000;
const ROUNDS = 8;
const ADDRESS = 2 ** 40;

const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: HUGE_PAGES }] });
const file = machine.memfdCreate();
expect(file.fallocate(0, LENGTH), 'OK');
const guest = machine.createProcess();
for (const process of [guest, machine.createProcess()]) map(process);
const checkpoint = machine.checkpoint();
const pages = new Float64Array(GOT);
const inPieces = ADDRESS + LENGTH / 2;

console.log('| what | time | a second | wanted |\n| --- | ---: | ---: | ---: |');
line('putting back what has not changed', '', restore);
line('putting back after GUP of 8 pages and MADV_COLLAPSE', 'under 5 µs', () => {
  execute();
  return restore();
});
line('both calls and putting back', 'near 50 µs', () => {
  const start = performance.now();
  execute();
  checkpoint.restore();
  return performance.now() - start;
});
console.log(`\n${garbage()} bytes of garbage a time that nothing has changed`);

/** Milliseconds. */
function restore(): number {
  const start = performance.now();
  checkpoint.restore();
  return performance.now() - start;
}

function execute(): void {
  if (guest.getUserPages(inPieces, GOT, 0, pages) !== GOT) throw new Error('get_user_pages');
  expect(guest.madvise(inPieces, HUGE_PAGE, MADV_COLLAPSE), 'OK');
}

/** What is allocated by many, and not yet collected. */
function garbage(): number {
  const before = globalThis.process.memoryUsage().heapUsed;
  for (let done = 0; done < EXECUTIONS; done++) checkpoint.restore();
  return Math.round((globalThis.process.memoryUsage().heapUsed - before) / EXECUTIONS);
}

/** The first half in whole pages, the second in pieces. */
function map(process: Process): void {
  expect(
    String(process.mmap({ address: ADDRESS, length: LENGTH, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file })),
    String(ADDRESS),
  );
  for (let page = 0; page < HUGE_PAGES / 2; page++) process.read(ADDRESS + page * HUGE_PAGE);
  expect(process.madvise(ADDRESS, LENGTH, MADV_SPLIT), 'OK');
  const uffd = process.userfaultfd();
  uffd.api();
  expect(uffd.register(ADDRESS, LENGTH, UFFDIO_REGISTER_MODE_MINOR).result, 'OK');
  for (let page = HUGE_PAGES / 2; page < HUGE_PAGES; page++) {
    for (let piece = 0; piece < PIECES; piece++) {
      expect(uffd.continue(ADDRESS + page * HUGE_PAGE + piece * PAGE, PAGE).result, 'OK');
    }
  }
}

/** @param work answers how many milliseconds what is measured took */
function line(what: string, wanted: string, work: () => number): void {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    let sum = 0;
    for (let done = 0; done < EXECUTIONS; done++) sum += work();
    least = Math.min(least, sum);
  }
  const microseconds = (least / EXECUTIONS) * 1e3;
  const rate = Math.round(1e6 / microseconds).toLocaleString('en');
  console.log(`| ${what} | ${microseconds.toFixed(1)} µs | ${rate} | ${wanted} |`);
}

function expect(got: string, wanted: string): void {
  if (got !== wanted) throw new Error(`${got} instead of ${wanted}`);
}
