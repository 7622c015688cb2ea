/**
 * The orders in which addresses are asked for.
 *
 *   random   a leaf size (of those the image has), one of its leaves, a byte of it: each uniformly
 *   page     the first byte of every leaf, one after the other
 *   line     64 bytes apart
 *
 * The last two begin in the middle of what is mapped and start over at its end.
 */
import type { Image } from './images.ts';
import { Random } from './random.ts';

export type Pattern = (typeof PATTERNS)[number];
export const PATTERNS = ['random', 'page', 'line'] as const;

const LINES_A_PAGE = 64;

/** Addresses that the image maps. */
export function addressesOf(image: Image, pattern: Pattern, count: number, seed = 2): BigUint64Array<ArrayBuffer> {
  const { leaves, leavesByLevel, pages } = image;
  const random = new Random(seed);
  const words = new Uint32Array(count * 2);
  const put = (i: number, page: number, offset: number): void => {
    words[i * 2] = (page % 2 ** 20) * 4096 + offset;
    words[i * 2 + 1] = Math.floor(page / 2 ** 20);
  };
  const middle = Math.floor(leaves.count / 2);
  for (let i = 0; i < count; i++) {
    if (pattern === 'random') {
      const level = leavesByLevel[random.below(leavesByLevel.length)]!;
      const leaf = level.at(random.below(level.count));
      put(i, leaf.page + random.below(leaf.pages), random.below(4096));
    } else if (pattern === 'page') {
      put(i, leaves.at((middle + i) % leaves.count).page, 0);
    } else {
      const page = leaves.at(middle).page + Math.floor(i / LINES_A_PAGE);
      put(i, page % pages, (i % LINES_A_PAGE) * 64);
    }
  }
  return new BigUint64Array(words.buffer);
}

/**
 * How many addresses a round asks for: twice as many as the tables have cache lines, so that most of them are touched
 * whatever their size; from 2^16 to 2^20. Of fewer, walked again and again, a branch predictor learns by heart where
 * each walk ends, and a mixed image comes out three times as fast as it is.
 */
export function addressCount({ tables }: Image): number {
  const lines = tables * 64;
  return Math.min(Math.max(2 ** Math.ceil(Math.log2(lines * 2)), 2 ** 16), 2 ** 20);
}
