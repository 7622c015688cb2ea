/**
 * What GUP refuses, and how. mm/gup.c of Linux 6.1: check_vma_flags, is_valid_gup_flags, the callers' own checks;
 * include/linux/mm.h: vm_fault_to_errno.
 */
import { describe, expect, test } from 'vitest';
import { vmFaultToErrno } from '../../../src/linux/base/fault-errno.ts';
import {
  FOLL_ANON,
  FOLL_FAST_ONLY,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_LONGTERM,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_PIN,
  FOLL_REMOTE,
  FOLL_SPLIT_PMD,
  FOLL_TOUCH,
  FOLL_TRIED,
  FOLL_WRITE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/linux/index.ts';
import { folioOf, fork, GIB, HUGE, PAGE, RW, scene } from './support.ts';

describe('what the mapping does not permit is EFAULT', () => {
  const prots = { none: PROT_NONE, r: PROT_READ, w: PROT_WRITE, rw: RW };
  const rows = [
    { prot: 'none', flags: 0, refused: true },
    { prot: 'none', flags: FOLL_FORCE, refused: false },
    { prot: 'none', flags: FOLL_WRITE, refused: true },
    { prot: 'none', flags: FOLL_WRITE | FOLL_FORCE, refused: true },
    { prot: 'r', flags: 0, refused: false },
    { prot: 'r', flags: FOLL_WRITE, refused: true },
    { prot: 'r', flags: FOLL_WRITE | FOLL_FORCE, refused: true },
    { prot: 'w', flags: 0, refused: true },
    { prot: 'w', flags: FOLL_FORCE, refused: false },
    { prot: 'w', flags: FOLL_WRITE, refused: false },
    { prot: 'rw', flags: 0, refused: false },
    { prot: 'rw', flags: FOLL_WRITE, refused: false },
    { prot: 'rw', flags: FOLL_ANON, refused: true },
  ] as const;
  for (const { prot, flags, refused } of rows) {
    for (const shared of [false, true]) {
      const kind = shared ? 'shared' : 'private';
      test(`a ${kind} mapping ${prot}, flags 0x${flags.toString(16)}: ${refused ? 'EFAULT' : 'done'}`, () => {
        const { process, at } = scene({ shared, prot: prots[prot] });
        expect(process.getUserPages(at, 3, flags)).toBe(refused ? 'EFAULT' : 3);
      });
    }
  }

  test('FOLL_ANON finds no hugetlb mapping, anonymous or not: there is a file behind each', () => {
    const { process, at } = scene({ touched: true });
    expect(process.getUserPages(at, 1, FOLL_ANON, [])).toBe('EFAULT');
  });
});

describe('flags that the callers must not set are EINVAL', () => {
  const everyone = scene({ touched: true });
  const { process, at } = everyone;
  const list = (): number[] => [];

  test('FOLL_PIN and FOLL_LONGTERM for those that take references', () => {
    for (const flags of [FOLL_PIN, FOLL_LONGTERM, FOLL_PIN | FOLL_LONGTERM]) {
      expect(process.getUserPages(at, 1, flags, list())).toBe('EINVAL');
      expect(process.getUserPagesRemote(process, at, 1, flags, list())).toBe('EINVAL');
      expect(process.getUserPagesFast(at, 1, flags, list())).toBe('EINVAL');
    }
  });

  test('FOLL_GET for those that pin', () => {
    expect(process.pinUserPages(at, 1, FOLL_GET, list())).toBe('EINVAL');
    expect(process.pinUserPagesRemote(process, at, 1, FOLL_GET, list())).toBe('EINVAL');
    expect(process.pinUserPagesFast(at, 1, FOLL_GET, list())).toBe('EINVAL');
  });

  test('a pin without a list', () => {
    expect(process.pinUserPages(at, 1, 0)).toBe('EINVAL');
    expect(process.pinUserPagesRemote(process, at, 1, 0)).toBe('EINVAL');
    expect(process.pinUserPagesFast(at, 1, 0)).toBe('EINVAL');
  });

  test('FOLL_LONGTERM of another process, where mmap_lock may be dropped', () => {
    const locked = { held: true };
    expect(process.pinUserPagesRemote(process, at, 1, FOLL_LONGTERM, list(), undefined, locked)).toBe('EINVAL');
    const pages = list();
    expect(process.pinUserPagesRemote(process, at, 1, FOLL_LONGTERM, pages)).toBe(1);
    process.unpinUserPages(pages);
  });

  test('GUP-fast knows eight flags', () => {
    const known = [FOLL_WRITE, FOLL_FORCE, FOLL_NOFAULT, FOLL_GET, FOLL_FAST_ONLY];
    for (const flags of known) {
      const pages = list();
      expect(process.getUserPagesFast(at, 1, flags, pages)).toBe(1);
      process.putPages(pages);
    }
    for (const flags of [FOLL_TOUCH, FOLL_NOWAIT, FOLL_TRIED, FOLL_REMOTE, FOLL_ANON, FOLL_SPLIT_PMD, FOLL_HWPOISON]) {
      expect(process.getUserPagesFast(at, 1, flags, list())).toBe('EINVAL');
      expect(process.pinUserPagesFast(at, 1, flags, list())).toBe('EINVAL');
      expect(process.getUserPagesFastOnly(at, 1, flags, list())).toBe(0);
    }
  });

  test('nothing was taken by any of it', () => {
    const { refcount, getcount, pincount } = folioOf(process, at);
    expect([refcount, getcount, pincount]).toEqual([1, 0, 0]);
  });
});

describe('flags that change nothing', () => {
  test('a list means FOLL_GET', () => {
    const { process, at } = scene({ touched: true });
    const pages: number[] = [];
    process.getUserPages(at, 1, 0, pages);
    expect(folioOf(process, at).getcount).toBe(1);
    process.putPages(pages);
  });

  test('FOLL_TOUCH, FOLL_SPLIT_PMD, FOLL_TRIED, FOLL_REMOTE, FOLL_HWPOISON, FOLL_FAST_ONLY: huge pages do without', () => {
    for (const flags of [FOLL_TOUCH, FOLL_SPLIT_PMD, FOLL_TRIED, FOLL_REMOTE, FOLL_HWPOISON, FOLL_FAST_ONLY]) {
      const { process, at } = scene();
      expect(process.getUserPages(at, 512, flags)).toBe(512);
    }
  });

  test('FOLL_NOFAULT: this path of 6.1 does not look at it, and faults', () => {
    const { machine, process, at } = scene();
    expect(process.getUserPages(at, 1, FOLL_NOFAULT)).toBe(1);
    expect(machine.hstate().freeHugePages).toBe(0);
  });

  test('no pages wanted: 0, wherever', () => {
    const { process, at } = scene();
    for (const start of [at, 0x1000]) {
      expect(process.getUserPages(start, 0, FOLL_WRITE)).toBe(0);
      expect(process.pinUserPages(start, 0, FOLL_WRITE, [])).toBe(0);
      expect(process.getUserPagesFast(start, 0, FOLL_WRITE, [])).toBe(0);
    }
  });
});

describe('how a fault ends is told as an errno', () => {
  test('one for each end', () => {
    expect(vmFaultToErrno('OOM', 0)).toBe('ENOMEM');
    expect(vmFaultToErrno('SIGBUS', FOLL_HWPOISON)).toBe('EFAULT');
    expect(vmFaultToErrno('SIGSEGV', 0)).toBe('EFAULT');
    for (const poison of ['HWPOISON', 'HWPOISON_LARGE'] as const) {
      expect(vmFaultToErrno(poison, 0)).toBe('EFAULT');
      expect(vmFaultToErrno(poison, FOLL_HWPOISON)).toBe('EHWPOISON');
    }
    expect(vmFaultToErrno('FALLBACK', 0)).toBe(0);
  });

  test('SIGBUS, an empty pool: EFAULT', () => {
    const { process, at } = scene({ touched: true });
    const child = fork(process);
    expect(child.getUserPages(at, 1, FOLL_WRITE)).toBe('EFAULT');
    expect(child.pinUserPages(at, 1, 0, [])).toBe('EFAULT');
  });

  test('OOM, no memory for a page table: ENOMEM', () => {
    const { process, at } = scene({ options: { tables: 4096 * 3 } });
    expect(process.getUserPages(at, 1, 0)).toBe('ENOMEM');
  });

  test('nothing is mapped: EFAULT', () => {
    const { process, at } = scene();
    expect(process.getUserPages(at + HUGE, 1, 0)).toBe('EFAULT');
    expect(process.getUserPages(at - PAGE, 1, FOLL_FORCE)).toBe('EFAULT');
    expect(process.getUserPages(2 ** 52, 1, 0)).toBe('EFAULT');
  });

  test('behind pages an error is not told', () => {
    const { process, at } = scene({ count: 2, touched: true });
    const child = fork(process);
    child.write(at, 1);
    process.munmap(at, HUGE);
    expect(process.getUserPages(at + HUGE, 600, FOLL_WRITE)).toBe(512);
  });

  test('HANG is told, whatever was done before: such a call never comes back, and keeps what it has', () => {
    const { process, at } = scene({ count: 2, touched: true });
    const child = fork(process);
    child.munmap(at, HUGE);
    /* The copy of the second page finds no memory, and looks for the child's in the wrong place. */
    const moved = process.mremap(at, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + GIB) as number;
    expect(process.getUserPages(moved, 1024, FOLL_WRITE, [])).toBe('HANG');
    expect(folioOf(process, moved).getcount).toBe(512);
  });
});

describe('misuse of the library is thrown, and changes nothing', () => {
  const { machine, process, at } = scene({ count: 2, touched: true });
  const state = (): unknown => [...process.mappedPages()].map(({ folio }) => ({ ...folio, contents: 0, lock: 0 }));

  test('a list that is too short', () => {
    const before = state();
    const pages = new Float64Array(511);
    const calls = [
      () => process.getUserPages(at, 512, 0, pages),
      () => process.pinUserPages(at, 512, 0, pages),
      () => process.getUserPagesRemote(process, at, 512, 0, pages),
      () => process.pinUserPagesRemote(process, at, 512, 0, pages),
      () => process.getUserPagesFast(at, 512, 0, pages),
      () => process.getUserPagesFastOnly(at, 512, 0, pages),
      () => process.pinUserPagesFast(at, 512, 0, pages),
    ];
    for (const call of calls) {
      expect(call).toThrow(new RangeError('pages: expected room for 0x200 frame numbers, got 0x1ff'));
    }
    expect(state()).toEqual(before);
  });

  test('a list that is none', () => {
    expect(() => process.getUserPages(at, 1, 0, 'pages' as never)).toThrow(TypeError);
    expect(() => process.getUserPagesFast(at, 1, 0, undefined as never)).toThrow(
      new TypeError('pages: expected a Float64Array or an array, got undefined'),
    );
    expect(() => process.getUserPages(at, 1, 0, [], 7 as never)).toThrow('vmas: expected an array, got 0x7');
  });

  test('numbers that are none', () => {
    expect(() => process.getUserPages(-1, 1, 0)).toThrow(RangeError);
    expect(() => process.getUserPages(at, 1.5, 0)).toThrow(/nrPages/);
    expect(() => process.getUserPages(at, 1, -1)).toThrow(/flags/);
    expect(() => process.followPage(Number.NaN, 0)).toThrow(RangeError);
    expect(() => process.mlock(at, -1)).toThrow(/length/);
    expect(() => process.dumpPages(at, 2 ** 40)).toThrow(/nrPages/);
  });

  test('locked that is not held, or together with VMAs', () => {
    const call = (locked: { held: boolean }, vmas?: []): unknown =>
      process.getUserPagesRemote(process, at, 1, 0, [], vmas, locked);
    expect(() => call({ held: false })).toThrow(new TypeError('locked: expected { held: true }, got { held: false }'));
    expect(() => call({ held: true }, [])).toThrow(/vmas: expected none together with locked/);
  });

  test('more given back than was taken', () => {
    const pages: number[] = [];
    process.getUserPages(at, 600, 0, pages);
    const before = state();
    const { pfn } = folioOf(process, at);
    expect(() => process.putPages([...pages, pfn])).toThrow(
      new RangeError(
        `pages: expected at most 0x200 references of the huge page at frame 0x${pfn.toString(16)}, got 0x201`,
      ),
    );
    expect(() => process.unpinUserPages(pages)).toThrow(/expected at most 0x0 pins/);
    expect(() => process.unpinUserPageRange(pfn, 1)).toThrow(/frame: expected at most 0x0 pins/);
    expect(() => process.putPages(pages, 601)).toThrow(RangeError);
    expect(() => process.putPages([1, ...pages])).toThrow(/pages\[0\]: expected a frame of a huge page, got 0x1/);
    expect(state()).toEqual(before);
    process.putPages(pages);
    expect(() => machine.putPages(pages)).toThrow(RangeError);
  });

  test("what a registered buffer or a pipe has taken is not a caller's", () => {
    expect(process.registerBuffer(at, PAGE)).toBe('OK');
    const pipe = machine.createPipe();
    expect(process.vmsplice(pipe, at, PAGE)).toBe(PAGE);
    const { pfn } = folioOf(process, at);
    expect(() => process.unpinUserPages([pfn])).toThrow(/at most 0x0 pins/);
    expect(() => process.putPages([pfn])).toThrow(/at most 0x0 references/);
    process.unregisterBuffer();
    pipe.close();
    expect(() => pipe.read(new Uint8Array(1))).toThrow(TypeError);
    expect(() => process.vmsplice(pipe, at, 1)).toThrow(/open pipe/);
  });

  test('a process that has ended', () => {
    const ended = machine.createProcess();
    ended.exit();
    expect(() => ended.getUserPages(at, 1, 0)).toThrow(TypeError);
    expect(() => ended.putPages([])).toThrow(TypeError);
    expect(() => process.getUserPagesRemote(ended, at, 1, 0)).toThrow(/target: expected a live process/);
  });
});
