/**
 * The turns of follow_hugetlb_page's loop, one rule after the other. mm/hugetlb.c of Linux 6.1.
 */
import { describe, expect, test } from 'vitest';
import { PTE_UFFD_WP_MARKER } from '../../../src/linux/base/pte.ts';
import { run, Task } from '../../../src/linux/base/task.ts';
import { getUserPagesOnce } from '../../../src/linux/gup/gup.ts';
import {
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_PIN,
  FOLL_TOUCH,
  FOLL_WRITE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  type Vma,
} from '../../../src/linux/index.ts';
import {
  folioOf,
  fork,
  framesFrom,
  GIB,
  HUGE,
  leafOf,
  map,
  PAGE,
  PAGES_OF_HUGE,
  RW,
  scene,
  splitLeaf,
} from './support.ts';

describe('1. a pending SIGKILL', () => {
  test('ends it before the first page: EFAULT, unlike the EINTR of other memory', () => {
    const { process, at } = scene({ touched: true });
    const thread = process.thread();
    thread.task.killed = true;
    expect(run(thread.getUserPages(at, 1, 0, []))).toBe('EFAULT');
  });

  test('takes nothing', () => {
    const { process, at } = scene({ touched: true });
    const thread = process.thread();
    thread.task.killed = true;
    run(thread.pinUserPages(at, 1, 0, []));
    expect(folioOf(process, at).pincount).toBe(0);
  });
});

describe('2. locks', () => {
  test('each turn takes the VMA lock for reading, then the page-table lock, and releases them the other way round', () => {
    const { machine, process, at } = scene({ shared: true, touched: true, count: 2 });
    machine.trace = [];
    process.getUserPages(at, 2 * PAGES_OF_HUGE, 0, []);
    const locks = machine.trace.flatMap((event) =>
      'lock' in event ? [`${event.kind} ${event.lock.split(' ')[0]}`] : [],
    );
    const turn = ['lock vma_lock', 'lock page-table', 'unlock page-table', 'unlock vma_lock'];
    expect(locks).toEqual(['lock mmap_lock', ...turn, ...turn, 'unlock mmap_lock']);
  });

  test('without a trace, one hold of the VMA lock serves for all leaves', () => {
    const { machine, process, at } = scene({ shared: true, touched: true, count: 8 });
    let reads = 0;
    const lock = process.vmas[0]!.hugetlbLock!;
    const read = lock.read.bind(lock);
    lock.read = (task) => {
      reads++;
      return read(task);
    };
    process.getUserPages(at, 8 * PAGES_OF_HUGE, 0);
    expect(reads).toBe(1);
    expect(machine.trace).toBeUndefined();
  });
});

describe('3. the walk', () => {
  test('what has no table is absent, and is faulted in', () => {
    const { process, at } = scene();
    expect(process.getUserPages(at, PAGES_OF_HUGE, 0)).toBe(PAGES_OF_HUGE);
    expect([...process.mappedPages()]).toHaveLength(1);
  });

  test('it ends at a leaf of any size', () => {
    const { process, at } = scene({ hugePageSize: GIB, shared: true, touched: true });
    const { pfn } = folioOf(process, at);
    splitLeaf(process, at);
    splitLeaf(process, at + HUGE);
    const pages: number[] = [];
    const [start, nrPages] = [at + HUGE - PAGE, PAGES_OF_HUGE + 2];
    expect(process.getUserPages(start, nrPages, FOLL_WRITE, pages)).toBe(nrPages);
    expect(pages).toEqual(framesFrom(pfn + PAGES_OF_HUGE - 1, nrPages));
    process.putPages(pages);
  });
});

