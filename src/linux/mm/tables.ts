/**
 * The memory that page tables lie in, and what the kernel knows of each (struct page of a table). Stands for
 * mm/pgtable-generic.c and pte_alloc_one and its like.
 *
 * Tables are real ones, in the image that the core walks. Entries are read and written as two halves of 32 bits.
 */
import { InvariantError } from '../../core/errors.ts';
import type { FlatMemory } from '../../core/flat-memory.ts';
import { type Checkpoint, type Kept, keepArray, type PutBack, WrittenPieces } from '../base/checkpoint.ts';
import { Lock, LockRank } from '../base/lock.ts';
import { PAGE_ACCESSED, PAGE_DIRTY, PAGE_PRESENT, PAGE_PSE, Pte } from '../base/pte.ts';
import { Touch, unwatched, watch } from '../base/watch.ts';

/** Bytes of a table. */
export const TABLE = 4096;
const ENTRIES = 512;
/** Of the halves of an entry that points to a table: its address. */
const ADDRESS_LOW = ~0xfff;
const ADDRESS_HIGH = 0xf_ffff;

/** What the kernel keeps beside a table. Its entries are under its lock; those of 1 GiB and more under the process's page_table_lock. */
export class TablePage implements Kept {
  /** Physical address. */
  readonly address: number;
  /** Binary logarithm of what one entry covers: 12, 21, 30, 39, 48. */
  readonly shift: number;
  /** The split page-table lock. */
  readonly lock: Lock;
  #shareCount = 0;
  #looks = 0;
  /** Whether it is no table any more, and its memory waits for who still looks at it. */
  isFreed = false;

  constructor(address: number, shift: number) {
    this.address = address;
    this.shift = shift;
    this.lock = new Lock('page-table lock of table', LockRank.pageTable, address);
  }

  get name(): string {
    return `table 0x${this.address.toString(16)}`;
  }

  /** `pt_share_count`: other processes' entries that point here, PMD sharing. Under i_mmap_rwsem of the file. */
  get shareCount(): number {
    watch?.touch(Touch.read, this, 0);
    return this.#shareCount;
  }

  set shareCount(entries: number) {
    watch?.touch(Touch.write, this, 0);
    this.#shareCount = entries;
  }

  /** References to its page that are no table's user's: of who goes by frames, and gives them back soon. Atomic. */
  get looks(): number {
    watch?.touch(Touch.read, this, 1);
    return this.#looks;
  }

  /** @internal */
  look(by: 1 | -1): number {
    watch?.touch(Touch.add, this, 1);
    this.#looks += by;
    return this.#looks;
  }

  /** @internal */
  keep(checkpoint: Checkpoint): PutBack {
    checkpoint.free(this.lock);
    const shareCount = this.#shareCount;
    const looks = this.#looks;
    return () => {
      this.#shareCount = shareCount;
      this.#looks = looks;
      this.isFreed = false;
    };
  }
}

/** Gives out tables and reads and writes their entries. */
export class Tables implements Kept {
  readonly memory: FlatMemory;
  #words: Int32Array;
  readonly #pages: (TablePage | undefined)[] = [];
  readonly #free: number[] = [];
  /** Frame 0 stays unused, so that no table has address 0. */
  #next = TABLE;
  /** Tables in use. */
  count = 0;
  /** Grows with every entry written, and with what a fault does instead: who sees it unchanged knows that nothing happened. */
  changes = 0;
  /** Which tables were written, by their place in memory. */
  readonly #written = new WrittenPieces();
  /** Places of the tables that were made since the first checkpoint, which also wants to know what processors mark. */
  #made: number[] | undefined;
  /** Whether somebody else has a processor over them, which may mark entries that nobody hears of. */
  markedUnseen = false;

  constructor(memory: FlatMemory) {
    this.memory = memory;
    this.#words = this.#view();
  }

  /** Physical address behind the last table that was ever in use. */
  get end(): number {
    return this.#next;
  }

