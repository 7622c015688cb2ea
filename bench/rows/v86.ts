/**
 * The page walker of v86, an x86 emulator in the browser, beside ours, one address a call. It is measured only where it is
 * installed, which takes `npm install --no-save v86@0.5.462`.
 *
 * It is not the same work: v86 has 32-bit addresses, so its walks read two entries of 4 bytes where ours read four of 8, and
 * check less; but each fills a slot of its TLB, as they cannot be had without. Each side is asked for every page once in a
 * pass: `v86-walk` clears the TLB before (which is not measured), `v86-hit` does not. `number` and `batch` are ours, without
 * a TLB.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Mmu } from '../../src/index.ts';
import type { Benchmark, Effort, Measured, Plan } from '../benchmark.ts';
import { BENCH_ACCESS, flatMemoryOf, type Image } from '../images.ts';
import { Random } from '../random.ts';
import type { Side } from '../rounds.ts';
import { timed } from '../timed.ts';

/** What the row needs of its exports. */
interface V86Exports {
  readonly memory: WebAssembly.Memory;
  rust_init(): void;
  allocate_memory(bytes: number): number;
  zero_memory(bytes: number): void;
  full_clear_tlb(): void;
  translate_address_system_read_js(address: number): number;
}

/** Where v86 keeps its registers and the size of its memory, in linear memory. */
const CR = 580;
const MEMORY_SIZE = 812;
const CR0_PG_PE = 0x8000_0001;
/* P, W, U, A; a leaf also D. */
const TABLE_BITS = 0x27;
const LEAF_BITS = 0x67;
const ENTRIES = 1024;
/** Physical memory for the tables, in which v86's page directory lies at 4 MiB, its page tables behind it. */
const BYTES = 2 ** 25;
const DIRECTORY = 2 ** 22;
/** Physical address of the first page. */
const PAGES = 2 ** 30;

/** The row, if v86 is installed. */
export function v86Rows(tableBytes: number): Plan[] {
  const file = findV86();
  if (file === undefined) return [];
  const measure = async (bench: Benchmark): Promise<Measured> => {
    const image = bench.image({ shape: '4k', tableBytes });
    const halves = everyPage(image.pages);
    const sides = [...ownSides(image, halves, bench.effort), ...v86Sides(file, image.pages, halves, bench.effort)];
    return { image, figures: await bench.compare(sides) };
  };
  return [{ name: 'v86/4k/random', measure }];
}

function findV86(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('v86/build/v86.wasm');
  } catch {
    return undefined;
  }
}

/** An address in each of the pages from 0 on, in random order. */
function everyPage(pages: number): Uint32Array {
  const random = new Random(3);
  return random.order(pages).map((page) => page * 4096 + random.below(4096));
}

function ownSides(image: Image, addresses: Uint32Array, { walks }: Effort): Side[] {
  const mmu = new Mmu(flatMemoryOf(image), image.registers);
  const batch = mmu.batch(addresses.length);
  batch.addresses.set(BigUint64Array.from(addresses, BigInt));
  const last = { address: 0 };
  const number = (): void => {
    for (const va of addresses) last.address = mmu.physicalAddress(0, va, BENCH_ACCESS);
  };
  const passes = Math.ceil(walks / addresses.length);
  return [
    { name: 'number', repeat: timed(addresses.length, Math.ceil(passes / 8), number) },
    { name: 'batch', repeat: timed(addresses.length, passes, () => batch.run(addresses.length, BENCH_ACCESS)) },
  ];
}

/** @throws Error when v86 translates otherwise than its tables say */
function v86Sides(file: string, pages: number, addresses: Uint32Array, { walks }: Effort): Side[] {
  const v86 = instantiate(file);
  writeTables(v86, pages);
  for (const va of addresses) {
    const wanted = (pageAt(va >>> 12) + (va & 0xfff)) >>> 0;
    const found = v86.translate_address_system_read_js(va) >>> 0;
    if (found !== wanted) throw new Error(`expected 0x${wanted.toString(16)} of v86, got 0x${found.toString(16)}`);
  }
  const last = { address: 0 };
  const translate = (): void => {
    for (const va of addresses) last.address = v86.translate_address_system_read_js(va);
  };
  const passes = Math.ceil(walks / 8 / addresses.length);
  return [
    { name: 'v86-walk', repeat: timed(addresses.length, passes, translate, () => v86.full_clear_tlb()) },
    { name: 'v86-hit', repeat: timed(addresses.length, passes, translate) },
  ];
}

/** v86 without its devices: every import does nothing, which is enough for walks that do not fault. */
function instantiate(file: string): V86Exports {
  const module = new WebAssembly.Module(readFileSync(file));
  const env: Record<string, WebAssembly.ImportValue> = {};
  for (const { name, kind } of WebAssembly.Module.imports(module)) {
    env[name] = kind === 'table' ? new WebAssembly.Table({ initial: 4096, element: 'anyfunc' }) : () => 0;
  }
  return new WebAssembly.Instance(module, { env }).exports as unknown as V86Exports;
}

/** Maps so many pages from linear address 0 on, with 32-bit paging. */
function writeTables(v86: V86Exports, pages: number): void {
  v86.rust_init();
  const base = v86.allocate_memory(BYTES) >>> 0;
  v86.zero_memory(BYTES);
  const words = new Uint32Array(v86.memory.buffer);
  for (let page = 0; page < pages; page++) {
    const table = DIRECTORY + 4096 * (1 + Math.floor(page / ENTRIES));
    words[(base + DIRECTORY) / 4 + Math.floor(page / ENTRIES)] = table | TABLE_BITS;
    words[(base + table) / 4 + (page % ENTRIES)] = pageAt(page) | LEAF_BITS;
  }
  words[MEMORY_SIZE / 4] = BYTES;
  words[CR / 4] = CR0_PG_PE;
  words[CR / 4 + 3] = DIRECTORY;
  v86.full_clear_tlb();
}

/** Physical address of a page; pages that follow each other lie far apart. */
function pageAt(page: number): number {
  return (PAGES + ((page * 7919) % 2 ** 17) * 4096) >>> 0;
}
