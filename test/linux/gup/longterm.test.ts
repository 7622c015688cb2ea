/**
 * The cases of tools/testing/selftests/vm/gup_longterm.c on huge pages, written anew: long-term pins, to write and to read, with
 * and without a lock, by io_uring, of shared and private mappings of memfds and of memory without a file.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_LONGTERM,
  FOLL_WRITE,
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
} from '../../../src/linux/index.ts';
import { folioOf, GIB, HUGE, RW, type Scene, scene } from './support.ts';

const backings = [
  ['memfd hugetlb', true],
  ['no file', false],
] as const;

describe.each([
  ['2 MiB', HUGE],
  ['1 GiB', GIB],
] as const)('%s pages', (_, hugePageSize) => {
  describe.each(backings)('%s', (_, withFile) => {
    for (const shared of [true, false]) {
      const kind = shared ? 'test_shared' : 'test_private';
      /** As the test does: reads of a read-only mapping are of one that was writable. */
      const mapped = (readonly: boolean): Scene => {
        const { machine, process } = scene({ hugePageSize, pool: 4 });
        const file = withFile ? machine.memfdCreate({ hugePageSize }) : undefined;
        file?.ftruncate(hugePageSize);
        file?.fallocate(0, hugePageSize);
        const huge = MAP_ANONYMOUS | MAP_HUGETLB | (hugePageSize === GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB);
        const at = process.mmap({
          length: hugePageSize,
          prot: RW,
          flags: (shared ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : huge),
          ...(file && { file }),
        }) as number;
        if (readonly) process.mprotect(at, hugePageSize, PROT_READ);
        return { machine, process, at };
      };

      for (const write of [true, false]) {
        const flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
        for (const fast of [true, false]) {
          const name = `${write ? 'R/W' : 'R/O'} longterm GUP${fast ? '-fast' : ''} pin: ${kind}`;
          test(`${name}: works, and lasts`, () => {
            const { machine, process, at } = mapped(!write);
            const pages: number[] = [];
            const got = fast
              ? process.pinUserPagesFast(at, 512, flags, pages)
              : process.pinUserPages(at, 512, flags, pages);
            expect(got).toBe(512);
            const folio = folioOf(process, at);
            expect([folio.pincount, pages[0], folio.anon]).toEqual([512, folio.pfn, !shared && !(withFile && !write)]);
            process.munmap(at, hugePageSize);
            expect(folio.pincount).toBe(512);
            machine.check();
            process.unpinUserPages(pages, 512, write);
          });

          if (write) {
            test(`${name}: a mapping that is read-only now refuses it`, () => {
              const { process, at } = mapped(true);
              const pages: number[] = [];
              const got = fast
                ? process.pinUserPagesFast(at, 1, flags, pages)
                : process.pinUserPages(at, 1, flags, pages);
              expect(got).toBe('EFAULT');
            });
          }
        }
      }

      test(`io_uring fixed buffer: ${kind}: works on what can be written, and nothing else`, () => {
        const writable = mapped(false);
        expect(writable.process.registerBuffer(writable.at, hugePageSize)).toBe('OK');
        expect(writable.process.unregisterBuffer()).toBe('OK');
        const readonly = mapped(true);
        expect(readonly.process.registerBuffer(readonly.at, hugePageSize)).toBe('EFAULT');
      });
    }
  });
});
