/**
 * Counts again, from page tables, what the kernel keeps count of: how often each huge page is mapped, whole and in pieces, and how many pages
 * each process has mapped.
 *
 *   one 2 MiB page   │2 MiB│                 of process 1       entries 1 + 3     whole 1
 *                    │4 KiB│4 KiB│   │4 KiB│ of process 2       pieces 1 1 0 1 0 0 ...
 */
import { InvariantError } from '../../core/errors.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { LeafRun } from '../mm/leaf-cursor.ts';
import type { Mm } from '../mm/mm.ts';
import type { Folio } from '../pool/folio.ts';
import type { Machine } from './machine.ts';

/** Bits of an index into a table; of the highest one, user space has half. */
const INDEX_BITS = 9;

/** How a huge page is mapped. */
export interface Mapped {
  /** Entries, of any size. */
  entries: number;
  /** Those that map all of it. */
  whole: number;
  /** For each of its 4 KiB pages the smaller ones that map it. Undefined where there are none. */
  pieces: Int32Array | undefined;
}

/** What there is in page tables. */
export interface Recount {
  readonly mapped: ReadonlyMap<Folio, Mapped>;
  /** 4 KiB pages that a process has mapped: `hugetlb_usage`. */
  readonly usage: ReadonlyMap<Mm, number>;
}

/** Goes through all page tables. An entry of a table that processes share counts once for its page, and for each process. */
export function recount(machine: Machine): Recount {
  const mapped = new Map<Folio, Mapped>();
  const usage = new Map<Mm, number>();
  const seen = new Set<number>();
  for (const { mm } of machine.processes) {
    let pages = 0;
    for (const run = machine.leafScan.open(mm, 0, 2 ** (mm.topShift + INDEX_BITS - 1)); run.next(); ) {
      if (run.pte.isMigration) {
        const where = `${mm.process} at 0x${run.address.toString(16)}`;
        throw new InvariantError(`recount: ${where}: an entry of a page that nobody moves`);
      }
      if (!run.present) continue;
      pages += (run.entries * run.size) / PAGE_SIZE;
      if (seen.has(run.ptep)) continue;
      seen.add(run.ptep);
      countRun(mm, run, mapped);
    }
    usage.set(mm, pages);
  }
  return { mapped, usage };
}

/** A run may go from one huge page to the next. */
function countRun(mm: Mm, { address, entries, size, pte }: LeafRun, mapped: Map<Folio, Mapped>): void {
  const pages = size / PAGE_SIZE;
  for (let entry = 0; entry < entries; ) {
    const pfn = pte.pfn + entry * pages;
    const folio = mm.machine.frames.folio(pfn);
    const count = Math.min(entries - entry, (folio.pfn + folio.pages - pfn) / pages);
    const where = (): string => `${mm.process} at 0x${(address + entry * size).toString(16)}`;
    if (folio.refcount <= 0) throw new InvariantError(`recount: ${where()} maps a free page`);
    if (folio.anon && !folio.anonExclusive && pte.write)
      throw new InvariantError(`recount: ${where()} may write a shared page`);
    if (!folio.anon) checkFilePage(folio, where);
    let of = mapped.get(folio);
    if (!of) {
      of = { entries: 0, whole: 0, pieces: undefined };
      mapped.set(folio, of);
    }
    of.entries += count;
    if (pages === folio.pages) of.whole += count;
    else {
      of.pieces ??= new Int32Array(folio.pages);
      const first = pfn - folio.pfn;
      for (let page = first; page < first + count * pages; page++) of.pieces[page]!++;
    }
    entry += count;
  }
}

/**
 * A page of a file that is mapped is in its page cache; one with bad memory may be on its way out. It may be behind the file's end: fallocate puts it there
 * with FALLOC_FL_KEEP_SIZE.
 */
function checkFilePage(folio: Folio, where: () => string): void {
  if (!folio.pageCache && !folio.hwpoison)
    throw new InvariantError(`recount: ${where()} maps a page that is in no file any more`);
}
