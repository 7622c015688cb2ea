/**
 * What a trace tells: kernel functions with their arguments and results, why something fails, counts, entries in words.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  describeEntry,
  describeEntryChange,
  describeTrace,
  describeTraceEvent,
  FOLL_WRITE,
  HGM_POSTED_WP_BUG,
  interleave,
  MADV_DONTNEED,
  MADV_SPLIT,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  Machine,
  type Path,
  PROT_READ,
  PROT_WRITE,
  type TraceEvent,
  UFFD_NONBLOCK,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
} from '../../src/linux/index.ts';
import { folioAt, forkOf, GIB1, KIB4, MIB2, machineWith, mapPrivate, mapShared, RW, traced } from './support.ts';

/** Functions that were entered, innermost last, and not left. */
function open(trace: readonly TraceEvent[]): string[] {
  const names: string[] = [];
  for (const event of trace) {
    if (event.kind === 'enter') names.push(event.name);
    if (event.kind === 'leave') expect(event.name).toBe(names.pop());
  }
  return names;
}

const entered = (trace: readonly TraceEvent[]): string[] =>
  trace.flatMap((event) => (event.kind === 'enter' ? [event.name] : []));

const refusals = (trace: readonly TraceEvent[]): string[] =>
  trace.flatMap((event) => (event.kind === 'refused' ? [`${event.name}: ${event.answer}, ${event.why}`] : []));

const counts = (trace: readonly TraceEvent[], count: string): string[] =>
  trace.flatMap((event) =>
    event.kind === 'count' && event.count === count ? [`${event.of}: ${event.before} -> ${event.after}`] : [],
  );

describe('the trace of a write that copies', () => {
  test('is the one in docs/linux.md', () => {
    const machine = new Machine({ pools: [{ hugePageSize: MIB2, pages: 2 }] });
    const parent = machine.createProcess();
    const at = parent.mmap({
      address: 0x4000_0000,
      length: MIB2,
      prot: PROT_READ | PROT_WRITE,
      flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
    }) as number;
    parent.write(at, 1);
    const child = forkOf(parent);
    const lines = describeTrace(traced(machine, () => child.write(at, 2)));
    const documented = readFileSync(new URL('../../docs/linux.md', import.meta.url), 'utf8');
    expect(/```text\n(.*?)\n```/s.exec(documented)?.[1]).toBe(lines.join('\n'));
  });
});

describe('a write that copies the only page there is', () => {
  test('tells in the order of hugetlb_wp how the child loses it', () => {
    const machine = machineWith({ pages: 1, hgm: { version: 'none' } });
    const parent = machine.createProcess();
    const at = mapPrivate(parent, 1);
    parent.write(at, 1);
    forkOf(parent);
    const trace = traced(machine, () => parent.write(at, 2));
    expect(entered(trace)).toEqual([
      'do_user_addr_fault',
      'hugetlb_fault',
      'huge_pte_alloc',
      'vma_needs_reservation',
      'vma_end_reservation',
      'find_lock_page',
      'hugetlb_wp',
      'page_mapcount',
      'alloc_huge_page',
      'vma_needs_reservation',
      'hugepage_subpool_get_pages',
      'alloc_buddy_huge_page_with_mpol',
      'hugepage_subpool_put_pages',
      'vma_end_reservation',
      'unmap_ref_private',
      'unmap_hugepage_range',
      '__unmap_hugepage_range',
      'huge_pmd_unshare',
      'set_vma_resv_flags',
      'page_mapcount',
    ]);
    expect(describeTrace(trace).map((line) => line.trim())).toContain(
      `huge_pte_alloc(addr=0x${at.toString(16)}, size=0x200000) = an entry of 2 MiB`,
    );
  });
});

describe('a fork of a page that is pinned', () => {
  test('allocates and copies before hugetlb_install_page, which only maps', () => {
    const machine = machineWith({ pages: 2, hgm: { version: 'none' } });
    const parent = machine.createProcess();
    const at = mapPrivate(parent, 1);
    parent.pinUserPages(at, 1, FOLL_WRITE, []);
    const trace = traced(machine, () => forkOf(parent));
    const from = trace.findIndex((event) => event.kind === 'enter' && event.name === 'hugetlb_install_page');
    const to = trace.findIndex((event) => event.kind === 'leave' && event.name === 'hugetlb_install_page');
    expect(trace.slice(from + 1, to).map(({ kind }) => kind)).toEqual(['count', 'count', 'entry', 'count', 'count']);
    const before = entered(trace.slice(0, from));
    expect(before.filter((name) => /alloc_huge_page|copy_user/.test(name))).toEqual([
      'alloc_huge_page',
      'copy_user_huge_page',
    ]);
  });
});

