/**
 * What is where at one moment: the pool, the huge pages in use, the page tables. Two of them tell what an operation has changed.
 */
import { Pte } from '../../linux/base/pte.ts';
import type { Folio } from '../../linux/pool/folio.ts';
import type { MappedPage } from '../../linux/syscalls/pagemap.ts';
import { placeOf } from '../line/setting.ts';
import type { PoolCounts } from '../line/states.ts';
import type { Stage } from '../stage/stage.ts';
import { PageNames } from './page-names.ts';
import { follows, type Place } from './place.ts';

/** A huge page in use. */
export interface PageCounts {
  readonly place: Place;
  /** Its first frame. */
  readonly pfn: number;
  readonly mapcount: number;
  /** What GUP has taken. */
  readonly references: number;
  readonly pins: number;
}

/** Neighbouring entries that map neighbouring pages, or nothing, with the same rights. */
export interface Mapped {
  readonly proc: number;
  readonly slot: number;
  readonly page: number;
  /** How many pages they cover, in the unit of `page`. */
  pages: number;
  /** Bytes that each maps. */
  readonly bytes: number;
  /** `rw dirty` and its like. */
  readonly rights: string;
  readonly place: Place | undefined;
}

/** A moment. */
export interface Snapshot {
  readonly pool: PoolCounts;
  readonly corrupted: number;
  readonly pages: readonly PageCounts[];
  readonly mapped: readonly Mapped[];
}

/** Takes snapshots of a stage. */
export class Observer {
  readonly #stage: Stage;
  readonly #names: PageNames;

  constructor(stage: Stage) {
    const { hugePageSize, pageBytes } = stage.setting;
    this.#stage = stage;
    this.#names = new PageNames(
      stage.files.map(({ inode }) => inode.pageCache),
      hugePageSize / pageBytes,
    );
  }

  take(): Snapshot {
    const { machine, pool } = this.#stage;
    const folios = [...machine.folios()];
    this.#names.renew(folios);
    const mapped = this.#stage.processes().flatMap(([number, process]) => {
      const runs: Mapped[] = [];
      for (const entry of process.mappedPages()) this.#add(runs, number, entry);
      return runs;
    });
    const pages = folios.map((folio) => ({
      place: this.#names.placeOf(folio),
      pfn: folio.pfn,
      mapcount: folio.mapcount,
      references: folio.getcount,
      pins: folio.pincount,
    }));
    return { pool, corrupted: machine.hardwareCorrupted, pages: pages.sort(byPlace), mapped };
  }

  #add(runs: Mapped[], proc: number, { address, bytes, folio, entry }: MappedPage): void {
    const { setting } = this.#stage;
    const { slot, page } = placeOf(setting, address);
    const pte = Pte.from(entry);
    const place = folio && this.#placeIn(folio, pte.pfn);
    const next: Mapped = { proc, slot, page, pages: bytes / setting.pageBytes, bytes, rights: rightsOf(pte), place };
    const last = runs.at(-1);
    if (last && goesOn(last, next)) last.pages += next.pages;
    else runs.push(next);
  }

  /** The place of a frame of a huge page. */
  #placeIn(folio: Folio, pfn: number): Place {
    const { owner, at } = this.#names.placeOf(folio);
    return { owner, at: at + Math.floor(((pfn - folio.pfn) * 4096) / this.#stage.setting.pageBytes) };
  }
}

/** Whether one run of entries is the other's continuation. */
function goesOn(last: Mapped, next: Mapped): boolean {
  return (
    last.slot === next.slot &&
    last.page + last.pages === next.page &&
    last.bytes === next.bytes &&
    last.rights === next.rights &&
    follows(last.place, last.pages, next.place)
  );
}

/** What an entry is, in words. */
function rightsOf(pte: Pte): string {
  if (pte.isMarker) return 'uffd-wp marker';
  if (pte.isHwpoison) return 'hwpoison entry';
  if (pte.isMigration) return 'migration entry';
  const rights = pte.value & 1n ? (pte.write ? 'rw' : 'r') : 'none';
  return [rights, pte.dirty && 'dirty', pte.uffdWp && 'uffd-wp'].filter(Boolean).join(' ');
}

function byPlace({ place: a }: PageCounts, { place: b }: PageCounts): number {
  return a.owner === b.owner ? a.at - b.at : a.owner < b.owner ? -1 : 1;
}
