/**
 * Who maps a physical address: the leaves of an address space that cover it.
 */
import { checkBigint, hex, wrongKind } from '../../core/errors.ts';
import type { Mapping } from '../../mmu/mapping.ts';
import { Mmu } from '../../mmu/mmu.ts';

const LIMIT = 1n << 52n;

/** A leaf that maps a physical address. */
export interface PhysicalUse {
  /** The linear address that comes to it. */
  readonly va: bigint;
  /** The leaf: its entry, size and rights. */
  readonly mapping: Mapping;
}

/**
 * The leaves that map a physical address, in ascending order of linear address. Tables that are not in memory are not looked at.
 *
 * @throws TypeError or RangeError for an address that is none
 */
export function physicalUses(mmu: Mmu, physical: bigint): Generator<PhysicalUse, void, undefined> {
  if (!(mmu instanceof Mmu)) throw wrongKind('mmu', 'an Mmu', mmu);
  checkBigint('physical', physical);
  if (physical < 0n || physical >= LIMIT) {
    throw new RangeError(`physical: expected an address below ${hex(LIMIT)}, got ${hex(physical)}`);
  }
  return usesOf(mmu, physical);
}

function* usesOf(mmu: Mmu, physical: bigint): Generator<PhysicalUse, void, undefined> {
  for (const mapping of mmu.mappings({ coalesce: true })) {
    if (mapping.kind !== 'leaf') continue;
    const { pa, va, bytes } = mapping;
    if (pa <= physical && physical < pa + bytes) yield { va: va + (physical - pa), mapping };
  }
}
