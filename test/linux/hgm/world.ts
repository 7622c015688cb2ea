/**
 * A file of a few huge pages, processes that map it in pieces and as it is, and operations on them. Beside them, what the file's bytes should
 * be: whoever reads one byte, by whatever leaf, must find that.
 */
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FOLL_WRITE,
  type HgmOptions,
  type HugetlbFile,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_SPLIT,
  MAP_FIXED,
  MAP_SHARED,
  type Machine,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Process,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_WRITEPROTECT_MODE_WP,
  type UserfaultFile,
} from '../../../src/linux/index.ts';
import { machineWith } from '../support.ts';
import { address } from '../userfaultfd/stage.ts';
import type { HgmOperation } from './operations.ts';
import { GIB1, hgmFeature, KIB4, RW } from './support.ts';

const SLOTS = 3;
const MOST_PROCESSES = 3;
const MOST_PINS = 2000;

/** How a world begins. */
export interface WorldParts extends HgmOptions {
  readonly size: number;
  readonly count: number;
  /** UFFDIO_REGISTER_MODE_ bits of all registrations; 0: none. */
  readonly mode: number;
  /** Whether a fork's child gets a userfaultfd, and with wp armed, the tables. */
  readonly eventFork?: boolean;
  /** Whether everything is recorded: the kernel then works leaf by leaf. */
  readonly traced?: boolean;
  readonly checks?: boolean;
}

export class HgmWorld {
  readonly machine: Machine;
  readonly parts: WorldParts;
  readonly file: HugetlbFile;
  readonly processes: Process[] = [];
  readonly #uffds = new Map<Process, UserfaultFile>();
  /** The file's bytes at the beginning of 4 KiB pages, but zeros. */
  readonly bytes: Map<number, number> = new Map<number, number>();
  readonly #held: { readonly pages: number[]; readonly pinned: boolean }[] = [];

  constructor(parts: WorldParts) {
    const { size, count, mode, eventFork, version = 'v2', mapcounts, posted = 0, checks = true } = parts;
    this.parts = parts;
    const hgm = { version, posted, ...(mapcounts ? { mapcounts } : {}) };
    const tables = size === GIB1 ? 2 ** 23 : 2 ** 20;
    this.machine = machineWith({ size, pages: count + 1, checks, hgm, tables });
    if (parts.traced) this.machine.trace = [];
    const process = this.machine.createProcess();
    this.processes.push(process);
    this.file = this.machine.memfdCreate({ hugePageSize: size });
    const uffd = process.userfaultfd();
    const event = eventFork ? UFFD_FEATURE_EVENT_FORK : 0;
    uffd.api(UFFD_FEATURE_SIGBUS | event | (mode ? hgmFeature(version) : 0));
    this.#uffds.set(process, uffd);
    /* Contents come by slot 1, which stays an ordinary mapping at first; the last huge page gets none, and is not in the file. */
    for (const slot of [0, 1]) this.#mmap(process, slot, 0, count);
    for (let index = 0; index < count - 1; index++)
      this.#write(process, this.at(1, (index * size) / KIB4 + 3), index + 1);
    this.#enable(process, 0, 0, count);
  }

  /** The address of a 4 KiB page of a slot. */
  at(slot: number, page: number): number {
    return 2 ** 40 + (slot % SLOTS) * 8 * GIB1 + page * KIB4;
  }

  process(index: number): Process {
    return this.processes[index % this.processes.length]!;
  }

  uffd(process: Process): UserfaultFile | undefined {
    return this.#uffds.get(process);
  }

