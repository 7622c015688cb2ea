/**
 * Mappings to try GUP on, and leaves that are smaller than their huge page, planted by hand where all of it is mapped.
 */

import { Pte } from '../../../src/linux/base/pte.ts';
import {
  type Folio,
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  Machine,
  type MachineOptions,
  PROT_READ,
  PROT_WRITE,
  type Process,
  VM_HUGETLB_HGM,
} from '../../../src/linux/index.ts';
import type { HugetlbPte } from '../../../src/linux/mm/hugetlb-pte.ts';
import { leafAt, pointTo } from '../../../src/linux/page-tables/page-table.ts';

export const MIB: number = 2 ** 20;
export const GIB: number = 2 ** 30;
export const PAGE = 4096;
/** Bytes and 4 KiB pages of the usual huge page. */
export const HUGE: number = 2 * MIB;
export const PAGES_OF_HUGE: number = HUGE / PAGE;
export const RW: number = PROT_READ | PROT_WRITE;

/** What to map. */
export interface Wanted {
  readonly hugePageSize?: number;
  /** Huge pages to map; the pool has as many, unless `pool` says otherwise. */
  readonly count?: number;
  readonly pool?: number;
  readonly shared?: boolean;
  readonly prot?: number;
  /** Fault every page in, by a write of its number + 1 into its first byte. */
  readonly touched?: boolean;
  readonly address?: number;
  readonly options?: MachineOptions;
}

export interface Scene {
  readonly machine: Machine;
  readonly process: Process;
  /** Where the mapping begins. */
  readonly at: number;
}

/** A machine, a process, a mapping. All counts are checked after every system call. */
export function scene(wanted: Wanted = {}): Scene {
  const { hugePageSize = HUGE, count = 1, pool = count, options } = wanted;
  const machine = new Machine({ pools: [{ hugePageSize, pages: pool }], checks: true, ...options });
  const process = machine.createProcess();
  return { machine, process, at: map(process, wanted) };
}

/** Another mapping. */
export function map(
  process: Process,
  { hugePageSize = HUGE, count = 1, shared, prot = RW, touched, address }: Wanted,
): number {
  const at = process.mmap({
    length: count * hugePageSize,
    prot: touched ? RW : prot,
    flags:
      (shared ? MAP_SHARED : MAP_PRIVATE) |
      MAP_ANONYMOUS |
      MAP_HUGETLB |
      (hugePageSize === GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB),
    ...(address === undefined ? {} : { address }),
  });
  if (typeof at !== 'number') throw new Error(`mmap: ${at}`);
  for (let page = 0; touched && page < count; page++) process.write(at + page * hugePageSize, page + 1);
  if (touched && prot !== RW) process.mprotect(at, count * hugePageSize, prot);
  return at;
}

/** A fork that has to succeed. */
export function fork(process: Process): Process {
  const child = process.fork();
  if (typeof child === 'string') throw new Error(`fork: ${child}`);
  return child;
}

/** The leaf or hole behind an address. */
export function leafOf(process: Process, address: number): HugetlbPte {
  const leaf = leafAt(process.mm, address);
  if (!leaf) throw new Error('no table for leaves there');
  return leaf;
}

/** The huge page behind an address. */
export function folioOf(process: Process, address: number): Folio {
  const { machine } = process.mm;
  return machine.frames.folio(machine.tables.read(leafOf(process, address).ptep).pfn);
}

/**
 * Puts a table of 512 leaves in the place of one, and turns high-granularity mapping on. The series' own ways, MADV_SPLIT and UFFDIO_CONTINUE,
 * make tables only where nothing is mapped yet; a leaf that is there is cut when memory fails.
 */
export function splitLeaf(process: Process, address: number): void {
  const { mm } = process;
  const { tables } = mm.machine;
  const leaf = leafOf(process, address);
  const pte = tables.read(leaf.ptep);
  const shift = leaf.shift - 9;
  const table = tables.allocate(shift);
  const vma = mm.vmaLookup(address);
  if (!table || !vma) throw new Error('no memory for a table, or nothing mapped');
  vma.flags |= VM_HUGETLB_HGM;
  const pages = 2 ** (shift - 12);
  for (let index = 0; index < 512; index++) {
    const pfn = pte.pfn + index * pages;
    const smaller = Pte.of(pfn, { lo: pte.lo & 0xf7f & ~0x80, hi: pte.hi & ~0xf_ffff }).mkhuge(shift);
    tables.write(table.address + index * 8, smaller);
  }
  pointTo(mm, leaf.ptep, table.address);
  const folio = mm.machine.frames.folio(pte.pfn);
  const first = pte.pfn - folio.pfn;
  folio.removeRmap(first, leaf.pages);
  folio.addFileRmap(first, pages, 512);
  folio.refcount += 511;
}

/** Frame numbers, from one on. */
export function framesFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, page) => first + page);
}
