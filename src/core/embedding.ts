/**
 * hugewalk/core: the compiled cores for other WebAssembly modules, without the classes above them. docs/abi.md tells what each function
 * takes, answers and touches.
 *
 * @module
 */
import { checkOptions, type OptionNames, wrongKind } from './errors.ts';
import type { CoreExports } from './exports.ts';
import { FLAT_CORE, type InlinedCore, SPARSE_CORE, THREADS_CORE } from './inlined.ts';
import { type CoreModules, instantiateOn } from './instantiate.ts';
import type { WasmMemory } from './platform.ts';

export type { CoreExports } from './exports.ts';
export type { CoreConstants } from './generated/constants.ts';
/** Every constant of a core, as a number or bigint: offsets, masks, bits. */
export * as layout from './generated/layout.ts';
export { type CoreModules, type CoreSource, type CoreSources, compileCore, compileCoreSync } from './instantiate.ts';

/** The kinds of physical memory: one range, frames through a directory, one range that threads share. */
export type CoreKind = keyof CoreModules;

const CORES: Readonly<Record<CoreKind, InlinedCore>> = { flat: FLAT_CORE, sparse: SPARSE_CORE, threads: THREADS_CORE };
const KINDS: OptionNames<CoreModules> = { flat: true, sparse: true, threads: true };

/**
 * A core on a memory of your own: one processor. Nothing of the memory is touched before you call a function that says so. Arguments of those
 * are not checked: the classes of `hugewalk` do that.
 *
 * Another module takes what is here as its imports, functions and constants, so that no call goes through JavaScript.
 *
 * @param kind of physical memory; `threads` needs a shared memory
 * @param memory of WebAssembly; it may be another module's, and may grow
 * @param modules compiled cores, from {@link compileCore}; default: the one inlined in the package, compiled here
 * @throws TypeError or RangeError for a kind that there is not, what is no memory or not of that kind, or modules that are no cores
 *
 * @example
 * ```ts
 * import { instantiateCore, layout } from 'hugewalk/core';
 * const memory = new WebAssembly.Memory({ initial: 32 });           // 2 MiB: the guest's from 1 MiB on
 * const core = instantiateCore('flat', memory);
 * core.setFlatMemory(1 << 20, 1n << 20n);
 * core.setRegisters(0x8001_0001n, 0x1000n, 0x20n, 0xd00n, 2n, 0, 0, 46, layout.FEATURE_PAGE_1G);
 * const entries = new BigUint64Array(memory.buffer, 1 << 20);
 * entries[0x1000 / 8] = 0x2003n;                                   // PML4[0] -> PDPT at 0x2000
 * entries[0x2000 / 8] = 0x4000_0083n;                              // PDPT[0] -> 1 GiB page
 * console.log(core.translate(0x1234n, layout.ACCESS_WRITE) & layout.OUTCOME_ADDRESS_MASK);   // 0x40001234n
 * ```
 */
export function instantiateCore(kind: CoreKind, memory: WasmMemory, modules?: CoreModules): CoreExports {
  if (!Object.hasOwn(CORES, kind)) throw new RangeError(`kind: expected flat, sparse or threads, got ${String(kind)}`);
  if (!(memory instanceof WebAssembly.Memory)) throw wrongKind('memory', 'a WebAssembly.Memory', memory);
  if (modules !== undefined) checkOptions('modules', modules, KINDS);
  const isShared = !(memory.buffer instanceof ArrayBuffer);
  if (isShared !== (kind === 'threads')) {
    throw new TypeError(
      `memory: expected ${kind === 'threads' ? 'a shared memory' : 'a memory that is not shared'} for the core of kind ${kind}`,
    );
  }
  return instantiateOn(modules, kind, CORES[kind], memory);
}
