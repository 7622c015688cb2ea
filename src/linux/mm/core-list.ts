/**
 * Room for the lists that the core makes (assembly/gup.ts, assembly/leaf.ts), in the memory of the page tables: as much as is best, or of
 * an embedder's memory as much as the scratch gives.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import { GUP_RUN_BYTES, LEAF_RUN_BYTES } from '../../core/generated/layout.ts';

const NUMBER = 8;
/** Of GUP's pages, so many make a run on average; more runs than that end a list early. */
const GUP_PAGES_OF_RUN = 8;

/** How much room: in what the list is counted in. */
interface Room {
  /** What stays in a processor's second cache; or what the largest task needs. */
  readonly most: number;
  /** The least that is worth a call. */
  readonly least: number;
  /** Bytes for so many. */
  bytes(count: number): number;
}

/** Room for one list. It is made on first use, and halved until it fits. */
export class CoreList {
  readonly #memory: FlatMemory;
  readonly #room: Room;
  #at = 0;
  #capacity: number | undefined;
  #numbers: Float64Array | undefined;
  #words: Int32Array | undefined;
  /** Whose list it is at the moment. */
  owner: object | undefined;

  constructor(memory: FlatMemory, room: Room) {
    this.#memory = memory;
    this.#room = room;
  }

  /** Linear address. */
  get at(): number {
    return this.#at;
  }

  /** How many it has room for; 0: there was no room at all. */
  get capacity(): number {
    this.#capacity ??= this.#allocate();
    return this.#capacity;
  }

  /** All of linear memory as numbers of 8 bytes. */
  get numbers(): Float64Array {
    this.#look();
    return this.#numbers!;
  }

  /** All of linear memory as words of 4 bytes. */
  get words(): Int32Array {
    this.#look();
    return this.#words!;
  }

  #allocate(): number {
    const { most, least } = this.#room;
    for (let count = most; count >= least; count /= 2) {
      const at = this.#memory.arena.tryAllocate(this.#room.bytes(count));
      if (at === undefined) continue;
      this.#at = at;
      return count;
    }
    return 0;
  }

  /** Views are made anew where memory has grown. */
  #look(): void {
    const { buffer } = this.#memory.wasm;
    if (this.#numbers?.buffer === buffer) return;
    this.#numbers = new Float64Array(buffer);
    this.#words = new Int32Array(buffer);
  }
}

/** The lists of one memory: machines that follow each other there take no more room than one. */
export interface CoreLists {
  /** GUP's pages, and behind them runs of pages: counted in 4 KiB pages. */
  readonly pages: CoreList;
  /** Runs of entries. */
  readonly runs: CoreList;
}

const lists = new WeakMap<FlatMemory, CoreLists>();

/** Those of a memory. */
export function coreLists(memory: FlatMemory): CoreLists {
  const made = lists.get(memory) ?? {
    pages: new CoreList(memory, {
      most: 2 ** 15,
      least: 2 ** 9,
      /* A record behind the last run says where the list ends. */
      bytes: (pages) => pages * NUMBER + (gupRuns(pages) + 1) * GUP_RUN_BYTES,
    }),
    /* Runs of a huge page of 1 GiB that is mapped by 4 KiB leaves, twice. */
    runs: new CoreList(memory, { most: 2 ** 10, least: 2 ** 3, bytes: (runs) => runs * LEAF_RUN_BYTES + NUMBER }),
  };
  lists.set(memory, made);
  return made;
}

/** For so many pages, how many runs of pages there is room for. */
export function gupRuns(pages: number): number {
  return pages / GUP_PAGES_OF_RUN;
}
