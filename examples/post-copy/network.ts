/**
 * The network between two machines, and who sends: one link with a latency and a bandwidth. What was asked for goes first; as
 * long as nobody asks, everything is sent from the start to the end. What is on its way is not interrupted.
 *
 *   request ──── latency ───> queue ──┐
 *                                     ├──> link: bytes / bandwidth ──── latency ───> arrived
 *   all the rest, one by one ─────────┘
 */
import type { Path } from 'hugewalk/linux';
import { type Clock, waitFor } from './clock.ts';

/** What the link is like. */
export interface Link {
  /** One way, in microseconds. */
  readonly latency: number;
  /** Gbit a second. */
  readonly bandwidth: number;
}

/** How long something takes that was asked for, with nobody else on the link: there, back, and the bytes. */
export function fetchTime({ latency, bandwidth }: Link, bytes: number): number {
  return 2 * latency + transferTime({ latency, bandwidth }, bytes);
}

function transferTime({ bandwidth }: Link, bytes: number): number {
  return (bytes * 8) / (bandwidth * 1000);
}

/** A unit of the guest's memory: what is asked for, sent and mapped as one. */
export interface Packet {
  readonly unit: number;
  /** When it arrives. */
  readonly at: number;
}

/** The source's end of the link, and what is on its way. */
export class Network {
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #bytesOf: (unit: number) => number;
  readonly #sent: Uint8Array;
  readonly #requests: Packet[] = [];
  readonly #packets: Packet[] = [];
  #firstRequest = 0;
  #firstPacket = 0;
  /** Units that were sent because somebody waited for them. */
  requested = 0;

  /** @param units that there are, each of `bytesOf` it bytes */
  constructor(clock: Clock, link: Link, units: number, bytesOf: (unit: number) => number) {
    this.#clock = clock;
    this.#link = link;
    this.#bytesOf = bytesOf;
    this.#sent = new Uint8Array(units);
  }

  /** Asks the source for a unit. */
  request(unit: number): void {
    this.#requests.push({ unit, at: this.#clock.now + this.#link.latency });
  }

  /** The source's thread that sends, until all is sent. */
  *send(): Path<void> {
    let background = 0;
    for (let left = this.#sent.length; left > 0; left--) {
      let unit = this.#nextRequest();
      if (unit === undefined) {
        while (this.#sent[background]) background++;
        unit = background;
      } else this.requested++;
      this.#sent[unit] = 1;
      const end = this.#clock.now + transferTime(this.#link, this.#bytesOf(unit));
      this.#packets.push({ unit, at: end + this.#link.latency });
      yield* this.#clock.until(end);
    }
  }

  /** The destination waits for the next unit. */
  *receive(): Path<number> {
    yield* waitFor('a packet', () => this.#firstPacket < this.#packets.length);
    const { unit, at } = this.#packets[this.#firstPacket++]!;
    yield* this.#clock.until(at);
    return unit;
  }

  /** The oldest request that has arrived, of a unit that was not sent yet. */
  #nextRequest(): number | undefined {
    for (; this.#firstRequest < this.#requests.length; this.#firstRequest++) {
      const { unit, at } = this.#requests[this.#firstRequest]!;
      if (at > this.#clock.now) return undefined;
      if (!this.#sent[unit]) return unit;
    }
    return undefined;
  }
}
