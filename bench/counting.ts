/**
 * What does not depend on the machine: how many accesses to memory a walk makes, how many bytes the cores have.
 *
 * The core is compiled with a counter before every access (instrument.ts) and makes fixed walks of fixed images, through the
 * same host code as always. So the reading of addresses and the writing of outcomes of a batch count, too.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { compileCoreSync, Mmu, Tlb } from '../src/index.ts';
import { BENCH_ACCESS, buildImage, flatMemoryOf, SHAPES, type Shape } from './images.ts';
import { COUNTERS, COUNTERS_EXPORT, instrument } from './instrument.ts';
import { projectRoot } from './native.ts';
import { addressesOf } from './patterns.ts';
import { log2PagesFor } from './rows/tlb.ts';

/** Accesses to memory that so many walks made together. */
export interface Counts {
  readonly loads: number;
  readonly stores: number;
}

/** The ways to walk that are counted. */
export const WAYS = ['walk', 'batch', 'tlb'] as const;
export type Way = (typeof WAYS)[number];

/** How many addresses are walked for a count. */
export const COUNTED_WALKS = 4096;
const TABLE_BYTES = 2 ** 15;

/** The release cores. */
const CORES = ['flat', 'sparse', 'threads'] as const;

/** Bytes of each release core, by name. */
export function coreBytes(): Record<string, number> {
  return Object.fromEntries(CORES.map((name) => [name, statSync(join(projectRoot(), `build/${name}.wasm`)).size]));
}

/**
 * The core over flat memory, with counters.
 *
 * @throws Error with the compiler's messages when it does not compile
 */
export async function compileCounting(): Promise<WebAssembly.Module> {
  let core: Uint8Array | undefined;
  const root = projectRoot();
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--target', 'flat-debug'], {
    readFile: (name, base) => {
      if (name === 'assembly/counters.ts') return COUNTERS;
      try {
        const text = readFileSync(join(base === '.' ? root : join(root, base), name), 'utf8');
        if (name === 'assembly/index.ts') return text + COUNTERS_EXPORT;
        return name.startsWith('assembly/') ? instrument(text) : text;
      } catch {
        return null;
      }
    },
    writeFile: (name, content) => {
      if (name.endsWith('.wasm')) core = content as Uint8Array;
    },
  });
  if (error || !core) throw new Error(`the core with counters does not compile:\n${stderr.toString() || error}`);
  return new WebAssembly.Module(core as Uint8Array<ArrayBuffer>);
}

/** Every count, by a name such as `batch/4k/loads`. */
export async function countAll(): Promise<Record<string, number>> {
  const module = await compileCounting();
  const all: Record<string, number> = {};
  for (const way of WAYS) {
    for (const shape of SHAPES) {
      const { loads, stores } = countAccesses(module, way, shape);
      all[`${way}/${shape}/loads`] = loads;
      all[`${way}/${shape}/stores`] = stores;
    }
  }
  return all;
}

/**
 * Counts the accesses of walks in random order. In the TLB's second pass all are hits; a batch begins with nothing cached.
 *
 * @param module a core of compileCounting
 */
export function countAccesses(module: WebAssembly.Module, way: Way, shape: Shape, walks = COUNTED_WALKS): Counts {
  const image = buildImage({ shape, tableBytes: TABLE_BYTES });
  const addresses = addressesOf(image, 'random', walks);
  const mmu = new Mmu(flatMemoryOf(image), image.registers, { ...compileCoreSync(), flat: module });
  if (way === 'walk') {
    return counted(mmu, () => {
      for (const va of addresses) mmu.core.translate(va, BENCH_ACCESS);
    });
  }
  if (way === 'batch') {
    const batch = mmu.batch(walks);
    batch.addresses.set(addresses);
    return counted(mmu, () => batch.run(walks, BENCH_ACCESS));
  }
  const batch = new Tlb(mmu, { log2Pages: log2PagesFor(image) }).batch(walks);
  batch.addresses.set(addresses);
  batch.access(walks, BENCH_ACCESS);
  return counted(mmu, () => batch.access(walks, BENCH_ACCESS));
}

function counted({ core }: Mmu, work: () => void): Counts {
  const { memoryLoads, memoryStores } = core as unknown as Record<keyof Counters, WebAssembly.Global>;
  const [loads, stores] = [memoryLoads.value, memoryStores.value];
  work();
  return { loads: Number(memoryLoads.value - loads), stores: Number(memoryStores.value - stores) };
}

/** What a core with counters exports besides. */
interface Counters {
  readonly memoryLoads: WebAssembly.Global;
  readonly memoryStores: WebAssembly.Global;
}
