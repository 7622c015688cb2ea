import { checkInteger, wrongKind } from '../core/errors.ts';
import type { PhysicalMemory } from '../core/physical-memory.ts';
import { type Releasable, releasedError } from '../core/released.ts';

/** Where the arrays of a released batch are. */
const NOWHERE = -1;

/** The arrays of a batch, in linear memory, where the core reads and writes them without a copy. */
export abstract class BatchArrays implements Releasable {
  /** How many addresses it has room for. */
  readonly capacity: number;
  readonly #memory: PhysicalMemory;
  /** Linear address of the addresses; the outcomes follow them. */
  #at: number;
  #views: { addresses: BigUint64Array; outcomes: BigUint64Array; buffer: ArrayBufferLike } | undefined;

  /** @throws RangeError for a capacity out of range, or when the memory has no room for the arrays */
  constructor(memory: PhysicalMemory, capacity: number) {
    checkInteger('capacity', capacity, 1, 2 ** 27);
    this.capacity = capacity;
    this.#memory = memory;
    this.#at = memory.arena.allocate(capacity * 16);
  }

  /** Linear addresses to translate. Take it anew after anything that may grow the memory. */
  get addresses(): BigUint64Array {
    return this.#current().addresses;
  }

  /** One outcome word for each address, after a run. Take it anew after anything that may grow the memory. */
  get outcomes(): BigUint64Array {
    return this.#current().outcomes;
  }

  /**
   * Gives the arrays back: any use of the batch throws afterwards, and views of them that were taken before show what others
   * keep there. More than once does nothing.
   */
  release(): void {
    if (this.#at === NOWHERE) return;
    this.#memory.arena.release(this.#at, this.capacity * 16);
    this.#at = NOWHERE;
    this.#views = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /**
   * Linear addresses of the two arrays.
   *
   * @throws TypeError when the batch or its memory was released
   */
  protected get places(): { readonly from: number; readonly to: number } {
    if (this.#at === NOWHERE) throw releasedError('batch');
    if (this.#memory.isReleased) throw releasedError('memory');
    return { from: this.#at, to: this.#at + this.capacity * 8 };
  }

  #current(): { addresses: BigUint64Array; outcomes: BigUint64Array } {
    const { from, to } = this.places;
    const { buffer } = this.#memory.wasm;
    if (this.#views?.buffer !== buffer) {
      this.#views = {
        addresses: new BigUint64Array(buffer, from, this.capacity),
        outcomes: new BigUint64Array(buffer, to, this.capacity),
        buffer,
      };
    }
    return this.#views;
  }
}

/** What follows the addresses of a call for many: the access (see AccessArgument), and where the outcome words go. */
export type ManyArguments = [access?: number, outcomes?: BigUint64Array];

/** Addresses that {@link inPieces} copies at a time: 32 KiB, which stay in the first-level cache; or as many as there is room for. */
const PIECE = 4096;
const LEAST_PIECE = 64;

/**
 * Lets `translate` work through addresses that lie outside the linear memory, piece by piece: it is given the linear
 * address of some of them, how many they are, and where their outcome words go.
 *
 * @param given where the outcome words go in the end; default: a new array
 * @returns that array
 * @throws TypeError or RangeError for arrays of the wrong kind, or too short
 */
export function inPieces(
  memory: PhysicalMemory,
  addresses: BigUint64Array,
  given: BigUint64Array | undefined,
  translate: (from: number, count: number, to: number) => void,
): BigUint64Array {
  if (!(addresses instanceof BigUint64Array)) throw wrongKind('addresses', 'a BigUint64Array', addresses);
  const outcomes = given === undefined ? new BigUint64Array(addresses.length) : given;
  if (!(outcomes instanceof BigUint64Array)) throw wrongKind('outcomes', 'a BigUint64Array', outcomes);
  if (outcomes.length < addresses.length) {
    throw new RangeError(`outcomes: expected room for ${addresses.length}, got ${outcomes.length}`);
  }
  const { at, size } = roomForPiece(memory);
  try {
    const words = new BigUint64Array(memory.wasm.buffer, at, size);
    for (let done = 0; done < addresses.length; done += size) {
      const piece = addresses.subarray(done, done + size);
      words.set(piece);
      translate(at, piece.length, at);
      outcomes.set(piece.length === size ? words : words.subarray(0, piece.length), done);
    }
  } finally {
    memory.arena.release(at, size * 8);
  }
  return outcomes;
}

/** @throws RangeError when there is no room for even the smallest piece */
function roomForPiece({ arena }: PhysicalMemory): { at: number; size: number } {
  for (let size = PIECE; size >= LEAST_PIECE; size /= 2) {
    const at = arena.tryAllocate(size * 8);
    if (at !== undefined) return { at, size };
  }
  return { at: arena.allocate(PIECE * 8), size: PIECE };
}