  /** An empty table; undefined where memory for tables is used up. */
  allocate(shift: number): TablePage | undefined {
    let address = watch?.tableAddress() ?? this.#free.pop();
    if (address === undefined) {
      /* A search has tables of its own behind these, which the machine meets when it goes on without one. */
      while (this.#pages[this.#next / TABLE]) this.#next += TABLE;
      if (!this.#hasRoom(this.#next + TABLE)) return undefined;
      address = this.#next;
      this.#next += TABLE;
    }
    watch?.table(address, true);
    /* Memory that was handed in, or used by another machine before, may hold anything. */
    this.#live.fill(0, address / 4, (address + TABLE) / 4);
    const page = new TablePage(address, shift);
    this.#pages[address / TABLE] = page;
    this.#made?.push(address / TABLE);
    this.count++;
    return page;
  }

  /** Takes an empty table back. */
  free(page: TablePage): void {
    if (!this.isEmpty(page)) throw new InvariantError(`Tables.free: table 0x${page.address.toString(16)} has entries`);
    watch?.table(page.address, false);
    this.#pages[page.address / TABLE] = undefined;
    this.count--;
    page.isFreed = true;
    this.#reuse(page);
  }

  /** Memory is used again as soon as nobody looks at it. */
  #reuse(page: TablePage): void {
    if (unwatched(() => page.looks) === 0) this.#free.push(page.address);
  }

  /** Behind the last place where a table may lie: a search has places for those that its tasks will make. */
  get lookedThrough(): number {
    return watch ? this.memory.bytes : this.#next;
  }

  /** `get_page_unless_zero` of a frame: the table that lies there, with a reference to its page; undefined where there is none. */
  tryGet(address: number): TablePage | undefined {
    watch?.frame(address);
    const page = this.#pages[address / TABLE];
    page?.look(1);
    return page;
  }

  /**
   * `put_page` of what {@link tryGet} gave.
   *
   * @throws InvariantError where it was the last reference to a table that was not freed: its one user has taken it for another's, too
   */
  put(page: TablePage): void {
    const looks = page.look(-1);
    if (page.isFreed) this.#reuse(page);
    else if (unwatched(() => page.shareCount) + looks < 0) {
      throw new InvariantError(
        `Tables.put: the last reference to table 0x${page.address.toString(16)} is gone, which was not freed, nor what it maps: nobody has it`,
      );
    }
  }

  /** The table in which an address lies: that of a table, or of an entry. */
  page(address: number): TablePage {
    const page = this.#pages[Math.floor(address / TABLE)];
    if (!page) throw new InvariantError(`Tables.page: no table at 0x${address.toString(16)}`);
    return page;
  }

  /** Bits 31:0 of the entry at a physical address, signed. */
  low(at: number): number {
    watch?.entry(Touch.read, at);
    return this.#live[at / 4]!;
  }

  /** The entry at a physical address. */
  read(at: number): Pte {
    watch?.entry(Touch.read, at);
    const words = this.#live;
    return Pte.halves(words[at / 4]!, words[at / 4 + 1]!);
  }

  /** Writes the entry at a physical address. */
  write(at: number, { lo, hi }: { readonly lo: number; readonly hi: number }): void {
    watch?.entry(Touch.write, at);
    const words = this.#live;
    words[at / 4] = lo;
    words[at / 4 + 1] = hi;
    this.#written.mark(Math.floor(at / TABLE));
    this.changes++;
  }

  /** Sets bits of the entry at a physical address, as a processor does: no path in the kernel has written it. @param bits of 31:0 */
  mark(at: number, bits: number): void {
    watch?.entry(Touch.write, at);
    this.#live[at / 4]! |= bits;
    this.#written.mark(Math.floor(at / TABLE));
  }

  /** Notes that the core has written neighbouring entries, from one at a physical address on. */
  wrote(at: number, entries: number): void {
    this.#written.mark(Math.floor(at / TABLE));
    this.changes += entries;
  }

  /**
   * Notes which tables a processor is about to mark: it sets A in all entries on its way, and D in the last one if it writes.
   *
   * @param shift binary logarithm of what an entry of the root table covers
   */
  noteWalk(root: TablePage, shift: number, address: number, write: boolean): void {
    if (!this.#made) return;
    const words = this.#live;
    let table = root.address;
    for (let covered = shift; ; covered -= 9) {
      const at = table / 4 + 2 * (Math.floor(address / 2 ** covered) % ENTRIES);
      const low = words[at]!;
      if ((low & PAGE_PRESENT) === 0) return;
      const isLeaf = covered === 12 || (low & PAGE_PSE) !== 0;
      const marks = isLeaf && write ? PAGE_ACCESSED | PAGE_DIRTY : PAGE_ACCESSED;
      if ((low & marks) !== marks) this.#written.mark(table / TABLE);
      if (isLeaf) return;
      table = (words[at + 1]! & ADDRESS_HIGH) * 2 ** 32 + ((low & ADDRESS_LOW) >>> 0);
    }
  }

  /**
   * Of the tables in use, those that were written since are copied back. Tables that were made since are free again, and are made empty when
   * they are used.
   * @internal
   */
  keep(checkpoint: Checkpoint): PutBack {
    this.#made ??= [];
    const made = this.#made;
    const before = made.length;
    const used = this.#pages.filter((page) => page !== undefined);
    checkpoint.addAll(used);
    const pages = this.#pages;
    const free = keepArray(this.#free);
    const next = this.#next;
    const { count, changes } = this;
    const places = used.map(({ address }) => address / TABLE);
    const kept = places.map((place) => this.#table(place).slice());
    const putBack = (index: number): void => this.#live.set(kept[index]!, (places[index]! * TABLE) / 4);
    return () => {
      while (made.length > before) pages[made.pop()!] = undefined;
      for (let index = 0; index < used.length; index++) pages[places[index]!] = used[index];
      free();
      this.#next = next;
      this.count = count;
      this.changes = changes;
      if (this.markedUnseen) for (const place of places) this.#written.mark(place);
      this.#written.putBack(checkpoint, places, putBack);
    };
  }

  #table(place: number): Int32Array {
    return this.#live.subarray((place * TABLE) / 4, ((place + 1) * TABLE) / 4);
  }

  /** Whether a table has no entry at all. */
  isEmpty(page: TablePage): boolean {
    const words = this.#live;
    const end = page.address / 4 + TABLE / 4;
    for (let word = page.address / 4; word < end; word++) if (words[word] !== 0) return false;
    return true;
  }

  /** Whether there is memory up to here, if need be by growing: a machine begins with little, as most need little. */
  #hasRoom(end: number): boolean {
    const { memory } = this;
    if (end > memory.bytes && end <= memory.maxBytes)
      memory.grow(Math.min(Math.max(end, 2 * memory.bytes), memory.maxBytes));
    return end <= memory.bytes;
  }

  /** The view, made anew where the memory has grown: a grown memory leaves views without bytes. */
  get #live(): Int32Array {
    if (this.#words.length === 0) this.#words = this.#view();
    return this.#words;
  }

  #view(): Int32Array {
    return new Int32Array(this.memory.wasm.buffer, this.memory.base, Math.floor(this.memory.bytes / 4));
  }
}
