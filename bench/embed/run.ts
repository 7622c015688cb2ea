/**
 * What a call of the core costs from another WebAssembly module, beside one from JavaScript, and a TLB hit that the module answers itself.
 *
 *   npm run bench:embed
 *
 * 512 pages of 4 KiB, all cached; the time is the best of some rounds, each of all ways in turn.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Entry, FlatMemory, Mmu, Tlb } from '../../src/index.ts';
import { projectRoot } from '../native.ts';

const ROUNDS = 30;
const PAGES = 512;
const CALLS = 100_000;

interface Caller {
  place(guest: number, pages: number, log2Pages: number): void;
  changed(pcid: bigint, user: number, keys: number): void;
  inlinedHits(): number;
  walks(addresses: number, count: number): bigint;
  lookups(addresses: number, count: number): bigint;
  inlined(addresses: number, count: number): bigint;
}

const { present, writable, user, accessed } = Entry;
const rights = present | writable | user | accessed;
const memory = new FlatMemory({ bytes: 1 << 20 });
for (const [at, entry] of [
  [0x1000n, 0x2000n],
  [0x2000n, 0x3000n],
  [0x3000n, 0x4000n],
] as const) {
  memory.writeEntry(at, entry | rights);
}
for (let page = 0n; page < PAGES; page++) memory.writeEntry(0x4000n + page * 8n, (page << 12n) | rights);
const tlb = new Tlb(new Mmu(memory, { cr3: 0x1000n }));
const core = tlb.select();

/* In an order that no prefetcher likes. */
const at = memory.arena.allocate(CALLS * 8);
const addresses = new BigUint64Array(memory.wasm.buffer, at, CALLS).map((_, i) => BigInt((i * 331) % PAGES) << 12n);
new BigUint64Array(memory.wasm.buffer, at, CALLS).set(addresses);

const caller = new WebAssembly.Instance(compile(), { env: { memory: memory.wasm }, core: { ...core } })
  .exports as unknown as Caller;
caller.place(memory.base, tlb.layout.pages, tlb.layout.log2Pages);
caller.changed(0n, 0, 0);

const WAYS: Readonly<Record<string, () => void>> = {
  'walk, from JavaScript': () => fromJavaScript((va) => core.translate(va, 0)),
  'walk, from WebAssembly': () => void caller.walks(at, CALLS),
  'TLB hit, from JavaScript': () => fromJavaScript((va) => core.tlbTranslate(va, 0)),
  'TLB hit, from WebAssembly': () => void caller.lookups(at, CALLS),
  'TLB hit, inlined': () => void caller.inlined(at, CALLS),
};

const best = new Map(Object.keys(WAYS).map((name) => [name, Number.POSITIVE_INFINITY]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, way] of Object.entries(WAYS)) {
    const start = performance.now();
    way();
    best.set(name, Math.min(best.get(name)!, ((performance.now() - start) * 1e6) / CALLS));
  }
}
if (caller.inlinedHits() < CALLS * (ROUNDS - 1)) throw new Error('expected hits, found that the core was asked');
const base = best.get('walk, from JavaScript')!;
for (const [name, ns] of best) {
  console.log(`${name.padEnd(28)}${ns.toFixed(1).padStart(7)} ns${(ns / base).toFixed(2).padStart(8)} of the first`);
}

function fromJavaScript(call: (va: bigint) => bigint): void {
  let sum = 0n;
  for (let i = 0; i < CALLS; i++) sum ^= call(addresses[i]!);
  if (sum === 1n) throw new Error('not reached: keeps the calls');
}

function compile(): WebAssembly.Module {
  const out = join(projectRoot(), 'build/caller.wasm');
  const asc = createRequire(import.meta.url).resolve('assemblyscript/bin/asc.js');
  const options = '--config none --runtime stub --importMemory -O3 --noAssert --outFile'.split(' ');
  const { status, stderr } = spawnSync(process.execPath, [asc, 'bench/embed/assembly/caller.ts', ...options, out], {
    cwd: projectRoot(),
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return new WebAssembly.Module(readFileSync(out));
}
