/**
 * Write protection: entries, markers, what keeps and what loses them. mm/hugetlb.c of Linux 6.1: hugetlb_change_protection,
 * copy_hugetlb_page_range, move_huge_pte, __unmap_hugepage_range, hugetlb_no_page, hugetlb_wp.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_DONTNEED,
  MADV_REMOVE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  UFFD_FEATURE_EVENT_REMAP,
  UFFDIO_COPY_MODE_WP,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../../src/linux/index.ts';
import { actor, address, bytes, KINDS, pagemap, SIZES, SMALL, seeded, serve, stage, together } from './stage.ts';

const MISSING = UFFDIO_REGISTER_MODE_MISSING;
const WP = UFFDIO_REGISTER_MODE_WP;
const MINOR = UFFDIO_REGISTER_MODE_MINOR;
const PROTECT = UFFDIO_WRITEPROTECT_MODE_WP;
const RW = PROT_READ | PROT_WRITE;
const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;
const THERE = 2 ** 42;
const rows = SIZES.flatMap(({ name, size }) =>
  KINDS.map((kind) => ({ title: `${kind.name}, ${name}`, size, ...kind })),
);

describe.each(rows)('$title', ({ size, shared }) => {
  const scenery = (mode = WP, features = 0) => {
    /* Linux counts moved bytes in an `int`: less than 4 GiB. */
    const scene = stage({ size, shared, mode, features, pages: 2 });
    const { process, uffd, at, length, page } = scene;
    return { ...scene, process, uffd, at, length, page };
  };

  test('a protected page can be read, and a write waits', () => {
    const { process, uffd, at } = scenery();
    process.write(at, 3);
    expect(uffd.writeprotect(at, size, PROTECT)).toBe('OK');
    expect([process.read(at), process.write(at, 1), pagemap(process, at)]).toEqual([3, 'BLOCKED', 'present wp']);
    expect(uffd.writeprotect(at, size, 0)).toBe('OK');
    expect([process.write(at, 1), pagemap(process, at)]).toEqual(['OK', 'present']);
  });

  test('where nothing is mapped, a marker protects the page to come', () => {
    const { process, uffd, at } = scenery();
    uffd.writeprotect(at, size, PROTECT);
    expect(pagemap(process, at)).toBe('none wp');
    expect([process.read(at), pagemap(process, at)]).toEqual([0, 'present wp']);
    expect(process.write(at, 1)).toBe('BLOCKED');
  });

  test('a write to a marker maps the page, protected, and waits then', () => {
    const { process, uffd, at } = scenery();
    uffd.writeprotect(at, size, PROTECT);
    expect([process.write(at, 1), pagemap(process, at)]).toEqual(['BLOCKED', 'present wp']);
  });

  test('ending the protection takes markers away', () => {
    const { process, uffd, at, length } = scenery();
    uffd.writeprotect(at, length, PROTECT);
    uffd.writeprotect(at, size, 0);
    expect([pagemap(process, at), pagemap(process, at + size)]).toEqual(['none', 'none wp']);
    expect(process.write(at, 1)).toBe('OK');
  });

  test('UFFDIO_COPY puts a page over a marker, and loses it; with WP the page is protected', () => {
    const { process, uffd, at, length, page } = scenery(MISSING | WP);
    uffd.writeprotect(at, length, PROTECT);
    expect(uffd.copy(page(0), bytes(size, 1)).result).toBe('OK');
    expect(uffd.copy(page(1), bytes(size, 2), UFFDIO_COPY_MODE_WP).result).toBe('OK');
    expect([pagemap(process, page(0)), pagemap(process, page(1))]).toEqual(['present', 'present wp']);
    expect([process.write(page(0), 1), process.write(page(1), 1)]).toEqual(['OK', 'BLOCKED']);
  });

  test('MISSING and WP: a marker’s page is missing first', () => {
    const { process, uffd, at } = scenery(MISSING | WP);
    uffd.writeprotect(at, size, PROTECT);
    expect([process.read(at), pagemap(process, at)]).toEqual(['BLOCKED', 'none wp']);
  });

  test('MADV_DONTNEED leaves a marker', () => {
    const { process, uffd, at } = scenery();
    process.write(at, 1);
    uffd.writeprotect(at, size, PROTECT);
    expect([process.madvise(at, size, MADV_DONTNEED), pagemap(process, at)]).toEqual(['OK', 'none wp']);
    expect(process.read(at)).toBe(shared ? 1 : 0);
    expect(process.write(at, 1)).toBe('BLOCKED');
  });

  test('mprotect keeps protection and markers', () => {
    const { process, uffd, at, length, page } = scenery();
    process.write(at, 1);
    uffd.writeprotect(at, length, PROTECT);
    for (const prot of [PROT_READ, PROT_NONE, RW]) expect(process.mprotect(at, length, prot)).toBe('OK');
    expect([pagemap(process, page(0)), pagemap(process, page(1))]).toEqual(['present wp', 'none wp']);
    expect([process.write(page(0), 1), process.write(page(1), 1)]).toEqual(['BLOCKED', 'BLOCKED']);
  });

  test('UFFDIO_UNREGISTER ends protection, and takes markers away', () => {
    const { process, uffd, at, length, page } = scenery();
    process.write(at, 1);
    uffd.writeprotect(at, length, PROTECT);
    uffd.unregister(at, length);
    expect([pagemap(process, page(0)), pagemap(process, page(1))]).toEqual(['present', 'none']);
    expect([process.write(page(0), 1), process.write(page(1), 1)]).toEqual(['OK', 'OK']);
  });

  test('a close does, too', () => {
    const { process, uffd, at, length, page } = scenery();
    process.write(at, 1);
    uffd.writeprotect(at, length, PROTECT);
    uffd.close();
    expect([pagemap(process, page(0)), pagemap(process, page(1))]).toEqual(['present', 'none']);
    expect([process.write(page(0), 1), process.write(page(1), 1)]).toEqual(['OK', 'OK']);
  });

  test('mremap without REMAP loses protection and markers', () => {
    const { process, uffd, at, length } = scenery();
    process.write(at, 1);
    uffd.writeprotect(at, length, PROTECT);
    expect(process.mremap(at, length, length, MOVE, THERE)).toBe(THERE);
    expect([pagemap(process, THERE), pagemap(process, THERE + size)]).toEqual(['present', 'none']);
    expect([process.write(THERE, 1), process.write(THERE + size, 1)]).toEqual(['OK', 'OK']);
  });

  test('mremap with REMAP keeps them', () => {
    const { process, uffd, at, length } = scenery(WP, UFFD_FEATURE_EVENT_REMAP);
    process.write(at, 1);
    uffd.writeprotect(at, length, PROTECT);
    const [mover, reader] = [process.thread(), process.thread()];
    together([actor(mover, mover.mremap(at, length, length, MOVE, THERE)), actor(reader, serve(reader, uffd, 1))]);
    expect([pagemap(process, THERE), pagemap(process, THERE + size)]).toEqual(['present wp', 'none wp']);
    expect([process.write(THERE, 1), process.write(THERE + size, 1)]).toEqual(['BLOCKED', 'BLOCKED']);
  });
});

