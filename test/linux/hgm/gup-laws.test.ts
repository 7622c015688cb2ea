/**
 * GUP over pieces, whatever they are: page by page, at once, fast or slow, with a trace or without, it comes to the same.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FOLL_WRITE,
  type PageList,
  type Process,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
} from '../../../src/linux/index.ts';
import { type HgmOperation, hgmOperations } from './operations.ts';
import { GIB1, KIB4, MIB2, recount, runs, VERSIONS } from './support.ts';
import { HgmWorld } from './world.ts';

const SEED = 5;

type Way = (process: Process, at: number, pages: number, flags: number, list: PageList) => unknown;

const at: Way = (process, from, pages, flags, list) => process.getUserPages(from, pages, flags, list);
const fast: Way = (process, from, pages, flags, list) => process.getUserPagesFast(from, pages, flags, list);

/** One page after the other; what counts is how far it comes, and the error only if that is nowhere. */
const singly: Way = (process, from, pages, flags, list) => {
  for (let page = 0; page < pages; page++) {
    const one: number[] = [];
    const got = process.getUserPages(from + page * KIB4, 1, flags, one);
    if (got !== 1) return page || got;
    list[page] = one[0]!;
  }
  return pages;
};

/** Fast as far as it comes, and the rest by the slow way. */
const inTwo: Way = (process, from, pages, flags, list) => {
  const first: number[] = [];
  const got = process.getUserPagesFastOnly(from, pages, flags, first);
  for (const [page, frame] of first.slice(0, got).entries()) list[page] = frame;
  if (got === pages) return got;
  const rest: number[] = [];
  const more = process.getUserPages(from + got * KIB4, pages - got, flags, rest);
  if (typeof more !== 'number') return got || more;
  for (const [page, frame] of rest.slice(0, more).entries()) list[got + page] = frame;
  return got + more;
};

describe.each(
  VERSIONS.flatMap(({ version }) => [
    { version, name: '2 MiB', size: MIB2, count: 3, trees: 14 },
    { version, name: '1 GiB', size: GIB1, count: 2, trees: 4 },
  ]),
)('$version, $name pages', ({ version, size, count, trees }) => {
  const kinds = [
    'continue',
    'collapse',
    'protect',
    'mprotect',
    'dontneed',
    'write',
    'mremap',
    'munmap',
    'punch',
  ] as const;
  const tree = fc.array(hgmOperations(size, count, kinds), { minLength: 2, maxLength: 12, size: 'max' });
  const spread = fc.constantFrom(0, 1, 3, 255, 500, 511, 512, 513, 1020, size / KIB4 - 5, size / KIB4);
  const request = fc.record({
    from: spread,
    pages: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1600 })),
    write: fc.boolean(),
    slot: fc.constantFrom(0, 0, 0, 1, 2),
    armed: fc.boolean(),
  });

  function build(operations: readonly HgmOperation[], armed: boolean, traced: boolean): HgmWorld {
    const mode = UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;
    const world = new HgmWorld({ version, size, count, mode, checks: false, traced });
    for (const operation of operations) world.apply({ ...operation, process: 0 } as HgmOperation);
    const [process] = world.processes;
    if (!armed) world.uffd(process!)!.unregister(world.at(0, 0), size * count);
    return world;
  }

  test('all ways take the same pages, references, and fault the same leaves in', () => {
    fc.assert(
      fc.property(tree, request, (operations, { from, pages, write, slot, armed }) => {
        const ways = [
          { way: at, traced: false },
          { way: at, traced: true },
          { way: fast, traced: false },
          { way: singly, traced: false },
          { way: inTwo, traced: false },
        ];
        const results = ways.map(({ way, traced }) => {
          const world = build(operations, armed, traced);
          const { machine } = world;
          const process = world.process(0);
          const list: number[] = [];
          const result = way(process, world.at(slot, from), pages, write ? FOLL_WRITE : 0, list);
          const taken = list.slice(0, typeof result === 'number' ? result : 0);
          machine.check();
          recount(machine);
          /* A and D of entries aside, which the processor sets. */
          const after = [result, taken, runs(process, 0, 2 ** 47), process.mm.hugetlbUsage];
          const references = [...machine.folios()].map(({ pfn, refcount, getcount }) => [pfn, refcount, getcount]);
          process.putPages(taken);
          machine.check();
          return [...after, references];
        });
        for (const other of results.slice(1)) expect(other).toEqual(results[0]);
      }),
      { numRuns: trees, seed: SEED },
    );
  });
});
