/**
 * Who gets high-granularity mapping, and who inherits it. The HGM series: hugetlb_hgm_eligible, madvise_split (v2), enable_hugetlb_hgm and
 * UFFD_FEATURE_MINOR_HUGETLBFS_HGM (RFC v2); the recorded cases of FORMAT-hgm.md's kernels.
 */
import { describe, expect, test } from 'vitest';
import {
  MADV_SPLIT,
  type Machine,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  type Process,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  VM_HUGETLB_HGM,
} from '../../../src/linux/index.ts';
import { forkOf, machineWith, mapPrivate, mapShared, traced } from '../support.ts';
import { actor, serve, together } from '../userfaultfd/stage.ts';
import { continuePages, GIB1, hgmScene, KIB4, MIB2, ok, recount, shape, VERSIONS } from './support.ts';

/** Of each VMA, whether it has HGM. */
function withHgm({ vmas }: Process): boolean[] {
  return vmas.map(({ flags }) => (flags & VM_HUGETLB_HGM) !== 0);
}

describe('MADV_SPLIT', () => {
  test('is good for shared mappings, also read-only ones; for private ones EINVAL', () => {
    const machine = machineWith({ pages: 4 });
    const process = machine.createProcess();
    expect(process.madvise(mapShared(process, 1), MIB2, MADV_SPLIT)).toBe('OK');
    expect(process.madvise(mapShared(process, 1, { prot: PROT_READ }), MIB2, MADV_SPLIT)).toBe('OK');
    expect(process.madvise(mapPrivate(process, 1), MIB2, MADV_SPLIT)).toBe('EINVAL');
    const file = machine.memfdCreate();
    expect(process.madvise(mapPrivate(process, 1, { file }), MIB2, MADV_SPLIT)).toBe('EINVAL');
  });

  test('a second time is OK, and changes nothing', () => {
    const { process, at } = hgmScene();
    expect(process.madvise(at, MIB2, MADV_SPLIT)).toBe('OK');
    expect(withHgm(process)).toEqual([true]);
  });

  test('of a part cuts the mapping: the rest has no HGM', () => {
    const scene = hgmScene({ count: 3, split: false });
    const { process, at, uffd } = scene;
    expect(process.madvise(at + MIB2, MIB2, MADV_SPLIT)).toBe('OK');
    expect(withHgm(process)).toEqual([false, true, false]);
    expect(uffd.continue(at, KIB4).result).toBe('EINVAL');
    expect(uffd.continue(at + MIB2 + KIB4, KIB4).result).toBe('OK');
    expect(uffd.continue(at + 2 * MIB2, KIB4).result).toBe('EINVAL');
  });

  test('of a range that does not end between huge pages: EINVAL', () => {
    const { process, at } = hgmScene({ split: false });
    expect(process.madvise(at, MIB2 + KIB4, MADV_SPLIT)).toBe('EINVAL');
    expect(process.madvise(at + KIB4, 2 * MIB2 - KIB4, MADV_SPLIT)).toBe('EINVAL');
    expect(process.madvise(at + 1, MIB2, MADV_SPLIT)).toBe('EINVAL');
    expect(withHgm(process).some(Boolean)).toBe(false);
  });

  test('over a gap: ENOMEM, and the mappings have it', () => {
    const { process, at } = hgmScene({ count: 3, split: false });
    process.munmap(at + MIB2, MIB2);
    expect(process.madvise(at, 3 * MIB2, MADV_SPLIT)).toBe('ENOMEM');
    expect(withHgm(process)).toEqual([true, true]);
  });

  test.each(['none', 'rfc-v2'] as const)('%s does not have it: EINVAL', (version) => {
    const { process, at } = hgmScene({ version, mode: 0 });
    expect(process.madvise(at, MIB2, MADV_SPLIT)).toBe('EINVAL');
  });
});

describe("RFC v2's userfaultfd feature", () => {
  test('turns HGM on for what is registered with it, whatever for', () => {
    for (const mode of [UFFDIO_REGISTER_MODE_MINOR, UFFDIO_REGISTER_MODE_WP]) {
      expect(withHgm(hgmScene({ version: 'rfc-v2', mode }).process)).toEqual([true]);
    }
  });

  test('without EXACT_ADDRESS it is granted, too; v2 and Linux 6.1 do not know it', () => {
    for (const [version, result] of [
      ['rfc-v2', 'OK'],
      ['v2', 'EINVAL'],
      ['none', 'EINVAL'],
    ] as const) {
      const process = machineWith({ hgm: { version } }).createProcess();
      expect(process.userfaultfd().api(UFFD_FEATURE_MINOR_HUGETLBFS_HGM).result).toBe(result);
    }
  });

  test('a private mapping cannot be registered with it', () => {
    const machine = machineWith({ pages: 2, hgm: { version: 'rfc-v2' } });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    const uffd = process.userfaultfd();
    uffd.api(UFFD_FEATURE_MINOR_HUGETLBFS_HGM);
    expect(uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MINOR).result).toBe('EINVAL');
    expect(withHgm(process)).toEqual([false]);
  });

  test('stays with the mapping when it is unregistered; another userfaultfd continues whole huge pages only', () => {
    const scene = hgmScene({ version: 'rfc-v2' });
    const { process, uffd, at, length } = scene;
    ok(uffd.unregister(at, length));
    expect(withHgm(process)).toEqual([true]);
    const plain = process.userfaultfd();
    plain.api(0);
    ok(plain.register(at, length, UFFDIO_REGISTER_MODE_MINOR).result);
    expect(plain.continue(at, KIB4).result).toBe('EINVAL');
    expect(plain.continue(at, MIB2).result).toBe('OK');
  });
});

