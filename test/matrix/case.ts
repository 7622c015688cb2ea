/**
 * A case of the matrix as an object, and in words. The record it is read from is drawn in assembly/record.ts.
 */
import type { Outcome } from '../../src/index.ts';
import { describeAccess } from '../../src/mmu/access.ts';
import { decodeOutcome } from '../../src/mmu/outcome.ts';

/** One combination, what it must come to, and what came. Entries are those of level 1 to 5, at index level - 1. */
export interface Case {
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly rflags: bigint;
  readonly pkru: number;
  readonly pkrs: number;
  readonly maxPhysicalAddress: number;
  readonly page1G: boolean;
  readonly vendor: 'intel' | 'amd';
  readonly levels: number;
  readonly va: bigint;
  readonly access: number;
  readonly twice: boolean;
  readonly entries: readonly bigint[];
  /** Outcome words: of the access, and of the same access made again. */
  readonly expected: bigint;
  readonly again: bigint;
  readonly after: readonly bigint[];
  readonly got: bigint;
  /** What the core was asked last: 0 a probe, 1 the access, 2 the access again. */
  readonly time: number;
  readonly found: readonly bigint[];
}

/** Reads a record. */
export function caseAt(words: BigUint64Array): Case {
  const number = (index: number) => Number(words[index]);
  const entries = (index: number) => [...words.slice(index, index + 5)];
  return {
    cr0: words[0]!,
    cr4: words[1]!,
    efer: words[2]!,
    rflags: words[3]!,
    pkru: number(4),
    pkrs: number(5),
    maxPhysicalAddress: number(6),
    page1G: (number(7) & 1) !== 0,
    vendor: number(7) & 2 ? 'amd' : 'intel',
    levels: number(8),
    va: words[9]!,
    access: number(10),
    twice: words[11] !== 0n,
    entries: entries(12),
    expected: words[17]!,
    again: words[18]!,
    after: entries(19),
    got: words[24]!,
    time: number(25),
    found: entries(26),
  };
}

const ENTRY_NAMES = ['PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'];
const ENTRY_BITS = new Map([
  [0, 'P'],
  [1, 'W'],
  [2, 'U'],
  [3, 'PWT'],
  [4, 'PCD'],
  [5, 'A'],
  [6, 'D'],
  [7, 'PS/PAT'],
  [8, 'G'],
  [63, 'XD'],
]);
/** Bits of a leaf that are its protection key, and those that the processor ignores or that lead to the usual place. */
const UNTOLD = 0x7ff0_000f_ffe0_0e00n;

/** The bits of an entry by name, its key if it has one, and those of an address that has no business there. */
function entryInWords(entry: bigint, level: number): string {
  const leaf = level === 1 || (entry & 0x80n) !== 0n;
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (!((entry >> BigInt(bit)) & 1n) || (UNTOLD >> BigInt(bit)) & 1n) continue;
    const inTablesAddress = bit >= 12 && bit < 15 && !(leaf && level > 1);
    const inPagesAddress = bit >= 12 && bit < 36 && level === 1;
    if (!inTablesAddress && !inPagesAddress) names.push(ENTRY_BITS.get(bit) ?? `bit${bit}`);
  }
  if (leaf) names.push(`key${(entry >> 59n) & 15n}`);
  return names.join(' ') || 'nothing';
}

const CR4_BITS = new Map([
  [7n, 'PGE'],
  [20n, 'SMEP'],
  [21n, 'SMAP'],
  [22n, 'PKE'],
  [23n, 'CET'],
  [24n, 'PKS'],
  [27n, 'LASS'],
]);

function registersInWords(one: Case): string {
  const names = [...CR4_BITS].filter(([bit]) => (one.cr4 >> bit) & 1n).map(([, name]) => `CR4.${name}`);
  if ((one.cr0 >> 16n) & 1n) names.push('CR0.WP');
  if ((one.efer >> 11n) & 1n) names.push('EFER.NXE');
  if ((one.rflags >> 18n) & 1n) names.push('RFLAGS.AC');
  if (one.pkru) names.push(`PKRU 0x${one.pkru.toString(16)}`);
  if (one.pkrs) names.push(`PKRS 0x${one.pkrs.toString(16)}`);
  if (!one.page1G) names.push('no 1 GiB pages');
  if (one.vendor === 'amd') names.push('AMD');
  return [...names, `MAXPHYADDR ${one.maxPhysicalAddress}`].join(', ');
}

function outcomeInWords(outcome: Outcome): string {
  const told = ([name, value]: [string, unknown]): string => {
    if (typeof value === 'bigint' || name === 'errorCode')
      return `${name} 0x${(value as bigint | number).toString(16)}`;
    return typeof value === 'boolean' ? (value ? name : '') : `${name} ${value}`;
  };
  const { kind, ...rest } = outcome;
  return [kind, ...Object.entries(rest).map(told)].filter(Boolean).join(', ');
}

/** What came out wrong. */
export function inWords(sweep: string, combination: number, one: Case): string {
  const time = ['a probe of', '', 'once more'][one.time];
  const what =
    one.time === 2 ? `${describeAccess(one.access)} ${time}` : `${time} ${describeAccess(one.access)}`.trim();
  const before = one.time === 0 ? one.entries : one.after;
  const entries = one.entries.slice(0, one.levels).map((entry, i) => {
    const [expected, found] = [before[i]!, one.found[i]!];
    const changed =
      expected === found ? '' : `: expected ${entryInWords(expected, i + 1)}, found ${entryInWords(found, i + 1)}`;
    return `  ${ENTRY_NAMES[i]} ${entryInWords(entry, i + 1)}${changed}`;
  });
  return [
    `${sweep}, combination 0x${combination.toString(16)}: ${what}, ${one.levels} levels, va 0x${one.va.toString(16)}`,
    `  ${registersInWords(one)}`,
    ...entries.reverse(),
    `  expected ${outcomeInWords(decodeOutcome(one.time === 2 ? one.again : one.expected))}`,
    `  got ${outcomeInWords(decodeOutcome(one.got))}`,
  ].join('\n');
}
