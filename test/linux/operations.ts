/**
 * Random system calls, as data: what a counterexample prints can be read and run again.
 *
 * A scene is a range of addresses in which everything happens, so that calls meet what others left there. Positions are
 * marks: numbers of huge pages from the start of that range, or of a file.
 */
import fc from 'fast-check';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_REMOVE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/linux/index.ts';

export const MIB: number = 2 ** 20;
export const GIB: number = 2 ** 30;

/** Where things happen, for one size of huge pages. */
export interface Arena {
  readonly hugePageSize: number;
  readonly base: number;
  /** Marks where mappings begin and end. */
  readonly coarse: readonly number[];
  /** Marks where other calls begin and end, besides. */
  readonly fine: readonly number[];
  /** Huge pages that are moved at once at most: Linux counts their bytes in an `int`. */
  readonly longestMove: number;
  /** Up to how many pages the pool may have. */
  readonly mostPages: number;
}

/** Pages from one mark up to another. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Who, and in which arena. Numbers are taken modulo what there is. */
interface Where {
  readonly process: number;
  readonly arena: number;
}

/** One call. */
export type Operation =
  | (Where & {
      readonly kind: 'mmap';
      readonly span: Span;
      /** Undefined: anonymous. */
      readonly file: number | undefined;
      readonly offset: number;
      readonly prot: number;
      readonly flags: number;
      /** Without a place the kernel chooses. */
      readonly placed: boolean;
    })
  | (Where & { readonly kind: 'munmap'; readonly span: Span; readonly skew: number })
  | (Where & { readonly kind: 'mprotect'; readonly span: Span; readonly skew: number; readonly prot: number })
  | (Where & { readonly kind: 'madvise'; readonly span: Span; readonly skew: number; readonly advice: number })
  | (Where & {
      readonly kind: 'mremap';
      readonly span: Span;
      readonly keep: number;
      readonly to: number;
      readonly flags: number;
    })
  | (Where & { readonly kind: 'read'; readonly at: number; readonly byte: number })
  | (Where & { readonly kind: 'write'; readonly at: number; readonly byte: number; readonly value: number })
  | (Where & {
      readonly kind: 'fallocate';
      readonly file: number;
      readonly span: Span;
      readonly skew: number;
      readonly mode: number;
    })
  | (Where & { readonly kind: 'ftruncate'; readonly file: number; readonly at: number; readonly skew: number })
  | (Where & { readonly kind: 'reopen'; readonly file: number })
  | { readonly kind: 'fork' | 'exit'; readonly process: number }
  | { readonly kind: 'pool' | 'overcommit'; readonly arena: number; readonly pages: number };

/** Pieces of operations that the arenas determine. */
interface Pieces {
  readonly where: { readonly process: fc.Arbitrary<number>; readonly arena: fc.Arbitrary<number> };
  readonly mark: fc.Arbitrary<number>;
  readonly span: fc.Arbitrary<Span>;
  readonly coarseSpan: fc.Arbitrary<Span>;
  readonly file: fc.Arbitrary<number>;
  /** Bytes by which addresses miss the huge pages. */
  readonly skew: fc.Arbitrary<number>;
}

const skews = fc.constantFrom(0, 0, 0, 0, 0, 0, 4096, -4096, 1);

const RW = PROT_READ | PROT_WRITE;
const prots = fc.constantFrom(RW, RW, RW, RW, PROT_READ, PROT_READ, PROT_WRITE, PROT_NONE);
const mapTypes = fc.constantFrom(MAP_PRIVATE, MAP_SHARED);
const places = fc.constantFrom(MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE, 0);
const reserves = fc.constantFrom(0, 0, MAP_NORESERVE);
const mapFlags = fc.tuple(mapTypes, places, reserves).map(([type, place, reserve]) => type | place | reserve);
const moves = fc.constantFrom(
  MREMAP_MAYMOVE | MREMAP_FIXED,
  MREMAP_MAYMOVE | MREMAP_FIXED,
  MREMAP_MAYMOVE | MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
  0,
);
const advices = fc.constantFrom(MADV_DONTNEED, MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK);
const HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const modes = fc.constantFrom(0, 0, FALLOC_FL_KEEP_SIZE, HOLE, HOLE, HOLE);
const bytes = fc.constantFrom(0, 4097, -1);
const values = fc.integer({ min: 0, max: 255 });

function spans(marks: readonly number[]): fc.Arbitrary<Span> {
  const index = fc.nat(marks.length - 1);
  return fc.tuple(index, index).map(([a, b]) => {
    const from = Math.min(a, b, marks.length - 2);
    return { from: marks[from]!, to: marks[Math.max(a, b, from + 1)]! };
  });
}

