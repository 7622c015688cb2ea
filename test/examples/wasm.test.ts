/**
 * examples/wasm: an emulator's module of a few hundred bytes on a core, which answers hits of the TLB itself, does what the TLB does.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../bench/native.ts';
import { type Emulator, start } from '../../examples/wasm/main.ts';
import { Access, CR4, type FlatMemory, Mmu, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { Random, randomAddresses } from '../support/random.ts';
import { keyedRegisterSets, randomTree, treeRecipes } from '../support/trees.ts';

const ROOT = projectRoot();
const folder = mkdtempSync(join(tmpdir(), 'hugewalk-wasm-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = compiled();
const module = new WebAssembly.Module(bytes);

/** As `npm run example:wasm` compiles it. */
function compiled(): Uint8Array<ArrayBuffer> {
  const out = join(folder, 'emulator.wasm');
  const asc = createRequire(import.meta.url).resolve('assemblyscript/bin/asc.js');
  const options = '--config none --runtime stub --importMemory -O3 --noAssert --outFile'.split(' ');
  const source = 'examples/wasm/assembly/emulator.ts';
  const { status, stderr } = spawnSync(process.execPath, [asc, source, ...options, out], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  return new Uint8Array(readFileSync(out));
}

test('the module has less than a thousand bytes', () => {
  expect(bytes.length).toBeLessThan(1000);
});

describe('its accesses', () => {
  test('reach the byte that the TLB’s reach, fault with the same word, and leave the same A and D behind, hit or miss', () => {
    const seen = { hits: 0, faults: 0 };
    fc.assert(
      fc.property(treeRecipes, keyedRegisterSets, (recipe, registers) => {
        const image = randomTree(recipe, registers);
        const [ours, theirs] = [image, image].map((frames) => {
          const memory = memoryWith(frames, 'flat') as FlatMemory;
          const tlb = new Tlb(new Mmu(memory, registers), { log2Pages: 3, log2Tables: 2 });
          return { memory, tlb };
        });
        const { memory, tlb } = ours!;
        const emulator = new WebAssembly.Instance(module, { env: { memory: memory.wasm }, core: { ...tlb.select() } })
          .exports as unknown as Emulator;
        emulator.place(memory.base, tlb.layout.pages, tlb.layout.log2Pages);
        const pcid = registers.cr4 & (1n << 17n) ? registers.cr3 & 0xfffn : 0n;
        const keys = registers.cr4 & (CR4.pke | CR4.pks) ? 1 : 0;
        const random = new Random(recipe.seed);
        const near = randomAddresses(recipe.seed, 5, tlb.mmu.levels === 5 ? 57 : 48);
        for (let step = 0; step < 120; step++) {
          const [user, write] = [random.chance(50), random.chance(30)];
          const va = near[random.below(near.length)]!;
          const outcome = theirs!.tlb.accessWord(va, (user ? Access.user : 0) | (write ? Access.write : 0));
          emulator.changed(pcid, user ? 1 : 0, keys);
          const at = emulator.reach(va, write ? 1 : 0) >>> 0;
          if (outcome >> 63n) {
            expect([at, BigInt.asUintN(64, emulator.fault.value)]).toEqual([0, outcome]);
            seen.faults++;
          } else {
            expect(BigInt(at - memory.base)).toBe(outcome & 0xffff_ffffn);
          }
        }
        for (const frame of image.keys()) {
          for (let index = 0n; index < 512n; index++) {
            const entry = frame + index * 8n;
            if (memory.readEntry(entry) !== theirs!.memory.readEntry(entry)) expect(entry).toBe('the same');
          }
        }
        seen.hits += emulator.inlinedHits();
      }),
      { numRuns: 60 },
    );
    expect(Math.min(seen.hits, seen.faults)).toBeGreaterThan(60);
  });

  test('are the core’s where there are protection keys: key 0 denies what was cached before it did', () => {
    const { mmu, emulator } = start(module);
    const at = 0x40_0042n;
    for (let hit = 0; hit < 2; hit++) expect([emulator.readByte(at), emulator.writeByte(at, 0)]).toEqual([0, 1]);
    const before = emulator.inlinedHits();
    expect(before).toBeGreaterThan(0);
    mmu.setRegisters({ cr4: CR4.pae | CR4.pke, pkru: 3 });
    emulator.changed(0n, 1, 1);
    expect([emulator.readByte(at), emulator.fault.value & 0xfffn]).toEqual([-1, 0x25n]);
    expect([emulator.writeByte(at, 0), emulator.fault.value & 0xfffn]).toEqual([0, 0x27n]);
    expect(emulator.inlinedHits()).toBe(before);
  });
});
