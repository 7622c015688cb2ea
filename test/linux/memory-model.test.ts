/**
 * What a byte reads is what was last written by whoever shares it: programs on the machine see the same as in a model
 * that knows only pages. The processor's view of the page tables, taken from outside, shows the same bytes.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Access } from '../../src/index.ts';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  type MachineOptions,
  MREMAP_FIXED,
  type Process,
} from '../../src/linux/index.ts';
import { fewAndMany } from '../support/thorough.ts';
import { type Arena, GIB, MIB, type Operation, operationSequences } from './operations.ts';
import { PageStore } from './page-store.ts';
import { type Answer, addressOf, bytesOf, moveOf, World } from './world.ts';

type Of<Kind extends Operation['kind']> = Extract<Operation, { kind: Kind }>;

const MARKS = [0, 1, 2, 3, 4, 5, 6];
const small: Arena = {
  hugePageSize: 2 * MIB,
  base: 512 * GIB - 6 * MIB,
  coarse: MARKS,
  fine: [],
  longestMove: 6,
  mostPages: 0,
};
const large: Arena = { ...small, hugePageSize: GIB, base: 1021 * GIB, longestMove: 3 };
const shareable: Arena = { ...small, base: 1023 * GIB, coarse: [0, 512, 1024], fine: [1, 511, 513], longestMove: 512 };
const BYTES = [0, 4097, -1];

const scenes: { name: string; arena: Arena; pages: number; options: MachineOptions; runs: number }[] = [
  { name: '2 MiB pages', arena: small, pages: 350, options: {}, runs: 250 },
  { name: '1 GiB pages', arena: large, pages: 350, options: {}, runs: 60 },
  { name: 'tables that are shared', arena: shareable, pages: 40_000, options: {}, runs: 50 },
  { name: '5 levels', arena: small, pages: 350, options: { levels: 5 }, runs: 50 },
];

/** Does the same to the store as the operation did to the machine, and tells what the answer should have been. */
class Mirror {
  readonly world: World;
  readonly arena: Arena;
  readonly store: PageStore;

  constructor(world: World, arena: Arena) {
    this.world = world;
    this.arena = arena;
    this.store = new PageStore(arena.hugePageSize);
  }

  /** @param process whose operation it was, and `answer` the machine's */
  follow(process: Process, operation: Operation, answer: Answer): Answer {
    const { store, arena } = this;
    switch (operation.kind) {
      case 'mmap':
        return this.#mmap(process, operation, answer);
      case 'munmap':
        store.munmap(process, this.#range(operation));
        return 'OK';
      case 'mprotect':
        return store.mprotect(process, this.#range(operation), operation.prot);
      case 'madvise':
        return this.#madvise(process, operation);
      case 'mremap':
        return this.#mremap(process, operation, answer);
      case 'read':
        return store.read(process, addressOf(arena, operation.at, operation.byte));
      case 'write':
        return store.write(process, addressOf(arena, operation.at, operation.byte), operation.value);
      case 'fallocate':
        return this.#fallocate(operation);
      case 'ftruncate': {
        const file = store.file(this.world.file(0, operation.file));
        return store.ftruncate(file, operation.at * arena.hugePageSize + Math.max(operation.skew, 0));
      }
      case 'fork':
        if (typeof answer === 'number') store.fork(process, this.world.processes.at(-1)!);
        return answer;
      case 'exit':
        store.exit(process);
        return 'OK';
      default:
        return answer;
    }
  }

  #range({ span }: { span: { from: number; to: number } }): { from: number; to: number } {
    const { at, length } = bytesOf(this.arena, span);
    return this.store.range(at, length);
  }

  #mmap(process: Process, operation: Of<'mmap'>, answer: Answer): Answer {
    const { store, world } = this;
    const { at, length } = bytesOf(this.arena, operation.span);
    const wanted = store.range(at, length);
    const taken = store.each(process, wanted, () => 'taken') === 'taken';
    if (operation.placed && operation.flags & MAP_FIXED_NOREPLACE && taken) return 'EEXIST';
    const range = store.range(Number(answer), length);
    const isFree = store.each(process, range, () => 'taken') !== 'taken';
    const { prot } = operation;
    if (operation.file === undefined) {
      store.mmap(process, range, { prot, flags: operation.flags | MAP_ANONYMOUS, first: 0 });
    } else {
      const file = world.file(0, operation.file);
      store.mmap(process, range, { prot, flags: operation.flags, file, first: operation.offset });
    }
    const isThere = operation.placed && (operation.flags & MAP_FIXED || !taken);
    if (isThere) return at;
    return isFree ? answer : 'a range that is free';
  }

