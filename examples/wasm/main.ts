/**
 * An emulator in WebAssembly on a core: its module (assembly/emulator.ts) imports the core's exports, and looks into the TLB itself.
 *
 *   npm run example:wasm
 */
import { readFileSync } from 'node:fs';
import { Entry, FlatMemory, Mmu, Tlb } from 'hugewalk';

const { present, writable, user } = Entry;

/** The emulator's functions. */
export interface Emulator {
  readonly fault: { readonly value: bigint };
  place(guest: number, pages: number, log2Pages: number): void;
  changed(pcid: bigint, user: number, keys: number): void;
  inlinedHits(): number;
  reach(va: bigint, write: number): number;
  readByte(va: bigint): number;
  writeByte(va: bigint, value: number): number;
}

/** A guest with 1 MiB of memory, of which linear 0x400000 is one page at 0x8000; and an emulator that runs it. */
export function start(module: WebAssembly.Module): {
  readonly mmu: Mmu;
  readonly tlb: Tlb;
  readonly emulator: Emulator;
} {
  const memory = new FlatMemory({ bytes: 1 << 20 });
  memory.writeEntry(0x1000n, 0x2000n | present | writable | user);
  memory.writeEntry(0x2000n, 0x3000n | present | writable | user);
  memory.writeEntry(0x3010n, 0x4000n | present | writable | user);
  memory.writeEntry(0x4000n, 0x8000n | present | writable | user);
  const mmu = new Mmu(memory, { cr3: 0x1000n });
  const tlb = new Tlb(mmu);
  const core = tlb.select();
  const imports = { env: { memory: memory.wasm }, core: { ...core } };
  const emulator = new WebAssembly.Instance(module, imports).exports as unknown as Emulator;
  const { pages, log2Pages } = tlb.layout;
  emulator.place(memory.base, pages, log2Pages);
  emulator.changed(0n, 0, 0);
  return { mmu, tlb, emulator };
}

const [path] = process.argv.slice(2);
if (path !== undefined) {
  const { tlb, emulator } = start(new WebAssembly.Module(readFileSync(path)));
  for (let at = 0n; at < 4096n; at++) emulator.writeByte(0x40_0000n + at, Number(at & 0xffn));
  console.log(
    `read ${emulator.readByte(0x40_0042n)}; ${emulator.inlinedHits()} hits inlined, ${tlb.counts.lookups} asked of the core`,
  );
  console.log(
    `0x500000: ${emulator.readByte(0x50_0000n)}, outcome word 0x${BigInt.asUintN(64, emulator.fault.value).toString(16)}`,
  );
}
