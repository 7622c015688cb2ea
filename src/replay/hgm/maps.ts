/**
 * Page tables as states list them: every slot's entries, walked raw, as runs of neighbours.
 *
 *   one 2 MiB page:   entry                     [0, 1, 512, 0, 0, "wd"]
 *   in pieces:        entry ──> table of 512    [0, 3, 1, 0, 0, "wd"], [3, 509, 1, -1, -1, "-"]
 */
import { PAGE_ACCESSED, PAGE_DIRTY, PAGE_PRESENT, PAGE_PSE, PAGE_SOFT_DIRTY, Pte } from '../../linux/base/pte.ts';
import type { Machine } from '../../linux/machine/machine.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { PageCache } from '../../linux/pool/page-cache.ts';
import { FIRST_SLOT, MOST_SLOTS } from '../line/setting.ts';
import type { MapRun, SlotMap } from '../line/states.ts';
import type { HgmStage } from './stage.ts';

/** Nothing: only inside a table. */
const EMPTY = '-';
/** A userfaultfd's marker. */
const MARKER = 'm';
/** An entry of another kind: recordings have none. */
const UNKNOWN = '?';

/** What states tell nothing of: A, and Linux's soft-dirty. */
const TOLD = ~(PAGE_ACCESSED | PAGE_SOFT_DIRTY);
const NOT_NONE = ~(PAGE_ACCESSED | PAGE_DIRTY);
const ENTRIES = 512;
const TOP_SHIFT = 39;

/** The page tables of every process, in order of process and slot; slots without entries are left out. */
export function mapsOf(stage: HgmStage): SlotMap[] {
  const maps: SlotMap[] = [];
  for (const [number, process] of stage.processes()) {
    const walk = new Walk(stage, process);
    for (let slot = 0; slot < MOST_SLOTS; slot++) {
      const runs = walk.slot(slot);
      if (runs.length > 0) maps.push([number, slot, runs]);
    }
  }
  return maps;
}

/** A walk of one process's tables. */
class Walk {
  readonly #words: Int32Array;
  readonly #stage: HgmStage;
  readonly #hugeShift: number;
  /** The table of the 512 GiB that all slots lie in: 0 if there is none. */
  readonly #table: number;
  #runs: Runs;

  constructor(stage: HgmStage, { mm }: Process) {
    const { memory, tables } = stage.machine;
    this.#stage = stage;
    this.#words = new Int32Array(memory.wasm.buffer, memory.base, Math.floor(memory.bytes / 4));
    this.#hugeShift = Math.log2(stage.setting.hugePageSize);
    const entry = mm.pgd.address + (Math.floor(FIRST_SLOT / 2 ** TOP_SHIFT) % ENTRIES) * 8;
    this.#table = tables.low(entry) & PAGE_PRESENT ? tableOf(this.#words, entry / 4) : 0;
    this.#runs = new Runs(stage);
  }

  slot(slot: number): MapRun[] {
    if (this.#table === 0) return [];
    const { slotBytes } = this.#stage.setting;
    const entries = slotBytes / 2 ** 30;
    this.#runs = new Runs(this.#stage);
    this.#entries(this.#table, 30, slot * entries, entries, -slot * entries * 2 ** 18);
    return this.#runs.list;
  }

  /**
   * @param table physical address
   * @param shift of what an entry covers
   * @param base the page of the table's first entry
   */
  #entries(table: number, shift: number, from: number, count: number, base: number): void {
    const words = this.#words;
    const runs = this.#runs;
    const size = 2 ** (shift - 12);
    const inside = shift < this.#hugeShift;
    for (let i = from; i < from + count; i++) {
      const at = table / 4 + i * 2;
      const lo = words[at]!;
      const hi = words[at + 1]!;
      const page = base + i * size;
      if (runs.extend(page, size, lo & TOLD, hi)) continue;
      if ((lo & NOT_NONE) === 0 && hi === 0) {
        if (inside) runs.begin(page, size, 0, 0);
      } else if (shift > 12 && (lo & (PAGE_PRESENT | PAGE_PSE)) === PAGE_PRESENT) {
        this.#entries(tableOf(words, at), shift - 9, 0, ENTRIES, page);
      } else runs.begin(page, size, lo, hi);
    }
  }
}

