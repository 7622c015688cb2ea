/**
 * What threads find when they begin, and what they then do.
 */
import fc from 'fast-check';
import {
  MADV_REMOVE,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  type MachineOptions,
  PROT_READ,
  PROT_WRITE,
} from '../../src/linux/index.ts';
import { type Arena, GIB, MIB, type Operation, operationsOf } from './operations.ts';
import type { Thread } from './threads.ts';
import { World } from './world.ts';

type Kind = Operation['kind'];

/** A place for threads to meet in. */
export interface Scene {
  readonly name: string;
  readonly arena: Arena;
  /** What the threads do. */
  readonly kinds: readonly Kind[];
  /** Whether they punch holes by madvise. */
  readonly holes: boolean;
  /** Whether there is a thread besides that truncates the first file, once. */
  readonly truncation: boolean;
  /** Whether each call takes effect at one moment: then the answers and all bytes are those of some order of the calls. */
  readonly atomic: boolean;
  readonly pages: number;
  readonly overcommit: number;
  /** What the first process has done before. */
  readonly before: readonly Operation[];
  /** Whether the second process is its child, and not one of its own that maps the same. */
  readonly child: boolean;
  readonly runs: number;
}

const PAGE = 2 * MIB;
const small: Arena = {
  hugePageSize: PAGE,
  base: 512 * GIB - 3 * PAGE,
  coarse: [0, 1, 2, 3, 4, 5, 6],
  fine: [],
  longestMove: 6,
  mostPages: 0,
};
const wide: Arena = { ...small, base: 1023 * GIB, coarse: [0, 512, 1024], fine: [1, 511, 513], longestMove: 512 };

const place = { process: 0, arena: 0 };

function mapped(from: number, to: number, type: number, file?: number): Operation {
  const prot = PROT_READ | PROT_WRITE;
  return { kind: 'mmap', ...place, span: { from, to }, file, offset: 0, prot, flags: type | MAP_FIXED, placed: true };
}

const touched = (at: number): Operation => ({ kind: 'write', ...place, at, byte: 0, value: at + 1 });

/** Two pages shared, two private of the same file, two without a file. */
const untouched = [mapped(0, 2, MAP_SHARED, 0), mapped(2, 4, MAP_PRIVATE, 0), mapped(4, 6, MAP_PRIVATE)];
const half = [...untouched, touched(1), touched(3), touched(5)];
const whole = [...untouched, ...[0, 1, 2, 3, 4, 5].map(touched)];

const FAULTS: readonly Kind[] = ['read', 'write'];
const usual = {
  arena: small,
  kinds: FAULTS,
  holes: false,
  truncation: false,
  atomic: true,
  pages: 150,
  overcommit: 0,
  before: half,
  child: false,
  runs: 50,
};

export const SCENES: readonly Scene[] = [
  { ...usual, name: 'faults', before: untouched },
  { ...usual, name: 'faults after a fork', child: true },
  {
    ...usual,
    name: 'faults, and changes of mappings',
    kinds: [...FAULTS, 'munmap', 'mprotect', 'madvise', 'mmap', 'mremap'],
  },
  { ...usual, name: 'faults, and forks', kinds: [...FAULTS, 'fork', 'madvise'] },
  { ...usual, name: 'mappings of one file', kinds: ['mmap', 'mmap', ...FAULTS], before: [] },
  {
    ...usual,
    name: 'mappings of one file, and few pages',
    kinds: ['mmap', 'mmap', ...FAULTS, 'fallocate'],
    pages: 9,
    before: [],
    atomic: false,
  },
  { ...usual, name: 'faults, and holes', kinds: [...FAULTS, 'fallocate', 'madvise'], holes: true, atomic: false },
  /* Every page is there: Linux loses count when a page comes while the file is truncated, see below. */
  { ...usual, name: 'faults, and a truncation', truncation: true, before: whole, child: true, atomic: false },
  {
    ...usual,
    name: 'owners, and surplus pages',
    kinds: ['mmap', 'mmap', 'munmap'],
    pages: 2,
    overcommit: 6,
    before: [],
    atomic: false,
    runs: 150,
  },
  {
    ...usual,
    name: 'everything but a truncation',
    kinds: [...FAULTS, 'fallocate', 'munmap', 'mprotect', 'madvise', 'mmap', 'mremap', 'fork'],
    holes: true,
    pages: 300,
    child: true,
    atomic: false,
  },
  {
    ...usual,
    name: 'shared tables',
    arena: wide,
    kinds: [...FAULTS, 'munmap', 'mprotect', 'madvise'],
    pages: 5000,
    before: [mapped(0, 1024, MAP_SHARED, 0), touched(0)],
    child: true,
    runs: 25,
  },
];

/** The machine before the threads begin. */
export function setUp({ arena, pages, overcommit, before, child }: Scene, options: MachineOptions): World {
  const pools = [{ hugePageSize: PAGE, pages, overcommit }];
  const world = new World([arena], { ...options, tables: MIB, pools });
  for (const operation of before) world.apply(operation);
  if (child) world.apply({ kind: 'fork', process: 0 });
  else {
    world.processes.push(world.machine.createProcess());
    for (const operation of before) if (operation.kind === 'mmap') world.apply({ ...operation, process: 1 });
  }
  return world;
}

/** Two threads and more, each with one thing to do and more. */
export function threadsOf(scene: Scene, mostThreads: number, mostOperations: number): fc.Arbitrary<Thread[]> {
  const { arena, kinds, holes, truncation } = scene;
  const isFine = (operation: Operation): boolean =>
    holes || operation.kind !== 'madvise' || operation.advice !== MADV_REMOVE;
  const operation = operationsOf(arena, kinds).filter(isFine);
  const operations = fc.array(operation, { minLength: 1, maxLength: mostOperations });
  const threads = fc.array(fc.record({ process: fc.nat(1), operations }), { minLength: 2, maxLength: mostThreads });
  if (!truncation) return threads;
  const truncating = fc.nat(2).map((at): Thread => {
    return { process: 0, operations: [{ kind: 'ftruncate', ...place, file: 0, at, skew: 0 }] };
  });
  return fc.tuple(truncating, threads).map((both) => both.flat());
}
