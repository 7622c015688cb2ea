import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeDifference } from '../../src/replay/describe.ts';
import { OPERATIONS } from '../../src/replay/hgm/operations.ts';
import { differencesIn, found, HGM_HEADER, HGM_MMAP, HGM_READ, HGM_WRITE, linesOf, scenarioOf } from './support.ts';

/*
 * Every operation in a small scenario. Results and numbers are those of the directed recordings, where huge page n of file 0 is
 * filled with tag 10 + n; what is not told there is left out. END is added.
 */

type Lines = readonly object[];

const at = (page: number, pages: number): object => ({ proc: 0, slot: 0, page, pages });
const OK = { result: 'OK' };
const OPEN = { op: 'uffd_open', proc: 0, uffd: 0, exact_address: true, event_fork: false, ...OK };
const madvise = (advice: string, page: number, pages: number, result = 'OK'): object => ({
  op: `madvise_${advice}`,
  ...at(page, pages),
  result,
});
/** UFFDIO_CONTINUE; `mapped` in bytes. */
const go = (page: number, pages: number, mapped: number, result = 'OK'): object => ({
  op: 'uffd_continue',
  uffd: 0,
  ...at(page, pages),
  mapped,
  result,
});
const read = (page: number, value: number, result = 'OK'): object => ({ ...HGM_READ, page, byte: 3, value, result });
const write = (page: number, value: number, result = 'OK'): object => ({ ...HGM_WRITE, page, byte: 3, value, result });
const protect = (prot: string, page: number, pages: number): object => ({
  op: 'mprotect',
  ...at(page, pages),
  prot,
  ...OK,
});
const uffd = (op: string, page: number, pages: number, more: object = {}): object => ({
  op: `uffd_${op}`,
  uffd: 0,
  ...at(page, pages),
  ...OK,
  ...more,
});
/** What process 0 has in slot 0. */
const maps = (...runs: unknown[][]): object => ({ maps: [[0, 0, runs]] });
const remote = (op: string, page: number, byte: number, length: number, more: object): object => ({
  op,
  proc: 0,
  slot: 0,
  page,
  byte,
  length,
  ...OK,
  ...more,
});

/** A file of some huge pages, full, which is mapped, may be mapped in pieces, and is registered. */
function opened(hugepages: number, mode = 'c', event_fork = false): Lines {
  return [
    { ...HGM_HEADER, pool: 8, files: [hugepages, 1] },
    { ...OPEN, hgm: false, event_fork },
    ...Array.from({ length: hugepages }, (_, n) => ({ op: 'fill', file: 0, hugepage: n, tag: 10 + n, ...OK })),
    { ...HGM_MMAP, hugepages, ...OK },
    madvise('split', 0, hugepages * 512),
    uffd('register', 0, hugepages * 512, { mode }),
    { usage: [[0, 0]], maps: [] },
  ];
}

const V2 = { kernel: 'v2, fixed' };