describe('4. FOLL_DUMP', () => {
  const dump = FOLL_DUMP | FOLL_FORCE | FOLL_GET;

  test('a hole that the page cache does not fill ends it, and nothing is faulted in', () => {
    const { machine, process, at } = scene({ shared: true });
    expect(process.getUserPages(at, 1, dump, [])).toBe('EFAULT');
    expect(machine.hstate().freeHugePages).toBe(1);
  });

  test('a hole behind pages ends it there', () => {
    const { process, at } = scene({ count: 2 });
    process.write(at, 1);
    const pages: number[] = [];
    expect(process.getUserPages(at, 1024, dump, pages)).toBe(512);
    process.putPages(pages);
  });

  test('what the page cache has is faulted in', () => {
    const { machine, process } = scene();
    const file = machine.memfdCreate();
    machine.setNrHugepages(HUGE, 2);
    file.fallocate(0, HUGE);
    const at = process.mmap({ length: HUGE, prot: RW, flags: MAP_SHARED, file }) as number;
    const pages: number[] = [];
    expect(process.getUserPages(at, 1, dump, pages)).toBe(1);
    process.putPages(pages);
  });

  test('a marker of userfaultfd is no hole: it is faulted in', () => {
    const { machine, process, at } = scene({ count: 2, shared: true });
    process.write(at + HUGE, 1);
    machine.tables.write(leafOf(process, at).ptep, PTE_UFFD_WP_MARKER);
    const pages: number[] = [];
    expect(process.getUserPages(at, 1, dump, pages)).toBe(1);
    process.putPages(pages);
  });
});

describe('6. what must be faulted', () => {
  test('a swap-like entry', () => {
    const { machine, process, at } = scene({ count: 2, shared: true });
    process.write(at + HUGE, 1);
    machine.tables.write(leafOf(process, at).ptep, PTE_UFFD_WP_MARKER);
    expect(process.getUserPages(at, 1, 0)).toBe(1);
    expect(folioOf(process, at)).toBeDefined();
  });

  test('not a writable entry', () => {
    const { machine, process, at } = scene({ touched: true });
    const { changes } = machine.tables;
    expect(process.getUserPages(at, 1, FOLL_WRITE)).toBe(1);
    expect(machine.tables.changes).toBe(changes);
  });

  test('a read-only entry, if it is to be written', () => {
    const { process, at } = scene({ count: 1, pool: 2, touched: true });
    const child = fork(process);
    const shared = folioOf(process, at);
    expect(child.getUserPages(at, 1, FOLL_WRITE)).toBe(1);
    expect(folioOf(child, at)).not.toBe(shared);
  });

  test('not a read-only entry, if it is to be read', () => {
    const { process, at } = scene({ count: 1, pool: 2, touched: true });
    const child = fork(process);
    expect(child.getUserPages(at, 1, FOLL_TOUCH)).toBe(1);
    expect(folioOf(child, at)).toBe(folioOf(process, at));
  });

  test('a private page that others have, if it is pinned to be read: the reader gets a copy, still read-only', () => {
    const { process, at } = scene({ count: 1, pool: 2, touched: true });
    const child = fork(process);
    const pages: number[] = [];
    expect(child.pinUserPages(at, 1, 0, pages)).toBe(1);
    const own = folioOf(child, at);
    expect(own).not.toBe(folioOf(process, at));
    expect([own.anonExclusive, own.pincount, pages[0]]).toEqual([true, 1, own.pfn]);
    expect([...child.mappedPages()][0]!.entry & 2n).toBe(0n);
    child.unpinUserPages(pages);
  });

  test('not a page of a file, shared or private: it is pinned as it is', () => {
    const { machine, process } = scene({ pool: 3 });
    const file = machine.memfdCreate();
    file.fallocate(0, HUGE);
    const at = process.mmap({ length: HUGE, prot: PROT_READ, flags: MAP_PRIVATE, file }) as number;
    const pages: number[] = [];
    expect(process.pinUserPages(at, 1, 0, pages)).toBe(1);
    expect(pages[0]).toBe(file.inode.pageCache.find(0)!.pfn);
    process.unpinUserPages(pages);
  });

  test('PROT_NONE plays no part: with FOLL_FORCE the entry is present', () => {
    for (const hugePageSize of [HUGE, GIB]) {
      const { machine, process, at } = scene({ hugePageSize, touched: true, prot: PROT_NONE });
      const { changes } = machine.tables;
      const pages: number[] = [];
      expect(process.getUserPages(at + PAGE, 1, FOLL_FORCE, pages)).toBe(1);
      expect(pages).toEqual([folioOf(process, at).pfn + 1]);
      expect(machine.tables.changes).toBe(changes);
      process.putPages(pages);
    }
  });
});

