import { expect, test } from 'vitest';
import { MAP_SHARED, Machine, PROT_READ, PROT_WRITE } from '../../../src/linux/index.ts';
import { actor, together } from '../userfaultfd/stage.ts';

const HUGE = 2 ** 21;

test('a truncation has references to a batch of pages: none of them can be moved any more, though its turn has not come', () => {
  const results = new Set<string>();
  for (let turns = 0; turns < 12; turns++) {
    const machine = new Machine({ pools: [{ hugePageSize: HUGE, pages: 3 }] });
    const process = machine.createProcess();
    const file = machine.memfdCreate();
    file.ftruncate(2 * HUGE);
    const at = process.mmap({ length: 2 * HUGE, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file }) as number;
    process.write(at + HUGE, 7);
    process.write(at, 7);
    const cache = file.inode.pageCache;
    const { pfn } = cache.find(1)!;
    const [cuts, moves] = [process.thread(), process.thread()];
    let left = turns;
    let begun = false;
    /* The one takes so many turns; then the other does all it has to; then the first goes on. */
    const pick = (count: number): number => {
      if (left-- > 0) return 0;
      begun ||= cache.size === 1;
      return count - 1;
    };
    const [, moved] = together([actor(cuts, cuts.ftruncate(file, 0)), actor(moves, moves.migrate(pfn))], pick);
    if (begun) results.add(String(moved));
  }
  expect([...results]).toEqual(['EAGAIN']);
});
