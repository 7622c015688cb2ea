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