describe('a first write to a private mapping', () => {
  test('announces the page to the reserve map for the copy that may follow, and takes that back', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    const names = entered(traced(machine, () => process.write(at, 1)));
    expect(names.slice(names.indexOf('clear_huge_page'))).toEqual([
      'clear_huge_page',
      'vma_needs_reservation',
      'vma_end_reservation',
      'hugetlb_wp',
      'page_mapcount',
    ]);
  });
});

describe('kernel functions', () => {
  test('are entered and left in pairs, with the result in the kernel’s words', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const trace = traced(machine, () => {
      const at = mapPrivate(process, 1);
      process.write(at, 1);
      process.mprotect(at, MIB2, PROT_READ);
      process.write(at, 1);
      process.munmap(at, MIB2);
    });
    expect(open(trace)).toEqual([]);
    expect(entered(trace)).toEqual(
      expect.arrayContaining(['ksys_mmap_pgoff', 'hugetlb_reserve_pages', 'hugetlb_no_page', 'alloc_huge_page']),
    );
    const results = trace.flatMap((event) => (event.kind === 'leave' ? [`${event.name} = ${event.result}`] : []));
    expect(results).toContain(`alloc_huge_page = pfn 0x100000`);
    expect(results).toContain('mprotect_fixup = 0');
    expect(results).toContain('do_user_addr_fault = SIGSEGV');
  });

  test('are left, too, where the kernel goes no further', () => {
    const machine = machineWith({ pages: 1, hgm: { posted: HGM_POSTED_WP_BUG } });
    const process = machine.createProcess();
    const file = machine.memfdCreate();
    file.fallocate(0, MIB2);
    const at = mapShared(process, 1, { file });
    process.madvise(at, MIB2, MADV_SPLIT);
    const uffd = process.userfaultfd();
    uffd.api();
    uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP);
    uffd.continue(at, KIB4);
    process.mprotect(at, MIB2, PROT_READ);
    process.mprotect(at, MIB2, RW);
    const trace = traced(machine, () => expect(process.write(at, 1)).toBe('BUG'));
    expect(open(trace)).toEqual([]);
    const ends = trace.filter(({ kind }) => kind === 'dead end' || kind === 'leave').map(describeTraceEvent);
    expect(ends.slice(-4)).toEqual([
      'process 0: goes no further, BUG: hugetlb_wp: the leaf is smaller than the huge page',
      'process 0: } hugetlb_wp = never',
      'process 0: } hugetlb_fault = never',
      'process 0: } do_user_addr_fault = never',
    ]);
  });

  test('of a fault that has to be given up are left', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    const uffd = process.userfaultfd();
    uffd.api();
    uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MISSING);
    const trace = traced(machine, () => expect(process.read(at)).toBe('BLOCKED'));
    expect(open(trace)).toEqual([]);
    expect(
      trace.flatMap((event) => (event.kind === 'leave' && event.name === 'hugetlb_fault' ? [event.result] : [])),
    ).toEqual(['VM_FAULT_RETRY']);
  });

  test('have the names of the kernel that the machine runs', () => {
    for (const [version, name] of [
      ['none', 'huge_pte_alloc'],
      ['v2', 'hugetlb_full_walk_alloc'],
    ] as const) {
      const machine = machineWith({ pages: 1, hgm: { version } });
      const process = machine.createProcess();
      const at = mapPrivate(process, 1);
      expect(entered(traced(machine, () => process.read(at)))).toContain(name);
    }
  });
});

