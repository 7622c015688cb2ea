/**
 * The permission matrix, from the host's side: links build/matrix.wasm (assembly/index.ts) to a core and a memory, and
 * puts a case that came out wrong into words. Suites of it run in Node and in the browser.
 */

import type { CoreExports } from '../../src/core/exports.ts';
import { instantiateOn } from '../../src/core/instantiate.ts';
import { type CoreModules, FlatMemory, SparseMemory } from '../../src/index.ts';
import { readFixture } from '../support/files.ts';
import { type Case, caseAt, inWords } from './case.ts';
import { type Processor, SWEEPS, type SweepName } from './sweeps.ts';

/** What build/matrix.wasm exports, besides constants. An address or a combination arrives signed: use `>>> 0`. */
export interface MatrixExports {
  readonly RECORD_BYTES: WebAssembly.Global<'i32'>;
  setProcessor(levels: number, maxPhysicalAddress: number, hasKeys: number): void;
  count(sweep: number): number;
  first(sweep: number): number;
  skip(sweep: number, combination: number, steps: number): number;
  readonly BATCH_BYTES: WebAssembly.Global<'i32'>;
  useBatches(at: number): void;
  check(sweep: number, record: number, way: number, stride: number): number;
  checked(): number;
  checkOne(sweep: number, combination: number, record: number, way: number): number;
  write(sweep: number, from: number, stride: number, record: number, room: number): number;
}

/** A core and the memory under it. */
export interface Machine {
  readonly core: CoreExports;
  readonly memory: FlatMemory | SparseMemory;
}

/** How the matrix asks for a translation, if not the core's own way; it is called instead of the core's translate. */
export type Translate = CoreExports['translate'];

/** How a case is made: by a call of its own, through a TLB, or in a batch for one loop or the other (assembly/batch.ts). */
export const WAYS = ['single', 'through a TLB', 'in pairs', 'in mixed pairs'] as const;
export type Way = (typeof WAYS)[number];

/** No combination. */
const NONE = 0xffff_ffff;
/** The tables of level 1 to 5 lie at 0x1000 to 0x5000; those of level 1 to 4 that only batches use at 0x6000 to 0x9000. */
const TABLES = [0x1000n, 0x2000n, 0x3000n, 0x4000n, 0x5000n, 0x6000n, 0x7000n, 0x8000n, 0x9000n];

const modules = {
  flat: new WebAssembly.Module(await readFixture('build/matrix.wasm')),
  threads: new WebAssembly.Module(await readFixture('build/matrix-threads.wasm')),
};

/** A core over a new memory that has room for the matrix's tables. */
export function machine(kind: keyof CoreModules, cores: CoreModules): Machine {
  const memory =
    kind === 'sparse' ? new SparseMemory(cores) : new FlatMemory({ bytes: 0xa000, shared: kind === 'threads' });
  if (memory instanceof SparseMemory) for (const table of TABLES) memory.addFrame(table);
  const core = instantiateOn(cores, kind, memory.inlinedCore, memory.wasm);
  memory.attach(core);
  return { core, memory };
}

/** The matrix over one core. */
export class Matrix {
  readonly #exports: MatrixExports;
  readonly #memory: Machine['memory'];
  readonly #record: number;

  /** @param translate what stands in for the core's translate */
  constructor({ core, memory }: Machine, translate: Translate = core.translate) {
    const { setRegisters, tableAt, invalidateAll, translateMany } = core;
    this.#memory = memory;
    this.#exports = new WebAssembly.Instance(modules[memory.kind === 'threads' ? 'threads' : 'flat'], {
      env: { memory: memory.wasm },
      core: { setRegisters, tableAt, invalidateAll, translate, translateMany },
    }).exports as unknown as MatrixExports;
    this.#record = memory.arena.allocate(this.#bytes);
    const batchBytes = this.#exports.BATCH_BYTES.value;
    const batches = memory.arena.allocate(batchBytes);
    new Uint8Array(memory.wasm.buffer, batches, batchBytes).fill(0);
    this.#exports.useBatches(batches);
  }

  /** How many combinations a sweep has. */
  count(name: SweepName, processor: Processor): number {
    return this.#exports.count(this.#choose(name, processor)) >>> 0;
  }

  /** Checks the combinations of a sweep that are `stride` apart; the first that comes out wrong, in words. */
  firstWrong(name: SweepName, processor: Processor, way: Way = 'single', stride = 1): string | undefined {
    const wrong = this.#exports.check(this.#choose(name, processor), this.#record, WAYS.indexOf(way), stride) >>> 0;
    return wrong === NONE ? undefined : inWords(name, wrong, this.#caseAt(this.#record));
  }

  /** How many combinations the last {@link firstWrong} has found right. */
  get checked(): number {
    return this.#exports.checked() >>> 0;
  }

  /** Checks one combination; what is wrong with it, in words. */
  wrong(name: SweepName, processor: Processor, combination: number): string | undefined {
    const holds = this.#exports.checkOne(this.#choose(name, processor), combination, this.#record, 0);
    return holds ? undefined : inWords(name, combination, this.#caseAt(this.#record));
  }

  /** The cases of a sweep, those that are `stride` apart, with what is expected of them; nothing is walked. */
  *cases(name: SweepName, processor: Processor, stride = 1): Generator<{ combination: number; case: Case }> {
    const sweep = this.#choose(name, processor);
    const room = 4096;
    const at = this.#memory.arena.allocate(room * this.#bytes);
    for (let combination = this.#exports.first(sweep) >>> 0; combination !== NONE; ) {
      const written = this.#exports.write(sweep, combination, stride, at, room);
      for (let i = 0; i < written; i++) {
        yield { combination, case: this.#caseAt(at + i * this.#bytes) };
        combination = this.#exports.skip(sweep, combination, stride) >>> 0;
      }
    }
    this.#memory.arena.release(at, room * this.#bytes);
  }

  get #bytes(): number {
    return this.#exports.RECORD_BYTES.value;
  }

  #choose(name: SweepName, { levels, maxPhysicalAddress = 46, hasKeys = true }: Processor): number {
    this.#exports.setProcessor(levels, maxPhysicalAddress, Number(hasKeys));
    return SWEEPS.indexOf(name);
  }

  #caseAt(at: number): Case {
    return caseAt(new BigUint64Array(this.#memory.wasm.buffer, at, this.#bytes / 8));
  }
}