  /** Carries one out. */
  apply(operation: HgmOperation): unknown {
    if (this.parts.traced) this.machine.trace = [];
    const { size, count } = this.parts;
    switch (operation.kind) {
      case 'punch':
        return this.#punch(operation.first, operation.count, (at, length) =>
          this.file.fallocate(at, length, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
        );
      case 'fallocate':
        return this.file.fallocate(operation.first * size, operation.count * size, 0);
      case 'ftruncate':
        return this.#punch(operation.size, count - operation.size, () => this.file.ftruncate(operation.size * size));
      case 'fork':
        return this.#fork(this.process(operation.process));
      case 'exit':
        return this.#exit(this.process(operation.process));
      case 'unpin':
        return this.#release();
      default:
        return this.#inProcess(this.process(operation.process), operation);
    }
  }

  /** Gives back what was pinned, ends all processes, closes the file. */
  end(): void {
    while (this.#held.length > 0) this.#release();
    for (const process of this.processes.splice(0)) process.exit();
    this.file.close();
  }

  #inProcess(process: Process, operation: Extract<HgmOperation, { readonly slot: number }>): unknown {
    const { size } = this.parts;
    const { kind, slot } = operation;
    if (kind === 'read') return this.#read(process, operation.slot, operation.page);
    if (kind === 'write') return this.#write(process, this.at(slot, operation.page), operation.value);
    if (kind === 'mremap') {
      const length = this.parts.count * size;
      const how = MREMAP_MAYMOVE | MREMAP_FIXED;
      return process.mremap(this.at(slot, 0), length, length, how, this.at(operation.to, 0));
    }
    if ('pages' in operation) return this.#onPages(process, operation);
    const at = this.at(slot, (operation.first * size) / KIB4);
    const length = operation.count * size;
    const uffd = this.#uffds.get(process);
    switch (operation.kind) {
      case 'split':
        return process.madvise(at, length, MADV_SPLIT);
      case 'protect':
        return uffd?.writeprotect(at, length, UFFDIO_WRITEPROTECT_MODE_WP);
      case 'resolve':
        return uffd?.writeprotect(at, length, 0);
      case 'dontneed':
        return process.madvise(at, length, MADV_DONTNEED);
      case 'remove':
        return this.#remove(process, at, length);
      case 'munmap':
        return process.munmap(at, length);
      case 'mmap':
        this.#mmap(process, slot, operation.first, operation.count);
        return this.#enable(process, slot, operation.first, operation.count);
      case 'mprotect':
        return process.mprotect(at, length, operation.prot);
      default:
        return this.#copy(process, at, operation.value);
    }
  }