describe('8. page arithmetic', () => {
  test('the offset in the leaf is that of the frame', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.getUserPages(at + 300 * PAGE, 3, 0, pages);
    expect(pages).toEqual(framesFrom(folioOf(process, at).pfn + 300, 3));
    process.putPages(pages);
  });

  test('a start inside a 4 KiB page means that page, and it stays so from page to page', () => {
    const { process, at } = scene({ count: 2, touched: true });
    const pages: number[] = [];
    expect(process.getUserPages(at + 511 * PAGE + 123, 3, 0, pages)).toBe(3);
    const [first, second] = [folioOf(process, at).pfn, folioOf(process, at + HUGE).pfn];
    expect(pages).toEqual([first + 511, second, second + 1]);
    process.putPages(pages);
  });
});

describe("9. what is pinned of private memory is the process's own", () => {
  test('a pin of a page that others have would be a defect, and is found', () => {
    const { machine, process, at } = scene({ touched: true });
    folioOf(process, at).anonExclusive = false;
    const vma = process.vmas[0]!;
    const task = new Task(machine, 'test');
    /* Linux has no way there: a writable entry of such a page. */
    const request = { start: at, nrPages: 1, flags: FOLL_PIN | FOLL_WRITE, pages: [] };
    expect(() => run(getUserPagesOnce(task, vma.mm, request))).toThrow(/others have/);
  });
});

describe('10. without lists', () => {
  test('leaves are passed over in bytes: all of them are visited', () => {
    const { machine, process, at } = scene({ count: 5 });
    expect(process.getUserPages(at, 5 * PAGES_OF_HUGE, FOLL_WRITE)).toBe(5 * PAGES_OF_HUGE);
    expect(machine.hstate().freeHugePages).toBe(0);
  });

  test('no reference is taken', () => {
    const { process, at } = scene({ touched: true });
    process.getUserPages(at, PAGES_OF_HUGE, FOLL_WRITE);
    expect([folioOf(process, at).refcount, folioOf(process, at).getcount]).toEqual([1, 0]);
  });

  test('a part of a leaf counts as that part', () => {
    const { process, at } = scene({ count: 2, touched: true });
    expect(process.getUserPages(at + 500 * PAGE, 13, 0)).toBe(13);
  });
});

describe('11. the least of three', () => {
  test('the rest of the leaf', () => {
    const { process, at } = scene({ count: 2 });
    process.write(at, 1);
    const pages: number[] = [];
    expect(process.getUserPages(at + HUGE - PAGE, 1, 0, pages)).toBe(1);
    expect(folioOf(process, at).getcount).toBe(1);
    process.putPages(pages);
  });

  test('the rest of what is wanted', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.getUserPages(at, 123, 0, pages);
    expect([pages.length, folioOf(process, at).getcount]).toEqual([123, 123]);
    process.putPages(pages);
  });

  test('the rest of the VMA, also from inside a page', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    expect(process.getUserPages(at + HUGE - 2 * PAGE + 1, 100, 0, pages)).toBe(2);
    process.putPages(pages);
  });
});

describe('12. the lists', () => {
  test('VMAs alone', () => {
    const { process, at } = scene({ count: 2, touched: true });
    process.mprotect(at + HUGE, HUGE, PROT_READ);
    const vmas: Vma[] = [];
    expect(process.getUserPages(at, 1024, 0, undefined, vmas)).toBe(1024);
    expect([vmas[0], vmas[511], vmas[512], vmas[1023]]).toEqual([0, 0, 1, 1].map((index) => process.vmas[index]));
    expect(folioOf(process, at).getcount).toBe(0);
  });

  test('both', () => {
    const { process, at } = scene({ touched: true });
    const [pages, vmas] = [new Float64Array(3), [] as Vma[]];
    expect(process.getUserPages(at, 3, 0, pages, vmas)).toBe(3);
    expect([...pages]).toEqual(framesFrom(folioOf(process, at).pfn, 3));
    expect(vmas).toEqual([process.vmas[0], process.vmas[0], process.vmas[0]]);
    process.putPages(pages);
  });
});

