/**
 * The machine that the guest comes from: 1 GiB pages, and contents in one 4 KiB page of thirty-two, as most of a guest's memory is
 * zero or alike. The guest stands still by now: post-copy moves the processors first, and the memory after them.
 */
import { MAP_SHARED, Machine, PROT_READ, PROT_WRITE, type Process } from 'hugewalk/linux';
import type { Random } from '../support/random.ts';
import { addressOf, expectOk } from '../support/results.ts';

/** What HGM moves and maps at a time. */
export const PIECE = 4096;
/** A piece that nobody has written. */
export const ZEROS: Uint8Array = new Uint8Array(PIECE);

const GIB = 2 ** 30;
const CHUNK = 2 ** 21;
const ONE_IN = 32;

/** A guest that is ready to be moved. */
export class Source {
  readonly bytes: number;
  /** The 4 KiB pieces that are not zero, by number, as the source's page tables show them. */
  readonly pieces: ReadonlyMap<number, Uint8Array>;
  readonly #guest: Process;
  readonly #at: number;
  readonly #sender: Process;

  /** @param bytes of the guest's memory */
  constructor(bytes: number, random: Random) {
    this.bytes = bytes;
    const pages = Math.ceil(bytes / GIB);
    const machine = new Machine({ pools: [{ hugePageSize: GIB, pages }] });
    const file = machine.memfdCreate({ hugePageSize: GIB });
    expectOk(file.ftruncate(pages * GIB));
    this.#guest = machine.createProcess();
    this.#at = addressOf(
      this.#guest.mmap({ length: pages * GIB, prot: PROT_READ | PROT_WRITE, flags: MAP_SHARED, file }),
    );
    this.#sender = machine.createProcess();
    for (let piece = 0; piece < bytes / PIECE; piece += 1 + random.below(2 * ONE_IN - 1)) {
      const contents = Uint32Array.from({ length: PIECE / 4 }, () => random.bits());
      this.#sender.processVmWrite(this.#guest, this.#at + piece * PIECE, new Uint8Array(contents.buffer));
    }
    this.pieces = new Map(this.#scan());
  }

  /** Looks for what is not zero, as a migration does so that it need not send zeros. */
  *#scan(): Generator<[number, Uint8Array], void, undefined> {
    for (let offset = 0; offset < this.bytes; offset += CHUNK) {
      const bytes = new Uint8Array(Math.min(CHUNK, this.bytes - offset));
      const read = this.#sender.processVmRead(this.#guest, this.#at + offset, bytes);
      if (read !== bytes.length) throw new Error(`process_vm_readv: expected ${bytes.length} bytes, got ${read}`);
      for (let at = 0; at < bytes.length; at += PIECE) {
        const piece = bytes.subarray(at, at + PIECE);
        if (!isSame(piece, ZEROS)) yield [(offset + at) / PIECE, piece.slice()];
      }
    }
  }
}

/** Whether two pieces have the same bytes. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
