import { expect, test } from 'vitest';
import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../src/linux/base/uapi.ts';
import { Machine } from '../../src/linux/machine/machine.ts';

const HUGE_PAGE = 2 ** 21;

test('a machine with a terabyte of 2 MiB pages is there in a second, and takes less than 200 MB', () => {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages: 2 ** 19 }] });
  expect(performance.now() - start).toBeLessThan(1000);
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  expect(machine.hstate(HUGE_PAGE)).toMatchObject({ nrHugePages: 2 ** 19, freeHugePages: 2 ** 19 });
});

test('a fork maps each of 100,000 pages once more, and the end of the child once less', () => {
  const pages = 100_000;
  const machine = new Machine({ pools: [{ hugePageSize: HUGE_PAGE, pages }] });
  const parent = machine.createProcess();
  const at = parent.mmap({
    length: pages * HUGE_PAGE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
  }) as number;
  for (let page = 0; page < pages; page++) parent.read(at + page * HUGE_PAGE);
  const child = parent.fork();
  if (typeof child === 'string') throw new Error(child);
  const mapcounts = (): Set<number> => new Set([...machine.folios()].map(({ mapcount }) => mapcount));
  expect(mapcounts()).toEqual(new Set([2]));
  child.exit();
  expect(mapcounts()).toEqual(new Set([1]));
  machine.check();
});
