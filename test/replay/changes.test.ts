/**
 * What an operation has changed, in words with the scenario's own numbers.
 */
import { describe, expect, test } from 'vitest';
import { operationWords } from '../../src/replay/observe/words.ts';
import { replaySequence } from '../../src/replay/replay.ts';
import { parseScenario } from '../../src/replay/scenario.ts';
import { END, HEADER, scenarioOf } from './support.ts';

/** What each line of a sequence changes. */
function changes(...lines: readonly object[]): (readonly string[] | undefined)[] {
  const [sequence] = parseScenario('changes.jsonl', scenarioOf(...lines, END)).sequences;
  return [...replaySequence(sequence!, undefined, { observe: true })].map(({ changes }) => changes);
}

const mmap = { op: 'mmap', proc: 0, slot: 0, kind: 'private_anon', hugepages: 2, prot: 'rw' };
const write = { op: 'write', proc: 0, slot: 0, page: 0, value: 7 };
const populate = { op: 'madvise_populate_write', proc: 0, slot: 0, page: 0, pages: 2 };
const file = { ...mmap, kind: 'shared_file', file: 0 };
const FILE = { ...HEADER, files: [3] };

describe('what has changed', () => {
  test('is counters of the pool, map counts, and entries, until the end', () => {
    expect(changes(HEADER, mmap, write, { op: 'fork', proc: 0, child: 1 }, { ...write, proc: 1 })).toEqual([
      ['reserved 0 -> 2'],
      ['free 4 -> 3', 'reserved 2 -> 1', 'private 1: map count 0 -> 1', 'p0 s0 page 0: rw dirty private 1'],
      ['private 1: map count 1 -> 2', 'p0 s0 page 0: rw dirty -> r dirty', 'p1 s0 page 0: r dirty private 1'],
      [
        'free 3 -> 2',
        'private 1: map count 2 -> 1',
        'private 2: map count 0 -> 1',
        'p1 s0 page 0: r dirty private 1 -> rw dirty private 2',
      ],
      ['free 2 -> 4', 'reserved 1 -> 0', 'private 1-2: gone', 'p0 s0 page 0: unmapped', 'p1 s0 page 0: unmapped'],
    ]);
  });

  test('is told once of neighbours that change alike', () => {
    const [, populated, protectedAll, , half] = changes(
      HEADER,
      mmap,
      populate,
      { op: 'mprotect', proc: 0, slot: 0, page: 0, pages: 2, prot: 'r' },
      { op: 'mprotect', proc: 0, slot: 0, page: 0, pages: 2, prot: 'rw' },
      { op: 'mprotect', proc: 0, slot: 0, page: 1, pages: 1, prot: 'none' },
    );
    expect(populated).toContain('private 1-2: map count 0 -> 1');
    expect(populated).toContain('p0 s0 pages 0-1: rw dirty private 1-2');
    expect(protectedAll).toEqual(['p0 s0 pages 0-1: rw dirty -> r dirty']);
    /* A private entry becomes writable by a fault, not by mprotect. */
    expect(half).toEqual(['p0 s0 page 1: r dirty -> none dirty']);
  });

  test('names files and their pages, and what is in a file that nobody maps', () => {
    const [, , written, unmapped, punched] = changes(
      FILE,
      { op: 'fallocate', file: 0, offset: 1, hugepages: 2 },
      { ...file, offset: 1 },
      { ...write, page: 1 },
      { op: 'munmap', proc: 0, slot: 0, page: 0, pages: 2 },
      { op: 'punch_hole', file: 0, offset: 1, hugepages: 2 },
    );
    expect(written).toEqual(['file 0 page 2: map count 0 -> 1', 'p0 s0 page 1: rw dirty file 0 page 2']);
    expect(unmapped).toEqual(['file 0 page 2: map count 1 -> 0', 'p0 s0 page 1: unmapped']);
    expect(punched).toEqual(['free 2 -> 4', 'file 0 pages 1-2: gone']);
    expect(changes(FILE, { op: 'fallocate', file: 0, hugepages: 2 })[0]).toEqual([
      'free 4 -> 2',
      'file 0 pages 0-1: new',
    ]);
  });

  test('is what GUP takes, and where a page moves to', () => {
    const pin = { op: 'pin_user_pages', proc: 0, slot: 0, page: 0, nr_pages: 3, flags: 'FOLL_WRITE' };
    const [, , pinned, unpinned, moved] = changes(
      HEADER,
      mmap,
      write,
      pin,
      { op: 'unpin_user_pages' },
      { op: 'migrate', proc: 0, slot: 0, page: 0 },
    );
    expect([pinned, unpinned]).toEqual([['private 1: pins 0 -> 3'], ['private 1: pins 3 -> 0']]);
    expect(moved).toEqual(['private 2: map count 0 -> 1', 'private 1: gone', 'p0 s0 page 0: private 1 -> private 2']);
  });

  test('is the frames that a file page moves between, in the file and in all entries of it, and in no others', () => {
    const [, , , , moved, protectedToo] = changes(
      FILE,
      file,
      populate,
      { ...file, slot: 2, kind: 'private_file', offset: 1, hugepages: 1 },
      { op: 'read', proc: 0, slot: 2, page: 0 },
      { op: 'migrate', proc: 0, slot: 0, page: 1 },
      { op: 'mprotect', proc: 0, slot: 0, page: 0, pages: 2, prot: 'r' },
    );
    const [, from, to] = /^file 0 page 1: pfn (0x\w+) -> (0x\w+)$/.exec(moved![0]!) ?? expect.fail(moved!.join());
    expect(from).not.toBe(to);
    const entries = `pfn ${from} -> pfn ${to}`;
    expect(moved!.slice(1)).toEqual([`p0 s0 page 1: ${entries}`, `p0 s2 page 0: ${entries}`]);
    /* Behind it, it is as any other. */
    expect(protectedToo).toEqual(['p0 s0 pages 0-1: rw dirty -> r dirty']);
  });

  test('is that of a page mapped in pieces: the frame of each run of them', () => {
    const range = { proc: 0, slot: 0, page: 0, pages: 512 };
    const all = changes(
      { seq: 1, unit: '4K', pool: 3, files: [1] },
      { op: 'fill', file: 0, hugepage: 0, tag: 1 },
      { ...file, hugepages: 1 },
      { op: 'madvise_split', ...range },
      { op: 'uffd_open', proc: 0, uffd: 0, exact_address: true },
      { op: 'uffd_register', uffd: 0, ...range, mode: 'c' },
      { op: 'uffd_continue', proc: 0, uffd: 0, slot: 0, page: 5, pages: 3 },
      { op: 'uffd_continue', proc: 0, uffd: 0, slot: 0, page: 200, pages: 1 },
      { op: 'migrate', proc: 0, slot: 0, page: 6 },
    );
    const [whole, ...pieces] = all.at(-2)!;
    const [from, to] = (whole!.match(/0x\w+/g) ?? []).map(Number);
    expect(whole).toMatch(/^file 0 huge page 0: pfn 0x\w+ -> 0x\w+$/);
    const frames = (behind: number): string =>
      [from, to].map((pfn) => `pfn 0x${(pfn! + behind).toString(16)}`).join(' -> ');
    expect(pieces).toEqual([`p0 s0 pages 5-7: ${frames(5)}`, `p0 s0 page 200: ${frames(200)}`]);
  });

  test('is that a file has a page no more which GUP, or bad memory, holds: it keeps the name of where it was', () => {
    const get = { op: 'get_user_pages', proc: 0, slot: 0, page: 0, nr_pages: 1 };
    const cut = { op: 'punch_hole', file: 0, offset: 0, hugepages: 1 };
    const all = changes(
      FILE,
      file,
      write,
      get,
      cut,
      write,
      { ...get, list: 1 },
      cut,
      { op: 'put_page', list: 1 },
      { op: 'put_page' },
    );
    expect(all[3]).toContain('file 0 page 0: out of the file, map count 1 -> 0');
    /* Another page at the same place. */
    expect(all[4]).toContain('file 0 page 0: map count 0 -> 1');
    expect(all[6]).toContain('file 0 page 0: out of the file, map count 1 -> 0');
    expect(all[7]).toEqual(['free 2 -> 3', 'once file 0 (2) page 0: gone']);
    expect(all[8]).toEqual(['free 3 -> 4', 'once file 0 page 0: gone']);

    const bad = changes(FILE, file, write, { op: 'corrupt_pfn', proc: 0, slot: 0, page: 0 }, cut, {
      ...write,
      page: 1,
    });
    expect(bad[3]).toEqual(['file 0 page 0: out of the file', 'p0 s0 page 0: unmapped']);
    expect(bad[4]!.join()).not.toContain('once');
  });

  test('has another name for what is made of the memory that was a file page: it is that page no more', () => {
    const pool = { seq: 1, pool: 2, files: [1] };
    const one = { ...mmap, hugepages: 1 };
    const cut = { op: 'ftruncate', file: 0, hugepages: 0 };
    const all = changes(
      pool,
      { op: 'fallocate', file: 0, hugepages: 1 },
      cut,
      one,
      write,
      { ...one, slot: 1 },
      {
        ...write,
        slot: 1,
      },
    );
    expect(all[1]).toEqual(['free 1 -> 2', 'file 0 page 0: gone']);
    expect(all[3]).toContain('private 1: map count 0 -> 1');
    expect(all[5]).toContain('private 2: map count 0 -> 1');
  });

  test('is pieces, with high-granularity mapping, and their entries where these become larger', () => {
    const range = { proc: 0, slot: 0, page: 0, pages: 512 };
    const uffd = { proc: 0, uffd: 0, slot: 0 };
    const all = changes(
      { seq: 1, unit: '4K', pool: 2, files: [1] },
      { op: 'fill', file: 0, hugepage: 0, tag: 1 },
      { ...file, hugepages: 1 },
      { op: 'madvise_split', ...range },
      { op: 'uffd_open', proc: 0, uffd: 0, exact_address: true },
      { op: 'uffd_register', uffd: 0, ...range, mode: 'c' },
      { op: 'uffd_continue', ...uffd, page: 5, pages: 3 },
      { op: 'uffd_continue', ...uffd, page: 8, pages: 504 },
      { op: 'uffd_continue', ...uffd, page: 0, pages: 5 },
      { op: 'madvise_collapse', ...range },
    );
    expect(all.slice(5)).toEqual([
      ['p0 s0 pages 5-7: rw dirty file 0 pages 5-7'],
      ['p0 s0 pages 8-511: rw dirty file 0 pages 8-511'],
      ['p0 s0 pages 0-4: rw dirty file 0 pages 0-4'],
      ['file 0 huge page 0: map count 0 -> 1', 'p0 s0 pages 0-511: entries of 4 KiB -> 2 MiB'],
      ['free 1 -> 2', 'file 0 huge page 0: gone', 'p0 s0 pages 0-511: unmapped'],
    ]);
  });
});

test.each<[object, string]>([
  [{ op: 'read', proc: 0, slot: 0, page: 3, at: 5, value: 7, result: 'OK' }, 'p0 read s0 page 3 at 5'],
  [{ op: 'write', proc: 1, thread: 2, slot: 0, page: 3, value: 7 }, 'p1.2 write s0 page 3 value 7'],
  [{ op: 'munmap', proc: 0, slot: 1, page: 2, pages: 3 }, 'p0 munmap s1 pages 2-4'],
  [{ op: 'punch_hole', file: 0, offset: 1, hugepages: 2 }, 'punch_hole file 0 offset 1 hugepages 2'],
  [{ op: 'uffd_open', proc: 0, uffd: 0, waits: true, hgm: false }, 'p0 uffd_open uffd 0 waits'],
])('%j is said as %j', (line, words) => {
  const found = line && (line as { op: string }).op === 'read' ? ['value'] : [];
  expect(operationWords(line as Readonly<Record<string, unknown>>, found)).toBe(words);
});
