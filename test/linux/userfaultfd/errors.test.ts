/**
 * What the ioctls refuse, and with which errno. fs/userfaultfd.c, mm/userfaultfd.c.
 */
import { describe, expect, test } from 'vitest';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGE_1GB,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFDIO_COPY_MODE_WP,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_DONTWAKE,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { actor, address, bytes, LARGE, SIZES, SMALL, serve, stage, together } from './stage.ts';

const MISSING = UFFDIO_REGISTER_MODE_MISSING;
const WP = UFFDIO_REGISTER_MODE_WP;
const MINOR = UFFDIO_REGISTER_MODE_MINOR;
const END = 2 ** 47 - 4096;

/** Ranges that validate_range refuses, of whatever ioctl. */
const BAD: readonly (readonly [name: string, start: number, length: number])[] = [
  ['a start inside a 4 KiB page', 2 ** 40 + 1, SMALL],
  ['a length of parts of one', 2 ** 40, SMALL + 1],
  ['no length', 2 ** 40, 0],
  ['a start behind all addresses', END, SMALL],
  ['an end behind all addresses', END - SMALL, SMALL + 4096],
];

describe.each(BAD)('%s is EINVAL', (_, start, length) => {
  const { uffd } = stage({ mode: MISSING | WP });
  test('of UFFDIO_REGISTER', () => expect(uffd.register(start, length, MISSING).result).toBe('EINVAL'));
  test('of UFFDIO_UNREGISTER', () => expect(uffd.unregister(start, length)).toBe('EINVAL'));
  test('of UFFDIO_WAKE', () => expect(uffd.wake(start, length)).toBe('EINVAL'));
  test('of UFFDIO_COPY', () => expect(uffd.copy(start, new Uint8Array(length)).result).toBe('EINVAL'));
  test('of UFFDIO_CONTINUE', () => expect(uffd.continue(start, length).result).toBe('EINVAL'));
  test('of UFFDIO_ZEROPAGE', () => expect(uffd.zeropage(start, length).result).toBe('EINVAL'));
  test('of UFFDIO_WRITEPROTECT', () => expect(uffd.writeprotect(start, length, 1)).toBe('EINVAL'));
});

describe.each(SIZES)('ranges of pages of $name', ({ size }) => {
  test('begin and end on huge pages, for UFFDIO_REGISTER', () => {
    const { uffd, at } = stage({ size, mode: 0 });
    expect(uffd.register(at + 4096, size, MISSING).result).toBe('EINVAL');
    expect(uffd.register(at, size + 4096, MISSING).result).toBe('EINVAL');
    expect(uffd.register(at, size - 4096, MISSING).result).toBe('EINVAL');
    expect(uffd.register(at + size, size, MISSING).result).toBe('OK');
  });

  test('may end where nothing is mapped any more', () => {
    const { uffd, at, length, process } = stage({ size, mode: 0 });
    expect(uffd.register(at, length + 4096, MISSING).result).toBe('OK');
    expect(process.vmas[0]!.userfaultfd).toBe(uffd.context);
    expect(uffd.unregister(at, length + 4096)).toBe('OK');
    expect(process.vmas[0]!.userfaultfd).toBeUndefined();
  });

  test('may begin where nothing is mapped yet, at a multiple of the first mapping', () => {
    const { uffd, at, length, process } = stage({ size, mode: 0 });
    expect(uffd.register(at - 4096, length + 4096, MISSING).result).toBe('EINVAL');
    expect(uffd.register(at - size, length + size, MISSING).result).toBe('OK');
    expect(process.vmas[0]!.userfaultfd).toBe(uffd.context);
  });

  test('begin on huge pages, for UFFDIO_UNREGISTER; an end between them cannot be cut', () => {
    const { uffd, at } = stage({ size });
    expect(uffd.unregister(at + 4096, size)).toBe('EINVAL');
    expect(uffd.unregister(at, size + 4096)).toBe('EINVAL');
    expect(uffd.unregister(at + size, size)).toBe('OK');
  });

  test('begin and end on huge pages, for all that puts or protects pages', () => {
    const { uffd, at } = stage({ size, mode: WP | MISSING | MINOR, shared: true });
    for (const [start, length] of [
      [at + 4096, size],
      [at, 4096],
    ] as const) {
      expect(uffd.copy(start, new Uint8Array(length))).toEqual({ result: 'EINVAL', done: 'EINVAL' });
      expect(uffd.continue(start, length).result).toBe('EINVAL');
      expect(uffd.writeprotect(start, length, UFFDIO_WRITEPROTECT_MODE_WP)).toBe('EINVAL');
      expect(uffd.writeprotect(start, length, 0)).toBe('EINVAL');
    }
  });

  test('have one mapping, else ENOENT', () => {
    const { uffd, at, length, process } = stage({ size, mode: WP | MISSING });
    expect(process.mprotect(at + size, size, PROT_READ)).toBe('OK');
    expect(uffd.copy(at, bytes(size, 1, 2)).result).toBe('ENOENT');
    expect(uffd.continue(at, 2 * size).result).toBe('ENOENT');
    expect(uffd.writeprotect(at, length, 0)).toBe('ENOENT');
    expect(uffd.copy(at + length, bytes(size, 1)).result).toBe('ENOENT');
    expect(uffd.copy(at + length - size, bytes(size, 1, 2)).result).toBe('ENOENT');
    expect(uffd.copy(at - size, bytes(size, 1)).result).toBe('ENOENT');
  });
});

