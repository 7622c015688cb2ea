/**
 * Compiles the core and instantiates it on a memory: the one file that uses the AssemblyScript loader.
 */
import { instantiateSync } from '@assemblyscript/loader';
import { checkOptions, type OptionNames, wrongKind } from './errors.ts';
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
 *
 * @throws TypeError or RangeError for a source that is none, or is not WebAssembly
 */
export async function compileCore(sources: CoreSources = {}): Promise<CoreModules> {
  checkOptions('sources', sources, KINDS);
  const [flat, sparse, threads] = await Promise.all([
    compileOne('flat', sources.flat === undefined ? decode(FLAT_WASM) : sources.flat),
    compileOne('sparse', sources.sparse === undefined ? decode(SPARSE_WASM) : sources.sparse),
    compileOne('threads', sources.threads === undefined ? decode(THREADS_WASM) : sources.threads),
  ]);
  return { flat, sparse, threads };
}

const KINDS: OptionNames<CoreModules> = { flat: true, sparse: true, threads: true };

async function compileOne(name: string, source: CoreSource): Promise<WebAssembly.Module> {
  const given = await source;
  if (given instanceof WebAssembly.Module) return given;
  const bytes = await bytesOf(name, given);
  return WebAssembly.compile(bytes).catch((cause: unknown) => {
    const message = `${name}: expected the WebAssembly of a core, got ${bytes.byteLength} bytes that are none`;
    throw new RangeError(message, { cause });
  });
}

async function bytesOf(name: string, given: BufferSource | Response): Promise<BufferSource> {
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
 * @throws TypeError for anything but compiled cores
 */
export function instantiateCore(
  modules: CoreModules,
  kind: keyof CoreModules,
  memory: WebAssembly.Memory,
): CoreExports {
  const given: Partial<CoreModules> | null | undefined = modules;
  const module = given?.[kind];
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
function exportsOf(module: WebAssembly.Module, memory: WebAssembly.Memory): CoreExports | undefined {
  try {
    return instantiateSync(module, { env: { memory } }).instance.exports as unknown as CoreExports;
  } catch (error) {
    if (error instanceof WebAssembly.LinkError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
