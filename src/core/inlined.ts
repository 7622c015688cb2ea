/**
 * The cores whose bytes are inlined in this package. Each is compiled when it is first asked for. A memory brings the cores that can
 * walk it, so that a bundle has no others.
 */
import { FLAT_WASM, SPARSE_WASM, THREADS_WASM } from './generated/wasm.ts';
import type { WasmModule } from './platform.ts';

/** A core as text, and, once it was asked for, compiled. */
export class InlinedCore {
  readonly #base64: string;
  #module: WasmModule | undefined;

  constructor(base64: string) {
    this.#base64 = base64;
  }

  /** Compiled synchronously, on the first call. */
  compileSync(): WasmModule {
    this.#module ??= new WebAssembly.Module(decode(this.#base64));
    return this.#module;
  }

  /** Compiled without blocking, on the first call. */
  async compile(): Promise<WasmModule> {
    this.#module ??= await WebAssembly.compile(decode(this.#base64));
    return this.#module;
  }
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/* A bundler leaves out those that nobody imports: that making them has no effect, it must be told. */
export const FLAT_CORE: InlinedCore = /* @__PURE__ */ new InlinedCore(FLAT_WASM);
export const SPARSE_CORE: InlinedCore = /* @__PURE__ */ new InlinedCore(SPARSE_WASM);
export const THREADS_CORE: InlinedCore = /* @__PURE__ */ new InlinedCore(THREADS_WASM);