const SCENES: readonly (readonly [rule: string, lines: Lines])[] = [
  [
    'uffd_continue maps pieces, ends at the first that is there, and says how far it got',
    [
      ...opened(2),
      go(3, 3, 12_288),
      maps([0, 3, 1, -1, -1, '-'], [3, 3, 1, 0, 3, 'wd'], [6, 506, 1, -1, -1, '-']),
      go(0, 10, 12_288, 'EAGAIN'),
      go(3, 3, -17, 'EEXIST'),
      { ...maps([0, 6, 1, 0, 0, 'wd'], [6, 506, 1, -1, -1, '-']), usage: [[0, 6]] },
      go(500, 20, 81_920),
      {
        cache: [
          [
            0,
            0,
            0,
            19,
            [
              [0, 6, 1],
              [6, 494, 0],
              [500, 12, 1],
            ],
          ],
          [
            0,
            1,
            0,
            9,
            [
              [0, 8, 1],
              [8, 504, 0],
            ],
          ],
        ],
      },
    ],
  ],
  [
    'read of a piece that is not there is SIGBUS; madvise_collapse makes one entry of pieces and holes',
    [
      ...opened(2),
      read(0, -1, 'SIGBUS'),
      go(0, 1, 4096),
      read(0, 10),
      read(1, -1, 'SIGBUS'),
      go(5, 3, 12_288),
      write(6, 99),
      madvise('collapse', 0, 512),
      {
        usage: [[0, 512]],
        cache: [
          [0, 0, 1, 2, [[0, 512, 1]]],
          [0, 1, 0, 1, [[0, 512, 0]]],
        ],
        maps: [[0, 0, [[0, 1, 512, 0, 0, 'wd']]]],
      },
      read(6, 99),
    ],
  ],
  [
    'in RFC v2 a feature of the userfaultfd stands for madvise_split, and the map count is that of the first page',
    [
      { kernel: 'fixed' },
      HGM_HEADER,
      { ...OPEN, hgm: true },
      { op: 'fill', file: 0, hugepage: 0, tag: 10, ...OK },
      { ...HGM_MMAP, ...OK },
      uffd('register', 0, 1024, { mode: 'c' }),
      go(0, 1, 4096),
      go(5, 3, 12_288),
      { usage: [[0, 4]], cache: [[0, 0, 4, 5]] },
    ],
  ],
  [
    "in RFC v2, CONTINUE of 4 KiB in a fork's child is refused, and has left a table, so that mincore does not ask the page cache any more",
    [
      { kernel: 'fixed' },
      { ...HGM_HEADER, pool: 11, files: [3, 2] },
      { ...OPEN, hgm: true, event_fork: true },
      { op: 'fill', file: 0, hugepage: 1, tag: 7, ...OK },
      { op: 'fill', file: 0, hugepage: 2, tag: 8, ...OK },
      { ...HGM_MMAP, ...OK },
      uffd('register', 0, 1024, { mode: 'c' }),
      read(2, 0),
      { op: 'fork', proc: 0, child: 1, ...OK },
      { op: 'mincore', ...at(0, 8), proc: 1, incore: 3, ...OK },
      { ...go(987, 1, -22, 'EINVAL'), proc: 1, uffd: 2 },
      { op: 'mincore', ...at(0, 8), proc: 1, incore: 0, ...OK },
    ],
  ],
  [
    'madvise_dontneed leaves an empty table, which CONTINUE of the whole huge page takes for something',
    [
      ...opened(2),
      go(3, 5, 20_480),
      go(512, 512, 2_097_152),
      madvise('dontneed', 1, 512, 'EINVAL'),
      madvise('dontneed', 0, 1024),
      { ...maps([0, 512, 1, -1, -1, '-']), usage: [[0, 0]] },
      go(0, 512, -17, 'EEXIST'),
      go(3, 1, 4096),
      uffd('unregister', 0, 1024),
      read(100, 126),
      { usage: [[0, 2]] },
      madvise('collapse', 0, 512),
      maps([0, 1, 512, 0, 0, 'wd']),
    ],
  ],
  [
    'uffd_copy takes an empty table for something, too',
    [
      ...opened(1),
      go(3, 5, 20_480),
      { op: 'punch_hole', file: 0, offset: 0, hugepages: 1, ...OK },
      { pool: [8, 8, 0, 0], cache: [], ...maps([0, 512, 1, -1, -1, '-']) },
      { op: 'uffd_copy', uffd: 0, ...at(0, 512), value: 9, wp: false, copied: -17, result: 'EEXIST' },
    ],
  ],
  [
    'uffd_copy fills a huge page that is not there with a value',
    [
      { ...HGM_HEADER, pool: 4 },
      { ...OPEN, hgm: false },
      { ...HGM_MMAP, ...OK },
      uffd('register', 0, 1024, { mode: 'm' }),
      { op: 'uffd_copy', uffd: 0, ...at(512, 512), value: 214, wp: false, copied: 2_097_152, ...OK },
      { usage: [[0, 512]], cache: [[0, 1, 1, 2, [[0, 512, 1]]]], maps: [[0, 0, [[512, 1, 512, 0, 512, 'wd']]]] },
      read(700, 214),
    ],
  ],
  [
    'punch_hole and madvise_remove empty the tables of all who map the file, and leave them',
    [
      ...opened(2),
      { ...HGM_MMAP, slot: 1, ...OK },
      { ...HGM_READ, slot: 1, value: 10, ...OK },
      { usage: [[0, 512]], maps: [[0, 1, [[0, 1, 512, 0, 0, 'wd']]]] },
      go(3, 5, 20_480),
      {
        cache: [
          [
            0,
            0,
            1,
            7,
            [
              [0, 3, 1],
              [3, 5, 2],
              [8, 504, 1],
            ],
          ],
          [0, 1, 0, 1, [[0, 512, 0]]],
        ],
      },
      go(512, 300, 1_228_800),
      { op: 'punch_hole', file: 0, offset: 0, hugepages: 1, ...OK },
      {
        pool: [8, 7, 0, 0],
        ...maps([0, 512, 1, -1, -1, '-'], [512, 300, 1, 0, 512, 'wd'], [812, 212, 1, -1, -1, '-']),
      },
      madvise('remove', 512, 512),
      { pool: [8, 8, 0, 0], usage: [[0, 0]], cache: [], ...maps([0, 512, 1, -1, -1, '-'], [512, 512, 1, -1, -1, '-']) },
    ],
  ],
  [
    'ftruncate takes pieces away, and what is behind the end cannot be continued; fallocate brings pages without contents',
    [
      ...opened(2),
      go(515, 5, 20_480),
      { op: 'ftruncate', file: 0, offset: 0, hugepages: 1, ...OK },
      { pool: [8, 7, 0, 0], ...maps([512, 512, 1, -1, -1, '-']) },
      read(515, -1, 'SIGBUS'),
      go(516, 1, -14, 'EFAULT'),
      { op: 'ftruncate', file: 0, hugepages: 2, ...OK },
      { op: 'fallocate', file: 0, offset: 1, hugepages: 1, ...OK },
      { pool: [8, 6, 0, 0] },
      go(515, 1, 4096),
      read(515, 0),
    ],
  ],
  [
    'mremap moves pieces as they are',
    [
      ...opened(2),
      go(3, 5, 20_480),
      go(512, 512, 2_097_152),
      { op: 'mremap', ...at(0, 1024), to: 1, ...OK },
      {
        maps: [
          [
            0,
            1,
            [
              [0, 3, 1, -1, -1, '-'],
              [3, 5, 1, 0, 3, 'wd'],
              [8, 504, 1, -1, -1, '-'],
              [512, 1, 512, 0, 512, 'wd'],
            ],
          ],
        ],
      },
      { ...HGM_READ, slot: 1, page: 10, byte: 3, value: 124, ...OK },
      { usage: [[0, 518]] },
    ],
  ],
  [
    'munmap wants whole huge pages, and both parts that it leaves can still be mapped in pieces',
    [
      ...opened(3),
      go(3, 5, 20_480),
      go(515, 5, 20_480),
      { op: 'munmap', ...at(1, 512), result: 'EINVAL' },
      { op: 'munmap', ...at(512, 512), ...OK },
      maps([0, 3, 1, -1, -1, '-'], [3, 5, 1, 0, 3, 'wd'], [8, 504, 1, -1, -1, '-']),
      go(20, 1, 4096),
      go(1100, 1, 4096),
    ],
  ],
  [
    'process_vm_read and its like read and write what is mapped, until it ends; /proc/PID/mem says EIO',
    [
      ...opened(3),
      go(0, 3, 12_288),
      go(510, 2, 8192),
      go(512, 512, 2_097_152),
      go(1024, 4, 16_384),
      remote('process_vm_read', 0, 100, 8192, { fnv1a: 3_994_775_813, done: 8192 }),
      remote('process_vm_read', 0, 100, 12_288, { fnv1a: 3_262_218_037, done: 12_188 }),
      remote('process_vm_read', 3, 0, 10, { fnv1a: 0, done: -1, result: 'EFAULT' }),
      remote('process_vm_read', 510, 5, 12_288, { fnv1a: 4_148_936_309, done: 12_288 }),
      remote('process_vm_write', 511, 4000, 5000, { value: 66, done: 5000 }),
      read(512, 66),
      remote('proc_mem_read', 510, 5, 12_288, { fnv1a: 4_188_089_807, done: 12_288 }),
      remote('proc_mem_write', 1026, 4090, 5000, { value: 67, done: 4102 }),
      remote('proc_mem_read', 1028, 0, 10, { fnv1a: 0, done: -1, result: 'EIO' }),
    ],
  ],
  [
    'pin_longterm_write takes a reference for each 4 KiB, which a collapse leaves; unpin gives them back',
    [
      ...opened(3),
      go(0, 5, 20_480),
      go(510, 2, 8192),
      go(512, 512, 2_097_152),
      remote('pin_longterm_write', 0, 0, 24_576, { result: 'EFAULT' }),
      remote('pin_longterm_write', 510, 17, 20_480, {}),
      {
        cache: [
          [
            0,
            0,
            0,
            10,
            [
              [0, 5, 1],
              [5, 505, 0],
              [510, 2, 1],
            ],
          ],
          [0, 1, 1, 6, [[0, 512, 1]]],
          [0, 2, 0, 1, [[0, 512, 0]]],
        ],
      },
      madvise('collapse', 0, 512),
      {
        cache: [
          [0, 0, 1, 4, [[0, 512, 1]]],
          [0, 1, 1, 6, [[0, 512, 1]]],
          [0, 2, 0, 1, [[0, 512, 0]]],
        ],
      },
      { op: 'unpin', proc: 0, ...OK },
      {
        cache: [
          [0, 0, 1, 2, [[0, 512, 1]]],
          [0, 1, 1, 2, [[0, 512, 1]]],
          [0, 2, 0, 1, [[0, 512, 0]]],
        ],
      },
    ],
  ],
  [
    'vmsplice puts pages into a pipe, whatever they are mapped by',
    [
      ...opened(3),
      go(0, 3, 12_288),
      go(508, 4, 16_384),
      go(512, 512, 2_097_152),
      go(1024, 4, 16_384),
      remote('vmsplice', 0, 5, 20_480, { done: 12_283, fnv1a: 1_508_923_629, same_as_memory: true }),
      remote('vmsplice', 508, 3000, 40_960, { done: 40_960, fnv1a: 867_600_325, same_as_memory: true }),
      remote('vmsplice', 3, 0, 100, { done: -1, fnv1a: 0, same_as_memory: false, result: 'EFAULT' }),
    ],
  ],
  [
    'mincore sees pieces, whether they can be used or not, and no markers',
    [
      ...opened(3, 'wc'),
      go(3, 5, 20_480),
      go(512, 512, 2_097_152),
      { op: 'mincore', ...at(0, 1536), incore: 517, fnv1a: 3_437_693_566, ...OK },
      { op: 'mincore', ...at(7, 3), incore: 1, fnv1a: 197_805_164, ...OK },
      uffd('writeprotect', 0, 1536),
      maps(
        [0, 3, 1, -1, -1, 'm'],
        [3, 5, 1, 0, 3, 'rdu'],
        [8, 504, 1, -1, -1, 'm'],
        [512, 1, 512, 0, 512, 'rdu'],
        [1024, 1, 512, -1, -1, 'm'],
      ),
      protect('none', 0, 1536),
      maps(
        [0, 3, 1, -1, -1, 'm'],
        [3, 5, 1, 0, 3, 'nrdu'],
        [8, 504, 1, -1, -1, 'm'],
        [512, 1, 512, 0, 512, 'nrdu'],
        [1024, 1, 512, -1, -1, 'm'],
      ),
      { op: 'mincore', ...at(0, 1536), incore: 517, fnv1a: 3_437_693_566, ...OK },
    ],
  ],
  [
    'uffd_unwriteprotect takes away what uffd_writeprotect has put: bits, and markers in holes',
    [
      ...opened(2, 'wc'),
      go(3, 2, 8192),
      uffd('writeprotect', 0, 512),
      maps([0, 3, 1, -1, -1, 'm'], [3, 2, 1, 0, 3, 'rdu'], [5, 507, 1, -1, -1, 'm']),
      write(3, 1, 'SIGBUS'),
      go(5, 1, 4096),
      write(5, 2),
      go(3, 1, -17, 'EEXIST'),
      uffd('unwriteprotect', 0, 512),
      maps([0, 3, 1, -1, -1, '-'], [3, 3, 1, 0, 3, 'wd'], [6, 506, 1, -1, -1, '-']),
    ],
  ],
  [
    'fork copies pieces where its event brings a userfaultfd for the child, number 2; exit gives them back',
    [
      ...opened(2, 'wc', true),
      go(0, 3, 12_288),
      { op: 'fork', proc: 0, child: 1, ...OK },
      {
        usage: [
          [0, 3],
          [1, 3],
        ],
      },
      { ...HGM_READ, proc: 1, byte: 3, value: 10, ...OK },
      { ...HGM_READ, proc: 1, page: 3, byte: 3, value: -1, result: 'SIGBUS' },
      { op: 'uffd_continue', proc: 1, uffd: 2, slot: 0, page: 20, pages: 4, mapped: 16_384, ...OK },
      {
        usage: [
          [0, 3],
          [1, 7],
        ],
        cache: [
          [
            0,
            0,
            0,
            11,
            [
              [0, 3, 2],
              [3, 17, 0],
              [20, 4, 1],
              [24, 488, 0],
            ],
          ],
          [0, 1, 0, 1, [[0, 512, 0]]],
        ],
      },
      { op: 'exit', proc: 1, ...OK },
      {
        cache: [
          [
            0,
            0,
            0,
            4,
            [
              [0, 3, 1],
              [3, 509, 0],
            ],
          ],
          [0, 1, 0, 1, [[0, 512, 0]]],
        ],
      },
      { op: 'uffd_continue', proc: 1, uffd: 2, slot: 0, page: 20, pages: 4, mapped: 0, result: 'ESRCH' },
    ],
  ],
  [
    'madvise_dontfork keeps a range from the children of forks, until madvise_dofork gives it back to them',
    [
      ...opened(4),
      madvise('dontfork', 0, 512),
      { op: 'fork', proc: 0, child: 1, result: 'OK' },
      { op: 'read', proc: 1, slot: 0, page: 0, result: 'SIGSEGV' },
      { op: 'read', proc: 1, slot: 0, page: 512, result: 'OK' },
      madvise('dofork', 0, 512),
      { op: 'fork', proc: 0, child: 2, result: 'OK' },
      { op: 'read', proc: 2, slot: 0, page: 0, result: 'OK' },
    ],
  ],
  [
    'madvise_populate_read and _write fill holes in tables piece by piece, and untouched huge pages at once',
    [
      ...opened(4),
      go(0, 3, 12_288),
      go(512, 512, 2_097_152),
      go(1030, 2, 8192),
      uffd('unregister', 0, 2048),
      madvise('populate_write', 1, 5),
      { usage: [[0, 520]] },
      madvise('populate_write', 510, 600),
      { usage: [[0, 606]] },
      madvise('populate_read', 1536, 512),
      { usage: [[0, 1118]] },
      madvise('populate_read', 0, 2048),
      {
        ...maps(
          [0, 512, 1, 0, 0, 'wd'],
          [512, 1, 512, 0, 512, 'wd'],
          [1024, 512, 1, 0, 1024, 'wd'],
          [1536, 1, 512, 0, 1536, 'wd'],
        ),
      },
    ],
  ],
];

