/**
 * The same errors, at random places, in two guests: one on a kernel with HGM, one without.
 */
import { Random } from '../support/random.ts';
import { type Failure, GIB, Guest, PIECE } from './guest.ts';
import { type Loss, lossOf, picture, type Step } from './report.ts';

/** What came of it. The same seed, the same. */
export interface Outcome {
  readonly steps: readonly Step[];
  readonly hgm: Side;
  readonly whole: Side;
}

/** Of one guest. */
export interface Side {
  readonly failures: readonly Failure[];
  readonly loss: Loss;
  /** 4 KiB pieces that the guest cannot read any more, counted by reading them all. */
  readonly unreadable: number;
  /** Pieces with other contents than were written. Anything but 0 is a defect. */
  readonly wrong: number;
  readonly picture: string;
}

/** @param bytes of each guest, a multiple of 1 GiB */
export function tryErrors(bytes: number, errors: number, seed: number): Outcome {
  const random = new Random(seed);
  const [hgm, whole] = [new Guest(bytes, true), new Guest(bytes, false)];
  const failures: [Failure[], Failure[]] = [[], []];
  const bad = new Set<number>();
  const steps: Step[] = [];
  while (bad.size < errors) {
    const page = random.below(bytes / GIB);
    const piece = page * (GIB / PIECE) + random.below(GIB / PIECE);
    if (bad.has(piece)) continue;
    bad.add(piece);
    failures[0].push(hgm.fail(piece));
    failures[1].push(whole.fail(piece));
    const [hgmLoss, wholeLoss] = [lossOf(hgm.stretches()), lossOf(whole.stretches())];
    steps.push({ error: bad.size, offset: piece * PIECE, hgm: hgmLoss, whole: wholeLoss });
  }
  return { steps, hgm: sideOf(hgm, failures[0]), whole: sideOf(whole, failures[1]) };
}

function sideOf(guest: Guest, failures: readonly Failure[]): Side {
  guest.check();
  return {
    failures,
    loss: lossOf(guest.stretches()),
    ...guest.readAll(),
    picture: picture(guest.stretches(), guest.bytes),
  };
}
