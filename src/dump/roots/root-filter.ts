/**
 * Which frames may be root tables, by nothing but their own bytes: the first look at every frame of a dump.
 *
 * PML4 and PML5 entries (Intel SDM vol. 3A, table 4-15) have PS = 0. Systems leave an entry that is not present 0, since
 * there is nothing to swap so far up. Most frames that are no tables fail at their first entries; a frame of zeros takes the longest.
 */
import { type AddressRule, ENTRIES, LARGE, PRESENT } from './entry-halves.ts';

/** Halves in a step. */
const STEP = 8;

/** Whether a frame may be a root table of memory that ends at `rule.top`. */
export function mayBeRoot(words: Int32Array, { highMask, top }: AddressRule): boolean {
  const topHigh = Math.floor((top - 1) / 2 ** 32);
  let present = 0;
  for (let at = 0; at < 2 * ENTRIES; at += STEP) {
    /* Most of a root, and of memory, is zero: four entries in a step. */
    const some =
      words[at]! |
      words[at + 1]! |
      words[at + 2]! |
      words[at + 3]! |
      words[at + 4]! |
      words[at + 5]! |
      words[at + 6]! |
      words[at + 7]!;
    if (some === 0) continue;
    for (let entry = at; entry < at + STEP; entry += 2) {
      const low = words[entry]!;
      if (low & PRESENT) {
        if (low & LARGE || (words[entry + 1]! & highMask) > topHigh) return false;
        present++;
      } else if ((low | words[entry + 1]!) !== 0) {
        return false;
      }
    }
  }
  return present > 0;
}
