/**
 * `hugewalk reverse`: who maps a physical address, over the roots of all processors, or over all roots in memory.
 */
import { hex } from '../core/errors.ts';
import { ADDRESS_MASK } from '../core/generated/layout.ts';
import { AddressSpace, type AddressSpaceOptions } from '../dump/address-space.ts';
import { DumpError } from '../dump/dump-error.ts';
import type { PhysicalUse } from '../dump/questions/reverse.ts';
import { evidenceWords } from '../dump/roots/candidate.ts';
import { findRoots } from '../dump/roots/find-roots.ts';
import { fieldsOf } from '../reference/entry.ts';
import { Failure } from './failure.ts';
import type { Surroundings } from './map.ts';
import { headOf, registersOf, type SpaceOptions, searchProgress, tellOrigin, type Warn, withSpace } from './open.ts';
import { columns, counted, EXECUTABLE, PAGE_SIZES, rightsText, USER, WRITABLE } from './text.ts';

/** The options of `reverse`. */
export interface ReverseOptions extends SpaceOptions {
  readonly json?: boolean;
  /** Over all roots that a search finds. */
  readonly roots?: boolean;
}

/** An address space that is looked through, and what stands above its mappings. */
interface Looked {
  readonly space: AddressSpace;
  readonly title: string;
}

/** Runs the command. */
export async function reverse(
  paths: readonly string[],
  physical: bigint,
  options: ReverseOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { output, errors, progress, paint } = surroundings;
  const { json = false, roots = false } = options;
  await withSpace(paths, options, surroundings, async (first, warn) => {
    if (json) tellOrigin(first, errors);
    const looked = [];
    for await (const { space, title } of spacesOf(first, options, surroundings, warn)) {
      const uses = await space.reverse(physical);
      progress.clear();
      looked.push(uses.length);
      if (json) for (const use of uses) output.add(`${JSON.stringify(jsonOf(space, use))}\n`);
      else if (!roots || uses.length > 0) output.add(`${title}${textOf(uses, physical)}\n\n`);
      await output.flush();
      if (space !== first) space.memory.release();
    }
    const mapping = looked.filter((uses) => uses > 0).length;
    if (roots && !json)
      output.add(`${paint.bold(`mapped by ${mapping} of ${counted(looked.length, 'root table')}`)}\n`);
    await output.flush();
  });
}

/** The address spaces to look through, each root once; those of other processors only where neither root nor processor was asked for. */
async function* spacesOf(
  first: AddressSpace,
  options: ReverseOptions,
  surroundings: Surroundings,
  warn: Warn,
): AsyncGenerator<Looked> {
  const { paint } = surroundings;
  const met = new Set([rootOf(first)]);
  yield { space: first, title: headOf(first, paint) };
  if (options.cpu === undefined && options.cr3 === undefined) {
    for (const cpu of first.dump.cpus.keys()) {
      const space = await open(first, { cpu }, options, warn);
      if (!space || met.has(rootOf(space))) continue;
      met.add(rootOf(space));
      yield { space, title: headOf(space, paint) };
    }
  }
  if (options.roots) yield* foundSpaces(first, met, options, surroundings, warn);
}

/** Those of the roots in memory that were not met. */
async function* foundSpaces(
  first: AddressSpace,
  met: ReadonlySet<bigint>,
  options: ReverseOptions,
  { progress, paint }: Surroundings,
  warn: Warn,
): AsyncGenerator<Looked> {
  const { dump, origin } = first;
  const onProgress = searchProgress(dump, progress);
  const { roots, more } = await findRoots(dump, {
    onProgress,
    ...(origin.cBit !== undefined && { cBit: origin.cBit }),
  });
  progress.clear();
  if (more) warn(['looked at some of the candidates for roots only: there are too many']);
  for (const candidate of roots) {
    const { root, levels, kind } = candidate;
    if (met.has(root)) continue;
    const space = await open(first, { cr3: root, levels }, options, warn);
    const title = `CR3 ${hex(root)} (found by search: ${kind}; ${evidenceWords(candidate).join('; ')}), ${levels} levels`;
    if (space) yield { space, title: `${paint.bold(title)}\n` };
  }
}

function rootOf({ mmu }: AddressSpace): bigint {
  return mmu.registers.cr3 & ADDRESS_MASK;
}

/** Another address space of a dump; a warning, where there is none: a processor that does not page. */
async function open(
  { dump, origin }: AddressSpace,
  which: AddressSpaceOptions,
  options: ReverseOptions,
  warn: Warn,
): Promise<AddressSpace | undefined> {
  try {
    return await AddressSpace.open(dump, { ...registersOf(options), ...which });
  } catch (error) {
    if (!(error instanceof DumpError)) throw error;
    const words = error.message.slice(dump.name.length + 2);
    if (options.strict) throw new Failure(`${error.message} (an error because of --strict)`);
    if (words !== origin.problem) warn([`${words}: not looked through`]);
    return undefined;
  }
}

function textOf(uses: readonly PhysicalUse[], physical: bigint): string {
  if (uses.length === 0) return `nothing maps ${hex(physical)}`;
  const rows = uses.map(({ va, mapping }) => [
    hex(va),
    PAGE_SIZES[mapping.level as 1 | 2 | 3],
    rightsText(rightsOf(mapping)),
    fieldsOf(mapping.entry, mapping.level, true).join(' '),
  ]);
  return columns(rows, 'rlll').join('\n');
}

function rightsOf({ writable, user, executable }: PhysicalUse['mapping']): number {
  return (writable ? WRITABLE : 0) | (user ? USER : 0) | (executable ? EXECUTABLE : 0);
}

function jsonOf({ mmu }: AddressSpace, { va, mapping }: PhysicalUse): object {
  const { pageSize, writable, user, executable } = mapping;
  return {
    cr3: hex(mmu.registers.cr3),
    va: hex(va),
    size: pageSize,
    rights: { write: writable, user, execute: executable },
  };
}
