/**
 * A machine that has done something goes back to a checkpoint, and does the same again, and something else.
 */
import { describeTraceEvent, type Machine, type Process, type TraceEvent } from '../../../src/linux/index.ts';
import { Driver } from './driver.ts';
import { MARKED, type Scene } from './world.ts';

const MIB2 = 2 ** 21;
const GIB1 = 2 ** 30;
const small = { pools: [{ hugePageSize: MIB2, pages: 8, overcommit: 2 }], tables: 2 ** 20 };
const large = { pools: [{ hugePageSize: GIB1, pages: 8 }], tables: 2 ** 22 };

export const SCENES: readonly Scene[] = [
  { name: '2 MiB pages, no HGM', size: MIB2, options: { ...small, hgm: { version: 'none' } } },
  { name: '2 MiB pages, RFC v2', size: MIB2, options: { ...small, hgm: { version: 'rfc-v2' } } },
  { name: '2 MiB pages, v2', size: MIB2, options: small },
  { name: '2 MiB pages, v2, mounts with limits', size: MIB2, options: small, limits: true },
  { name: '2 MiB pages, v2, deferred work, 5 levels', size: MIB2, options: { ...small, levels: 5, defersWork: true } },
  {
    name: '2 MiB pages, shared tables',
    size: MIB2,
    unit: GIB1,
    options: { ...small, hgm: { version: 'none' } },
  },
  { name: '1 GiB pages, no HGM', size: GIB1, options: { ...large, hgm: { version: 'none' } } },
  { name: '1 GiB pages, v2', size: GIB1, options: large },
];

/** Calls, with a trace: what each came to, everything that the kernel did, and what is there in the end. */
function traced(driver: Driver, seed: number, end: End): string {
  const { machine } = driver;
  const trace: TraceEvent[] = [];
  machine.trace = trace;
  driver.results = [];
  driver.play(seed, 30 + (seed % 30));
  if (end === 'is left in the midst') driver.abandon();
  machine.trace = undefined;
  return [...trace.map(describeTraceEvent), ...driver.results, state(driver)].join('\n');
}

/** What is there: what programs see, and what the kernel counts beside it. */
function state({ machine }: Driver): string {
  const { tables, cpu, hasDeadEnds, nextProcess, hardwareCorrupted } = machine;
  const lines = [
    `${tables.count} ${tables.changes} ${cpu.registers.cr3} ${hasDeadEnds} ${nextProcess} ${hardwareCorrupted}`,
  ];
  for (const hstate of machine.hstates) {
    const { nrHugePages, freeHugePages, resvHugePages, surplusHugePages } = hstate;
    const { nrOvercommitHugePages, hadMinimum, lostReservations } = hstate;
    lines.push(`${nrHugePages} ${freeHugePages} ${resvHugePages} ${surplusHugePages} ${nrOvercommitHugePages}`);
    lines.push(`${hadMinimum} ${lostReservations}`);
  }
  for (const process of machine.processes) lines.push(...stateOf(machine, process));
  for (const folio of machine.frames.folios()) {
    const { pfn, refcount, mapcount, leaves, pincount, getcount, anonExclusive, freed, index, contents } = folio;
    const { dirty, uptodate, restoreReserve, migratable, temporary, anon, devicePins, pipeReferences } = folio;
    lines.push(
      `${dirty} ${uptodate} ${restoreReserve} ${migratable} ${temporary} ${anon} ${devicePins} ${pipeReferences}`,
    );
    lines.push(`${pfn} ${refcount} ${mapcount} ${leaves} ${pincount} ${getcount} ${anonExclusive} ${freed} ${index}`);
    lines.push(
      `${folio.hwpoisonReferences} ${folio.rawHwpPages} ${folio.subpool?.usedPages} ${folio.subpool?.reservedPages}`,
    );
    for (const page of MARKED) {
      const [count, byte] = [folio.pageMapcount(page) - mapcount, contents.read(page * 4096)];
      if (count !== 0 || byte !== 0 || folio.hasRawHwp(page)) lines.push(`${pfn} ${page} ${count} ${byte}`);
    }
  }
  return lines.join('\n');
}

/** Its threads, its mappings, its page tables. */
function stateOf(machine: Machine, { name, mm, tasks }: Process): string[] {
  const { hugetlbUsage, miscounted, hasPinned, hasSharedTables, writeProtectSeq } = mm;
  const lines = [`${name} ${hugetlbUsage} ${miscounted} ${hasPinned} ${hasSharedTables} ${writeProtectSeq}`];
  for (const { tid, killed, exiting, racedAt, calls, siginfo } of tasks) {
    lines.push(`${tid} ${killed} ${exiting} ${racedAt} ${calls} ${JSON.stringify(siginfo)}`);
  }
  for (const { start, end, flags, pgoff } of mm.vmas) lines.push(`${start} ${end} ${flags} ${pgoff}`);
  for (const run = machine.leafScan.open(mm, 0, 2 ** 47); run.next(); ) {
    if (run.lo !== 0) lines.push(`${run.address} ${run.entries} ${run.ptep} ${run.lo} ${run.hi}`);
  }
  return lines;
}

/** A machine on which something has been done. */
function begun(scene: Scene, seed: number): Driver {
  const driver = new Driver(scene, seed);
  driver.play(seed, 20 + (seed % 30));
  return driver;
}

function checkpointOf({ machine }: Driver): ReturnType<Machine['checkpoint']> | undefined {
  try {
    return machine.checkpoint();
  } catch (error) {
    /* Two that took turns have come to a deadlock. */
    if (!String(error).includes('expected nobody in the kernel')) throw error;
    return undefined;
  }
}

/** How a sequence ends: with calls that come back, or with paths that nobody goes on with. */
export type End = 'ends' | 'is left in the midst';

/**
 * A checkpoint is taken, and two sequences are run.
 *
 * @returns what the first one did, in lines without numbers; nothing where the kernel was never empty
 * @throws Error where anything is not as it was
 */
export function goAgain(scene: Scene, seed: number, end: End): string[] {
  const driver = begun(scene, seed);
  const checkpoint = checkpointOf(driver);
  if (!checkpoint) return [];
  const hands = driver.held();
  const before = state(driver);
  const back = (): void => {
    checkpoint.restore();
    driver.hands = hands;
    driver.hands = driver.held();
    driver.machine.check();
  };
  const first = traced(driver, seed + 1000, end);
  back();
  same(state(driver), before, `seed ${seed}, what is there`);
  same(traced(driver, seed + 1000, end), first, `seed ${seed}, the same again`);
  back();
  const fresh = traced(begun(scene, seed), seed + 2000, 'ends');
  same(traced(driver, seed + 2000, 'ends'), fresh, `seed ${seed}, another sequence`);
  return first.split('\n').map((line) => line.replace(/0x[0-9a-f]+|[0-9]+/g, 'n'));
}

/** @throws Error that shows the first line of a text, of many thousand lines, that differs */
function same(got: string, wanted: string, what: string): void {
  if (got === wanted) return;
  const [lines, expected] = [got.split('\n'), wanted.split('\n')];
  const at = expected.findIndex((line, index) => line !== lines[index]);
  throw new Error(`${what}, line ${at}: expected\n${expected[at]}\ngot\n${lines[at]}`);
}