describe('UFFDIO_REGISTER', () => {
  test('needs a mode, and knows three', () => {
    const { uffd, at, length } = stage({ mode: 0 });
    for (const mode of [0, 8, 9, 16]) expect(uffd.register(at, length, mode).result).toBe('EINVAL');
  });

  test('of nothing mapped is EINVAL', () => {
    const { uffd, at, length } = stage({ mode: 0 });
    expect(uffd.register(at - SMALL, SMALL, MISSING).result).toBe('EINVAL');
    expect(uffd.register(at + length, SMALL, MISSING).result).toBe('EINVAL');
    expect(uffd.unregister(at + length, SMALL)).toBe('EINVAL');
  });

  test('of a range that another has is EBUSY, of a part of it, too; nothing is changed', () => {
    const { uffd, process, page, length, at, size } = stage({ mode: 0 });
    const other = process.userfaultfd();
    other.api();
    expect(other.register(page(2), size, MISSING).result).toBe('OK');
    expect(uffd.register(at, length, MISSING).result).toBe('EBUSY');
    expect(uffd.register(page(2), size, WP).result).toBe('EBUSY');
    expect(uffd.register(page(3), size, WP).result).toBe('OK');
    expect(process.vmas.map(({ userfaultfd }) => userfaultfd)).toEqual([undefined, other.context, uffd.context]);
  });

  test('of what is its own already changes the modes', () => {
    const { uffd, process, page, size } = stage({ mode: MISSING });
    expect(uffd.register(page(1), size, WP).result).toBe('OK');
    expect(process.vmas.length).toBe(3);
    expect(process.read(page(0))).toBe('BLOCKED');
    expect(process.read(page(1))).toBe(0);
  });

  test('of what has all the modes already changes nothing', () => {
    const { uffd, process, page, size } = stage({ mode: MISSING | WP });
    expect(uffd.register(page(1), size, WP).result).toBe('OK');
    expect(process.vmas.length).toBe(1);
    expect(process.read(page(1))).toBe('BLOCKED');
  });

  test('reaches over mappings of both sizes; the end must suit the last one', () => {
    const { machine, process, uffd, at, length } = stage({ mode: 0 });
    machine.setNrHugepages(LARGE, 1);
    const huge = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_1GB | MAP_FIXED;
    const there = address(process.mmap({ address: at + LARGE, length: LARGE, prot: PROT_READ, flags: huge }));
    expect(uffd.register(at, LARGE + SMALL, MISSING).result).toBe('EINVAL');
    expect(process.vmas.map(({ userfaultfd }) => userfaultfd)).toEqual([undefined, undefined]);
    expect(uffd.register(at, 2 * LARGE, MISSING).result).toBe('OK');
    expect([process.read(at), process.read(there)]).toEqual(['BLOCKED', 'BLOCKED']);
    expect(uffd.copy(at, bytes(SMALL, 1)).result).toBe('OK');
    expect(length).toBe(4 * SMALL);
  });
});