describe('each operation does what the recordings tell:', () => {
  test.each(SCENES)('%s', (_, lines) => {
    const text = scenarioOf(...('kernel' in lines[0]! ? [] : [V2]), ...lines, { end: 1, pool: undefined });
    for (const trace of [true, false]) {
      const differences = differencesIn(text, { trace });
      expect(differences.map((one) => [one.operation, ...describeDifference(one)])).toEqual([]);
    }
  });

  test('all of them, here or in a scenario of the documentation', () => {
    const folder = new URL('../../docs/scenarios/', import.meta.url);
    const written = readdirSync(folder).flatMap((name) =>
      linesOf(readFileSync(new URL(name, folder), 'utf8'))
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as object),
    );
    const lines = [...SCENES.flatMap(([, lines]) => lines), ...written];
    const used = new Set(lines.map((line) => (line as { op?: string }).op));
    expect([...OPERATIONS.keys()].filter((op) => !used.has(op))).toEqual([]);
  });
});

describe('a written scenario of high-granularity mapping', () => {
  test('runs without results, and is compared only where it says something', () => {
    const [first] = SCENES;
    const silent = first![1].map((line) => {
      const { result: _, mapped: __, ...rest } = line as { result?: string; mapped?: number };
      return rest;
    });
    expect(found(V2, ...silent, { end: 1 })).toEqual([]);
  });

  test('needs no header but size and pool, and has pages of 1 GiB as well', () => {
    const header = { seq: 1, hugepage: 262_144, pool: 2, files: [1] };
    const mapped = { ...HGM_MMAP, hugepages: 1, ...OK };
    const lines = [
      { ...OPEN, hgm: false },
      mapped,
      madvise('split', 0, 262_144),
      uffd('register', 0, 262_144, { mode: 'c' }),
    ];
    const filled = { op: 'fill', file: 0, hugepage: 0, tag: 10, ...OK };
    expect(
      found(
        header,
        ...lines,
        filled,
        go(1, 262_143, 1_073_737_728),
        maps([0, 1, 1, -1, -1, '-'], [1, 511, 1, 0, 1, 'wd'], [512, 511, 512, 0, 512, 'wd']),
        { end: 1, pool: [2, 2, 0, 0] },
      ),
    ).toEqual([]);
  });

  test('has no userfaultfd that nobody has opened: EBADF', () => {
    const told = { op: 'uffd_continue', uffd: 1, ...at(0, 1), mapped: 0, result: 'EBADF' };
    const delivered = { ...told, uffd: 2 };
    expect(found(HGM_HEADER, HGM_MMAP, told, delivered, { end: 1 })).toEqual([]);
  });

  test('that tells what the model did not find differs', () => {
    const message = {
      uffd_message: 'hgm',
      register: 'OK',
      touch_page: 5,
      touch_byte: 123,
      message_offset: 0,
      flags: 4,
      continue: 'OK',
      woken_by_other_continue: false,
      woken_by_continue: false,
    };
    /* File 0 is empty: the fault finds nothing to be continued, and sends no message. */
    const differences = differencesIn(scenarioOf({ ...HGM_HEADER, files: [0, 1] }, message, { end: 1 }));
    expect(differences.flatMap(describeDifference)).toEqual([
      'message_offset: kernel 0, model nothing',
      'flags: kernel 4, model nothing',
      'continue: kernel OK, model nothing',
      'woken_by_other_continue: kernel false, model nothing',
      'woken_by_continue: kernel false, model nothing',
    ]);
  });

  test('may say that the kernel dies, and the model must see it, too', () => {
    const lines = [HGM_HEADER, { ...HGM_MMAP, ...OK }];
    const crash = { crash: 1, last_op: 'write p0 s0 3', kind: 'soft lockup' };
    expect(found(...lines, crash)).toEqual([{ what: 'hang', line: 3, kernel: 'HANG', model: 'OK' }]);
    expect(found(...lines, { ...crash, kind: 'kernel BUG at mm/hugetlb.c:6498' })).toEqual([
      { what: 'result', line: 3, kernel: 'BUG', model: 'OK' },
    ]);
  });
});
