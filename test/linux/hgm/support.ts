/**
 * Mappings with high-granularity mapping, and what can be seen of them: which leaves there are, and whether all counts fit them.
 */
import {
  type Folio,
  type HgmOptions,
  type HgmVersion,
  type HugetlbFile,
  MADV_SPLIT,
  type Machine,
  type MapcountScheme,
  PROT_READ,
  PROT_WRITE,
  type Process,
  Pte,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  type UserfaultFile,
} from '../../../src/linux/index.ts';
import { leafAt } from '../../../src/linux/page-tables/page-table.ts';
import { GIB1, granted, KIB4, type MachineParts, MIB2, machineWith, mapShared, RW } from '../support.ts';

export { GIB1, granted, KIB4, MIB2, RW };

/** 4 KiB pages of the larger leaves. */
export const PAGES_2M: number = MIB2 / KIB4;
export const PAGES_1G: number = GIB1 / KIB4;

/** Rows of `describe.each`: both versions that can be chosen. */
export const VERSIONS: readonly { readonly version: HgmVersion }[] = [{ version: 'rfc-v2' }, { version: 'v2' }];

/** Each version with each way to count mappings, and each size. */
export const ALL: readonly {
  readonly version: HgmVersion;
  readonly mapcounts: MapcountScheme;
  readonly size: number;
}[] = VERSIONS.flatMap(({ version }) =>
  (['head', 'subpages'] as const).flatMap((mapcounts) => [MIB2, GIB1].map((size) => ({ version, mapcounts, size }))),
);

/** What to make. */
export interface HgmParts extends HgmOptions, Omit<MachineParts, 'hgm'> {
  /** Huge pages that are mapped. */
  readonly count?: number;
  readonly prot?: number;
  /** Besides the one that turns HGM on. */
  readonly features?: number;
  /** What all of it is registered for; 0: nothing, which leaves RFC v2 without HGM. */
  readonly mode?: number;
  /** Of the first huge pages so many get contents, see {@link fill}. Default all. */
  readonly filled?: number;
  /** v2: whether MADV_SPLIT is called. */
  readonly split?: boolean;
}

export interface HgmScene {
  readonly machine: Machine;
  readonly process: Process;
  readonly file: HugetlbFile;
  readonly uffd: UserfaultFile;
  readonly size: number;
  /** Where the file is mapped, shared and with HGM. */
  readonly at: number;
  readonly length: number;
}

const AT = 2 ** 40;
/** Where `fill` maps the file for a moment. */
const ASIDE = 2 ** 43;

/** The userfaultfd feature with which RFC v2 turns HGM on. */
export function hgmFeature(version: HgmVersion): number {
  return version === 'rfc-v2' ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0;
}

/** A process with a file, mapped shared and with HGM. A fault that userfaultfd would handle is SIGBUS, unless `features` are given. */
export function hgmScene(parts: HgmParts = {}): HgmScene {
  const { version = 'v2', mapcounts, posted = 0, size = MIB2, count = 2, pages = count + 2, ...rest } = parts;
  const { prot = RW, mode = UFFDIO_REGISTER_MODE_MINOR, features = UFFD_FEATURE_SIGBUS } = rest;
  const hgm = { version, posted, ...(mapcounts ? { mapcounts } : {}) };
  const { checks = true } = rest;
  const machine = machineWith({ size, pages, checks, hgm, tables: size === GIB1 ? 2 ** 23 : 2 ** 21 });
  const process = machine.createProcess();
  const file = machine.memfdCreate({ hugePageSize: size });
  const at = mapShared(process, count, { size, file, address: AT, prot });
  const length = count * size;
  for (let index = 0; index < (rest.filled ?? count); index++) fill(process, file, size, index);
  if (version === 'v2' && rest.split !== false) ok(process.madvise(at, length, MADV_SPLIT));
  const uffd = process.userfaultfd();
  ok(uffd.api(features | (mode === 0 ? 0 : hgmFeature(version))).result);
  if (mode !== 0) ok(uffd.register(at, length, mode).result);
  return { machine, process, file, uffd, size, at, length };
}

/** That a call succeeded. */
export function ok(result: unknown): void {
  if (result !== 'OK') throw new Error(`not OK: ${String(result)}`);
}

/** What the first byte of a 4 KiB page of a file gets by {@link fill}: the same for the same number of the page in the file. */
export function byteOf(page: number): number {
  return (37 * page + 11) & 255;
}

/** Pages of a huge page that `fill` writes: all of 2 MiB; of 1 GiB the first 1024, and then the first of each 2 MiB, and the last. */
export function filledPages(size: number): number[] {
  const pages = Array.from({ length: Math.min(size / KIB4, 2 * PAGES_2M) }, (_, page) => page);
  for (let page = 2 * PAGES_2M; page < size / KIB4; page += PAGES_2M) pages.push(page);
  if (size === GIB1) pages.push(PAGES_1G - 1);
  return pages;
}

