/**
 * `hugewalk walk`: addresses, level by level.
 */
import { hex } from '../core/errors.ts';
import type { AddressSpace } from '../dump/address-space.ts';
import { assumedWords, decidedByAssumption } from '../dump/assumed.ts';
import { describeOsEntry, type EntryOs, type OsEntry } from '../dump/questions/os-entries.ts';
import { Access, describeAccess } from '../mmu/access.ts';
import type { Explanation } from '../reference/explain.ts';
import { explanationLines } from '../reference/explanation-text.ts';
import { Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { headOf, letGo, type SpaceOptions, withSpace } from './open.ts';
import type { AddressRegister } from './options.ts';
import type { Paint } from './text.ts';

/** The options of `walk`. */
export interface WalkOptions extends SpaceOptions {
  /** Kinds of access, each of which is walked. */
  readonly access: readonly number[];
  readonly user?: boolean;
  /** Current privilege level; 3 is user mode. */
  readonly cpl?: number;
  readonly json?: boolean;
  /** Whose entries that are not present are told what they mean. */
  readonly os?: EntryOs;
}

/** An address, or the register of the dump's processor that holds it. */
export type WalkAddress = bigint | AddressRegister;

/** Runs the command. */
export async function walk(
  paths: readonly string[],
  addresses: readonly WalkAddress[],
  options: WalkOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { access, cpl, json = false, os } = options;
  if (options.user && cpl !== undefined && cpl < 3) throw new Failure(`--cpl: expected 3 with --user, got ${cpl}`);
  const user = options.user === true || cpl === 3;
  const { output, progress, paint } = surroundings;
  const accesses = access.map((kind) => kind | (user ? Access.user : 0));
  await withSpace(paths, options, surroundings, async (space) => {
    if (!json) output.add(headOf(space, paint));
    for (const address of addresses) {
      const va = typeof address === 'bigint' ? address : registerOf(space, address);
      const walks = await explainAll(space, va, accesses);
      progress.report(() => `walking: at ${hex(va)}`);
      const { levels } = space.mmu;
      const meant = os && meaningOf(walks[0]!, os, levels);
      const text = json ? walks.map((one) => jsonOf(one, space, meant)).join('') : textOf(walks, space, paint, meant);
      if (output.add(text)) await output.flush();
    }
    progress.clear();
    await letGo(space.dump);
    await output.flush();
  });
}

/** What a register of the dump's processor holds. */
function registerOf({ dump, origin }: AddressSpace, register: AddressRegister): bigint {
  const state = origin.cpu === undefined ? undefined : dump.cpus[origin.cpu];
  if (state) return state[register];
  throw new Failure(`${register}: expected a dump with that register, found none in ${dump.name}: give the address`);
}

async function explainAll(space: AddressSpace, va: bigint, accesses: readonly number[]): Promise<Explanation[]> {
  const walks: Explanation[] = [];
  for (const access of accesses) walks.push(await space.explain(va, access));
  return walks;
}

/** What an entry that is not present means to an operating system, where the walk has ended at one. */
function meaningOf({ steps }: Explanation, os: EntryOs, levels: 4 | 5): OsEntry | undefined {
  const last = steps.at(-1);
  return last && describeOsEntry(last.entry, os, { level: last.level, levels });
}

function textOf(
  walks: readonly Explanation[],
  { origin, mmu }: AddressSpace,
  paint: Paint,
  meant: OsEntry | undefined,
): string {
  const colours = { address: paint.bold, reached: paint.green, failed: paint.red };
  const lines = explanationLines(walks, colours);
  const warnings = new Set(walks.flatMap((one) => decidedByAssumption(one, origin, mmu.registers)));
  for (const words of warnings) lines.push(`  warning: ${words}`);
  if (meant) lines.push(`to the operating system: ${meant.words}`);
  return `\n${lines.join('\n')}\n`;
}

function jsonOf(explanation: Explanation, { origin, mmu }: AddressSpace, meant: OsEntry | undefined): string {
  const { va, access, outcome, steps, words } = explanation;
  return `${JSON.stringify({
    va: hex(va),
    access: describeAccess(access),
    ...outcomeJson(outcome),
    steps: steps.map((step) => ({
      level: step.level,
      name: step.name,
      table: hex(step.table),
      index: step.index,
      address: hex(step.address),
      entry: hex(step.entry),
      fields: step.fields,
      words: step.words,
    })),
    words,
    cr3: hex(mmu.registers.cr3),
    levels: mmu.levels,
    root: origin.why,
    assumed: assumedWords(origin, mmu.registers),
    warnings: decidedByAssumption(explanation, origin, mmu.registers),
    ...(meant && {
      os: { kind: meant.kind, words: meant.words, ...(meant.pa !== undefined && { pa: hex(meant.pa) }) },
    }),
  })}\n`;
}

function outcomeJson(outcome: Explanation['outcome']): object {
  switch (outcome.kind) {
    case 'page': {
      const { kind, physicalAddress, pageSize, writable, user, executable } = outcome;
      return { outcome: kind, pa: hex(physicalAddress), size: pageSize, write: writable, user, execute: executable };
    }
    case 'page-fault':
      return {
        outcome: outcome.kind,
        errorCode: outcome.errorCode,
        level: outcome.level,
        table: hex(outcome.table),
      };
    case 'missing-table':
      return { outcome: outcome.kind, level: outcome.level, table: hex(outcome.table) };
    case 'paging-off':
      return { outcome: outcome.kind, pa: hex(outcome.physicalAddress) };
    case 'non-canonical':
    case 'lass':
      return { outcome: outcome.kind };
  }
}
