/**
 * The programs of docs/assemblyscript.md, compiled against the installed package as a user would: their answers are the core's.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { Access, AddressSpace, CR4 } from '../../src/index.ts';
import { openDumpFile } from '../../src/node.ts';
import { compacted } from '../support/compacted.ts';
import { ROOT, run } from './project.ts';

const { app } = inject('installed');
const asc = createRequire(import.meta.url).resolve('assemblyscript/bin/asc.js');
const text = readFileSync(join(ROOT, 'docs/assemblyscript.md'), 'utf8');
const [scalar, vectors] = [...text.matchAll(/^```assemblyscript\n([\s\S]*?)^```$/gm)].map(([, program]) => program!);
const [, options] = /^asc emulator\.ts (.*) --outFile emulator\.wasm$/m.exec(text) ?? [];

async function compile(name: string, program: string, ...more: string[]): Promise<WebAssembly.Module> {
  writeFileSync(join(app, `${name}.ts`), program);
  await run(app, process.execPath, asc, `${name}.ts`, ...options!.split(' '), ...more, '--outFile', `${name}.wasm`);
  return new WebAssembly.Module(readFileSync(join(app, `${name}.wasm`)));
}

const GUEST = 1 << 20;
let image: Uint8Array;
let root: bigint;
let space: AddressSpace;
let addresses: BigUint64Array;
/** The core's words. */
let wanted: BigUint64Array;

beforeAll(async () => {
  const dump = await openDumpFile(join(ROOT, 'test/fixtures/linux-6.1-4level.elf.gz'));
  space = await AddressSpace.open(dump);
  await space.load();
  /* As the programs set them: the supervisor may read users' pages, so that no word names a table's frame. */
  space.mmu.setRegisters({
    cr4: CR4.pae,
    maxPhysicalAddress: 46,
    cr0: 0x8001_0001n,
    efer: 0xd00n,
    rflags: 2n,
    pkru: 0,
  });
  ({ memory: image, root } = compacted(space));
  addresses = BigUint64Array.from(space.mmu.mappings(), ({ va, bytes }) => va + (bytes - 8n));
  wanted = space.mmu.translateMany(addresses, Access.read);
});

/** A module on a memory of its own, with the tables in it. */
function started<Exports>(module: WebAssembly.Module): {
  readonly exports: Exports;
  readonly memory: WebAssembly.Memory;
} {
  const memory = new WebAssembly.Memory({ initial: 128 });
  new Uint8Array(memory.buffer).set(image, GUEST);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, abort: () => undefined } });
  return { exports: exports as Exports, memory };
}

interface Scalar {
  start(guest: number, bytes: bigint, tlb: number, cr3: bigint, cr4: bigint): void;
  probe(va: bigint): bigint;
  write(va: bigint): bigint;
}

describe('without vectors', () => {
  test('the walk, compiled into the program, answers as the core does; so does the TLB, which a second instance has for itself', async () => {
    const module = await compile('scalar', scalar!);
    const { exports, memory } = started<Scalar>(module);
    exports.start(GUEST, BigInt(image.length), 1 << 19, root, CR4.pae);
    const words = addresses.map((va) => BigInt.asUintN(64, exports.probe(va)));
    expect(words.findIndex((word, i) => word !== wanted[i])).toBe(-1);
    expect(words.length).toBeGreaterThan(9000);

    const other = new WebAssembly.Instance(module, { env: { memory, abort: () => undefined } })
      .exports as unknown as Scalar;
    other.start(GUEST, BigInt(image.length), (1 << 19) + (1 << 17), root, CR4.pae);
    const writes = space.mmu.translateMany(addresses, Access.write);
    for (let pass = 0; pass < 2; pass++) {
      for (const [i, va] of addresses.entries()) {
        const arrives = !(writes[i]! >> 63n);
        const physical = arrives ? writes[i]! & 0xf_ffff_ffff_ffffn : 0xffff_ffff_ffff_ffffn;
        const found = BigInt.asUintN(64, (i & 1 ? exports : other).write(va));
        if (found !== physical) expect([i, found]).toEqual([i, physical]);
      }
    }
  });
});

interface Vectors {
  start(guest: number, bytes: bigint, cr3: bigint, cr4: bigint): void;
  cacheBytes(log2: number): number;
  walkAll(addresses: number, count: number, outcomes: number, cache: number, log2: number, epoch: number): void;
}

test('with vectors, a list of addresses is walked as the core walks it', async () => {
  const { exports, memory } = started<Vectors>(await compile('vectors', vectors!, '--enable', 'simd'));
  exports.start(GUEST, BigInt(image.length), root, CR4.pae);
  const at = GUEST + image.length;
  const cache = at + addresses.byteLength;
  expect(cache + exports.cacheBytes(6)).toBeLessThanOrEqual(memory.buffer.byteLength);
  for (const epoch of [1, 2]) {
    new BigUint64Array(memory.buffer, at, addresses.length).set(addresses);
    exports.walkAll(at, addresses.length, at, cache, 6, epoch);
    const words = new BigUint64Array(memory.buffer, at, addresses.length);
    expect(words.findIndex((word, i) => word !== wanted[i])).toBe(-1);
  }
});
