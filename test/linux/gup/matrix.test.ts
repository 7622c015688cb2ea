/**
 * The matrix of the kernel's own test, tools/testing/selftests/mm/run_vmtests.sh: gup_test over huge pages, by every way of
 * getting pages, to write and to read, shared and private, one page, all of a huge page, a part of one; here of both sizes.
 */
import { describe, expect, test } from 'vitest';
import { FOLL_LONGTERM, FOLL_WRITE, type PageList, type Process } from '../../../src/linux/index.ts';
import { folioOf, framesFrom, GIB, HUGE, scene } from './support.ts';

interface Way {
  readonly take: (process: Process, at: number, nrPages: number, flags: number, pages: PageList) => unknown;
  readonly pins: boolean;
}

const ways: Readonly<Record<string, Way>> = {
  'get_user_pages_fast (-u)': { take: (p, ...rest) => p.getUserPagesFast(...rest), pins: false },
  'get_user_pages (-U)': { take: (p, ...rest) => p.getUserPages(...rest), pins: false },
  'pin_user_pages_fast (-a)': { take: (p, ...rest) => p.pinUserPagesFast(...rest), pins: true },
  'pin_user_pages (-b)': { take: (p, ...rest) => p.pinUserPages(...rest), pins: true },
  'pin_user_pages, long-term (-L)': {
    take: (p, at, nr, flags, pages) => p.pinUserPages(at, nr, flags | FOLL_LONGTERM, pages),
    pins: true,
  },
};

/** Huge pages that the test maps: 128 MiB, as gup_test does, or more than one of the large ones. */
const COUNTS = new Map([
  [HUGE, 64],
  [GIB, 2],
]);

describe.each([
  ['2 MiB', HUGE],
  ['1 GiB', GIB],
] as const)('%s pages', (_, hugePageSize) => {
  describe.each(Object.entries(ways))('%s', (_, { take, pins }) => {
    for (const write of [true, false]) {
      for (const shared of [true, false]) {
        for (const nrPages of [1, 512, 123]) {
          const kind = `${write ? 'to write' : 'to read'}, ${shared ? 'shared' : 'private'}, ${nrPages} at a time`;
          test(`${kind}: all pages are got, each once, and given back`, () => {
            const count = COUNTS.get(hugePageSize)!;
            const { machine, process, at } = scene({ hugePageSize, count, shared, options: { checks: false } });
            const pages = new Float64Array(nrPages);
            /* As many calls as pass two ends of huge pages; single pages around one of them. */
            const start = nrPages === 1 ? at + hugePageSize - 4 * 4096 : at;
            const calls = nrPages === 1 ? 8 : Math.ceil((hugePageSize * 2) / 4096 / nrPages);
            const most = hugePageSize === GIB ? Math.min(calls, 64) : calls;
            for (let call = 0; call < most; call++) {
              const address = start + call * nrPages * 4096;
              const flags = write ? FOLL_WRITE : 0;
              expect(take(process, address, nrPages, flags, pages)).toBe(nrPages);
              const expected = framesFrom(address / 4096, nrPages).map((page) => {
                const folio = folioOf(process, page * 4096);
                return folio.pfn + (page % (hugePageSize / 4096));
              });
              expect([...pages]).toEqual(expected);
              const folio = folioOf(process, address);
              const held = pins ? folio.pincount : folio.getcount;
              expect(held).toBe(pages.filter((page) => page >= folio.pfn && page < folio.pfn + folio.pages).length);
              machine.check();
              if (pins) process.unpinUserPages(pages);
              else process.putPages(pages);
            }
            machine.check();
            process.exit();
            expect(machine.hstate(hugePageSize).freeHugePages).toBe(count);
          });
        }
      }
    }
  });
});