describe.each(VERSIONS)('$version: inheritance', ({ version }) => {
  test('both parts of a VMA that mprotect or munmap cuts have HGM', () => {
    const scene = hgmScene({ version, count: 4, pages: 4 });
    const { process, at } = scene;
    for (const page of [1, 513, 1025, 1537]) continuePages(scene, page, 1);
    ok(process.mprotect(at + MIB2, MIB2, PROT_READ));
    ok(process.munmap(at + 2 * MIB2, MIB2));
    expect(withHgm(process)).toEqual([true, true, true]);
    for (const page of [2, 514, 1538]) continuePages(scene, page, 1);
    expect(shape(scene)).toEqual([
      [1, 2, 1],
      [513, 2, 1],
      [1537, 2, 1],
    ]);
    recount(scene.machine);
  });

  test('a mapping that mremap moves has HGM, and its leaves as they were', () => {
    const scene = hgmScene({ version });
    const { process, at, length, machine } = scene;
    continuePages(scene, 3, 2);
    continuePages(scene, 512, 512);
    const to = at + 8 * GIB1;
    expect(process.mremap(at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to)).toBe(to);
    expect(withHgm(process)).toEqual([true]);
    expect(shape({ ...scene, at: to })).toEqual([
      [3, 2, 1],
      [512, 1, 512],
    ]);
    expect(shape(scene)).toEqual([]);
    expect(process.read(to + 4 * KIB4)).toBe((37 * 4 + 11) & 255);
    recount(machine);
  });

  test('a fork that copies nothing: the child has no tables, and HGM in v2 only', () => {
    const scene = hgmScene({ version });
    continuePages(scene, 3, 2);
    const child = forkOf(scene.process);
    expect([...child.mappedPages()]).toEqual([]);
    expect(withHgm(child)).toEqual([version === 'v2']);
    /* It faults a whole huge page in. */
    expect(child.read(scene.at + 3 * KIB4)).toBe((37 * 3 + 11) & 255);
    expect([...child.mappedPages()].map(({ bytes }) => bytes)).toEqual([MIB2]);
    recount(scene.machine);
  });

  test.each([
    { mode: UFFDIO_REGISTER_MODE_MINOR, name: 'minor', inherits: version === 'v2' },
    { mode: UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP, name: 'minor and wp', inherits: true },
  ])('a fork with EVENT_FORK, $name: whether the child can be continued by 4 KiB', ({ mode, inherits }) => {
    const scene = hgmScene({ version, mode, features: UFFD_FEATURE_EVENT_FORK });
    const { process, uffd, at } = scene;
    const [forker, reader] = [process.thread(), process.thread()];
    const [child, messages] = together([actor(forker, forker.fork()), actor(reader, serve(reader, uffd, 1))]);
    expect(withHgm(child as Process)).toEqual([inherits]);
    const { ufd } = (messages as { ufd: typeof uffd }[])[0]!;
    expect(ufd.continue(at + KIB4, KIB4).result).toBe(inherits ? 'OK' : 'EINVAL');
  });
});

describe('shared page tables', () => {
  /** Two processes, which share the table of the same 1 GiB of 2 MiB pages. */
  function sharers(posted = 0): { machine: Machine; one: Process; two: Process; at: number } {
    const machine = machineWith({ pages: 600, hgm: { posted }, checks: true });
    const file = machine.memfdCreate();
    const one = machine.createProcess();
    const at = mapShared(one, 512, { file, address: 2 ** 40 });
    one.write(at, 1);
    const two = forkOf(one);
    two.read(at);
    return { machine, one, two, at };
  }

  test('are given up by MADV_SPLIT: the other keeps them, and later mappings do not share with one that has HGM', () => {
    const { machine, one, two, at } = sharers();
    const before = machine.tables.count;
    const events = traced(machine, () => two.madvise(at, GIB1, MADV_SPLIT));
    expect(events.filter((event) => event.kind === 'table').map(({ what }) => what)).toEqual(['unshared']);
    expect([...two.mappedPages()]).toEqual([]);
    expect([...one.mappedPages()].length).toBe(1);
    expect(two.read(at)).toBe(1);
    expect(machine.tables.count).toBe(before + 1);
    two.write(at + MIB2, 2);
    expect([...one.mappedPages()].length).toBe(1);
    machine.check();
  });

  test('of what has HGM are not shared with a child', () => {
    const { machine, one, two, at } = sharers();
    two.exit();
    one.madvise(at, GIB1, MADV_SPLIT);
    const child = forkOf(one);
    child.read(at);
    expect(machine.tables.page([...one.mappedPages()][0]!.entryAddress).shareCount).toBe(0);
    expect([...child.mappedPages()][0]!.entryAddress).not.toBe([...one.mappedPages()][0]!.entryAddress);
  });

  test('stay, where MADV_SPLIT is refused', () => {
    const { two, at } = sharers();
    expect(two.madvise(at, MIB2 + KIB4, MADV_SPLIT)).toBe('EINVAL');
    expect([...two.mappedPages()].length).toBe(1);
  });
});