describe('what is refused has a reason', () => {
  const scene = () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    const uffd = process.userfaultfd(UFFD_NONBLOCK);
    return { machine, process, at, uffd };
  };
  type Scene = ReturnType<typeof scene>;
  const cases: [string, (scene: Scene) => unknown, RegExp][] = [
    [
      'mmap of more than the pool has',
      ({ process }) => process.mmap({ length: MIB2, prot: RW, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB }),
      /^hugetlb_acct_memory: ENOMEM, 1 pages beside 1 that are reserved, and 1 are free\n.*hugetlbfs_file_mmap: ENOMEM, /s,
    ],
    [
      'munmap within a huge page',
      ({ process, at }) => process.munmap(at + KIB4, KIB4),
      /split_vma: EINVAL, .*within a huge page/,
    ],
    [
      'madvise within a huge page',
      ({ process, at }) => process.madvise(at + KIB4, KIB4, MADV_DONTNEED),
      /^madvise_dontneed_free: EINVAL, start 0x[0-9a-f]+ is not aligned to the huge page$/,
    ],
    [
      'UFFDIO_COPY between huge pages',
      ({ uffd, at }) => {
        uffd.api();
        uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MISSING);
        uffd.copy(at + KIB4, new Uint8Array(KIB4));
      },
      /^__mcopy_atomic_hugetlb: EINVAL, dst_start 0x[0-9a-f]+ is not aligned to the huge page$/,
    ],
    [
      'an ioctl before UFFDIO_API',
      ({ uffd, at }) => uffd.wake(at, MIB2),
      /^userfaultfd_wake: EINVAL, before UFFDIO_API$/,
    ],
    [
      'a read of a userfaultfd without a message',
      ({ uffd }) => {
        uffd.api();
        uffd.read();
      },
      /^userfaultfd_ctx_read: EAGAIN, no message, and UFFD_NONBLOCK$/,
    ],
    [
      'an access where nothing is mapped',
      ({ process }) => process.read(0),
      /^do_user_addr_fault: SIGSEGV, 0x0: nothing is mapped there$/,
    ],
    [
      'an access to a page that was bad',
      ({ process, at, machine }) => {
        process.write(at, 1);
        machine.memoryFailure(folioAt(process, at).pfn);
        process.read(at);
      },
      /hugetlb_fault: HWPOISON_LARGE, .*bad memory at pfn 0x100000\ndo_user_addr_fault: SIGBUS, VM_FAULT_HWPOISON_LARGE at /,
    ],
    [
      'GUP for writing of what may only be read',
      ({ process, at }) => {
        process.munmap(at, MIB2);
        const readable = mapShared(process, 1, { prot: PROT_READ, file: process.machine.memfdCreate() });
        process.getUserPages(readable, 1, 1, []);
      },
      /__get_user_pages: EFAULT, FOLL_WRITE, and the mapping may not be written/,
    ],
  ];
  test.each(cases)('%s', (_name, act, expected) => {
    const parts = scene();
    const trace = traced(parts.machine, () => act(parts));
    expect(refusals(trace).join('\n')).toMatch(expected);
    expect(open(trace)).toEqual([]);
  });
});

describe('counts', () => {
  test('of a page: references, mappings, pins', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    process.write(at, 1);
    const pages: number[] = [];
    const pinned = traced(machine, () => process.pinUserPages(at, 2, 0, pages));
    expect(counts(pinned, 'pincount')).toEqual(['pfn 0x100000: 0 -> 2']);
    expect(counts(pinned, '_refcount')).toEqual(['pfn 0x100000: 1 -> 3']);
    process.unpinUserPages(pages);
    const unmapped = traced(machine, () => process.munmap(at, MIB2));
    expect(counts(unmapped, 'mapcount')).toEqual(['pfn 0x100000: 1 -> 0']);
    expect(counts(unmapped, '_refcount')).toEqual(['pfn 0x100000: 1 -> 0']);
    expect(counts(unmapped, 'free_huge_pages')).toEqual(['the 2 MiB pool: 0 -> 1']);
    expect(counts(unmapped, 'hugetlb_usage')).toEqual(['process 0: 512 -> 0']);
  });

  test('of a page’s flags: whether freeing it restores a reservation, whether it may move', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    const written = traced(machine, () => process.write(at, 1));
    expect(counts(written, 'HPageRestoreReserve')).toEqual(['pfn 0x100000: 0 -> 1', 'pfn 0x100000: 1 -> 0']);
    expect(counts(written, 'HPageMigratable')).toEqual(['pfn 0x100000: 0 -> 1']);
    const unmapped = traced(machine, () => process.munmap(at, MIB2));
    expect(counts(unmapped, 'HPageMigratable')).toEqual(['pfn 0x100000: 1 -> 0']);
  });

  test('of bad memory', () => {
    const machine = machineWith({ pages: 1 });
    const trace = traced(machine, () => machine.memoryFailure(0x100000));
    expect(counts(trace, 'num_poisoned_pages')).toEqual(['the machine: 0 -> 1']);
  });

  test('of pieces, as ranges of 4 KiB pages', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const file = machine.memfdCreate();
    file.fallocate(0, MIB2);
    const at = mapShared(process, 1, { file });
    process.madvise(at, MIB2, MADV_SPLIT);
    const uffd = process.userfaultfd();
    uffd.api();
    uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MINOR);
    const trace = traced(machine, () => uffd.continue(at + KIB4, 2 * KIB4));
    expect(trace.flatMap((event) => (event.kind === 'mapcounts' ? [describeTraceEvent(event)] : []))).toEqual([
      'process 0: _mapcount of 4 KiB pages 1 to 1 of pfn 0x100000: +1 each',
      'process 0: _mapcount of 4 KiB pages 2 to 2 of pfn 0x100000: +1 each',
    ]);
  });

  test('of reservations: the pool’s, the mount’s, and the map', () => {
    const machine = machineWith({ pages: 4 });
    const process = machine.createProcess();
    const mount = machine.mountHugetlbfs({ size: 4 * MIB2, minSize: MIB2 });
    if (typeof mount === 'string') throw new Error(mount);
    const opened = mount.create();
    const trace = traced(machine, () => mapShared(process, 2, { file: opened }));
    expect(counts(trace, 'used_hpages')).toEqual(['the mount: 0 -> 2']);
    expect(counts(trace, 'rsv_hpages')).toEqual(['the mount: 1 -> 0']);
    expect(counts(trace, 'resv_huge_pages')).toEqual(['the 2 MiB pool: 1 -> 2']);
    expect(trace.filter(({ kind }) => kind === 'region').map(describeTraceEvent)).toEqual([
      'process 0: resv_map, reservations of file 0: huge pages [0, 2) added, 2 of them new',
    ]);
    process.exit();
    const closed = traced(machine, () => opened.close());
    expect(closed.filter(({ kind }) => kind === 'region').map(describeTraceEvent)).toEqual([
      'kernel: resv_map, reservations of file 0: huge pages from 0 on deleted, 2 of them were there',
    ]);
    expect(counts(closed, 'rsv_hpages')).toEqual(['the mount: 0 -> 1']);
  });
});

