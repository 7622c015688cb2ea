/**
 * Everybody who meets an entry of bad memory, or a page that has some: mm/hugetlb.c, mm/gup.c, mm/mincore.c, fs/proc/task_mmu.c,
 * fs/hugetlbfs/inode.c of Linux 6.1; with HGM v2 the same, piece by piece.
 */
import { describe, expect, test } from 'vitest';
import {
  BUS_ADRERR,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_WRITE,
  type HgmVersion,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_SPLIT,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PM_SOFT_DIRTY,
  PROT_READ,
  type Process,
  SEGV_ACCERR,
  SEGV_MAPERR,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { forkOf, granted, KIB4, machineWith, mapPrivate, mapShared, RW } from '../support.ts';
import { actor, serve, together } from '../userfaultfd/stage.ts';
import { entries, lookAt, lost, poison, type Run, SIZES } from './support.ts';

/** The bad 4 KiB page. */
const BAD = 3;

const ROWS = SIZES.flatMap((row) => {
  return (['none', 'v2'] as readonly HgmVersion[]).map((version) => {
    const small = row.size === 2 ** 21;
    const tail: Run[] = small
      ? [[508, 1, 'mapped']]
      : [
          [508, 1, 'mapped'],
          [511, 512, 'mapped'],
        ];
    const pieces: Run[] = [[BAD, 1, 'mapped'], [1, 1, 'bad'], ...tail];
    const whole: Run[] = [[1, row.size / KIB4, 'bad']];
    /* What is left beside the bad page, and how much is lost with it. */
    return { ...row, version, inPieces: version === 'v2', left: version === 'v2' ? pieces : whole };
  });
});

describe.each(ROWS)('huge pages of $name, HGM $version', ({ size, shift, version, inPieces, left }) => {
  const lsb = inPieces ? 12 : shift;
  const around = inPieces ? [2, lost(12), 4] : [lost(lsb), lost(lsb), lost(lsb)];

  /** A file of two huge pages, mapped shared; in the first one memory has turned bad, and pages have their numbers for contents. */
  function scene() {
    const machine = machineWith({ size, pages: 4, tables: 2 ** 23, hgm: { version } });
    const process = machine.createProcess();
    const file = machine.memfdCreate({ hugePageSize: size });
    const at = mapShared(process, 2, { size, file, address: 2 ** 40 });
    for (const page of [0, 1, 2, 3, 4, 5]) process.write(at + page * KIB4, page);
    if (poison(process, at, BAD) !== 'OK') throw new Error('not poisoned');
    return { machine, process, file, at };
  }

  function expectAround(process: Process, at: number): void {
    expect(lookAt(process, at, [BAD - 1, BAD, BAD + 1])).toEqual(around);
  }

  test('reads and writes', () => {
    const { process, at } = scene();
    expect(entries(process, at, size)).toEqual(left);
    expectAround(process, at);
    expect(process.write(at + BAD * KIB4 + 17, 1)).toBe('SIGBUS');
    expect(process.siginfo).toEqual({ signal: 'SIGBUS', code: 4, address: at + BAD * KIB4 + 17, lsb });
  });

  test('GUP ends before it; with FOLL_HWPOISON it is told why', () => {
    const { process, at } = scene();
    const pages = new Float64Array(8);
    const bad = at + BAD * KIB4;
    for (const flags of [FOLL_GET, FOLL_GET | FOLL_WRITE]) {
      expect(process.getUserPages(bad, 2, flags, pages)).toBe('EFAULT');
      expect(process.getUserPages(bad, 2, flags | FOLL_HWPOISON, pages)).toBe('EHWPOISON');
      const before = process.getUserPages(at, 8, flags, pages);
      expect(before).toBe(inPieces ? BAD : 'EFAULT');
      if (inPieces) process.putPages(pages, BAD);
    }
    expect(process.getUserPagesFast(bad, 1, 0, pages)).toBe('EFAULT');
    expect(process.followPage(bad, 0)).toBeUndefined();
    expect(process.pinUserPagesFast(at, 8, 0, pages)).toBe(inPieces ? BAD : 'EFAULT');
    if (inPieces) process.unpinUserPages(pages, BAD);
  });

  test('process_vm_readv reads up to it, /proc/PID/mem, too', () => {
    const { machine, process, at } = scene();
    const other = machine.createProcess();
    const buffer = new Uint8Array(5 * KIB4);
    expect(other.processVmRead(process, at, buffer)).toBe(inPieces ? BAD * KIB4 : 'EFAULT');
    expect(other.procMemRead(process, at, buffer)).toBe(inPieces ? BAD * KIB4 : 'EIO');
  });

  test('a buffer with bad memory cannot be registered', () => {
    const { process, at } = scene();
    expect(process.registerBuffer(at, 8 * KIB4)).toBe('EFAULT');
  });

  test('MADV_POPULATE is EHWPOISON', () => {
    const { process, at } = scene();
    for (const advice of [MADV_POPULATE_READ, MADV_POPULATE_WRITE]) {
      expect(process.madvise(at, 2 * size, advice)).toBe('EHWPOISON');
    }
    expect(process.madvise(at + size, size, MADV_POPULATE_WRITE)).toBe('OK');
  });

  test('UFFDIO_CONTINUE is EIO, also of what is healthy', () => {
    const { process, file, at } = scene();
    const alias = mapShared(process, 2, { size, file });
    if (version === 'v2') process.madvise(alias, 2 * size, MADV_SPLIT);
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_SIGBUS);
    uffd.register(alias, 2 * size, UFFDIO_REGISTER_MODE_MINOR);
    expect(uffd.continue(alias, size)).toEqual({ result: 'EIO', done: 'EIO' });
    if (inPieces) expect(uffd.continue(alias, KIB4)).toEqual({ result: 'EIO', done: 'EIO' });
    expect(lookAt(process, alias, [BAD])).toEqual([lost(lsb)]);
    expect(uffd.continue(alias + size, size).result).toBe('EFAULT');
    process.write(at + size, 1);
    expect(uffd.continue(alias + size, size).result).toBe('OK');
  });

  test('a fork that copies entries, for a userfaultfd that goes with the child, copies it: nothing is counted', () => {
    const { process, at } = scene();
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_EVENT_FORK);
    uffd.register(at, 2 * size, UFFDIO_REGISTER_MODE_WP);
    const [forker, reader] = [process.thread(), process.thread()];
    const [child] = together([actor(forker, forker.fork()), actor(reader, serve(reader, uffd, 1))]) as [Process];
    expect(entries(child, at, size)).toEqual(left);
    expect(child.mm.hugetlbUsage).toBe(process.mm.hugetlbUsage);
    expectAround(child, at);
    expectAround(process, at);
  });

  test('a fork of a private mapping copies it always', () => {
    const { machine } = scene();
    const parent = machine.createProcess();
    const at = mapPrivate(parent, 2, { size });
    parent.write(at, 1);
    parent.write(at + size, 2);
    poison(parent, at, BAD);
    const child = forkOf(parent);
    expect(entries(child, at, 2 * size)).toEqual([
      [1, size / KIB4, 'bad'],
      [1, size / KIB4, 'mapped'],
    ]);
    expect(child.mm.hugetlbUsage).toBe(size / KIB4);
  });

  test('mprotect leaves it as it is', () => {
    const { process, at } = scene();
    for (const prot of [PROT_READ, 0, RW]) {
      expect(process.mprotect(at, 2 * size, prot)).toBe('OK');
      expect(entries(process, at, size)).toEqual(left);
    }
    expectAround(process, at);
  });

  test('write protection by userfaultfd passes over it, there and back', () => {
    const { process, at } = scene();
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_SIGBUS);
    uffd.register(at, 2 * size, UFFDIO_REGISTER_MODE_WP);
    const before = entryBits(process, at);
    for (const mode of [UFFDIO_WRITEPROTECT_MODE_WP, 0]) {
      expect(uffd.writeprotect(at, size, mode)).toBe('OK');
      expect(entryBits(process, at)).toBe(before);
      expectAround(process, at);
    }
  });

  test('mremap moves it, bit for bit, also away from a userfaultfd', () => {
    const { process, at } = scene();
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_SIGBUS);
    uffd.register(at, 2 * size, UFFDIO_REGISTER_MODE_WP);
    const before = entryBits(process, at);
    const there = granted(process.mremap(at, 2 * size, 2 * size, MREMAP_MAYMOVE | MREMAP_FIXED, 2 ** 42));
    expect(entryBits(process, there)).toBe(before);
    expectAround(process, there);
  });

  test('mincore says that it is in core; pagemap knows nothing of it', () => {
    const { process, at } = scene();
    expect([...granted(process.mincore(at, 8 * KIB4))]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    expect(process.pagemap(at + BAD * KIB4)[0]).toBe(PM_SOFT_DIRTY);
  });

  test('munmap and MADV_DONTNEED take it away, and give nothing back for it', () => {
    const { machine, process, at } = scene();
    expect(process.madvise(at, size, MADV_DONTNEED)).toBe('OK');
    expect([entries(process, at, size), process.mm.hugetlbUsage]).toEqual([[], 0]);
    expectAround(process, at);
    process.munmap(at, 2 * size);
    machine.check();
    expect([machine.tables.count, process.mm.hugetlbUsage]).toEqual([1, 0]);
  });

  test('a hole in the file takes the page out of it, and the entries away: then a new page comes', () => {
    const { machine, process, file, at } = scene();
    expect(file.fallocate(0, size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)).toBe('OK');
    expect(entries(process, at, size)).toEqual([]);
    expect(lookAt(process, at, [BAD - 1, BAD, BAD + 1])).toEqual([0, 0, 0]);
    process.exit();
    file.close();
    machine.check();
    const { nrHugePages, freeHugePages, resvHugePages } = machine.hstate(size);
    expect([nrHugePages, freeHugePages, resvHugePages]).toEqual([4, 3, 0]);
  });

  test('fallocate finds the page there, and leaves it', () => {
    const { process, file, at } = scene();
    expect(file.fallocate(0, 2 * size)).toBe('OK');
    expectAround(process, at);
  });

  test('what other failed accesses are told', () => {
    const { process, file, at } = scene();
    process.read(8);
    expect(process.siginfo).toEqual({ signal: 'SIGSEGV', code: SEGV_MAPERR, address: 8 });
    process.mprotect(at, 2 * size, PROT_READ);
    process.write(at + size, 1);
    expect(process.siginfo).toEqual({ signal: 'SIGSEGV', code: SEGV_ACCERR, address: at + size });
    file.ftruncate(size);
    process.read(at + size + 9);
    expect(process.siginfo).toEqual({ signal: 'SIGBUS', code: BUS_ADRERR, address: at + size + 9 });
  });

  /** The entry of the bad page. */
  function entryBits(process: Process, at: number): bigint | undefined {
    for (const { address, bytes, entry } of process.mappedPages()) {
      if (address <= at + BAD * KIB4 && at + BAD * KIB4 < address + bytes) return entry;
    }
    return undefined;
  }
});
