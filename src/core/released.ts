/// <reference lib="esnext.disposable" preserve="true" />

/**
 * What is given back when it is no longer needed. `release()` does it, once: a second call does nothing, and any other
 * use afterwards is a TypeError. `using` calls it at the end of a block.
 *
 * The first line gives `Symbol.dispose` a type also where the reader of the declarations compiles with an older `lib`.
 */
export interface Releasable {
  /** Gives back what it holds. More than once does nothing. */
  release(): void;
  /** The same, for `using`. */
  [Symbol.dispose](): void;
}

/** The error for the use of something that was released: `batch: expected a batch in use, got a released one`. */
export function releasedError(name: string): TypeError {
  return new TypeError(`${name}: expected a ${name} in use, got a released one`);
}
