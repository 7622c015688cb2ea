/**
 * A mistake in units that early versions of high-granularity mapping had, posted in October 2022 and January 2023: where nobody
 * wants the pages, follow_hugetlb_page passed over a leaf by adding its number of 4 KiB pages to an address in bytes. It then
 * told of pages that it had never looked at, and nothing was faulted in.
 */
import { describe, expect, test } from 'vitest';
import { FOLL_WRITE } from '../../../src/linux/index.ts';
import { GIB, HUGE, leafOf, map, PAGE, scene, splitLeaf } from './support.ts';

/** The loop as it was: pages claimed, and the leaves that were really looked at. */
function withPagesForBytes(
  start: number,
  end: number,
  nrPages: number,
  leaf: number,
): { claimed: number; visited: number } {
  const pagesOfLeaf = leaf / PAGE;
  const visited = new Set<number>();
  let [address, remaining, claimed] = [start, nrPages, 0];
  while (address < end && remaining > 0) {
    visited.add(Math.floor(address / leaf));
    const offset = Math.floor((address % leaf) / PAGE);
    if (offset === 0 && address + pagesOfLeaf < end && remaining >= pagesOfLeaf) {
      address += pagesOfLeaf;
      remaining -= pagesOfLeaf;
      claimed += pagesOfLeaf;
      continue;
    }
    const refs = Math.min(pagesOfLeaf - offset, remaining, (end - (address - (address % PAGE))) / PAGE);
    address += refs * PAGE;
    remaining -= refs;
    claimed += refs;
  }
  return { claimed, visited: visited.size };
}

const rows = [
  { name: '64 leaves of 2 MiB', leaf: HUGE, leaves: 64, claimed: 32768, visited: 8 },
  { name: '16 leaves of 1 GiB', leaf: GIB, leaves: 16, claimed: 4194304, visited: 9 },
  { name: '8192 leaves of 4 KiB', leaf: PAGE, leaves: 8192, claimed: 8192, visited: 2 },
];

for (const { name, leaf, leaves, claimed, visited } of rows) {
  describe(name, () => {
    test(`pages for bytes would claim ${claimed} pages, and visit ${visited} leaves`, () => {
      const start = 1024 * GIB;
      expect(withPagesForBytes(start, start + leaf * leaves, (leaf * leaves) / PAGE, leaf)).toEqual({
        claimed,
        visited,
      });
    });

    test('here every leaf is visited', () => {
      const hugePageSize = leaf === PAGE ? HUGE : leaf;
      const count = (leaf * leaves) / hugePageSize;
      const { machine, process, at } = scene({ hugePageSize, count, shared: true, options: { checks: false } });
      if (leaf === PAGE) {
        process.getUserPages(at, claimed, FOLL_WRITE);
        for (let page = 0; page < count; page++) splitLeaf(process, at + page * HUGE);
        expect(leafOf(process, at).shift).toBe(12);
        /* Every other leaf may not be written: a write fault makes it writable again, if it is visited. */
        for (let page = 0; page < leaves; page += 2) {
          const { ptep } = leafOf(process, at + page * PAGE);
          machine.tables.write(ptep, machine.tables.read(ptep).wrprotect());
        }
      }
      expect(process.getUserPages(at, claimed, FOLL_WRITE)).toBe(claimed);
      const found = [...process.mappedPages()];
      expect(found).toHaveLength(leaves);
      expect(found.every(({ entry }) => entry & 2n)).toBe(true);
    });
  });
}

test('mlock, MADV_POPULATE_READ and MADV_POPULATE_WRITE, which want no list, visit every leaf', () => {
  for (const populate of [22, 23, undefined]) {
    const { machine, process } = scene({ count: 1, pool: 65 });
    const at = map(process, { count: 64 });
    const result = populate === undefined ? process.mlock(at, 64 * HUGE) : process.madvise(at, 64 * HUGE, populate);
    expect([result, machine.hstate().freeHugePages]).toEqual(['OK', 1]);
  }
});
