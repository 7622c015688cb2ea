/**
 * The designs, from the host's side: links build/designs/NAME.wasm to a memory, as Mmu does the core.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoreExports } from '../../src/core/exports.ts';
import type { FlatMemory, Registers } from '../../src/index.ts';
import { DEFAULT_REGISTERS, loadRegisters } from '../../src/mmu/registers.ts';
import { projectRoot } from '../native.ts';

/** Those that were rejected; what won is the library's own batch. */
export const DESIGNS = [
  'plain',
  'unrolled',
  'table-cache-scalar',
  'leaf-cache',
  'level-synchronous',
  'sorted',
  'pairs-unhoisted',
  'interleaved',
] as const;
export type DesignName = (typeof DESIGNS)[number];

/** What every module exports; translateMany's `cache` is the design's scratch, whatever it holds. */
interface DesignExports extends Pick<CoreExports, 'setRegisters' | 'setFlatMemory' | 'translateMany'> {
  /** Bytes of scratch for so many addresses and so many slots. */
  scratchBytes(count: number, log2Slots: number): number;
}

/** log2 of a table cache's slots: as many as src/mmu/table-cache.ts would give it. */
function log2SlotsFor({ frameCount }: FlatMemory): number {
  return Math.max(12, Math.min(17, Math.ceil(Math.log2(frameCount)) + 4));
}

/** A design on a memory, ready to walk. */
export class Design {
  readonly name: DesignName;
  readonly #exports: DesignExports;
  readonly #scratch: number;
  readonly #log2Slots: number;
  /* One for each call, as a table cache wants it; two million calls are more than anybody measures. */
  #epoch = 0;

  /** @param capacity addresses of a call, at most */
  constructor(
    name: DesignName,
    memory: FlatMemory,
    registers: Partial<Registers> & Pick<Registers, 'cr3'>,
    capacity: number,
  ) {
    const module = new WebAssembly.Module(readFileSync(join(projectRoot(), `build/designs/${name}.wasm`)));
    const { exports } = new WebAssembly.Instance(module, { env: { memory: memory.wasm } });
    this.name = name;
    this.#exports = exports as unknown as DesignExports;
    this.#log2Slots = log2SlotsFor(memory);
    const bytes = this.#exports.scratchBytes(capacity, this.#log2Slots) >>> 0;
    this.#scratch = bytes && memory.arena.allocate(bytes);
    new Uint8Array(memory.wasm.buffer, this.#scratch, bytes).fill(0);
    memory.attach(exports as unknown as CoreExports);
    loadRegisters(exports as unknown as CoreExports, { ...DEFAULT_REGISTERS, ...registers });
  }

  /** Translates `count` addresses at linear address `from`; their outcome words go to linear address `to`. */
  translate(from: number, count: number, access: number, to: number): void {
    this.#exports.translateMany(from, count, access, to, this.#scratch, this.#log2Slots, ++this.#epoch);
  }
}

/** Arrays in linear memory that all designs on a memory share. */
export class SharedArrays {
  /** Linear addresses. */
  readonly from: number;
  readonly to: number;
  readonly #memory: FlatMemory;
  readonly #count: number;

  constructor(memory: FlatMemory, addresses: BigUint64Array) {
    this.#memory = memory;
    this.#count = addresses.length;
    this.from = memory.arena.allocate(addresses.length * 8);
    this.to = memory.arena.allocate(addresses.length * 8);
    new BigUint64Array(memory.wasm.buffer, this.from, addresses.length).set(addresses);
  }

  /** The outcome words, where the memory is now. */
  get outcomes(): BigUint64Array {
    return new BigUint64Array(this.#memory.wasm.buffer, this.to, this.#count);
  }
}

/** Where two lists of outcome words differ, in words; undefined where they do not. */
export function difference(found: BigUint64Array, expected: BigUint64Array): string | undefined {
  const at = expected.findIndex((word, i) => found[i] !== word);
  if (at < 0) return undefined;
  return `outcome ${at}: expected 0x${expected[at]!.toString(16)}, got 0x${found[at]?.toString(16)}`;
}
