/**
 * What holds for every sequence of calls on mappings in pieces: every count agrees with the page tables, everybody reads the same bytes, and it
 * makes no difference whether the core works run by run or the kernel leaf by leaf.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type HgmVersion,
  MADV_COLLAPSE,
  type MapcountScheme,
  PROT_READ,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_WP,
} from '../../../src/linux/index.ts';
import { type HgmOperation, hgmOperations } from './operations.ts';
import { GIB1, KIB4, MIB2, recount, runs } from './support.ts';
import { HgmWorld, type WorldParts } from './world.ts';

interface Scene {
  readonly version: HgmVersion;
  readonly mapcounts: MapcountScheme;
  readonly name: string;
  readonly size: number;
  readonly count: number;
  readonly sequences: number;
}

const SCENES: readonly Scene[] = (['rfc-v2', 'v2'] as const).flatMap((version) =>
  (['head', 'subpages'] as const).flatMap((mapcounts) => [
    { version, mapcounts, name: '2 MiB pages', size: MIB2, count: 3, sequences: 30 },
    { version, mapcounts, name: '1 GiB pages', size: GIB1, count: 2, sequences: 6 },
  ]),
);

const WP = UFFDIO_REGISTER_MODE_WP;
const MINOR = UFFDIO_REGISTER_MODE_MINOR;
const modes = fc.constantFrom(MINOR, MINOR, WP, WP | MINOR, WP | MINOR);

/** The same sequences every time. */
const SEED = 7;

/** What was answered, to show that there is something to see. */
const seen = new Set<string>();

function play(world: HgmWorld, operations: readonly HgmOperation[], after: () => void): unknown[] {
  return operations.map((operation) => {
    const answer = world.apply(operation);
    expect(answer).not.toBe('HANG');
    expect(answer).not.toBe('BUG');
    if (operation.kind !== 'read') seen.add(`${operation.kind} ${String(answer).split(' ')[0]}`);
    after();
    return answer;
  });
}

/** All that can be seen of a world. */
function picture({ machine, processes }: HgmWorld): unknown {
  return [
    processes.map((process) => [process.mm.hugetlbUsage, runs(process, 0, 2 ** 47)]),
    [...machine.folios()].map(({ pfn, refcount, leaves, mapcount, dirty, pincount }) => [
      ...[pfn, refcount, leaves, mapcount, dirty, pincount],
    ]),
    machine.hstates.map(({ freeHugePages, resvHugePages }) => [freeHugePages, resvHugePages]),
    machine.tables.count,
  ];
}

