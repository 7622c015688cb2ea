/**
 * Threads of two processes use a file's pages and private ones, in whole and in pieces, while others move them: whatever was written is
 * there, and all counts are right in the end.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  FOLL_WRITE,
  type HgmVersion,
  interleave,
  MADV_COLLAPSE,
  type Machine,
  type Path,
  PROT_READ,
  type Process,
  type Syscalls,
  type UserfaultFile,
} from '../../../src/linux/index.ts';
import { pieces } from '../pieces.ts';
import { GIB1, KIB4, MIB2, mapPrivate, RW } from '../support.ts';

const PAGES = 2;
const PLACES = 3;

type Step =
  | {
      readonly kind: 'write' | 'protect' | 'pin' | 'collapse' | 'continue';
      readonly place: number;
      readonly page: number;
      readonly piece: number;
    }
  | { readonly kind: 'migrate'; readonly which: number }
  | { readonly kind: 'fork' };

const place = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'protect', 'pin', 'collapse', 'continue'),
  place: fc.nat(PLACES - 1),
  page: fc.nat(PAGES - 1),
  piece: fc.constantFrom(0, 1, 2, 511),
});
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: place },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('migrate'), which: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('fork') }) },
  ) as fc.Arbitrary<Step>,
  { maxLength: 7 },
);

interface Scene {
  readonly machine: Machine;
  readonly process: Process;
  readonly uffd: UserfaultFile;
  /** Where the file is mapped whole, in pieces, and where private pages are. */
  readonly starts: readonly [number, number, number];
  readonly children: Process[];
}

function scene(version: HgmVersion): Scene {
  const { machine, process, uffd, whole, at } = pieces(MIB2, PAGES, 12, version, false);
  const own = mapPrivate(process, PAGES, { address: 192 * GIB1 });
  for (let page = 0; page < PAGES; page++) process.write(own + page * MIB2, 0);
  return { machine, process, uffd, starts: [whole, at, own], children: [] };
}

/** What a thread has written, by address; each has bytes of its own. */
type Written = Map<number, number>;

/** Does one thing after the other; of what it wrote, it looks at once whether it is there. */
function* life(
  { machine, process, uffd, starts, children }: Scene,
  thread: Syscalls,
  mine: number,
  todo: readonly Step[],
): Path<Written> {
  const written: Written = new Map();
  let value = 0;
  for (const step of todo) {
    if (step.kind === 'migrate') {
      const folios = [...machine.folios()];
      yield* thread.migrate(folios[step.which % folios.length]!.pfn);
      continue;
    }
    if (step.kind === 'fork') {
      const child = yield* thread.fork();
      if (typeof child !== 'string') children.push(child);
      continue;
    }
    const start = starts[step.place]! + step.page * MIB2;
    const at = start + step.piece * KIB4 + mine;
    if (step.kind === 'write') {
      /* Of the whole mapping and the pieces the bytes are the same. */
      if ((yield* thread.write(at, ++value)) !== 'OK') continue;
      written.set(step.place === 1 ? at - starts[1] + starts[0] : at, value);
      const found = yield* thread.read(at);
      expect(['SIGBUS', 'SIGSEGV', value]).toContain(found);
    } else if (step.kind === 'protect') {
      yield* thread.mprotect(start, MIB2, PROT_READ);
      yield* thread.mprotect(start, MIB2, RW);
    } else if (step.kind === 'pin') {
      const frames: number[] = [];
      yield* thread.pinUserPages(start, 3, FOLL_WRITE, frames);
      yield* thread.unpinUserPages(frames);
    } else if (step.kind === 'collapse') yield* thread.madvise(start, MIB2, MADV_COLLAPSE);
    else
      yield* thread.uffdFill(uffd, starts[1] + step.page * MIB2 + step.piece * KIB4, KIB4, {
        kind: 'continue',
        mode: 0,
      });
    expect(process.alive).toBe(true);
  }
  return written;
}

test.each(['v2', 'rfc-v2'] as const)('%s: no write is lost, and nothing is counted twice', (version) => {
  let moved = 0;
  fc.assert(
    fc.property(
      fc.array(steps, { minLength: 3, maxLength: 4 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 60 }),
      (lives, turns) => {
        const at = scene(version);
        const before = new Set([...at.machine.folios()].map(({ pfn }) => pfn));
        const works = lives.map((todo, index) => {
          const thread = at.process.thread();
          return { task: thread.task, path: life(at, thread, 8 * (index + 1), todo) };
        });
        let turn = 0;
        const results = interleave(works, (count) => turns[turn++ % turns.length]! % count);
        at.machine.check();
        for (const written of results) {
          if (typeof written === 'string') throw new Error(written);
          for (const [address, value] of written) expect(at.process.read(address)).toBe(value);
        }
        if ([...at.machine.folios()].some(({ pfn }) => !before.has(pfn))) moved++;
        for (const process of [...at.children, at.process]) process.exit();
        at.machine.check();
      },
    ),
    { numRuns: 80 },
  );
  expect(moved).toBeGreaterThan(15);
});