  #onPages(process: Process, operation: Extract<HgmOperation, { readonly pages: number; readonly slot: number }>) {
    const { kind, slot, page, pages } = operation;
    const at = this.at(slot, page);
    const length = pages * KIB4;
    if (kind === 'continue') {
      const told = this.#uffds.get(process)?.continue(at, length);
      return told && `${told.result} ${told.done}`;
    }
    if (kind === 'collapse') return process.madvise(at, length, MADV_COLLAPSE);
    if (kind === 'populate read') return process.madvise(at, length, MADV_POPULATE_READ);
    if (kind === 'populate write') return process.madvise(at, length, MADV_POPULATE_WRITE);
    const list: number[] = [];
    const most = Math.min(pages, MOST_PINS);
    const pinned = kind === 'pin';
    const got = pinned ? process.pinUserPages(at, most, FOLL_WRITE, list) : process.getUserPagesFast(at, most, 0, list);
    if (typeof got === 'number') this.#held.push({ pages: list.slice(0, got), pinned });
    return got;
  }

  /** What is read must be what is in the file. */
  #read(process: Process, slot: number, page: number): unknown {
    const value = process.read(this.at(slot, page));
    if (typeof value !== 'number') return value;
    const expected = this.bytes.get(this.#filePage(process, this.at(slot, page))) ?? 0;
    if (value !== expected) throw new Error(`page ${page} of slot ${slot} has ${value}, expected ${expected}`);
    return value;
  }

  #write(process: Process, at: number, value: number): unknown {
    const result = process.write(at, value);
    if (result === 'OK') this.bytes.set(this.#filePage(process, at), value);
    return result;
  }

  /** The file's 4 KiB page at an address: slots keep the file's order, but may have been moved. */
  #filePage(process: Process, at: number): number {
    const vma = process.mm.vmaLookup(at);
    return vma ? vma.pgoff + (at - vma.start) / KIB4 : -1;
  }

  #mmap(process: Process, slot: number, first: number, count: number): void {
    const { size } = this.parts;
    const at = this.at(slot, (first * size) / KIB4);
    const flags = MAP_SHARED | MAP_FIXED;
    address(
      process.mmap({ address: at, length: count * size, prot: RW, flags, file: this.file, offset: first * size }),
    );
  }

  /** HGM, and userfaultfd. */
  #enable(process: Process, slot: number, first: number, count: number): unknown {
    const { size, mode, version = 'v2' } = this.parts;
    const at = this.at(slot, (first * size) / KIB4);
    if (version === 'v2') process.madvise(at, count * size, MADV_SPLIT);
    return mode === 0 ? 'OK' : this.#uffds.get(process)?.register(at, count * size, mode).result;
  }

  #punch(first: number, count: number, act: (at: number, length: number) => unknown): unknown {
    const { size } = this.parts;
    const result = act(first * size, count * size);
    if (result === 'OK') this.#forget((first * size) / KIB4, (count * size) / KIB4);
    return result;
  }

  #remove(process: Process, at: number, length: number): unknown {
    const vmas = process.mm.intersecting(at, at + length);
    const whole = vmas.reduce((sum, vma) => sum + Math.min(vma.end, at + length) - Math.max(vma.start, at), 0);
    /* What is done before an error stays done: only whole ranges are asked for. */
    if (whole !== length) return 'ENOMEM';
    const pages = Array.from({ length: length / this.parts.size }, (_, index) =>
      this.#filePage(process, at + index * this.parts.size),
    );
    const result = process.madvise(at, length, MADV_REMOVE);
    if (result === 'OK') for (const page of pages) this.#forget(page, this.parts.size / KIB4);
    return result;
  }

  #copy(process: Process, at: number, value: number): unknown {
    const { size } = this.parts;
    if (size === GIB1) return undefined;
    const page = this.#filePage(process, at);
    const told = this.#uffds.get(process)?.copy(at, new Uint8Array(size).fill(value));
    if (told?.result === 'OK')
      for (let offset = 0; offset < size / KIB4; offset++) this.bytes.set(page + offset, value);
    return told && `${told.result} ${told.done}`;
  }

  #forget(page: number, pages: number): void {
    for (const key of [...this.bytes.keys()]) if (key >= page && key < page + pages) this.bytes.delete(key);
  }

  #fork(process: Process): unknown {
    if (this.processes.length === MOST_PROCESSES) return undefined;
    const uffd = this.#uffds.get(process);
    const registered = process.vmas.some(({ userfaultfd }) => userfaultfd);
    let child: unknown;
    if (this.parts.eventFork && uffd && registered) {
      /* Alone up to where it waits for its event to be read: so the core may copy. */
      const path = process.thread().fork();
      let step = path.next();
      if (!step.done) {
        const message = uffd.read();
        step = path.next();
        if (step.done && typeof step.value !== 'string' && typeof message !== 'string' && 'ufd' in message)
          this.#uffds.set(step.value, message.ufd);
      }
      child = step.value;
    } else child = process.fork();
    if (typeof child === 'string') return child;
    this.processes.push(child as Process);
    return 'a child';
  }

  #exit(process: Process): unknown {
    if (process === this.processes[0]) return undefined;
    this.processes.splice(this.processes.indexOf(process), 1);
    return process.exit();
  }

  #release(): unknown {
    const held = this.#held.shift();
    if (!held) return undefined;
    if (held.pinned) this.machine.unpinUserPages(held.pages);
    else this.machine.putPages(held.pages);
    return held.pages.length;
  }
}
