import { describe, expect, test } from 'vitest';
import { differencesIn, HGM_RECORDINGS, linesOf, type Recording, textOf } from './support.ts';

/* Each thing that HGM's recordings tell is altered in one place, and found there. A sequence alone is run: it knows nothing of others. */

type Run = readonly [page: number, count: number, size: number, file: number, filepage: number, flags: string];
type CacheEntry = readonly [file: number, index: number, mapcount: number, refcount: number, mapcounts?: number[][]];

interface Recorded {
  readonly op?: string;
  readonly end?: number;
  readonly result?: string;
  readonly hang?: number;
  readonly value?: number;
  readonly mapped?: number;
  readonly copied?: number;
  readonly incore?: number;
  readonly done?: number;
  readonly fnv1a?: number;
  readonly same_as_memory?: boolean;
  readonly same?: true;
  readonly pool?: number[];
  readonly usage?: number[][];
  readonly cache?: CacheEntry[];
  readonly maps?: (readonly [proc: number, slot: number, runs: Run[]])[];
  readonly kind?: string;
  readonly uffd_message?: string;
  readonly message_offset?: number;
  readonly flags?: number;
  readonly continue?: string;
  readonly register?: string;
  readonly woken_by_other_continue?: boolean;
  readonly woken_by_continue?: boolean;
  readonly pagemap?: { readonly page: number; readonly entries: number[][] };
  readonly smaps?: Record<string, number>[];
  readonly ptdump?: string;
  readonly ptdump_collapse?: number;
}

const SAME = '{"same":true}';

/** A sequence, and what was said of the kernel before it. */
interface RecordedSequence {
  readonly kernel: string;
  readonly lines: readonly string[];
}

/** The sequences of a recording; with each state written out where it stayed the same, so that an alteration is in one place. */
function sequencesOf(recording: Recording): RecordedSequence[] {
  const sequences: RecordedSequence[] = [];
  let kernel = '';
  let lines: string[] = [];
  let state = '';
  for (const line of linesOf(textOf(recording))) {
    if (line.startsWith('{"kernel"')) kernel = line;
    else if (line.startsWith('{"seq"')) {
      lines = [line];
      sequences.push({ kernel, lines });
    } else lines.push(line === SAME ? state : line);
    if (line.startsWith('{"pool"')) state = line;
  }
  return sequences;
}

const DIRECTED = {
  'RFC v2': sequencesOf(HGM_RECORDINGS['RFC v2, directed']),
  v2: sequencesOf(HGM_RECORDINGS['v2, directed']),
};

const textWith = ({ kernel, lines }: RecordedSequence): string => [kernel, ...lines].join('\n');

/** The line with a change, or undefined where there is nothing to change. */
type Alter = (object: Recorded) => Recorded | undefined;