function pieces({ coarse, fine }: Arena, precise: boolean): Pieces {
  const marks = [...new Set([...coarse, ...fine])].sort((a, b) => a - b);
  return {
    where: { process: fc.nat(3), arena: fc.nat(3) },
    mark: fc.constantFrom(...marks.slice(0, -1)),
    span: fc.oneof(spans(marks), spans(coarse)),
    coarseSpan: fc.oneof({ weight: 5, arbitrary: spans(coarse) }, { weight: 1, arbitrary: spans(marks) }),
    file: fc.nat(2),
    skew: precise ? fc.constant(0) : skews,
  };
}

/** Calls that map, unmap and change. */
function mappingOperations({ where, mark, span, coarseSpan, file, skew }: Pieces, coarse: readonly number[]) {
  const mmap = fc.record({
    kind: fc.constant('mmap' as const),
    ...where,
    span: coarseSpan,
    file: fc.option(file, { nil: undefined }),
    offset: fc.constantFrom(0, 0, ...coarse.slice(0, -1)),
    prot: prots,
    flags: mapFlags,
    placed: fc.constantFrom(true, true, true, true, false),
  });
  const mremap = { kind: fc.constant('mremap' as const), ...where, span, keep: fc.nat(9), to: mark, flags: moves };
  return [
    { weight: 6, arbitrary: mmap },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('munmap' as const), ...where, span, skew }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('mprotect' as const), ...where, span, skew, prot: prots }) },
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant('madvise' as const), ...where, span, skew, advice: advices }),
    },
    { weight: 4, arbitrary: fc.record(mremap) },
  ] as const;
}

/** Calls on files, and accesses. */
function memoryOperations({ where, mark, span, file }: Pieces) {
  const fallocate = { kind: fc.constant('fallocate' as const), ...where, file, span, skew: skews, mode: modes };
  const write = { kind: fc.constant('write' as const), ...where, at: mark, byte: bytes, value: values };
  return [
    { weight: 14, arbitrary: fc.record({ kind: fc.constant('read' as const), ...where, at: mark, byte: bytes }) },
    { weight: 22, arbitrary: fc.record(write) },
    { weight: 5, arbitrary: fc.record(fallocate) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('ftruncate' as const), ...where, file, at: mark, skew: skews }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('fork' as const), process: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('exit' as const), process: fc.nat(3) }) },
  ];
}

/** Which calls a sequence may have besides. */
export interface Choice {
  /** Writes to nr_hugepages and nr_overcommit_hugepages. */
  readonly resizing?: boolean;
}

/** Calls that change the pools, and open other files. */
function poolOperations({ where, file }: Pieces, mostPages: number, resizing: boolean) {
  const { arena } = where;
  const pages = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: mostPages }));
  return [
    { weight: resizing ? 2 : 0, arbitrary: fc.record({ kind: fc.constant('pool' as const), arena, pages }) },
    { weight: resizing ? 1 : 0, arbitrary: fc.record({ kind: fc.constant('overcommit' as const), arena, pages }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('reopen' as const), ...where, file }) },
  ];
}

/**
 * Sequences of calls in one scene, of which the first map something; all its arenas have the same marks.
 *
 * @param choice undefined: the pools and files stay as they are, and every call on addresses begins and ends on huge pages
 */
export function operationSequences(arenas: readonly Arena[], choice?: Choice): fc.Arbitrary<Operation[]> {
  const arena = arenas[0]!;
  const parts = pieces(arena, choice === undefined);
  const [mmap, ...mapping] = mappingOperations(parts, arena.coarse);
  const others = choice ? poolOperations(parts, arena.mostPages, choice.resizing ?? false) : [];
  const span = { from: arena.coarse[0]!, to: arena.coarse.at(-1)! };
  const first = fc.tuple(
    mmap.arbitrary.map((operation) => ({ ...operation, span, placed: true })),
    fc.array(mmap.arbitrary, { minLength: 1, maxLength: 3, size: 'max' }),
  );
  const operation: fc.Arbitrary<Operation> = fc.oneof(mmap, ...mapping, ...memoryOperations(parts), ...others);
  const rest = fc.array(operation, { maxLength: 40, size: 'max' });
  return fc.tuple(first, rest).map(([[whole, more], then]) => [whole, ...more, ...then]);
}

/** Single calls of some kinds, which begin and end on huge pages. */
export function operationsOf(arena: Arena, kinds: readonly Operation['kind'][]): fc.Arbitrary<Operation> {
  const parts = pieces(arena, true);
  const all: readonly fc.Arbitrary<Operation>[] = [
    ...mappingOperations(parts, arena.coarse).map(({ arbitrary }) => arbitrary),
    ...memoryOperations(parts).map(({ arbitrary }) => arbitrary),
  ];
  const names = [
    'mmap',
    'munmap',
    'mprotect',
    'madvise',
    'mremap',
    'read',
    'write',
    'fallocate',
    'ftruncate',
    'fork',
    'exit',
  ];
  return fc.oneof(...kinds.map((kind) => all[names.indexOf(kind)]!));
}
