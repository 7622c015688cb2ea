/**
 * Physical memory for huge pages: which frames there are, and whose they are. Stands for Linux's page allocator and
 * mem_map, of which the model needs no more than this.
 *
 * Huge pages lie from 4 GiB on; page tables lie below. Memory is handed out from the bottom; what comes back is used
 * again first.
 */
import { InvariantError } from '../../core/errors.ts';
import { type Checkpoint, type Kept, keepArray, keepMap, keepSet, type PutBack } from '../base/checkpoint.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Folio } from './folio.ts';

/** The unit of the allocator and of the map, in 4 KiB frames. */
const UNIT = 512;
const FIRST_PFN = 0x10_0000;

/** The frames that huge pages are made of. */
export class Frames implements Kept {
  /** Frame number behind the last one that exists. */
  readonly #end: number;
  #next = FIRST_PFN;
  /** Free pieces by their size in frames. */
  readonly #free = new Map<number, number[]>();
  /** Frames with bad memory that are no part of a huge page: `PageHWPoison` of 4 KiB pages. */
  readonly #poisoned = new Set<number>();
  /** First frames of the units that they lie in: no huge page is made of those any more. */
  readonly #poisonedUnits = new Set<number>();
  /** By 2 MiB unit from the first on; a larger page stands at its first unit. */
  readonly #folios: (Folio | undefined)[] = [];

  /** @param bytes memory for huge pages */
  constructor(bytes: number) {
    this.#end = FIRST_PFN + Math.floor(bytes / PAGE_SIZE);
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.addAll(this.folios());
    const next = this.#next;
    const free = keepMap(this.#free);
    const lists = [...this.#free.values()].map(keepArray);
    const poisoned = keepSet(this.#poisoned);
    const poisonedUnits = keepSet(this.#poisonedUnits);
    const folios = keepArray(this.#folios);
    return () => {
      this.#next = next;
      free();
      for (const list of lists) list();
      poisoned();
      poisonedUnits();
      folios();
    };
  }

  /** Frames for a huge page of so many 4 KiB pages, aligned to its size; undefined where memory is used up. */
  allocate(pages: number): number | undefined {
    const reused = this.#free.get(pages)?.pop();
    if (reused !== undefined) return reused;
    for (;;) {
      const pfn = Math.ceil(this.#next / pages) * pages;
      if (pfn + pages > this.#end) break;
      for (let gap = this.#next; gap < pfn; gap += UNIT) this.free(gap, UNIT);
      this.#next = pfn + pages;
      if (!this.#hasPoison(pfn, pages)) return pfn;
      this.free(pfn, pages);
    }
    return pages === UNIT ? this.#splitLarger(pages) : undefined;
  }

  /** Takes back what `allocate(pages)` gave. Of what has bad memory in it, the healthy pieces of 2 MiB are used again. */
  free(pfn: number, pages: number): void {
    if (this.#hasPoison(pfn, pages)) {
      if (pages > UNIT) for (let unit = pfn; unit < pfn + pages; unit += UNIT) this.free(unit, UNIT);
      else this.#folios[(pfn - FIRST_PFN) / UNIT] = undefined;
      return;
    }
    const list = this.#free.get(pages);
    if (list) list.push(pfn);
    else this.#free.set(pages, [pfn]);
    const unit = (pfn - FIRST_PFN) / UNIT;
    if (unit < this.#folios.length) this.#folios[unit] = undefined;
  }

  /** Whether a frame is in memory that huge pages can be made of; 'kernel': below, where page tables lie; 'none': there is no memory. */
  kindOf(frame: number): 'memory' | 'kernel' | 'none' {
    if (frame >= this.#end) return 'none';
    return frame < FIRST_PFN ? 'kernel' : 'memory';
  }

  /** Whether a frame that is no part of a huge page has bad memory. */
  isPoisoned(frame: number): boolean {
    return this.#poisoned.has(frame);
  }

  /** `take_page_off_buddy`: notes that a frame has bad memory, and that it is not to be handed out. */
  poison(frame: number): void {
    const unit = frame - (frame % UNIT);
    this.#poisoned.add(frame);
    this.#poisonedUnits.add(unit);
    for (const [pages, list] of this.#free) {
      const at = list.findIndex((pfn) => pfn <= unit && unit < pfn + pages);
      if (at < 0) continue;
      const [pfn] = list.splice(at, 1);
      this.free(pfn!, pages);
      return;
    }
  }

  #hasPoison(pfn: number, pages: number): boolean {
    for (const unit of this.#poisonedUnits) if (unit >= pfn && unit < pfn + pages) return true;
    return false;
  }

  /** What a walk over all frames goes through: from the first one that huge pages can be made of, behind the last one that ever was part of one, by units. */
  get first(): number {
    return FIRST_PFN;
  }

  get end(): number {
    return this.#next;
  }

  get unit(): number {
    return UNIT;
  }

  /** Notes whose the frames are. */
  enter(folio: Folio): void {
    this.#folios[(folio.pfn - FIRST_PFN) / UNIT] = folio;
  }

  /** `compound_head`: the huge page that a frame belongs to, be it the first of its frames or not. */
  find(pfn: number): Folio | undefined {
    const unit = Math.floor((pfn - FIRST_PFN) / UNIT);
    const folio = this.#folios[unit] ?? this.#folios[unit - (unit % UNIT)];
    return folio && pfn >= folio.pfn && pfn < folio.pfn + folio.pages ? folio : undefined;
  }

  /** Like {@link find}, for frames that entries point to. */
  folio(pfn: number): Folio {
    const folio = this.find(pfn);
    if (!folio) throw new InvariantError(`Frames.folio: no huge page has frame 0x${pfn.toString(16)}`);
    return folio;
  }

  /** The byte at a physical address. */
  readByte(physical: number): number {
    const folio = this.folio(Math.floor(physical / PAGE_SIZE));
    return folio.contents.read(physical - folio.pfn * PAGE_SIZE);
  }

  writeByte(physical: number, value: number): void {
    const folio = this.folio(Math.floor(physical / PAGE_SIZE));
    folio.contents.write(physical - folio.pfn * PAGE_SIZE, value);
  }

  /** Fills `bytes` from a physical address on, within one 4 KiB frame. */
  readBytes(physical: number, bytes: Uint8Array): void {
    const folio = this.folio(Math.floor(physical / PAGE_SIZE));
    folio.contents.readBytes(physical - folio.pfn * PAGE_SIZE, bytes);
  }

  /** Writes `bytes` likewise. */
  writeBytes(physical: number, bytes: Uint8Array): void {
    const folio = this.folio(Math.floor(physical / PAGE_SIZE));
    folio.contents.writeBytes(physical - folio.pfn * PAGE_SIZE, bytes);
  }

  /** Every huge page that was ever used and is still of the pool. */
  *folios(): Generator<Folio, void, undefined> {
    for (let unit = 0; unit < this.#folios.length; ) {
      const folio = this.#folios[unit];
      if (folio) yield folio;
      unit += (folio?.pages ?? UNIT) / UNIT;
    }
  }

  #splitLarger(pages: number): number | undefined {
    for (const [size, list] of this.#free) {
      const pfn = size > pages ? list.pop() : undefined;
      if (pfn === undefined) continue;
      for (let rest = pfn + pages; rest < pfn + size; rest += pages) this.free(rest, pages);
      return pfn;
    }
    return undefined;
  }
}