describe('13. grabbing', () => {
  test('FOLL_GET: a reference a page', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.getUserPages(at, 7, FOLL_GET, pages);
    const { refcount, getcount, pincount } = folioOf(process, at);
    expect([refcount, getcount, pincount]).toEqual([8, 7, 0]);
    process.putPages(pages);
  });

  test('FOLL_PIN: a pin and a reference a page', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.pinUserPages(at, 7, 0, pages);
    const { refcount, getcount, pincount } = folioOf(process, at);
    expect([refcount, getcount, pincount]).toEqual([8, 0, 7]);
    process.unpinUserPages(pages);
  });

  test('an overflow of the reference count is ENOMEM, and nothing is taken', () => {
    const { process, at } = scene({ touched: true });
    const folio = folioOf(process, at);
    folio.refcount += 2 ** 31;
    folio.getcount += 2 ** 31;
    const before = { ...folio };
    expect(process.getUserPages(at, 1, 0, [])).toBe('ENOMEM');
    expect(process.pinUserPages(at, 1, FOLL_WRITE, [])).toBe('ENOMEM');
    expect({ ...folio }).toEqual(before);
  });

  test('behind pages it only ends the call', () => {
    const { process, at } = scene({ count: 2, touched: true });
    const folio = folioOf(process, at + HUGE);
    folio.refcount += 2 ** 31;
    folio.getcount += 2 ** 31;
    const pages = new Float64Array(1024);
    expect(process.getUserPages(at, 1024, 0, pages)).toBe(512);
    process.putPages(pages, 512);
  });
});

describe('14. going on', () => {
  test('from leaf to leaf, VMA to VMA, pool to pool, in one call', () => {
    const { machine, process } = scene();
    machine.setNrHugepages(HUGE, 4);
    machine.setNrHugepages(GIB, 2);
    const base = 64 * GIB;
    const small = map(process, { count: 2, address: base - 2 * HUGE });
    const large = map(process, { hugePageSize: GIB, address: base });
    const shared = map(process, { count: 1, address: base + GIB, shared: true });
    expect([small, large, shared]).toEqual([base - 2 * HUGE, base, base + GIB]);
    const wanted = 1024 + 262144 + 512;
    const pages = new Float64Array(wanted);
    expect(process.getUserPages(small, wanted, FOLL_WRITE, pages)).toBe(wanted);
    const expected = [small, small + HUGE, large, shared].flatMap((at) => {
      const { pfn, pages: count } = folioOf(process, at);
      return framesFrom(pfn, count);
    });
    expect([...pages]).toEqual(expected);
    process.putPages(pages);
  });

  test('a gap ends it', () => {
    const { process, at } = scene({ count: 3, touched: true });
    process.munmap(at + HUGE, HUGE);
    expect(process.getUserPages(at, 3 * PAGES_OF_HUGE, 0)).toBe(PAGES_OF_HUGE);
  });

  test('a VMA that does not permit it ends it', () => {
    const { process, at } = scene({ count: 3, touched: true });
    process.mprotect(at + HUGE, HUGE, PROT_READ);
    expect(process.getUserPages(at, 3 * PAGES_OF_HUGE, FOLL_WRITE)).toBe(PAGES_OF_HUGE);
  });

  test('leaves of three sizes in one huge page, and pages that are missing between them', () => {
    const { machine, process } = scene();
    machine.setNrHugepages(GIB, 3);
    const at = map(process, { hugePageSize: GIB, count: 3, shared: true });
    process.write(at, 1);
    process.write(at + 2 * GIB, 1);
    splitLeaf(process, at);
    splitLeaf(process, at + GIB - HUGE);
    const start = at + GIB - 2 * HUGE;
    const pages = new Float64Array(PAGES_OF_HUGE * 2 + 262144 + 5);
    expect(process.getUserPages(start, pages.length, FOLL_WRITE, pages)).toBe(pages.length);
    const middle = folioOf(process, at + GIB).pfn;
    expect([...pages.subarray(0, 1024)]).toEqual(framesFrom(folioOf(process, at).pfn + 262144 - 1024, 1024));
    expect([pages[1024], pages[1023 + 262144], pages.at(-5)]).toEqual([
      middle,
      middle + 262143,
      folioOf(process, at + 2 * GIB).pfn,
    ]);
    process.putPages(pages);
  });
});
