/**
 * What programs see in their memory, in the plainest way: every process has one record a page, private pages are copied
 * when the process forks, shared ones are the file's. Knows nothing of reservations, page tables or VMAs, and so is right
 * only as long as no call fails for want of pages.
 */
import {
  type HugetlbFile,
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_NONE,
  PROT_WRITE,
  type Process,
} from '../../src/linux/index.ts';

/** The bytes of a page that are not zero. */
export type Bytes = Map<number, number>;

/** A file: pages that were touched, by their number, and its size in bytes. */
export interface StoredFile {
  readonly pages: Map<number, Bytes>;
  size: number;
}

/** One page of a mapping. */
interface Mapping {
  readonly file: StoredFile;
  readonly index: number;
  readonly shared: boolean;
  prot: number;
  forked: boolean;
  /** A private mapping's own page. */
  own: Bytes | undefined;
}

type Memory = Map<number, Mapping>;

/** Numbers of pages, from one up to another. */
interface Range {
  readonly from: number;
  readonly to: number;
}

export class PageStore {
  readonly size: number;
  readonly #files = new Map<HugetlbFile, StoredFile>();
  readonly #processes = new Map<Process, Memory>();

  /** @param size bytes of a huge page */
  constructor(size: number) {
    this.size = size;
  }

  memory(process: Process): Memory {
    const memory = this.#processes.get(process) ?? new Map<number, Mapping>();
    this.#processes.set(process, memory);
    return memory;
  }

  file(file: HugetlbFile): StoredFile {
    const stored = this.#files.get(file) ?? { pages: new Map<number, Bytes>(), size: 0 };
    this.#files.set(file, stored);
    return stored;
  }

  /** Pages of [from, to) in bytes; the ends are rounded outwards. */
  range(at: number, length: number): Range {
    return { from: Math.floor(at / this.size), to: Math.ceil((at + length) / this.size) };
  }

  mmap(process: Process, range: Range, how: { prot: number; flags: number; file?: HugetlbFile; first: number }): void {
    const { prot, flags, first } = how;
    const memory = this.memory(process);
    const pages = range.to - range.from;
    const file = how.file
      ? this.file(how.file)
      : { pages: new Map<number, Bytes>(), size: flags & MAP_ANONYMOUS ? pages * this.size : 0 };
    if (prot & PROT_WRITE) file.size = Math.max(file.size, (first + pages) * this.size);
    const shared = (flags & MAP_SHARED) !== 0;
    for (let page = range.from; page < range.to; page++) {
      memory.set(page, { file, index: first + page - range.from, shared, prot, forked: true, own: undefined });
    }
  }

  munmap(process: Process, { from, to }: Range): void {
    for (let page = from; page < to; page++) this.memory(process).delete(page);
  }

  mremap(process: Process, { from, to }: Range, target: number): void {
    const memory = this.memory(process);
    for (let page = from; page < to; page++) {
      memory.set(target + page - from, memory.get(page)!);
      memory.delete(page);
    }
  }

  /** Calls `visit` for each page that is mapped, until it returns something else than 'OK'. 'ENOMEM' where one is not. */
  each(process: Process, { from, to }: Range, visit: (mapping: Mapping) => string): string {
    let result = 'OK';
    for (let page = from; page < to; page++) {
      const mapping = this.memory(process).get(page);
      const visited = mapping ? visit(mapping) : 'ENOMEM';
      if (mapping && visited !== 'OK') return visited;
      if (!mapping) result = visited;
    }
    return result;
  }

  /** Up to the first page that is not mapped. */
  mprotect(process: Process, { from, to }: Range, prot: number): string {
    for (let page = from; page < to; page++) {
      const mapping = this.memory(process).get(page);
      if (!mapping) return 'ENOMEM';
      mapping.prot = prot;
    }
    return 'OK';
  }

  fork(parent: Process, child: Process): void {
    const copy = this.memory(child);
    for (const [page, mapping] of this.memory(parent)) {
      if (mapping.forked) copy.set(page, { ...mapping, own: mapping.own && new Map(mapping.own) });
    }
  }

  exit(process: Process): void {
    this.#processes.delete(process);
  }

  /** Whole pages of the hole go from the file, and with them every private copy of them; of the others, the file's bytes. */
  punchHole(file: StoredFile, start: number, end: number): void {
    const { from, to } = this.range(start, end - start);
    for (let index = from; index < to; index++) {
      const base = index * this.size;
      if (start <= base && base + this.size <= end) this.#drop(file, index);
      else {
        const page = file.pages.get(index);
        for (const byte of page?.keys() ?? []) if (base + byte >= start && base + byte < end) page?.delete(byte);
      }
    }
  }

  ftruncate(file: StoredFile, bytes: number): string {
    if (bytes % this.size !== 0) return 'EINVAL';
    file.size = bytes;
    const behind = new Set(file.pages.keys());
    for (const { index } of this.#mappings(file)) behind.add(index);
    for (const index of behind) if (index >= bytes / this.size) this.#drop(file, index);
    return 'OK';
  }

  fallocate(file: StoredFile, at: number, length: number, keepSize: boolean): void {
    const { from, to } = this.range(at, length);
    for (let index = from; index < to; index++) {
      if (!file.pages.has(index)) file.pages.set(index, new Map());
    }
    if (!keepSize) file.size = Math.max(file.size, at + length);
  }

  read(process: Process, address: number): number | string {
    const mapping = this.memory(process).get(Math.floor(address / this.size));
    if (!mapping || mapping.prot === PROT_NONE) return 'SIGSEGV';
    return this.#touch(mapping)?.get(address % this.size) ?? (this.#touch(mapping) ? 0 : 'SIGBUS');
  }

  write(process: Process, address: number, value: number): string {
    const mapping = this.memory(process).get(Math.floor(address / this.size));
    if (!mapping || !(mapping.prot & PROT_WRITE)) return 'SIGSEGV';
    const page = this.#touch(mapping);
    if (!page) return 'SIGBUS';
    if (!mapping.shared) mapping.own ??= new Map(page);
    (mapping.own ?? page).set(address % this.size, value);
    return 'OK';
  }

  /** The page that a read would find now, if there is one; and whether it may be written where it is. */
  shown(process: Process, address: number): { page: Bytes; writable: boolean } | undefined {
    const mapping = this.memory(process).get(Math.floor(address / this.size));
    if (!mapping || mapping.prot === PROT_NONE) return undefined;
    const page = mapping.own ?? mapping.file.pages.get(mapping.index);
    const writable = (mapping.prot & PROT_WRITE) !== 0 && (mapping.shared || mapping.own !== undefined);
    return page && { page, writable };
  }

  /** The page after a fault: the own one, the file's, or a new one of zeros; none behind the end of the file. */
  #touch(mapping: Mapping): Bytes | undefined {
    const { file, index, shared } = mapping;
    const found = mapping.own ?? file.pages.get(index);
    if (found) return found;
    if ((index + 1) * this.size > file.size) return undefined;
    const fresh: Bytes = new Map();
    if (shared) file.pages.set(index, fresh);
    else mapping.own = fresh;
    return fresh;
  }

  #drop(file: StoredFile, index: number): void {
    file.pages.delete(index);
    for (const mapping of this.#mappings(file)) if (mapping.index === index) mapping.own = undefined;
  }

  *#mappings(file: StoredFile): Generator<Mapping> {
    for (const memory of this.#processes.values()) {
      for (const mapping of memory.values()) if (mapping.file === file) yield mapping;
    }
  }
}