/** The table that an entry points to. */
function tableOf(words: Int32Array, at: number): number {
  return (words[at + 1]! & 0xf_ffff) * 2 ** 32 + ((words[at]! & ~0xfff) >>> 0);
}

/** A run that may still become longer. */
type OpenRun = [page: number, count: number, size: number, file: number, filepage: number, flags: string];

/** Collects entries in ascending order of their pages. */
class Runs {
  readonly list: OpenRun[] = [];
  readonly #machine: Machine;
  readonly #caches: readonly (PageCache | undefined)[];
  readonly #hugePages: number;
  /* The entry that would make the last run longer, what the one behind it has more, and how many may follow in its huge page. */
  #page = -1;
  #size = 0;
  #lo = 0;
  #hi = 0;
  #step = 0;
  #room = 0;

  constructor({ machine, files, setting }: HgmStage) {
    this.#machine = machine;
    this.#caches = files.map(({ inode }) => inode.pageCache);
    this.#hugePages = setting.hugePageSize / 4096;
  }

  /** Takes an entry that goes on where the last one was; returns false, and takes nothing, if it does not. */
  extend(page: number, size: number, lo: number, hi: number): boolean {
    if (page !== this.#page || size !== this.#size || lo !== this.#lo || hi !== this.#hi || this.#room === 0)
      return false;
    this.list[this.list.length - 1]![1]++;
    this.#page += size;
    this.#lo = (this.#lo + this.#step) | 0;
    this.#room--;
    return true;
  }

  /** Takes any other. */
  begin(page: number, size: number, lo: number, hi: number): void {
    const pte = Pte.halves(lo, hi);
    this.#page = page + size;
    this.#size = size;
    this.#hi = hi;
    this.#step = pte.present ? (lo & PAGE_PRESENT ? size : -size) * 4096 : 0;
    this.#lo = ((lo & TOLD) + this.#step) | 0;
    this.#room = (this.#hugePages - (page % this.#hugePages)) / size - 1;
    this.#add(this.#runOf(page, size, pte));
  }

  #runOf(page: number, size: number, pte: Pte): OpenRun {
    if (!pte.present) return [page, 1, size, -1, -1, pte.none ? EMPTY : pte.isMarker ? MARKER : UNKNOWN];
    const folio = this.#machine.frames.folio(pte.pfn);
    const offset = pte.pfn - folio.pfn;
    this.#room = Math.min(this.#room, Math.floor((folio.pages - offset) / size) - 1);
    const file = folio.pageCache ? this.#caches.indexOf(folio.pageCache) : -1;
    const first = file < 0 ? 0 : folio.index * folio.pages;
    return [page, 1, size, file, first + offset, flagsOf(pte)];
  }

  /** As a part of the last run, if it goes on there: its huge page may be the next one where entries are as large. */
  #add(run: OpenRun): void {
    const last = this.list.at(-1);
    const [page, , size, file, filepage, flags] = run;
    if (
      last?.[5] === flags &&
      last[2] === size &&
      last[3] === file &&
      last[0] + last[1] * size === page &&
      (filepage === -1 ? last[4] === -1 : last[4] + last[1] * size === filepage) &&
      (size === this.#hugePages || page % this.#hugePages !== 0)
    ) {
      last[1]++;
    } else this.list.push(run);
  }
}

/** `nrdu` and its like. */
function flagsOf(pte: Pte): string {
  const none = pte.lo & PAGE_PRESENT ? '' : 'n';
  return none + (pte.write ? 'w' : 'r') + (pte.dirty ? 'd' : '') + (pte.uffdWp ? 'u' : '');
}
