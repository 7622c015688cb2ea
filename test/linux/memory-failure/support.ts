/**
 * What can be seen of bad memory: the entries, and what an access gets.
 */
import { BUS_MCEERR_AR, type Folio, MADV_HWPOISON, type Machine, type Process, Pte } from '../../../src/linux/index.ts';
import { GIB1, KIB4, MIB2, pageAt } from '../support.ts';

/** Rows of `describe.each`: a whole huge page's `lsb`, and the leaves that are around one 4 KiB piece. */
export const SIZES: readonly { readonly name: string; readonly size: number; readonly shift: number }[] = [
  { name: '2 MiB', size: MIB2, shift: 21 },
  { name: '1 GiB', size: GIB1, shift: 30 },
];

/** The signal of lost memory: 2^lsb bytes of it. */
export function lost(lsb: number): string {
  return `SIGBUS MCEERR_AR lsb ${lsb}`;
}

/** A read: the byte, or the signal with what came along. */
export function look(process: Process, address: number): unknown {
  const result = process.read(address);
  if (result !== 'SIGBUS') return result;
  const { signal, code, lsb, address: where } = process.siginfo!;
  if (where !== address) throw new Error(`si_addr is 0x${where.toString(16)}`);
  return code === BUS_MCEERR_AR ? `${signal} MCEERR_AR lsb ${lsb}` : `${signal} ADRERR`;
}

/** What 4 KiB pages from `at` on read as, by their numbers. */
export function lookAt(process: Process, at: number, pages: readonly number[]): unknown[] {
  return pages.map((page) => look(process, at + page * KIB4));
}

/** MADV_HWPOISON of one 4 KiB page. */
export function poison(process: Process, at: number, page: number): unknown {
  return process.madvise(at + page * KIB4, KIB4, MADV_HWPOISON);
}

/** The frame of a mapped 4 KiB page. */
export function frameAt(process: Process, address: number): number {
  const page = pageAt(process, address);
  if (!page?.folio) throw new Error(`nothing is mapped at 0x${address.toString(16)}`);
  return Pte.from(page.entry).pfn + Math.floor((address - page.address) / KIB4);
}

/** Entries that follow each other: how many, 4 KiB pages of each, and what they are. */
export type Run = [count: number, pages: number, kind: 'mapped' | 'bad' | 'marker' | 'other'];

/** The entries of [at, at + length) that are not empty. */
export function entries(process: Process, at: number, length: number): Run[] {
  const found: Run[] = [];
  for (const { address, bytes, entry, folio } of process.mappedPages()) {
    if (address < at || address >= at + length) continue;
    const pte = Pte.from(entry);
    const kind = folio ? 'mapped' : pte.isHwpoison ? 'bad' : pte.isMarker ? 'marker' : 'other';
    const last = found.at(-1);
    if (last && last[1] === bytes / KIB4 && last[2] === kind) last[0]++;
    else found.push([1, bytes / KIB4, kind]);
  }
  return found;
}

/** Whether any process maps any bad 4 KiB page. */
export function mapsBadMemory(machine: Machine): boolean {
  for (const process of machine.processes) {
    for (const { folio, entry, bytes } of process.mappedPages()) {
      if (folio?.hasRawHwp(Pte.from(entry).pfn - folio.pfn, bytes / KIB4)) return true;
    }
  }
  return false;
}

/** The huge page with an index in the first file that has one. */
export function cached(machine: Machine, index = 0): Folio {
  for (const { pageCache } of machine.inodes) {
    const folio = pageCache.find(index);
    if (folio) return folio;
  }
  throw new Error(`the page cache has no page ${index}`);
}
