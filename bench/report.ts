/**
 * Results for programs: the figures as JSON, and the machine that they belong to.
 */
import { readFileSync } from 'node:fs';
import { arch, cpus, platform, totalmem } from 'node:os';
import type { Row } from './benchmark.ts';
import { COMPARED, perMicrosecond, ratioOf, rounded } from './figures.ts';
import type { Native } from './native.ts';

/** One figure, in the shape that trackers of benchmarks read. */
export interface Result {
  readonly name: string;
  readonly unit: 'M/s';
  /** Median. */
  readonly value: number;
  /** How many times as fast as the figure that it is compared with first: `ratios` has them all, by their names. */
  readonly ratio?: number;
  /** Slowest and fastest repetition. */
  readonly range: readonly [number, number];
  readonly repetitions: number;
  readonly ratios?: Readonly<Record<string, number>>;
  /** Levels of the walk, and bytes of the tables that there really are. */
  readonly levels?: number;
  readonly tableBytes?: number;
}

/** The row's figures. */
export function resultsOf({ name, figures, image }: Row): Result[] {
  return [...figures].map(([figure, of]) => {
    const ratios = (COMPARED[figure] ?? []).flatMap((yardstick) => {
      const ratio = ratioOf(figures, figure, yardstick);
      return ratio === undefined ? [] : [[yardstick, rounded(ratio)] as const];
    });
    return {
      name: `${name}/${figure}`,
      unit: 'M/s',
      value: rounded(perMicrosecond(of.median)),
      ...(ratios.length && { ratio: ratios[0]![1] }),
      range: [rounded(perMicrosecond(of.max)), rounded(perMicrosecond(of.min))],
      repetitions: of.repetitions,
      ...(ratios.length && { ratios: Object.fromEntries(ratios) }),
      ...(image && { levels: image.levels, tableBytes: image.tables * 4096 }),
    };
  });
}

/** The machine that the figures belong to. */
export function describeMachine(native: Native): Record<string, string | number> {
  const all = cpus();
  return {
    date: new Date().toISOString(),
    machine: `${platform()} ${arch()}`,
    cpu: all[0]?.model.trim() ?? 'unknown',
    cpus: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    v8: process.versions.v8,
    compiler: native.binary === undefined ? native.missing : native.compiler,
    hugePages: transparentHugePages(),
  };
}

/** Whether the native walker's tables can lie on 2 MiB pages; `[madvise]` or `[always]` says that they do. */
function transparentHugePages(): string {
  try {
    return readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
