/**
 * Memory that turns bad anywhere, at any time, between whatever programs do: exactly what is bad is lost, and every count holds.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  type HgmVersion,
  type HugetlbFile,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_SPLIT,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  type Machine,
  type Process,
} from '../../../src/linux/index.ts';
import { fewAndMany } from '../../support/thorough.ts';
import { GIB1, granted, KIB4, MIB2, machineWith, RW } from '../support.ts';
import { look, lost, mapsBadMemory } from './support.ts';

/** Huge pages of the file. */
const FILE = 3;
const AT = 2 ** 40;
/** 4 KiB pages within a huge page that programs touch and that turn bad: neighbours, and places far apart. */
const PLACES = [0, 1, 2, 5, 255, 510, 511];

/** Something that happens. `who` and `where` are taken modulo what there is. */
interface Event {
  readonly kind:
    | 'read'
    | 'write'
    | 'fail'
    | 'fork'
    | 'exit'
    | 'map'
    | 'private'
    | 'dontneed'
    | 'collapse'
    | 'split'
    | 'hole';
  readonly who: number;
  readonly index: number;
  readonly place: number;
  readonly value: number;
}

function events(kinds: readonly Event['kind'][]): fc.Arbitrary<Event[]> {
  const event = fc.record({
    kind: fc.constantFrom(...kinds),
    who: fc.nat(5),
    index: fc.nat(FILE - 1),
    place: fc.constantFrom(...PLACES),
    value: fc.integer({ min: 1, max: 255 }),
  });
  return fc.array(event, { maxLength: 40, size: 'max' });
}

class World {
  readonly machine: Machine;
  readonly file: HugetlbFile;
  readonly processes: Process[] = [];
  readonly size: number;
  /** Frames that have failed. */
  readonly failed = new Set<number>();

  constructor(size: number, version: HgmVersion) {
    this.size = size;
    this.machine = machineWith({ size, pages: 20, tables: 2 ** 22, hgm: { version } });
    this.file = this.machine.memfdCreate({ hugePageSize: size });
    this.file.ftruncate(FILE * size);
    this.processes.push(this.machine.createProcess());
  }

  /** The file is mapped whole, at the same place in every process. */
  map(process: Process, type: number): void {
    granted(
      process.mmap({ address: AT, length: FILE * this.size, prot: RW, flags: type | MAP_FIXED, file: this.file }),
    );
  }

  address({ index, place }: Event): number {
    return AT + index * this.size + place * KIB4;
  }

  /** The memory under a place in the file fails, if there is any: else that of a huge page in the pool. */
  fail({ index, place }: Event): unknown {
    const frame = (this.file.inode.pageCache.find(index)?.pfn ?? 2 ** 20) + place;
    this.failed.add(frame);
    return this.machine.memoryFailure(frame);
  }