describe('names', () => {
  test('files are counted as memfd_create and mounts make them, processes as they begin', () => {
    const machine = machineWith({ pages: 4 });
    const process = machine.createProcess();
    mapPrivate(process, 1);
    expect([machine.memfdCreate(), machine.memfdCreate()].map(({ inode }) => inode.name)).toEqual(['file 0', 'file 1']);
    expect([...machine.inodes].map(({ name }) => name)).toEqual([
      'the anonymous file of process 0',
      'file 0',
      'file 1',
    ]);
    expect([process.name, forkOf(process).name]).toEqual(['process 0', 'process 1']);
  });

  test('who has a name of its own is not counted', () => {
    const machine = machineWith({ pages: 4 });
    const [observer, process] = [machine.createProcess({ name: 'the observer' }), machine.createProcess()];
    expect([observer.name, observer.number, process.name]).toEqual(['the observer', -1, 'process 0']);
    expect(() => machine.createProcess({ name: 1 as unknown as string })).toThrow('name: expected a string, got 0x1');
    const trace = traced(machine, () => observer.read(0));
    expect(describeTraceEvent(trace[0]!)).toBe('the observer: page fault at 0x0, error code 0x4: USER');
  });
});

describe('threads', () => {
  test('have a column, and functions of their own', () => {
    const machine = machineWith({ pages: 1 });
    const process = machine.createProcess();
    const at = mapPrivate(process, 1);
    const uffd = process.userfaultfd();
    uffd.api();
    uffd.register(at, MIB2, UFFDIO_REGISTER_MODE_MISSING);
    const [reader, handler] = [process.thread(), process.thread()];
    function* handle(): Path<unknown> {
      const message = yield* handler.uffdRead(uffd);
      if (typeof message === 'string' || !('address' in message)) return message;
      const bytes = new Uint8Array(MIB2);
      return (yield* handler.uffdFill(uffd, message.address, MIB2, { kind: 'copy', mode: 0, bytes })).result;
    }
    const trace = traced(machine, () => {
      const works = [
        { task: reader.task, path: reader.read(at + 5) as Path<unknown> },
        { task: handler.task, path: handle() },
      ];
      expect(interleave(works, () => 0)).toEqual([0, 'OK']);
    });
    for (const task of [reader.task.name, handler.task.name])
      expect(open(trace.filter((event) => event.task === task))).toEqual([]);
    const messages = trace.filter(({ kind }) => kind === 'message').map(describeTraceEvent);
    const fault = `fault of process 0, thread 1 at 0x${at.toString(16)}, flags 0,`;
    expect(messages).toEqual([
      `process 0, thread 1: userfaultfd of process 0: ${fault} queued`,
      `process 0, thread 2: userfaultfd of process 0: ${fault} read`,
      `process 0, thread 2: userfaultfd of process 0: ${fault} woken`,
    ]);
    const lines = describeTrace(trace);
    expect(lines.every((line) => /^process 0, thread [12] \| /.test(line))).toBe(true);
    /* Counts belong to whoever changed them, though tasks take turns at every lock. */
    const copies = trace.filter((event) => event.kind === 'count' && event.count === 'mapcount');
    expect(copies.map(({ task }) => task)).toEqual(['process 0, thread 2']);
  });
});

