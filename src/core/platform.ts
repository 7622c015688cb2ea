/**
 * The types of WebAssembly and of the web's platform in this package's declarations: the compiler's own where it has them (lib "dom",
 * or @types/node for some), else the part of them that matters here. So the declarations need no more than lib "es2022".
 */

/** What the compiler knows of a class of the global scope, else `Otherwise`. */
type OfGlobal<Name extends string, Otherwise> = typeof globalThis extends { [name in Name]: { prototype: infer Known } }
  ? Known
  : Otherwise;

/** Likewise of a class of the namespace WebAssembly. */
type OfWebAssembly<Name extends string, Otherwise> = typeof globalThis extends {
  WebAssembly: { [name in Name]: { prototype: infer Known } };
}
  ? Known
  : Otherwise;

/** A `WebAssembly.Memory`. */
export type WasmMemory = OfWebAssembly<'Memory', { readonly buffer: ArrayBuffer; grow(pages: number): number }>;

/** A `WebAssembly.Module`. */
export type WasmModule = OfWebAssembly<'Module', object>;

/** A `WebAssembly.Global`. */
export type WasmGlobal = OfWebAssembly<'Global', { value: unknown }>;

/** Bytes that WebAssembly may be compiled from. */
export type WasmBytes = ArrayBuffer | ArrayBufferView<ArrayBuffer>;

/** A `Response` of fetch(). */
export type FetchedResponse = OfGlobal<'Response', { arrayBuffer(): Promise<ArrayBuffer> }>;

/** A `Blob`: in browsers, also a `File`. */
export type WebBlob = OfGlobal<
  'Blob',
  { readonly size: number; slice(from?: number, to?: number): { arrayBuffer(): Promise<ArrayBuffer> } }
>;
