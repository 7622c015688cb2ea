/**
 * Snappy's raw format, by the library hysnappy: loaded when the first compressed page is read, and bundled into this file
 * of the package.
 */
import { snappyUncompressor } from 'hysnappy';

let uncompressor: ReturnType<typeof snappyUncompressor> | undefined;

/** @throws Error for bytes that are no snappy stream of that length */
export function unsnappy(bytes: Uint8Array, length: number): Uint8Array {
  /* One instance is kept: to make one takes as long as to decompress a page. */
  uncompressor ??= snappyUncompressor();
  try {
    return uncompressor(bytes, length);
  } catch (error) {
    /* One that was stopped by a trap is not used again. */
    uncompressor = undefined;
    throw error;
  }
}