  apply(event: Event): unknown {
    const process = this.processes[event.who % this.processes.length]!;
    const { size } = this;
    const start = AT + event.index * size;
    switch (event.kind) {
      case 'read':
        return look(process, this.address(event));
      case 'write':
        return process.write(this.address(event), event.value);
      case 'fail':
        return this.fail(event);
      case 'fork':
        if (this.processes.length < 4) this.processes.push(granted(process.fork()));
        return undefined;
      case 'exit':
        if (this.processes.length > 1) {
          process.exit();
          this.processes.splice(this.processes.indexOf(process), 1);
        }
        return undefined;
      case 'map':
        return this.map(process, MAP_SHARED);
      case 'private':
        return this.map(process, MAP_PRIVATE);
      case 'dontneed':
        return process.madvise(start, size, MADV_DONTNEED);
      case 'collapse':
        return process.madvise(start, size, MADV_COLLAPSE);
      case 'split':
        return process.madvise(start, size, MADV_SPLIT);
      case 'hole':
        return this.file.fallocate(event.index * size, size, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    }
  }

  /** Ends everything: what is not free then is kept for its bad memory. */
  end(): void {
    for (const process of this.processes) process.exit();
    this.file.close();
    this.machine.check();
    const kept = [...this.machine.folios()];
    expect(kept.every(({ hwpoisonReferences, refcount }) => hwpoisonReferences === refcount)).toBe(true);
    const { nrHugePages, freeHugePages, resvHugePages } = this.machine.hstate(this.size);
    expect([freeHugePages, resvHugePages]).toEqual([nrHugePages - kept.length, 0]);
    expect(this.machine.tables.count).toBe(0);
  }
}

describe.each([
  { name: '2 MiB', size: MIB2, runs: 80 },
  { name: '1 GiB', size: GIB1, runs: 20 },
])('huge pages of $name', ({ size, runs }) => {
  for (const { numRuns, options } of fewAndMany(Math.ceil(runs / 4), runs)) {
    test(
      `HGM v2, shared mappings with MADV_SPLIT: exactly the 4 KiB that are bad are lost, and nothing else changes: ${numRuns} times`,
      options,
      () => {
        const kinds = ['read', 'write', 'write', 'fail', 'fork', 'exit', 'dontneed', 'collapse', 'hole'] as const;
        fc.assert(
          fc.property(events(kinds), (happenings) => {
            const world = new World(size, 'v2');
            const [first] = world.processes;
            world.map(first!, MAP_SHARED);
            first!.madvise(AT, FILE * size, MADV_SPLIT);
            const bytes = new Map<number, number>();
            const bad = new Set<number>();
            for (const event of happenings) {
              const at = world.address(event);
              const inFile = world.file.inode.pageCache.find(event.index) !== undefined;
              const known = world.failed.has(2 ** 20 + event.place);
              const answer = world.apply(event);
              if (event.kind === 'read') expect(answer).toBe(bad.has(at) ? lost(12) : (bytes.get(at) ?? 0));
              if (event.kind === 'write') {
                expect(answer).toBe(bad.has(at) ? 'SIGBUS' : 'OK');
                if (!bad.has(at)) bytes.set(at, event.value);
              }
              if (event.kind === 'fail' && inFile) {
                expect(answer).toBe(bad.has(at) ? 'EHWPOISON' : 'OK');
                bad.add(at);
              }
              if (event.kind === 'fail' && !inFile)
                expect(known ? ['EHWPOISON'] : ['OK', 'EBUSY', 'EHWPOISON']).toContain(answer);
              if (event.kind === 'hole') {
                const start = AT + event.index * size;
                for (const place of PLACES) {
                  bytes.delete(start + place * KIB4);
                  bad.delete(start + place * KIB4);
                }
              }
              expect(mapsBadMemory(world.machine)).toBe(false);
            }
            expect(world.machine.hardwareCorrupted).toBe(world.failed.size);
            world.end();
          }),
          { numRuns },
        );
      },
    );
  }

  test.each(['none', 'rfc-v2', 'v2'] as const)(
    'HGM %s, any mappings: nobody maps bad memory, and each 4 KiB counts once',
    (version) => {
      const kinds = [
        ...([
          'read',
          'write',
          'write',
          'fail',
          'fork',
          'exit',
          'map',
          'private',
          'dontneed',
          'collapse',
          'hole',
        ] as const),
        ...(version === 'v2' ? (['split'] as const) : []),
      ];
      fc.assert(
        fc.property(events(kinds), (happenings) => {
          const world = new World(size, version);
          world.map(world.processes[0]!, MAP_SHARED);
          for (const event of happenings) {
            const answer = world.apply(event);
            if (event.kind === 'fail') expect(['OK', 'EBUSY', 'EHWPOISON']).toContain(answer);
            expect(mapsBadMemory(world.machine)).toBe(false);
          }
          expect(world.machine.hardwareCorrupted).toBe(world.failed.size);
          world.end();
        }),
        { numRuns: runs },
      );
    },
  );
});