describe('files', () => {
  test('a hole leaves a marker, like MADV_DONTNEED; truncation takes everything', () => {
    const { process, uffd, at, length, page, size } = stage({ shared: true, mode: WP });
    process.write(page(0), 1);
    process.write(page(1), 1);
    uffd.writeprotect(at, length, PROTECT);
    expect(process.madvise(page(0), size, MADV_REMOVE)).toBe('OK');
    expect(pagemap(process, page(0))).toBe('none wp');
    expect(process.read(page(0))).toBe(0);
    expect(process.write(page(0), 1)).toBe('BLOCKED');
  });

  test('an alias of the file is not protected', () => {
    const { process, uffd, at, alias, size } = stage({ shared: true, mode: WP });
    process.write(at, 1);
    uffd.writeprotect(at, size, PROTECT);
    expect([process.write(alias, 2), process.read(at), process.write(at, 3)]).toEqual(['OK', 2, 'BLOCKED']);
  });

  test('WP and MINOR end the sharing of page tables, MISSING does not', () => {
    for (const mode of [MISSING, WP, MINOR]) {
      const scene = stage({ shared: true, pages: 512, pool: 512, mode: 0 });
      const { process, uffd, at, alias, length, machine } = scene;
      process.write(at, 1);
      process.write(alias, 1);
      /* Two mappings of one entry; who gives its table up has nothing mapped, until it faults. */
      const shared = () => [...process.mappedPages()].length === 2;
      expect(shared()).toBe(true);
      expect(uffd.register(at, length, mode).result).toBe('OK');
      expect(shared()).toBe(mode === MISSING);
      machine.check();
    }
  });

  test('UFFDIO_CONTINUE puts a page over a marker, and loses the protection', () => {
    const { process, uffd, at, alias, size } = stage({ shared: true, mode: MINOR | WP });
    process.write(alias, 4);
    uffd.writeprotect(at, size, PROTECT);
    expect(process.read(at)).toBe('BLOCKED');
    expect(uffd.continue(at, size).result).toBe('OK');
    expect([process.read(at), process.write(at, 1), pagemap(process, at)]).toEqual([4, 'OK', 'present']);
  });
});