describe('UFFDIO_COPY', () => {
  test('of a page that is there is EEXIST, after a part EAGAIN with what was done', () => {
    const { uffd, page, size } = stage();
    expect(uffd.copy(page(1), bytes(size, 1))).toEqual({ result: 'OK', done: size });
    expect(uffd.copy(page(1), bytes(size, 1))).toEqual({ result: 'EEXIST', done: 'EEXIST' });
    expect(uffd.copy(page(0), bytes(size, 1, 3))).toEqual({ result: 'EAGAIN', done: size });
  });

  test('of a page that only the file has is EEXIST', () => {
    const { uffd, process, at, alias, size } = stage({ shared: true });
    process.write(alias, 1);
    expect(uffd.copy(at, bytes(size, 1)).result).toBe('EEXIST');
  });

  test('without a free page is ENOMEM', () => {
    const { uffd, at, size, length, machine, process } = stage({ pages: 2, pool: 3 });
    const hog = machine.createProcess();
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    const there = address(hog.mmap({ length: size, prot: 3, flags }));
    hog.write(there, 1);
    const child = address(process.fork());
    process.munmap(at, length);
    machine.setNrHugepages(size, 1);
    const mine = child.userfaultfd();
    mine.api();
    expect(mine.register(at, length, MISSING).result).toBe('OK');
    expect(mine.copy(at, bytes(size, 1))).toEqual({ result: 'ENOMEM', done: 'ENOMEM' });
    expect(uffd.unregister(at, length)).toBe('EINVAL');
  });

  test('behind the end of the file is EFAULT, and the page is free again', () => {
    const { uffd, process, at, size, machine } = stage({ shared: true, mode: 0 });
    const { inode } = process.vmas[0]!;
    uffd.register(at, 4 * size, MISSING);
    inode.size = size;
    const free = machine.hstate(size).freeHugePages;
    expect(uffd.copy(at + size, bytes(size, 1)).result).toBe('EFAULT');
    expect(machine.hstate(size).freeHugePages).toBe(free);
  });

  test('with WP needs a range that is registered for it', () => {
    const { uffd, at, size } = stage();
    expect(uffd.copy(at, bytes(size, 1), UFFDIO_COPY_MODE_WP).result).toBe('EINVAL');
    expect(uffd.copy(at, bytes(size, 1), 4).result).toBe('EINVAL');
  });

  test('reaches a range that another userfaultfd has', () => {
    const { process, at, size } = stage();
    const other = process.userfaultfd();
    other.api();
    expect(other.copy(at, bytes(size, 1)).result).toBe('OK');
  });

  test('does not need MISSING', () => {
    const { uffd, at, size } = stage({ mode: WP });
    expect(uffd.copy(at, bytes(size, 1)).result).toBe('OK');
  });
});

describe('UFFDIO_CONTINUE', () => {
  test('of a page that the file has not is EFAULT', () => {
    const { uffd, at, size, alias, process } = stage({ shared: true, mode: MINOR });
    expect(uffd.continue(at, size)).toEqual({ result: 'EFAULT', done: 'EFAULT' });
    process.write(alias, 1);
    expect(uffd.continue(at, 2 * size)).toEqual({ result: 'EAGAIN', done: size });
  });

  test('of a page that is mapped is EEXIST', () => {
    const { uffd, at, size, alias, process } = stage({ shared: true, mode: MINOR });
    process.write(alias, 1);
    expect(uffd.continue(at, size).result).toBe('OK');
    expect(uffd.continue(at, size).result).toBe('EEXIST');
  });

  test('has one mode', () => {
    const { uffd, at, size } = stage({ shared: true, mode: MINOR });
    expect(uffd.continue(at, size, 2).result).toBe('EINVAL');
  });
});

