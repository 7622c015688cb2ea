/**
 * Random calls on mappings of one file in pieces, as data. Positions are in 4 KiB pages from the start of a slot, which is a range of addresses
 * for one mapping; those of calls that want huge pages are in huge pages.
 */
import fc from 'fast-check';
import { GIB1, KIB4, PAGES_2M } from './support.ts';

/** Who: a process, and one of its slots. Numbers are taken modulo what there is. */
interface Where {
  readonly process: number;
  readonly slot: number;
}

/** 4 KiB pages. */
interface Pages {
  readonly page: number;
  readonly pages: number;
}

/** Huge pages. */
interface HugePages {
  readonly first: number;
  readonly count: number;
}

/** One call. */
export type HgmOperation =
  | (Where & Pages & { readonly kind: 'continue' | 'collapse' | 'populate read' | 'populate write' | 'pin' | 'get' })
  | (Where & HugePages & { readonly kind: 'split' | 'protect' | 'resolve' | 'dontneed' | 'remove' | 'munmap' | 'mmap' })
  | (Where & HugePages & { readonly kind: 'mprotect'; readonly prot: number })
  | (Where & HugePages & { readonly kind: 'copy'; readonly value: number })
  | (Where & { readonly kind: 'mremap'; readonly to: number })
  | (Where & { readonly kind: 'read'; readonly page: number })
  | (Where & { readonly kind: 'write'; readonly page: number; readonly value: number })
  | (HugePages & { readonly kind: 'punch' | 'fallocate' })
  | { readonly kind: 'ftruncate'; readonly size: number }
  | { readonly kind: 'fork' | 'exit'; readonly process: number }
  | { readonly kind: 'unpin' };

/** Which of them a sequence has. */
export type Kind = HgmOperation['kind'];

/** Places where things happen in a huge page: at its ends, in its middle, around 2 MiB. */
function marks(size: number, count: number): number[] {
  const pages = size / KIB4;
  const inside = [0, 1, 2, 3, 8, 255, 256, 510, 511];
  const near = size === GIB1 ? [0, PAGES_2M, 2 * PAGES_2M, 256 * PAGES_2M, 511 * PAGES_2M] : [0];
  const all = near.flatMap((base) => inside.map((page) => base + page));
  return [
    ...Array.from({ length: count }, (_, index) => all.map((page) => index * pages + page)).flat(),
    count * pages,
  ];
}

/**
 * Single calls.
 *
 * @param count huge pages of the file, and of each slot
 */
export function hgmOperations(size: number, count: number, kinds?: readonly Kind[]): fc.Arbitrary<HgmOperation> {
  const places = marks(size, count);
  const place = fc.nat(places.length - 2);
  /* Mostly from one mark to one of the next; sometimes to any. */
  const range = fc.tuple(place, fc.oneof(fc.integer({ min: 1, max: 4 }), fc.nat(places.length))).map(([from, by]) => {
    const to = Math.min(from + Math.max(by, 1), places.length - 1);
    return { page: places[from]!, pages: places[to]! - places[from]! };
  });
  const huge = fc
    .tuple(fc.nat(count - 1), fc.nat(count - 1))
    .map(([a, b]) => ({ first: Math.min(a, b), count: Math.abs(a - b) + 1 }));
  const process = fc.nat(2);
  const where = { process, slot: fc.constantFrom(0, 0, 0, 1, 2) };
  const page = place.map((index) => places[index]!);
  const value = fc.integer({ min: 1, max: 255 });

  const inPages = <K extends Kind>(weight: number, kind: K) => ({
    weight,
    arbitrary: fc.tuple(fc.record(where), range).map(([who, pages]) => ({ kind, ...who, ...pages })),
  });
  const inHugePages = <K extends Kind>(weight: number, kind: K) => ({
    weight,
    arbitrary: fc.tuple(fc.record(where), huge).map(([who, pages]) => ({ kind, ...who, ...pages })),
  });
  const onFile = <K extends Kind>(kind: K) => ({ weight: 2, arbitrary: huge.map((pages) => ({ kind, ...pages })) });
  const prots = fc.constantFrom(3, 3, 1, 0);

  const all = [
    inPages(20, 'continue' as const),
    inPages(6, 'collapse' as const),
    inPages(2, 'populate read' as const),
    inPages(2, 'populate write' as const),
    inPages(2, 'pin' as const),
    inPages(2, 'get' as const),
    inHugePages(2, 'split' as const),
    inHugePages(4, 'protect' as const),
    inHugePages(3, 'resolve' as const),
    inHugePages(3, 'dontneed' as const),
    inHugePages(1, 'remove' as const),
    inHugePages(1, 'munmap' as const),
    inHugePages(2, 'mmap' as const),
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.record(where), huge, prots)
        .map(([who, pages, prot]) => ({ kind: 'mprotect' as const, ...who, ...pages, prot })),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(fc.record(where), huge, value).map(([who, pages, bytes]) => ({
        kind: 'copy' as const,
        ...who,
        first: pages.first + pages.count - 1,
        count: 1,
        value: bytes,
      })),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('mremap' as const), ...where, to: fc.nat(2) }) },
    { weight: 12, arbitrary: fc.record({ kind: fc.constant('read' as const), ...where, page }) },
    { weight: 12, arbitrary: fc.record({ kind: fc.constant('write' as const), ...where, page, value }) },
    onFile('punch' as const),
    onFile('fallocate' as const),
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('ftruncate' as const), size: fc.nat(count) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('fork' as const), process }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('exit' as const), process }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'unpin' as const }) },
  ];
  const names: readonly Kind[] = [
    ...(['continue', 'collapse', 'populate read', 'populate write', 'pin', 'get', 'split', 'protect'] as const),
    ...(['resolve', 'dontneed', 'remove', 'munmap', 'mmap', 'mprotect', 'copy', 'mremap', 'read', 'write'] as const),
    ...(['punch', 'fallocate', 'ftruncate', 'fork', 'exit', 'unpin'] as const),
  ];
  const chosen = all.filter((_, index) => !kinds || kinds.includes(names[index]!));
  return fc.oneof(...(chosen as { weight: number; arbitrary: fc.Arbitrary<HgmOperation> }[]));
}