describe('what Linux 6.1 gets wrong', () => {
  test('a fork’s child without EVENT_FORK keeps the bits, is registered for nothing, and its write faults for ever', () => {
    const { process, uffd, at, size } = stage({ mode: WP });
    process.write(at, 1);
    uffd.writeprotect(at, size, PROTECT);
    const child = address(process.fork());
    expect([pagemap(child, at), child.vmas[0]!.userfaultfd]).toEqual(['present wp', undefined]);
    expect([child.read(at), child.write(at, 2)]).toEqual([1, 'HANG']);
    expect(child.mprotect(at, size, PROT_READ)).toBe('OK');
    expect(child.mprotect(at, size, RW)).toBe('OK');
    expect(child.write(at, 2)).toBe('HANG');
  });

  test('registering again without WP keeps the bits: a write faults for ever', () => {
    const { process, uffd, at, length, size } = stage({ mode: WP });
    process.write(at, 1);
    uffd.writeprotect(at, size, PROTECT);
    expect(uffd.register(at, length, MISSING).result).toBe('OK');
    expect(process.write(at, 2)).toBe('HANG');
    expect(uffd.writeprotect(at, size, 0)).toBe('ENOENT');
    expect(uffd.register(at, length, MISSING | WP).result).toBe('OK');
    expect(process.write(at, 2)).toBe('BLOCKED');
    expect(uffd.writeprotect(at, size, 0)).toBe('OK');
    expect(process.write(at, 2)).toBe('OK');
  });

  test('registering again without WP keeps markers: what they bring is protected, and a write faults for ever', () => {
    const { process, uffd, at, length, size } = stage({ shared: true, mode: WP });
    uffd.writeprotect(at, size, PROTECT);
    expect(uffd.register(at, length, MINOR).result).toBe('OK');
    expect(process.write(at, 2)).toBe('HANG');
    expect(pagemap(process, at)).toBe('present wp');
  });

  test('in GUP that is a loop in the kernel', () => {
    const { machine, process, uffd, at, size } = stage({ mode: WP });
    process.write(at, 1);
    uffd.writeprotect(at, size, PROTECT);
    const child = address(process.fork());
    const other = machine.createProcess();
    expect(other.processVmWrite(child, at, new Uint8Array(1))).toBe('HANG');
    expect(child.registerBuffer(at, size)).toBe('HANG');
    machine.check();
  });

  test('a thread left over by the others finds out, too, under interleave', () => {
    const { process, uffd, at, size } = stage({ mode: WP });
    process.write(at, 1);
    uffd.writeprotect(at, size, PROTECT);
    const child = address(process.fork());
    const [writer, other] = [child.thread(), child.thread()];
    const results = together([actor(writer, writer.write(at, 2)), actor(other, other.read(at + SMALL))], seeded(1));
    expect(results[0]).toBe('HANG');
  });
});
