/**
 * Pages compressed by snappy, as one block without a frame: format_description.txt of its sources. The library does not look at
 * the length that a block says it has.
 */
import { snappyUncompressor } from 'hysnappy';
import { PAGE } from './page.ts';

/** The length of a page, as a block begins with it: seven bits a byte, the lowest first. */
const LENGTH = [0x80, PAGE >> 7];

let uncompress: ReturnType<typeof snappyUncompressor> | undefined;

/** Undefined where the block says that it holds more or less than a page. */
export function decompressSnappy(compressed: Uint8Array): Uint8Array | undefined {
  if (LENGTH.some((byte, i) => compressed[i] !== byte)) return undefined;
  /* One instance is kept: to make one takes as long as a page. */
  uncompress ??= snappyUncompressor();
  try {
    return uncompress(compressed, PAGE);
  } catch (error) {
    /* What a trap has stopped is not used again. */
    uncompress = undefined;
    throw error;
  }
}