test('what has no task of its own, an entry or a count, is the thread’s that runs, though threads take turns at every lock', () => {
  const machine = machineWith({ pages: 2 });
  const processes = [machine.createProcess(), machine.createProcess()];
  const works = processes.map((process) => {
    const at = mapPrivate(process, 1);
    const thread = process.thread();
    return { task: thread.task, path: thread.write(at, 1) };
  });
  let turn = 0;
  const trace = traced(machine, () => expect(interleave(works, (count) => turn++ % count)).toEqual(['OK', 'OK']));
  const own = trace.flatMap((event) => {
    if (event.kind === 'entry') return [[event.task, event.process]];
    return event.kind === 'count' && event.count === 'hugetlb_usage' ? [[event.task, event.of]] : [];
  });
  expect(own.length).toBeGreaterThan(4);
  for (const [task, process] of own) expect(task).toBe(`${process}, thread 1`);
});

describe('an entry in words', () => {
  const NX = 1n << 63n;
  test.each<[bigint, number, string]>([
    [0n, 2, 'none'],
    [0x80000001004008e7n, 2, 'pfn 0x100400 PRESENT|RW|USER|ACCESSED|DIRTY|PSE|SOFT_DIRTY|NX'],
    [0x3067n, 3, 'table 0x3000 PRESENT|RW|USER|ACCESSED|DIRTY'],
    [0x100400025n, 1, 'pfn 0x100400 PRESENT|USER|ACCESSED'],
    [0x1004000a5n, 1, 'pfn 0x100400 PRESENT|USER|ACCESSED|PAT'],
    [0x1004001a5n, 2, 'pfn 0x100400 PRESENT|USER|ACCESSED|PSE|GLOBAL'],
    [0x1004004a5n | NX, 2, 'pfn 0x100400 PRESENT|USER|ACCESSED|PSE|UFFD_WP|NX'],
    [0x000ffffeffbff1a0n, 2, 'pfn 0x100400 ACCESSED|PSE|PROTNONE'],
    [0xf7fffffffffffc00n, 2, 'marker: UFFD_WP'],
  ])('%x at level %i', (entry, level, words) => {
    expect(describeEntry(entry, level)).toBe(words);
  });

  test('that was changed: which bits, and what it is now', () => {
    expect(describeEntryChange(0x1004008e7n, 0x1004008e5n, 2)).toBe(
      'RW cleared; now pfn 0x100400 PRESENT|USER|ACCESSED|DIRTY|PSE|SOFT_DIRTY',
    );
    expect(describeEntryChange(0x1004008e5n, 0x1002008e7n, 2)).toBe(
      'was pfn 0x100400; RW set; now pfn 0x100200 PRESENT|RW|USER|ACCESSED|DIRTY|PSE|SOFT_DIRTY',
    );
    expect(describeEntryChange(0n, 0x1002000a5n, 2)).toBe('was none; now pfn 0x100200 PRESENT|USER|ACCESSED|PSE');
  });

  test('of bad memory, and of a page that moves, with 4 and 5 levels', () => {
    for (const levels of [4, 5] as const) {
      const machine = machineWith({ pages: 2, levels });
      const process = machine.createProcess();
      const at = mapPrivate(process, 1);
      process.write(at, 1);
      const { pfn } = folioAt(process, at);
      const moved = traced(machine, () => machine.migrate(pfn)).filter(({ kind }) => kind === 'entry');
      expect(moved.map(describeTraceEvent).join('\n')).toContain(
        `now swap entry: MIGRATION_WRITE pfn 0x${pfn.toString(16)} ACCESSED|DIRTY|SOFT_DIRTY`,
      );
      const bad = folioAt(process, at).pfn;
      const poisoned = traced(machine, () => machine.memoryFailure(bad)).filter(({ kind }) => kind === 'entry');
      expect(poisoned.map(describeTraceEvent).join('\n')).toContain(
        `now swap entry: HWPOISON pfn 0x${bad.toString(16)}`,
      );
    }
  });
});

test('1 GiB pages are named by their size', () => {
  const machine = machineWith({ pages: 1, size: GIB1 });
  const process = machine.createProcess();
  const trace = traced(machine, () => mapPrivate(process, 1, { size: GIB1 }));
  expect(counts(trace, 'resv_huge_pages')).toEqual(['the 1 GiB pool: 0 -> 1']);
});
