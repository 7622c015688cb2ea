/**
 * Measures high-granularity mapping: one huge page of 1 GiB, mapped in 4 KiB pieces.
 *
 *   npm run bench:hgm
 *
 * Times are the best of some rounds, as in bench/linux.ts. Beside them stands `memory.fill` of as many bytes as the 2^18 entries
 * have, 2 MiB: what writing them costs at the least. The ratio is the time of one to the other. Nothing fails here.
 */
import {
  MADV_COLLAPSE,
  MADV_SPLIT,
  MAP_SHARED,
  Machine,
  PROT_READ,
  PROT_WRITE,
  type Process,
  UFFD_FEATURE_EVENT_FORK,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
} from '../src/linux/index.ts';

const GIB1 = 2 ** 30;
const PAGE = 4096;
const PIECES = GIB1 / PAGE;
const ENTRY_BYTES = 8;
const ROUNDS = 8;
const RW = PROT_READ | PROT_WRITE;
/** Where the mapping lies: all rounds have the same. */
const ADDRESS = 2 ** 40;
/** Frame numbers in a list: it stays in a processor's second cache. */
const LISTED = 2 ** 15;

const machine = new Machine({ pools: [{ hugePageSize: GIB1, pages: 2 }] });
const file = machine.memfdCreate({ hugePageSize: GIB1 });
expect(file.fallocate(0, GIB1), 'OK');
const guest = machine.createProcess();
const uffd = guest.userfaultfd();
/* With it, a fork's child stays registered, and gets the page tables at once. */
uffd.api(UFFD_FEATURE_EVENT_FORK);

const least = new Map<string, number>();
const pages = new Float64Array(LISTED);
const entries = new Uint8Array(PIECES * ENTRY_BYTES);
let heap = 0;
for (let round = 0; round < ROUNDS; round++) {
  take('fill', () => entries.fill(round + 1));
  map();
  const before = heapUsed();
  take('continue', continuePieces);
  heap = Math.max(heap, heapUsed() - before);
  take('list', () => {
    for (let page = 0; page < PIECES; page += LISTED) guest.getUserPages(ADDRESS + page * PAGE, LISTED, 0, pages);
  });
  take('count', () => guest.getUserPages(ADDRESS, PIECES, 0));
  take('mprotect', () => expect(guest.mprotect(ADDRESS, GIB1, PROT_READ), 'OK'));
  guest.mprotect(ADDRESS, GIB1, RW);
  fork();
  take('collapse', () => expect(guest.madvise(ADDRESS, GIB1, MADV_COLLAPSE), 'OK'));
  guest.munmap(ADDRESS, GIB1);
  map();
  continuePieces();
  take('unmap', () => expect(guest.munmap(ADDRESS, GIB1), 'OK'));
}

console.log('| what | measured | memory.fill of the entries | ratio | wanted |\n| --- | ---: | ---: | ---: | ---: |');
rateLine('UFFDIO_CONTINUE of 4 KiB, a call a piece', 'continue', 'pieces', '300,000 pieces/s');
rateLine('GUP of 4 KiB leaves, a list', 'list', 'pages', '200 million pages/s');
rateLine('GUP of 4 KiB leaves, no list', 'count', 'pages', '');
timeLine('MADV_COLLAPSE of 4 KiB leaves to one of 1 GiB', 'collapse', 'under 20 ms');
timeLine('munmap of them', 'unmap', 'under 20 ms');
timeLine('mprotect of them', 'mprotect', '');
timeLine('fork that copies their entries', 'fork', '');
line('memory that 2^18 pieces take, beside their tables', `${(heap / 2 ** 20).toFixed(1)} MiB`, '', '', 'flat');

/** The file's page in pieces, registered as a live migration has it. */
function map(): void {
  const flags = MAP_SHARED;
  if (typeof guest.mmap({ address: ADDRESS, length: GIB1, prot: RW, flags, file }) === 'string')
    throw new Error('mmap');
  expect(guest.madvise(ADDRESS, GIB1, MADV_SPLIT), 'OK');
  const modes = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;
  expect(uffd.register(ADDRESS, GIB1, modes).result, 'OK');
}

/** Up to where the caller waits for somebody to read the event: all is copied then. */
function fork(): void {
  const forking = guest.thread().fork();
  if (take('fork', () => forking.next()).done) throw new Error('fork: no event');
  if (typeof uffd.read() === 'string') throw new Error('read');
  const { value: child } = forking.next();
  if (!isProcess(child) || child.mm.hugetlbUsage !== PIECES) throw new Error('fork: not all pieces');
  child.exit();
}

function isProcess(value: unknown): value is Process {
  return typeof value === 'object' && value !== null && 'mm' in value;
}

function continuePieces(): void {
  for (let piece = 0; piece < PIECES; piece++) uffd.continue(ADDRESS + piece * PAGE, PAGE);
}

/** Does something, and keeps the time if it is the best. */
function take<T>(name: string, work: () => T): T {
  const start = performance.now();
  const result = work();
  least.set(name, Math.min(least.get(name) ?? Number.POSITIVE_INFINITY, performance.now() - start));
  return result;
}

function heapUsed(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function expect(got: string, wanted: string): void {
  if (got !== wanted) throw new Error(`${got} instead of ${wanted}`);
}

function rateLine(what: string, name: string, unit: string, wanted: string): void {
  const second = (PIECES / least.get(name)!) * 1e3;
  const number = second >= 1e7 ? `${Math.round(second / 1e6)} million` : Math.round(second).toLocaleString('en');
  measuredLine(what, `${number} ${unit}/s`, name, wanted);
}

function timeLine(what: string, name: string, wanted: string): void {
  measuredLine(what, `${least.get(name)!.toFixed(1)} ms`, name, wanted);
}

function measuredLine(what: string, measured: string, name: string, wanted: string): void {
  const fill = least.get('fill')!;
  line(what, measured, `${fill.toFixed(2)} ms`, (least.get(name)! / fill).toFixed(0), wanted);
}

function line(...cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`);
}