/** Alters the first line that can be altered: the differences, and the line that they should be at. */
function altered(sequences: readonly RecordedSequence[], alter: Alter): { differences: unknown[]; at: number } {
  for (const sequence of sequences) {
    const { lines } = sequence;
    for (const [i, line] of lines.entries()) {
      const object = alter(JSON.parse(line) as Recorded);
      if (!object) continue;
      const text = textWith({ ...sequence, lines: lines.with(i, JSON.stringify(object)) });
      const differences = differencesIn(text).map((one) => [one.what === 'found' ? one.field : one.what, one.line]);
      /* The first line is the kernel's. What is told of an operation is found at the operation, and of a listing, at its first line. */
      let at = i;
      while (/^\{"(pool|usage)/.test(lines[at]!) || (/^\{"ptdump/.test(line) && /^\{"ptdump/.test(lines[at - 1]!)))
        at--;
      return { differences, at: at + 2 };
    }
  }
  return expect.fail('expected a line that can be altered');
}

const more = (list: readonly number[], i: number): number[] => list.with(i, list[i]! + 1);
const pool =
  (i: number): Alter =>
  (o) =>
    o.usage && o.pool && { ...o, pool: more(o.pool, i) };
const cache =
  (change: (entry: CacheEntry) => CacheEntry | undefined): Alter =>
  (o) => {
    const entry = o.cache?.[0] && change(o.cache[0]);
    return entry && { ...o, cache: o.cache!.with(0, entry) };
  };
const cacheItem = (i: number): Alter =>
  cache((entry) => entry.with(i, (entry[i] as number) + 1) as unknown as CacheEntry);
const mapcounts = (i: number): Alter =>
  cache((entry) => entry[4] && [entry[0], entry[1], entry[2], entry[3], entry[4].with(-1, more(entry[4].at(-1)!, i))]);
const runs =
  (change: (runs: Run[]) => Run[] | undefined): Alter =>
  (o) => {
    const [proc, slot, list] = o.maps?.[0] ?? [0, 0, []];
    const changed = change(list);
    return changed && { ...o, maps: o.maps!.with(0, [proc, slot, changed]) };
  };
const present = ([, , , file]: Run): boolean => file >= 0;
const run = (i: number, change: (item: never, run: Run) => unknown, which = present): Alter =>
  runs((list) => {
    const at = list.findIndex(which);
    return at < 0
      ? undefined
      : list.with(at, list[at]!.with(i, change(list[at]![i] as never, list[at]!) as never) as unknown as Run);
  });
const plusOne = (n: number): number => n + 1;
const only =
  (op: string, alter: Alter): Alter =>
  (o) =>
    o.op === op && o.result === 'OK' ? alter(o) : undefined;
const flag = (letter: string): Alter =>
  run(
    5,
    (flags: string) => flags.replace(letter, ''),
    ([, , , , , flags]) => flags.includes(letter),
  );
const message =
  (change: (o: Recorded) => Partial<Recorded>): Alter =>
  (o) =>
    o.uffd_message ? { ...o, ...change(o) } : undefined;
const pagemap =
  (i: number, change: (n: number) => number): Alter =>
  ({ pagemap }) => {
    const entry = pagemap?.entries[0];
    return entry && { pagemap: { ...pagemap, entries: pagemap.entries.with(0, entry.with(i, change(entry[i]!))) } };
  };
const smaps =
  (name: string): Alter =>
  ({ smaps }) =>
    smaps && { smaps: smaps.with(0, { ...smaps[0], [name]: smaps[0]![name]! + 4 }) };

const BOTH: [string, string, Alter][] = [
  ['a result', 'result', (o) => (o.op === 'munmap' ? { ...o, result: 'EINVAL' } : undefined)],
  ['an errno', 'result', (o) => (o.result === 'EEXIST' ? { ...o, result: 'ENOENT' } : undefined)],
  ['a signal', 'result', (o) => (o.result === 'SIGBUS' ? { ...o, result: 'SIGSEGV' } : undefined)],
  ['a value that was read', 'value', only('read', (o) => ({ ...o, value: o.value! ^ 1 }))],
  ['the bytes that CONTINUE has mapped', 'mapped', only('uffd_continue', (o) => ({ ...o, mapped: o.mapped! + 4096 }))],
  [
    'what CONTINUE tells of an errno',
    'mapped',
    (o) => (o.mapped && o.mapped < 0 ? { ...o, mapped: o.mapped - 1 } : undefined),
  ],
  [
    'the bytes that COPY has copied',
    'copied',
    (o) => (o.copied === undefined ? undefined : { ...o, copied: o.copied - 1 }),
  ],
  ['how many pages are in core', 'incore', only('mincore', (o) => ({ ...o, incore: o.incore! + 1 }))],
  ['which pages are in core', 'fnv1a', only('mincore', (o) => ({ ...o, fnv1a: (o.fnv1a! ^ 1) >>> 0 }))],
  ['the bytes that were transferred', 'done', only('process_vm_read', (o) => ({ ...o, done: o.done! - 1 }))],
  ['the hash of bytes', 'fnv1a', only('process_vm_read', (o) => ({ ...o, fnv1a: (o.fnv1a! ^ 1) >>> 0 }))],
  ['whether a pipe has what memory has', 'same_as_memory', only('vmsplice', (o) => ({ ...o, same_as_memory: false }))],
  ['the size of the pool', 'pool', pool(0)],
  ['the number of free pages', 'pool', pool(1)],
  ['the number of reserved pages', 'pool', pool(2)],
  ['the number of surplus pages', 'pool', pool(3)],
  ['what a process has mapped', 'usage', (o) => o.usage && { ...o, usage: o.usage.with(0, more(o.usage[0]!, 1)) }],
  ['which process has mapped it', 'usage', (o) => o.usage && { ...o, usage: o.usage.with(0, more(o.usage[0]!, 0)) }],
  ['a process that has none', 'usage', (o) => o.usage && { ...o, usage: [...o.usage, [1, 0]] }],
  ['the file of a huge page', 'cache', cacheItem(0)],
  ['the place of a huge page', 'cache', cacheItem(1)],
  ['the map count of a huge page', 'cache', cacheItem(2)],
  ['the reference count of a huge page', 'cache', cacheItem(3)],
  ['a huge page that is missing', 'cache', (o) => o.cache && { ...o, cache: o.cache.slice(1) }],
  [
    'the process of page tables',
    'maps',
    (o) => (o.maps?.[0] ? { ...o, maps: o.maps.with(0, [9, 0, o.maps[0][2]]) } : undefined),
  ],
  [
    'the slot of page tables',
    'maps',
    (o) => (o.maps?.[0] ? { ...o, maps: o.maps.with(0, [0, 63, o.maps[0][2]]) } : undefined),
  ],
  ['the place of entries', 'maps', run(0, plusOne)],
  ['the number of entries', 'maps', run(1, plusOne)],
  ['the size of entries', 'maps', run(2, (size: number) => (size === 1 ? 512 : 1))],
  ['the file of entries', 'maps', run(3, plusOne)],
  ['the page of a file that entries map', 'maps', run(4, plusOne)],
  [
    'entries that are writable',
    'maps',
    run(
      5,
      (flags: string) => flags.replace('w', 'r'),
      ([, , , , , flags]) => flags.includes('w'),
    ),
  ],
  ['entries that are dirty', 'maps', flag('d')],
  ['entries that are PROT_NONE', 'maps', flag('n')],
  ['entries that are write-protected', 'maps', flag('u')],
  [
    'markers',
    'maps',
    run(
      5,
      () => '-',
      ([, , , , , flags]) => flags === 'm',
    ),
  ],
  [
    'empty entries',
    'maps',
    run(
      5,
      () => 'm',
      ([, , , , , flags]) => flags === '-',
    ),
  ],
  ['entries that are missing', 'maps', runs((list) => (list.length > 0 ? list.slice(1) : undefined))],
  [
    'entries that are not there',
    'maps',
    runs((list) => (list.length > 0 ? [...list, [2048, 1, 512, 0, 0, 'wd']] : undefined)),
  ],
  ['the address in a message', 'message_offset', message((o) => ({ message_offset: o.message_offset! ^ 1 }))],
  ['the flags of a message', 'flags', message((o) => ({ flags: o.flags! ^ 1 }))],
  ['how UFFDIO_REGISTER ended', 'register', message(() => ({ register: 'EINVAL' }))],
  ['how CONTINUE ended for a waiter', 'continue', message(() => ({ continue: 'EEXIST' }))],
  ['who wakes a waiter, another page', 'woken_by_other_continue', message(() => ({ woken_by_other_continue: true }))],
  [
    'who wakes a waiter, its own page',
    'woken_by_continue',
    message((o) => ({ woken_by_continue: !o.woken_by_continue })),
  ],
  ['pagemap: present', 'entries', pagemap(0, (n) => n ^ 1)],
  ['pagemap: file', 'entries', pagemap(1, (n) => n ^ 1)],
  ['pagemap: exclusive', 'entries', pagemap(2, (n) => n ^ 1)],
  ['pagemap: write-protected', 'entries', pagemap(3, (n) => n ^ 1)],
  ['pagemap: the frame', 'entries', pagemap(4, plusOne)],
  ['kpagecount', 'entries', pagemap(5, plusOne)],
  ...['page', 'pages', 'kernel_page_kb', 'mmu_page_kb', 'shared_kb', 'private_kb'].map(
    (name): [string, string, Alter] => [`smaps: ${name}`, 'smaps', smaps(name)],
  ),
  [
    'a listing before a collapse',
    'before',
    (o) => (o.ptdump?.includes('8K') ? { ptdump: o.ptdump.replace('RW', 'ro') } : undefined),
  ],
  [
    'a listing after it',
    'after',
    (o) => (o.ptdump?.includes('4M') ? { ptdump: o.ptdump.replace('PSE ', '') } : undefined),
  ],
  ['the collapse between them', 'collapse', (o) => (o.ptdump_collapse === 0 ? { ptdump_collapse: -22 } : undefined)],
  [
    'how the kernel died',
    'hang',
    (o) => (o.kind === 'soft lockup' ? { ...o, kind: 'kernel BUG at mm/hugetlb.c:1' } : undefined),
  ],
  [
    'how the kernel died, the other way',
    'hang',
    (o) => (o.kind?.startsWith('kernel BUG') ? { ...o, kind: 'soft lockup' } : undefined),
  ],
  ['the pool at the end', 'end', (o) => (o.end ? { ...o, pool: o.pool!.with(1, 0) } : undefined)],
];

const OF_V2: [string, string, Alter][] = [
  ['where pages are that are mapped equally often', 'cache', mapcounts(0)],
  ['how many those are', 'cache', mapcounts(1)],
  ['how often they are mapped', 'cache', mapcounts(2)],
];

describe.each([
  ['RFC v2', BOTH],
  ['v2', [...BOTH, ...OF_V2]],
] as const)('the directed recording of %s', (version, cases) => {
  test.each(cases)('with %s altered differs there, and only there', (_, what, alter) => {
    const { differences, at } = altered(DIRECTED[version], alter);
    expect(differences).toEqual([[what, at]]);
  });

  test('differs in every state of which it is said that it is the same as one that is altered', () => {
    const text = linesOf(textOf(HGM_RECORDINGS[`${version}, directed`]));
    const lines = text.slice(0, text.findIndex((line) => line.startsWith('{"end"')) + 1);
    const states = lines.flatMap((line, i) => (/^\{"(pool|same)"/.test(line) ? [i] : []));
    const first = states.findIndex((i, n) => lines[i] !== SAME && lines[states[n + 1]!] === SAME);
    const behind = states.findIndex((i, n) => n > first && lines[i] !== SAME);
    const state = JSON.parse(lines[states[first]!]!) as Recorded;
    const changed = lines.with(states[first]!, JSON.stringify({ ...state, usage: [[0, 99]] }));
    expect(behind - first).toBeGreaterThan(1);
    expect(differencesIn(changed.join('\n')).map(({ what, line }) => [what, line])).toEqual(
      states.slice(first, behind).map((i) => ['usage', i]),
    );
  });
});

describe('a kernel with faults as posted', () => {
  const posted = DIRECTED['RFC v2'].filter(({ kernel }) => kernel.includes('posted'));
  const kernels = [...new Set(posted.map(({ kernel }) => kernel))];

  test('was recorded with seven faults', () => {
    expect(kernels).toHaveLength(7);
  });

  test.each(kernels)('%s does otherwise than one without', (kernel) => {
    const sequences = posted.filter((sequence) => sequence.kernel === kernel);
    const differing = sequences.filter(
      (one) => differencesIn(textWith({ ...one, kernel: '{"kernel":"fixed"}' })).length > 0,
    );
    expect(differing.length).toBeGreaterThan(0);
  });

  test.each([32, 64])('%i of v2 does otherwise than one without', (mask) => {
    const sequences = DIRECTED.v2.filter(({ kernel }) => kernel.includes(`posted: ${mask}`));
    const differing = sequences.filter(
      (one) => differencesIn(textWith({ ...one, kernel: '{"kernel":"v2, fixed"}' })).length > 0,
    );
    expect(differing.length).toBeGreaterThan(0);
  });

  test('has a version of the series: what RFC v2 did is not what v2 does', () => {
    const [first] = DIRECTED['RFC v2'];
    expect(differencesIn(textWith(first!))).toEqual([]);
    const [difference] = differencesIn(
      textWith({ ...first!, kernel: '{"kernel":"v2, fixed"}', lines: statesCut(first!.lines) }),
    );
    expect(difference).toMatchObject({ what: 'result', kernel: 'OK', model: 'EINVAL' });
  });
});

/** Without states, which v2 tells otherwise. */
function statesCut(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith('{"pool"'));
}
