/**
 * Measures GUP: the core's scan on tables that are written by hand, and the model's calls.
 *
 *   npm run bench:gup
 *
 * Rates are the best of some rounds, as in bench/linux.ts. Beside the core's lists stands `memory.fill` of as many bytes, which is
 * what writing a list costs at the least; the ratio is the time of one to the other. Nothing fails here.
 */
import { GUP_RUN_BYTES } from '../src/core/generated/layout.ts';
import { FlatMemory, Mmu } from '../src/index.ts';
import {
  FOLL_WRITE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  Machine,
  PROT_READ,
  PROT_WRITE,
} from '../src/linux/index.ts';

const PAGE = 4096;
const HUGE_PAGE = 2 ** 21;
const PAGES_OF_HUGE = HUGE_PAGE / PAGE;
const ROUNDS = 40;
/** Pages in a list: it stays in a processor's second cache, as the model's does. */
const LISTED = 2 ** 15;
/** Runs that there is room for. */
const RUNS = 2 ** 15;
const WRITABLE_LEAF = 0x67;
const POINTER = 0x67n;
const PS = 0x80;
/** Huge pages that the model maps. */
const MAPPED = 20_000;

console.log('| what | measured | memory.fill | ratio | wanted |\n| --- | ---: | ---: | ---: | ---: |');

const memory = new FlatMemory({ bytes: 64 * 2 ** 20 });
const { core } = new Mmu(memory, { cr3: 0n });
const list = memory.arena.allocate(LISTED * 8);
const runs = memory.arena.allocate((RUNS + 1) * GUP_RUN_BYTES);
/** Tables, from the second frame on. */
let nextTable = PAGE;

for (const scattered of [false, true]) {
  const frames = scattered ? 'each elsewhere' : 'one behind the other';
  const large = plant(2, 64 * 512, scattered);
  listLine(`2 MiB leaves, ${frames}: frame numbers listed`, large, 64 * 512, '500 million pages/s');
  const small = plant(1, LISTED, scattered);
  listLine(`4 KiB leaves, ${frames}: frame numbers listed`, small, LISTED, '200 million pages/s');
}

for (const [level, leaves] of [
  [2, 2 ** 17],
  [1, 2 ** 17],
] as const) {
  const root = plant(level, leaves, true);
  const pages = leaves * (level === 2 ? PAGES_OF_HUGE : 1);
  const milliseconds = best(() => {
    if (core.gupCount(root / PAGE, 39, 0, pages, 1) !== pages) throw new Error('a page is missing');
  });
  const name = `${level === 2 ? '2 MiB' : '4 KiB'} leaves, only counted`;
  line(name, rate(leaves, milliseconds, 'leaves'), '', '', '100 million leaves/s');
}

model();

/** A tree with `leaves` leaves of a level from address 0 on, in order; returns the root. */
function plant(level: 1 | 2, leaves: number, scattered: boolean): number {
  const root = nextTable;
  const below = [0, 0, 0, 0];
  nextTable += PAGE;
  for (let leaf = 0; leaf < leaves; leaf++) {
    const page = leaf * (level === 2 ? PAGES_OF_HUGE : 1);
    let table = root;
    for (let at = 4; at > level; at--) {
      const index = Math.floor(page / 512 ** (at - 1));
      const slot = table + (index % 512) * 8;
      if (!memory.readEntry(BigInt(slot))) {
        memory.writeEntry(BigInt(slot), BigInt(nextTable) | POINTER);
        below[at - 1] = nextTable;
        nextTable += PAGE;
      }
      table = below[at - 1]!;
    }
    const pages = level === 2 ? PAGES_OF_HUGE : 1;
    /* A step that is no neighbour's: odd, and larger than any run. */
    const frame = (scattered ? (leaf * 7919) % 2 ** 20 : leaf) * pages;
    const slot = table + (Math.floor(page / 512 ** (level - 1)) % 512) * 8;
    memory.writeEntry(BigInt(slot), (BigInt(frame) << 12n) | BigInt(WRITABLE_LEAF | (level === 2 ? PS : 0)));
  }
  return root;
}

