/**
 * `hugewalk reverse`: who maps a physical address, over the roots of all processors.
 */
import { hex } from '../core/errors.ts';
import { AddressSpace } from '../dump/address-space.ts';
import type { PhysicalUse } from '../dump/questions/reverse.ts';
import { fieldsOf } from '../reference/entry.ts';
import type { Surroundings } from './map.ts';
import { type SpaceOptions, titleOf, withSpace } from './open.ts';
import { columns, EXECUTABLE, PAGE_SIZES, rightsText, USER, WRITABLE } from './text.ts';

/** The options of `reverse`. */
export interface ReverseOptions extends SpaceOptions {
  readonly json?: boolean;
}

/** Runs the command. */
export async function reverse(
  path: string,
  physical: bigint,
  options: ReverseOptions,
  { output, errors, progress, paint }: Surroundings,
): Promise<void> {
  await withSpace([path], options, { progress, errors }, async (first) => {
    const spaces = [first, ...(await others(first, options))];
    for (const [index, space] of spaces.entries()) {
      const uses = await space.reverse(physical);
      progress.clear();
      if (options.json) {
        for (const use of uses) output.add(`${JSON.stringify(jsonOf(space, use))}\n`);
      } else {
        const title = index === 0 ? titleOf(space, options) : `CR3 ${hex(space.mmu.registers.cr3)}`;
        output.add(`${paint.bold(title)}\n${textOf(uses, physical)}\n\n`);
      }
      await output.flush();
    }
  });
}

/** The address spaces of the other processors, each root once; none where a root or a processor was asked for. */
async function others(first: AddressSpace, { cpu, cr3 }: SpaceOptions): Promise<AddressSpace[]> {
  if (cpu !== undefined || cr3 !== undefined) return [];
  const roots = new Set([first.mmu.registers.cr3]);
  const spaces: AddressSpace[] = [];
  for (const [index, state] of first.dump.cpus.entries()) {
    if (roots.has(state.cr3)) continue;
    roots.add(state.cr3);
    spaces.push(await AddressSpace.open(first.dump, { cpu: index }));
  }
  return spaces;
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