  #madvise(process: Process, operation: Of<'madvise'>): Answer {
    const { store } = this;
    const { size } = store;
    return store.each(process, this.#range(operation), (mapping) => {
      switch (operation.advice) {
        case MADV_DONTNEED:
          mapping.own = undefined;
          return 'OK';
        case MADV_REMOVE:
          if (!mapping.shared) return 'EACCES';
          store.punchHole(mapping.file, mapping.index * size, (mapping.index + 1) * size);
          return 'OK';
        default:
          mapping.forked = operation.advice !== MADV_DONTFORK;
          return 'OK';
      }
    });
  }

  /** Where mremap fails depends on VMAs, of which the store knows nothing; what it has done by then does not. */
  #mremap(process: Process, operation: Of<'mremap'>, answer: Answer): Answer {
    const { store } = this;
    const { from, length, keep, to } = moveOf(this.arena, operation);
    const old = store.range(from, length);
    const kept = store.range(from, keep);
    const isMapped = store.memory(process).has(old.from);
    if (!isMapped) expect(['EFAULT', 'EINVAL']).toContain(answer);
    if (!isMapped || answer === 'EINVAL') return answer;
    const fixed = (operation.flags & MREMAP_FIXED) !== 0;
    if (fixed) store.munmap(process, store.range(to, keep));
    store.munmap(process, { from: kept.to, to: old.to });
    if (typeof answer !== 'number') {
      expect(['EFAULT', 'ENOMEM', 'HANG']).toContain(answer);
      return answer;
    }
    if (fixed) store.mremap(process, kept, store.range(to, 0).from);
    return fixed ? to : from;
  }

  #fallocate({ file, span, skew, mode }: Of<'fallocate'>): Answer {
    const { store } = this;
    const { at, length } = bytesOf({ ...this.arena, base: 0 }, span, skew);
    const stored = store.file(this.world.file(0, file));
    if (mode & FALLOC_FL_PUNCH_HOLE) store.punchHole(stored, at, at + length);
    else store.fallocate(stored, at, length, (mode & FALLOC_FL_KEEP_SIZE) !== 0);
    return 'OK';
  }

  /** Whatever the page tables show, the store has; and nobody may write what is not his. Returns what they show. */
  compareTables(): number {
    let shown = 0;
    for (const process of this.world.processes) {
      for (const at of this.#marks()) {
        const address = addressOf(this.arena, at, 0);
        const outcome = process.mmu.translate(BigInt(address), Access.user);
        if (outcome.kind !== 'page') continue;
        shown++;
        const expected = this.store.shown(process, address);
        expect([process.number, address, expected?.page !== undefined]).toEqual([process.number, address, true]);
        if (outcome.writable)
          expect([process.number, address, expected?.writable]).toEqual([process.number, address, true]);
        expect(outcome.pageSize).toBe(this.arena.hugePageSize);
        for (const byte of BYTES) {
          const offset = addressOf(this.arena, at, byte) - address;
          const found = this.world.machine.frames.readByte(Number(outcome.physicalAddress) + offset);
          expect([process.number, address, byte, found]).toEqual([
            process.number,
            address,
            byte,
            expected?.page.get(offset) ?? 0,
          ]);
        }
      }
    }
    return shown;
  }

  /** Every byte of interest, as every program reads it. */
  compareReads(): void {
    for (const process of this.world.processes) {
      for (const at of this.#marks()) {
        for (const byte of BYTES) {
          const address = addressOf(this.arena, at, byte);
          const wanted = this.store.read(process, address);
          expect([process.number, at, byte, process.read(address)]).toEqual([process.number, at, byte, wanted]);
        }
      }
    }
  }

  #marks(): number[] {
    return [...this.arena.coarse.slice(0, -1), ...this.arena.fine];
  }
}

let shown = 0;

describe.each(scenes)('$name', ({ arena, pages, options, runs }) => {
  for (const { numRuns, options: tags } of fewAndMany(Math.ceil(runs / 4), runs)) {
    test(`a byte reads as it was last written by whoever shares it: ${numRuns} times`, tags, () => {
      fc.assert(
        fc.property(operationSequences([arena]), (operations) => {
          const { hugePageSize } = arena;
          const world = new World([arena], { ...options, tables: MIB, pools: [{ hugePageSize, pages }] });
          const mirror = new Mirror(world, arena);
          for (const operation of operations) {
            const process = world.process('process' in operation ? operation.process : 0);
            const answer = world.apply(operation);
            expect([operation, answer]).toEqual([operation, mirror.follow(process, operation, answer)]);
            shown += mirror.compareTables();
          }
          mirror.compareReads();
          mirror.compareTables();
          world.machine.check();
        }),
        { numRuns },
      );
    });
  }
});

test('the page tables showed something', () => {
  expect(shown).toBeGreaterThan(250);
});
