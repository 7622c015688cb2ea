/**
 * A guest on 1 GiB pages whose memory turns bad, 4 KiB at a time. The kernel takes the bad memory out of its page tables; the guest is told by
 * a SIGBUS when it touches it, which says how much is lost (BUS_MCEERR_AR, si_addr_lsb). A virtual machine monitor hands that on as a
 * machine check: of 4 KiB, the guest's own kernel takes one page out of use, and goes on; of 1 GiB, there is little left to go on with.
 */
import {
  BUS_MCEERR_AR,
  MADV_POPULATE_WRITE,
  MAP_SHARED,
  Machine,
  PROT_READ,
  PROT_WRITE,
  type Process,
} from 'hugewalk/linux';
import { addressOf, expectOk } from '../support/results.ts';

export const PIECE = 4096;
export const GIB = 2 ** 30;
/** The guest has contents in one piece of so many. */
const ONE_IN = 64;

/** A leaf of the guest's memory, or what became of it. */
export interface Stretch {
  readonly offset: number;
  readonly bytes: number;
  readonly lost: boolean;
}

/** What an error has led to. */
export interface Failure {
  /** What the kernel made of it: 'OK', or 'EHWPOISON' where that memory was lost already. */
  readonly result: string;
  /** Bytes that the SIGBUS tells to be lost, where the guest touches them. */
  readonly told: number;
}

/** A guest with its memory. */
export class Guest {
  readonly bytes: number;
  readonly #machine: Machine;
  readonly #process: Process;
  readonly #at: number;
  /** Number of the first 4 KiB frame of each huge page. */
  readonly #frames: readonly number[];

  /** @param hgm whether memory can be lost by pieces */
  constructor(bytes: number, hgm: boolean) {
    const pages = bytes / GIB;
    this.bytes = bytes;
    this.#machine = new Machine({ pools: [{ hugePageSize: GIB, pages }], hgm: { version: hgm ? 'v2' : 'none' } });
    const file = this.#machine.memfdCreate({ hugePageSize: GIB });
    expectOk(file.ftruncate(bytes));
    this.#process = this.#machine.createProcess();
    const options = { length: bytes, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file };
    this.#at = addressOf(this.#process.mmap(options));
    expectOk(this.#process.madvise(this.#at, bytes, MADV_POPULATE_WRITE));
    for (let piece = 0; piece < bytes / PIECE; piece += ONE_IN) {
      expectOk(this.#process.write(this.#at + piece * PIECE, stampOf(piece)));
    }
    this.#frames = Array.from({ length: pages }, (_, page) => this.#process.followPage(this.#at + page * GIB, 0)!);
  }

  /** 4 KiB of the memory turn bad, and the guest touches them. */
  fail(piece: number): Failure {
    const page = Math.floor((piece * PIECE) / GIB);
    const result = this.#machine.memoryFailure(this.#frames[page]! + (piece % (GIB / PIECE)));
    return { result, told: this.#told(this.#process.read(this.#at + piece * PIECE)) };
  }

  /** The page-table entries of the guest's memory: leaves, and entries that say that the memory is bad. */
  *stretches(): Generator<Stretch, void, undefined> {
    for (const { address, bytes, folio } of this.#process.mappedPages()) {
      yield { offset: address - this.#at, bytes, lost: folio === undefined };
    }
  }

  /**
   * Reads a byte of every piece; a SIGBUS tells how much to pass over.
   *
   * @returns how many pieces cannot be read, and how many are not as they were written
   */
  readAll(): { readonly unreadable: number; readonly wrong: number } {
    let [unreadable, wrong] = [0, 0];
    for (let piece = 0; piece < this.bytes / PIECE; piece++) {
      const found = this.#process.read(this.#at + piece * PIECE);
      if (typeof found === 'string') {
        const told = this.#told(found) / PIECE;
        const end = piece - (piece % told) + told;
        unreadable += end - piece;
        piece = end - 1;
      } else if (found !== (piece % ONE_IN === 0 ? stampOf(piece) : 0)) wrong++;
    }
    return { unreadable, wrong };
  }

  /** What the SIGBUS of the last read tells to be lost, in bytes. */
  #told(read: number | string): number {
    const { siginfo } = this.#process;
    if (read !== 'SIGBUS' || siginfo?.code !== BUS_MCEERR_AR) throw new Error(`expected BUS_MCEERR_AR, got ${read}`);
    return 2 ** siginfo.lsb!;
  }

  /** Counts everything again. */
  check(): void {
    this.#machine.check();
  }
}

function stampOf(piece: number): number {
  return 1 + ((piece / ONE_IN) % 255);
}