describe('UFFDIO_WRITEPROTECT', () => {
  test('protecting wakes nobody, so DONTWAKE with it is EINVAL', () => {
    const { uffd, at, size } = stage({ mode: WP });
    const both = UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
    expect(uffd.writeprotect(at, size, both)).toBe('EINVAL');
    expect(uffd.writeprotect(at, size, 4)).toBe('EINVAL');
    expect(uffd.writeprotect(at, size, UFFDIO_WRITEPROTECT_MODE_DONTWAKE)).toBe('OK');
  });

  test('needs a range that is registered for it, else ENOENT', () => {
    const { uffd, at, size } = stage({ mode: MISSING });
    expect(uffd.writeprotect(at, size, UFFDIO_WRITEPROTECT_MODE_WP)).toBe('ENOENT');
  });
});

describe('when the process has ended', () => {
  test('pages cannot be put: ESRCH; nothing registered: ENOMEM; the rest works', () => {
    const { uffd, at, size, process } = stage();
    process.exit();
    expect(uffd.copy(at, bytes(size, 1))).toEqual({ result: 'ESRCH', done: 'ESRCH' });
    expect(uffd.continue(at, size).result).toBe('ESRCH');
    expect(uffd.zeropage(at, size).result).toBe('ESRCH');
    expect(uffd.writeprotect(at, size, 0)).toBe('ESRCH');
    expect(uffd.register(at, size, MISSING).result).toBe('ENOMEM');
    expect(uffd.unregister(at, size)).toBe('ENOMEM');
    expect(uffd.wake(at, size)).toBe('OK');
    uffd.close();
  });
});

describe('while an event is on its way', () => {
  test('pages cannot be put: EAGAIN; after it was read they can', () => {
    const { uffd, at, size, page, process } = stage({ features: UFFD_FEATURE_EVENT_UNMAP, mode: MISSING | WP });
    const [unmapper, other] = [process.thread(), process.thread()];
    function* handle() {
      const refused = [
        uffd.copy(at, bytes(size, 1)).result,
        uffd.continue(at, size).result,
        uffd.zeropage(at, size).result,
        uffd.writeprotect(at, size, UFFDIO_WRITEPROTECT_MODE_WP),
        /* Even before anything is said about the range. */
        uffd.copy(1, bytes(size, 1)).result,
      ];
      yield* serve(other, uffd, 1);
      const still = uffd.context.mmapChanging;
      /* The sender has to go on first. */
      yield* other.mprotect(at, size, PROT_READ | 2);
      return { refused, still };
    }
    const results = together([actor(unmapper, unmapper.munmap(page(3), size)), actor(other, handle())]);
    expect(results).toEqual(['OK', { refused: Array(5).fill('EAGAIN'), still: 1 }]);
    expect(uffd.copy(at, bytes(size, 1)).result).toBe('OK');
  });

  test('a call that waits for mmap_lock meanwhile finds out, too', () => {
    const scene = stage({ features: UFFD_FEATURE_EVENT_UNMAP, mode: MISSING | WP, checks: false });
    const { uffd, at, size, page, process, machine } = scene;
    const [unmapper, copier, protector, reader] = [1, 2, 3, 4].map(() => process.thread());
    const copy = copier!.uffdFill(uffd, at, size, { kind: 'copy', mode: 0, bytes: bytes(size, 1) });
    const actors = [
      actor(unmapper!, unmapper!.munmap(page(3), size)),
      actor(copier!, copy),
      actor(protector!, protector!.uffdWriteprotect(uffd, at, size, UFFDIO_WRITEPROTECT_MODE_WP)),
      actor(reader!, serve(reader!, uffd, 1)),
    ];
    /* Both come as far as mmap_lock, before anything is unmapped; then munmap, until it waits to be read; then they. */
    const turns = [1, 2];
    const results = together(actors, () => turns.shift() ?? 0);
    expect(results[1]).toEqual({ result: 'EAGAIN', done: 'EAGAIN' });
    expect(results[2]).toBe('EAGAIN');
    machine.check();
  });
});

test('mremap over a registered range is an munmap of it', () => {
  const { process, uffd, at, length } = stage({ mode: 0 });
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  const other = address(process.mmap({ length, prot: 3, flags }));
  uffd.register(at, length, MISSING);
  expect(process.mremap(other, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at)).toBe(at);
  expect(process.vmas.map(({ userfaultfd }) => userfaultfd)).toEqual([undefined]);
});