describe.each(SCENES)('$version, counts per $mapcounts, $name', ({ version, mapcounts, size, count, sequences }) => {
  const parts = (mode: number, eventFork: boolean): WorldParts => ({
    version,
    mapcounts,
    size,
    count,
    mode,
    eventFork,
  });
  const operations = fc.array(hgmOperations(size, count), { maxLength: size === MIB2 ? 30 : 14, size: 'max' });

  test('every count agrees with the page tables after every call; bytes are read as written; in the end everything is free', () => {
    fc.assert(
      fc.property(operations, modes, fc.boolean(), (sequence, mode, eventFork) => {
        const world = new HgmWorld(parts(mode, eventFork));
        const { machine } = world;
        play(world, sequence, () => recount(machine));
        world.end();
        const hstate = machine.hstate(size);
        expect([hstate.freeHugePages, hstate.resvHugePages]).toEqual([hstate.nrHugePages, 0]);
        expect([machine.tables.count, machine.inodes.size, machine.processes.size]).toEqual([0, 0, 0]);
      }),
      { numRuns: sequences, seed: SEED },
    );
  });

  test('run by run comes to the same as leaf by leaf', () => {
    fc.assert(
      fc.property(operations, modes, fc.boolean(), (sequence, mode, eventFork) => {
        const worlds = [false, true].map(
          (traced) => new HgmWorld({ ...parts(mode, eventFork), traced, checks: false }),
        );
        const [quick, slow] = worlds as [HgmWorld, HgmWorld];
        for (const operation of sequence) {
          expect(slow.apply(operation)).toEqual(quick.apply(operation));
          expect(picture(slow)).toEqual(picture(quick));
        }
      }),
      { numRuns: Math.ceil(sequences / 2), seed: SEED },
    );
  });

  test('all of a file reads the same through pieces and as it is', () => {
    const kinds = ['continue', 'collapse', 'write', 'dontneed', 'split', 'populate write', 'mprotect'] as const;
    const few = fc.array(hgmOperations(size, count, kinds), { maxLength: 12, size: 'max' });
    fc.assert(
      fc.property(few, (sequence) => {
        const world = new HgmWorld(parts(MINOR, false));
        play(world, sequence, () => {});
        const pages = [...world.bytes.keys(), 0, 1, 511, 512, (size * count) / KIB4 - 1];
        const [process] = world.processes as [(typeof world.processes)[0]];
        process.mprotect(world.at(0, 0), size * count, PROT_READ);
        process.mprotect(world.at(1, 0), size * count, PROT_READ);
        for (const page of pages) {
          const value = world.bytes.get(page) ?? 0;
          expect(process.read(world.at(1, page))).toBe(value);
          expect([value, 'SIGBUS']).toContain(process.read(world.at(0, page)));
        }
        process.madvise(world.at(0, 0), size * count, MADV_COLLAPSE);
        world.uffd(process)!.unregister(world.at(0, 0), size * count);
        for (const page of pages) expect(process.read(world.at(0, page))).toBe(world.bytes.get(page) ?? 0);
      }),
      { numRuns: Math.ceil(sequences / 2), seed: SEED },
    );
  });

  test('a collapse after any pieces gives what one CONTINUE of each huge page gives', () => {
    const pieces = fc.array(hgmOperations(size, count, ['continue', 'read', 'write']), { maxLength: 10, size: 'max' });
    fc.assert(
      fc.property(pieces, (sequence) => {
        const world = new HgmWorld(parts(MINOR, false));
        const [process] = world.processes as [(typeof world.processes)[0]];
        world.file.fallocate(0, size * count, 0);
        play(
          world,
          sequence.map((operation) => ({ ...operation, process: 0, slot: 0 }) as HgmOperation),
          () => {},
        );
        const touched = new Set<number>();
        for (const { address } of process.mappedPages())
          if (address < world.at(1, 0)) touched.add(Math.floor((address - world.at(0, 0)) / size));
        expect(process.madvise(world.at(0, 0), size * count, MADV_COLLAPSE)).toBe('OK');
        const whole = new HgmWorld(parts(MINOR, false));
        whole.file.fallocate(0, size * count, 0);
        for (const index of touched)
          whole.uffd(whole.processes[0]!)!.continue(whole.at(0, (index * size) / KIB4), size);
        /* It makes what tables there must be, also where nothing is mapped. */
        whole.processes[0]!.madvise(whole.at(0, 0), size * count, MADV_COLLAPSE);
        const [collapsed, continued] = [world, whole].map((one) => runs(one.processes[0]!, one.at(0, 0), size * count));
        expect(collapsed).toEqual(continued);
        expect(world.machine.tables.count).toBe(whole.machine.tables.count);
        expect(process.mm.hugetlbUsage).toBe(whole.processes[0]!.mm.hugetlbUsage);
        recount(world.machine);
      }),
      { numRuns: Math.ceil(sequences / 2), seed: SEED },
    );
  });
});

test('the sequences reach what they are for', () => {
  const answers = [
    ...['continue OK', 'continue EEXIST', 'continue EAGAIN', 'continue EFAULT', 'continue ENOENT', 'continue EINVAL'],
    ...['collapse OK', 'collapse EEXIST', 'collapse ENOMEM', 'split OK', 'split EINVAL', 'protect OK', 'resolve OK'],
    ...['write OK', 'write SIGBUS', 'write SIGSEGV', 'dontneed OK', 'remove OK', 'punch OK', 'ftruncate OK', 'fork a'],
    ...['populate read OK', 'populate read EFAULT', 'mprotect OK', 'copy OK', 'copy EEXIST'],
  ];
  expect(answers.filter((answer) => !seen.has(answer))).toEqual([]);
});
