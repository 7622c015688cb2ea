/**
 * Compiles the core and instantiates it on a memory: the one file that uses the AssemblyScript loader.
 */
import { instantiateSync } from '@assemblyscript/loader';
import type { CoreExports } from './exports.ts';
import { FLAT_WASM, SPARSE_WASM, THREADS_WASM } from './generated/wasm.ts';

/** The compiled cores. Modules can be posted to workers. */
export interface CoreModules {
  /** Over flat physical memory. */
  readonly flat: WebAssembly.Module;
  /** Over sparse physical memory. */
  readonly sparse: WebAssembly.Module;
  /** Over flat physical memory in a shared WebAssembly.Memory: reads entries and sets A and D atomically. */
  readonly threads: WebAssembly.Module;
}

/** Where a core may come from, when not from the bytes inlined in this package. */
export type CoreSource = WebAssembly.Module | BufferSource | Response | PromiseLike<Response>;

/** Where each core may come from. */
export type CoreSources = { readonly [name in keyof CoreModules]?: CoreSource };

let inlined: CoreModules | undefined;

/**
 * The cores inlined in this package, compiled synchronously on the first call.
 *
 * @example
 * ```ts
 * import { compileCoreSync, FlatMemory, Mmu } from 'hugewalk';
 * const core = compileCoreSync();
 * const mmu = new Mmu(new FlatMemory({ bytes: 65536 }), { cr3: 0n }, core);
 * ```
 */
export function compileCoreSync(): CoreModules {
  inlined ??= {
    flat: new WebAssembly.Module(decode(FLAT_WASM)),
    sparse: new WebAssembly.Module(decode(SPARSE_WASM)),
    threads: new WebAssembly.Module(decode(THREADS_WASM)),
  };
  return inlined;
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
 */
export async function compileCore(sources: CoreSources = {}): Promise<CoreModules> {
  const [flat, sparse, threads] = await Promise.all([
    compileOne(sources.flat ?? decode(FLAT_WASM)),
    compileOne(sources.sparse ?? decode(SPARSE_WASM)),
    compileOne(sources.threads ?? decode(THREADS_WASM)),
  ]);
  return { flat, sparse, threads };
}

async function compileOne(source: CoreSource): Promise<WebAssembly.Module> {
  const given = await source;
  if (given instanceof WebAssembly.Module) return given;
  if (typeof Response !== 'undefined' && given instanceof Response)
    return WebAssembly.compile(await given.arrayBuffer());
  return WebAssembly.compile(given as BufferSource);
}

/**
 * A new instance on `memory`. Hands out the instance's own exports: the loader wraps each function of its `exports`,
 * which costs more than a walk.
 */
export function instantiateCore(module: WebAssembly.Module, memory: WebAssembly.Memory): CoreExports {
  return instantiateSync(module, { env: { memory } }).instance.exports as unknown as CoreExports;
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
