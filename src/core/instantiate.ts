/**
 * Compiles the core and instantiates it on a memory: the one file that uses the AssemblyScript loader.
 */
import { instantiateSync } from '@assemblyscript/loader';
import { checkOptions, type OptionNames, wrongKind } from './errors.ts';
import type { CoreExports } from './exports.ts';
import { FLAT_CORE, type InlinedCore, SPARSE_CORE, THREADS_CORE } from './inlined.ts';
import type { FetchedResponse, WasmBytes, WasmMemory, WasmModule } from './platform.ts';

/** The compiled cores. Modules can be posted to workers. */
export interface CoreModules {
  /** Over flat physical memory. */
  readonly flat: WasmModule;
  /** Over sparse physical memory. */
  readonly sparse: WasmModule;
  /** Over flat physical memory in a shared WebAssembly.Memory: reads entries and sets A and D atomically. */
  readonly threads: WasmModule;
}

/** Where a core may come from, when not from the bytes inlined in this package. */
export type CoreSource = WasmModule | WasmBytes | FetchedResponse | PromiseLike<FetchedResponse>;

/** Where each core may come from. */
export type CoreSources = { readonly [name in keyof CoreModules]?: CoreSource };

/**
 * The cores inlined in this package, each compiled synchronously when it is first read. A memory brings its own without this: whoever
 * calls it has all three in a bundle.
 *
 * @example
 * ```ts
 * import { compileCoreSync, FlatMemory, Mmu } from 'hugewalk';
 * const core = compileCoreSync();
 * const mmu = new Mmu(new FlatMemory({ bytes: 65536 }), { cr3: 0n }, core);
 * ```
 */
export function compileCoreSync(): CoreModules {
  return {
    get flat() {
      return FLAT_CORE.compileSync();
    },
    get sparse() {
      return SPARSE_CORE.compileSync();
    },
    get threads() {
      return THREADS_CORE.compileSync();
    },
  };
}

/**
 * Compiles the cores without blocking: the inlined ones, or those of `sources`, for instance `hugewalk/core.wasm`,
 * `hugewalk/core-sparse.wasm` and `hugewalk/core-threads.wasm` fetched from your own server.
 *
 * @example
 * ```ts
 * import { compileCore, Mmu, SparseMemory } from 'hugewalk';
 * const core = await compileCore();
 * const mmu = new Mmu(new SparseMemory(core), { cr3: 0n }, core);
 * ```
 *
 * @throws TypeError or RangeError for a source that is none, or is not WebAssembly
 */
export async function compileCore(sources: CoreSources = {}): Promise<CoreModules> {
  checkOptions('sources', sources, KINDS);
  const [flat, sparse, threads] = await Promise.all([
    compileOne('flat', sources.flat, FLAT_CORE),
    compileOne('sparse', sources.sparse, SPARSE_CORE),
    compileOne('threads', sources.threads, THREADS_CORE),
  ]);
  return { flat, sparse, threads };
}

const KINDS: OptionNames<CoreModules> = { flat: true, sparse: true, threads: true };

async function compileOne(name: string, source: CoreSource | undefined, inlined: InlinedCore): Promise<WasmModule> {
  if (source === undefined) return inlined.compile();
  const given = await source;
  if (given instanceof WebAssembly.Module) return given;
  const bytes = await bytesOf(name, given);
  return WebAssembly.compile(bytes).catch((cause: unknown) => {
    const message = `${name}: expected the WebAssembly of a core, got ${bytes.byteLength} bytes that are none`;
    throw new RangeError(message, { cause });
  });
}

async function bytesOf(name: string, given: WasmBytes | FetchedResponse): Promise<WasmBytes> {
  if (typeof Response !== 'undefined' && given instanceof Response) {
    if (given.ok) return given.arrayBuffer();
    const of = given.url && ` of ${given.url}`;
    throw new RangeError(`${name}: expected a response with a core, got status ${given.status}${of}`);
  }
  if (given instanceof ArrayBuffer || ArrayBuffer.isView(given)) return given;
  throw wrongKind(name, 'a WebAssembly.Module, its bytes, or a Response', given);
}

/**
 * A new instance of the core for a kind of memory, on `memory`. Hands out the instance's own exports: the loader wraps each
 * function of its `exports`, which costs more than a walk.
 *
 * @param modules compiled cores; undefined for the inlined one
 * @throws TypeError for anything but compiled cores
 */
export function instantiateOn(
  modules: CoreModules | undefined,
  kind: keyof CoreModules,
  inlined: InlinedCore,
  memory: WasmMemory,
): CoreExports {
  const given: Partial<CoreModules> | null | undefined = modules;
  const module = given === undefined ? inlined.compileSync() : given?.[kind];
  if (!(module instanceof WebAssembly.Module)) {
    /* Where an object lacks just this one, that one is named. */
    const isObject = typeof given === 'object' && given !== null && !('then' in given);
    throw isObject
      ? wrongKind(`core.${kind}`, 'a WebAssembly.Module', module)
      : wrongKind('core', 'the CoreModules that compileCore() promises', given);
  }
  const exports = exportsOf(module, memory);
  const found = exports?.IS_SPARSE?.value ? 'sparse' : exports?.IS_SHARED?.value ? 'threads' : 'flat';
  if (exports?.IS_SPARSE && found === kind) return exports;
  const what = exports?.IS_SPARSE ? `that for ${found} memory` : 'a module that is no core';
  throw new TypeError(`core.${kind}: expected the core for ${kind} memory, got ${what}`);
}

/** Undefined for a module that wants something else than a memory. */
function exportsOf(module: WasmModule, memory: WasmMemory): CoreExports | undefined {
  try {
    return instantiateSync(module, { env: { memory } }).instance.exports as unknown as CoreExports;
  } catch (error) {
    if (error instanceof WebAssembly.LinkError || error instanceof TypeError) return undefined;
    throw error;
  }
}