/** Gives a huge page of a file contents, by way of another mapping, which goes again. */
export function fill(process: Process, file: HugetlbFile, size: number, index: number): void {
  const address = mapShared(process, 1, { size, file, address: ASIDE, offset: index * size });
  const first = (index * size) / KIB4;
  for (const page of filledPages(size)) ok(process.write(address + page * KIB4, byteOf(first + page)));
  ok(process.munmap(address, size));
}

/** UFFDIO_CONTINUE of so many 4 KiB pages from one on, all of which must be done. */
export function continuePages({ uffd, at }: HgmScene, page: number, pages: number): void {
  const { result, done } = uffd.continue(at + page * KIB4, pages * KIB4);
  if (result !== 'OK') throw new Error(`UFFDIO_CONTINUE: ${result}, ${done}`);
}

/** Leaves that follow each other: the first one's 4 KiB page from `from` on, how many, 4 KiB pages of each, flags. */
export type Run = [page: number, count: number, size: number, flags: string];

/** What is mapped in [from, from + length): `w` writable or `r` not, `n` PROT_NONE, `u` write-protected by userfaultfd; `m` a marker. */
export function runs(process: Process, from: number, length: number): Run[] {
  const found: Run[] = [];
  for (const { address, bytes, entry, folio } of process.mappedPages()) {
    if (address < from || address >= from + length) continue;
    const page = (address - from) / KIB4;
    const size = bytes / KIB4;
    const flags = flagsOf(entry, folio);
    const last = found.at(-1);
    if (last && last[0] + last[1] * last[2] === page && last[2] === size && last[3] === flags) last[1]++;
    else found.push([page, 1, size, flags]);
  }
  return found;
}

function flagsOf(entry: bigint, folio: Folio | undefined): string {
  if (!folio) return 'm';
  const pte = Pte.from(entry);
  return `${(entry & 1n) === 0n ? 'n' : ''}${pte.write ? 'w' : 'r'}${pte.uffdWp ? 'u' : ''}`;
}

/** Likewise, of a scene's whole mapping, without the flags. */
export function shape({ process, at, length }: HgmScene): [number, number, number][] {
  return runs(process, at, length).map(([page, count, size]) => [page, count, size]);
}

/** Likewise, of a whole mapping, with the flags. */
export function shapeAndFlags({ process, at, length }: HgmScene): Run[] {
  return runs(process, at, length);
}

/** 4 KiB pages of the leaf or hole that a page of a scene's mapping lies in. */
export function leafSize({ process, at }: HgmScene, page: number): number | undefined {
  return leafAt(process.mm, at + page * KIB4)?.pages;
}

/** What a process reads at the beginning of 4 KiB pages. */
export function readPages(process: Process, at: number, pages: readonly number[]): unknown[] {
  return pages.map((page) => process.read(at + page * KIB4));
}

/** The huge page of a file. */
export function folioOf(machine: Machine, index: number): Folio {
  for (const { pageCache } of machine.inodes) {
    const folio = pageCache.find(index);
    if (folio) return folio;
  }
  throw new Error(`the page cache has no page ${index}`);
}

/** Counts all leaves, and compares: usage, references, map counts of each 4 KiB page. Apart from the machine's own checks. */
export function recount(machine: Machine): void {
  const counted = new Map<Folio, { leaves: number; whole: number; pages: Int32Array | undefined }>();
  for (const process of machine.processes) {
    let usage = 0;
    for (const { entry, bytes, folio } of process.mappedPages()) {
      if (!folio) continue;
      usage += bytes / KIB4;
      const counts = counted.get(folio) ?? { leaves: 0, whole: 0, pages: undefined };
      counted.set(folio, counts);
      counts.leaves++;
      if (bytes === folio.hstate.size) counts.whole++;
      else {
        counts.pages ??= new Int32Array(folio.pages);
        const first = Pte.from(entry).pfn - folio.pfn;
        for (let page = first; page < first + bytes / KIB4; page++) counts.pages[page]!++;
      }
    }
    same(`usage of process ${process.number}`, process.mm.hugetlbUsage, usage);
  }
  for (const folio of machine.folios()) {
    const { leaves = 0, whole = 0, pages } = counted.get(folio) ?? {};
    const references = leaves + (folio.pageCache ? 1 : 0) + folio.pincount + folio.getcount;
    same('the reference count', folio.refcount, references);
    same('the count of leaves', folio.leaves, leaves);
    const head = machine.mapcounts === 'head';
    same('the map count', folio.mapcount, head ? leaves : whole);
    for (let page = 0; page < folio.pages; page++) {
      const expected = head ? leaves : whole + (pages?.[page] ?? 0);
      if (folio.pageMapcount(page) !== expected)
        same(`the map count of page ${page}`, folio.pageMapcount(page), expected);
    }
  }
}

function same(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`recount: ${what} is ${found}, expected ${expected}`);
}

/** PROT_ bits by their letters. */
export const PROTS: Readonly<Record<'rw' | 'r' | 'none', number>> = {
  rw: PROT_READ | PROT_WRITE,
  r: PROT_READ,
  none: 0,
};
