/**
 * Two of the series' tests with threads that really wait, told anew. tools/testing/selftests/mm/userfaultfd.c, `hugetlb_shared_hgm`: minor
 * faults are met 4 KiB at a time. tools/testing/selftests/kvm/demand_paging_test.c, `shared_hugetlb_hgm`: a guest's faults reach the memory by
 * GUP, as KVM's hva_to_pfn does it.
 */
import { describe, expect, test } from 'vitest';
import {
  FOLL_WRITE,
  MADV_COLLAPSE,
  type Path,
  type Syscalls,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFD_PAGEFAULT_FLAG_MINOR,
  type UffdMessage,
} from '../../../src/linux/index.ts';
import { mapShared } from '../support.ts';
import { actor, fault, seeded, serve, together } from '../userfaultfd/stage.ts';
import {
  byteOf,
  GIB1,
  type HgmScene,
  hgmScene,
  KIB4,
  MIB2,
  PAGES_1G,
  PAGES_2M,
  recount,
  shape,
  VERSIONS,
} from './support.ts';

const FEATURES = UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_EXACT_ADDRESS;

/** A handler that changes a page of 4 KiB by way of another mapping of the file, and maps it. */
function handler(thread: Syscalls, { uffd, at }: HgmScene, alias: number, inverted: Set<number>) {
  return function* (message: UffdMessage): Path<unknown> {
    const { address, flags } = fault(message);
    if (!(flags & UFFD_PAGEFAULT_FLAG_MINOR)) throw new Error('not a minor fault');
    const page = address - (address % KIB4);
    if (!inverted.has(page)) {
      const value = (yield* thread.read(alias + page - at)) as number;
      yield* thread.write(alias + page - at, ~value & 255);
      inverted.add(page);
    }
    return yield* thread.uffdFill(uffd, page, KIB4, { kind: 'continue', mode: 0 });
  };
}

/** Pages in another order in each thread. */
function shuffled(pages: readonly number[], seed: number): number[] {
  const pick = seeded(seed);
  const left = [...pages];
  return Array.from(pages, () => left.splice(pick(left.length), 1)[0]!);
}

describe.each(VERSIONS)('$version', ({ version }) => {
  describe.each([
    { name: '2 MiB', size: MIB2, pages: Array.from({ length: PAGES_2M + 32 }, (_, page) => page) },
    { name: '1 GiB', size: GIB1, pages: [0, 1, 511, 512, 513, 1023, PAGES_2M * 7, PAGES_1G - 1] },
  ])('$name pages', ({ size, pages }) => {
    test('userfaultfd: threads fault on every 4 KiB, a handler inverts and continues each, all see it', () => {
      const count = size === MIB2 ? 2 : 1;
      const scene = hgmScene({ version, size, count, features: FEATURES, checks: false });
      const { machine, process, at } = scene;
      const alias = mapShared(process, count, { size, file: scene.file, address: 2 ** 42 });
      let waiting = 2;
      const inverted = new Set<number>();
      function* touch(thread: Syscalls, seed: number): Path<unknown[]> {
        const seen: unknown[] = [];
        for (const page of shuffled(pages, seed)) seen.push([page, yield* thread.read(at + page * KIB4)]);
        waiting--;
        return seen;
      }
      const [one, two, third] = [process.thread(), process.thread(), process.thread()];
      const act = handler(third, scene, alias, inverted);
      function* handle(): Path<void> {
        while (waiting > 0) {
          if (scene.uffd.pending) yield* act((yield* serve(third, scene.uffd, 1))[0]!);
          else
            yield {
              on: { isFreeFor: () => scene.uffd.pending || waiting === 0, describe: () => 'faults' },
              mode: 'wait',
            };
        }
      }
      const results = together(
        [actor(one, touch(one, 1)), actor(two, touch(two, 2)), actor(third, handle())],
        seeded(5),
      );
      for (const seen of results.slice(0, 2) as [number, number][][])
        for (const [page, value] of seen) expect(value).toBe(~byteOf(page) & 255);
      expect(shape(scene).reduce((sum, [, leaves]) => sum + leaves, 0)).toBe(pages.length);
      machine.check();
      recount(machine);
      /* As the test ends: all of it collapsed reads the same. */
      expect(process.madvise(at, count * size, MADV_COLLAPSE)).toBe('OK');
      expect(shape(scene)).toEqual([[0, count, size / KIB4]]);
      for (const page of pages) expect(process.read(at + page * KIB4)).toBe(~byteOf(page) & 255);
      machine.check();
    });

    test('KVM: GUP of one page after the other waits for each piece, which is mapped by 4 KiB', () => {
      const count = size === MIB2 ? 2 : 1;
      const scene = hgmScene({ version, size, count, features: FEATURES, checks: false });
      const { machine, process, at } = scene;
      const first = machine.inodes.values().next().value!.pageCache.find(0)!.pfn;
      const second = machine.inodes.values().next().value!.pageCache.find(1)?.pfn ?? 0;
      let running = 2;
      function* vcpu(thread: Syscalls, mine: readonly number[]): Path<unknown[]> {
        const frames: unknown[] = [];
        for (const page of mine) {
          const got: number[] = [];
          const fast = yield* thread.getUserPagesFastOnly(at + page * KIB4, 1, FOLL_WRITE, got);
          /* hva_to_pfn_slow, where the fast way found nothing. */
          const result = fast || (yield* thread.getUserPagesFast(at + page * KIB4, 1, FOLL_WRITE, got));
          expect(result).toBe(1);
          frames.push(got[0]! - (page < size / KIB4 ? first : second - PAGES_2M) - page);
          yield* thread.putPages(got);
        }
        running--;
        return frames;
      }
      const [one, two, third] = [process.thread(), process.thread(), process.thread()];
      const act = function* (message: UffdMessage): Path<unknown> {
        const { address } = fault(message);
        return yield* third.uffdFill(scene.uffd, address - (address % KIB4), KIB4, { kind: 'continue', mode: 0 });
      };
      function* handle(): Path<void> {
        while (running > 0) {
          if (scene.uffd.pending) yield* act((yield* serve(third, scene.uffd, 1))[0]!);
          else
            yield {
              on: { isFreeFor: () => scene.uffd.pending || running === 0, describe: () => 'faults' },
              mode: 'wait',
            };
        }
      }
      const evens = pages.filter((page) => page % 2 === 0);
      const odds = pages.filter((page) => page % 2 === 1);
      const works = [actor(one, vcpu(one, evens)), actor(two, vcpu(two, [...odds, 0])), actor(third, handle())];
      const results = together(works, seeded(7));
      expect(new Set(results.slice(0, 2).flat() as number[])).toEqual(new Set([0]));
      expect(shape(scene).reduce((sum, [, leaves]) => sum + leaves, 0)).toBe(pages.length);
      machine.check();
      recount(machine);
    });
  });
});