function listLine(name: string, root: number, pages: number, wanted: string): void {
  const scan = best(() => {
    for (let page = 0; page < pages; ) {
      const got = core.gupPages(root / PAGE, 39, page, Math.min(LISTED, pages - page), 1, list, runs, RUNS);
      if (got === 0) throw new Error('a page is missing');
      page += got;
    }
  });
  const bytes = new Uint8Array(memory.wasm.buffer, list, Math.min(LISTED, pages) * 8);
  let value = 0;
  const fill = best(() => {
    bytes.fill(value++ & 255);
  });
  const ratio = (scan / fill).toFixed(1);
  line(name, rate(pages, scan, 'pages'), rate(pages, fill, 'pages'), ratio, wanted);
}

/** What a caller of the library gets: with references, in its own array. */
function model(): void {
  const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: MAPPED }] });
  const process = machine.createProcess();
  const bytes = MAPPED * HUGE_PAGE;
  const all = MAPPED * PAGES_OF_HUGE;
  const map = (): number => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    const at = process.mmap({ length: bytes, prot: PROT_READ | PROT_WRITE, flags });
    if (typeof at === 'string') throw new Error(`mmap: ${at}`);
    return at;
  };
  let faults = Number.POSITIVE_INFINITY;
  let at = map();
  for (let round = 0; round < 5; round++) {
    process.munmap(at, bytes);
    at = map();
    faults = Math.min(
      faults,
      timed(() => process.getUserPages(at, all, FOLL_WRITE)),
    );
  }
  line('getUserPages, every page faulted in', rate(MAPPED, faults, 'faults'), '', '', '200,000 faults/s');

  const counted = best(() => process.getUserPages(at, all, FOLL_WRITE));
  line('getUserPages of present pages, no list', rate(MAPPED, counted, 'leaves'), '', '', '100 million leaves/s');

  const pages = new Float64Array(LISTED * 8);
  const fill = best(() => pages.fill(1.5));
  const fillRate = rate(pages.length, fill, 'pages');
  for (const [name, take] of [
    ['getUserPages', () => process.getUserPages(at, pages.length, FOLL_WRITE, pages)],
    ['getUserPagesFast', () => process.getUserPagesFast(at, pages.length, FOLL_WRITE, pages)],
  ] as const) {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round++) {
      least = Math.min(least, timed(take));
      process.putPages(pages);
    }
    const ratio = (least / fill).toFixed(1);
    line(
      `${name} of present pages, a list`,
      rate(pages.length, least, 'pages'),
      fillRate,
      ratio,
      '500 million pages/s',
    );
  }

  const one = new Float64Array(1);
  const single = best(() => {
    for (let page = 0; page < 1000; page++) {
      process.pinUserPagesFast(at + page * HUGE_PAGE, 1, FOLL_WRITE, one);
      process.unpinUserPages(one);
    }
  });
  line('pinUserPagesFast and unpinUserPages, one page', rate(1000, single, 'pages'), '', '', '');

  machine.trace = [];
  const leaves = best(() => {
    process.getUserPages(at, 1000 * PAGES_OF_HUGE, FOLL_WRITE);
    machine.trace = [];
  });
  line('getUserPages leaf by leaf, with a trace, no list', rate(1000, leaves, 'leaves'), '', '', '');
}

/** The least of some rounds, in milliseconds. */
function best(work: () => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) least = Math.min(least, timed(work));
  return least;
}

function timed(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function rate(count: number, milliseconds: number, unit: string): string {
  const second = (count / milliseconds) * 1e3;
  const number =
    second >= 1e7
      ? `${Math.round(second / 1e6).toLocaleString('en')} million`
      : Math.round(second).toLocaleString('en');
  return `${number} ${unit}/s`;
}

function line(...cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`);
}
