/**
 * The interleavings of a scene in pieces, for threads and machines that search them at the same time: see search/cut.ts. All who know the same busy
 * places find the same pieces, so a piece is told by its number. One that learns of another busy place is given up: all begin anew with it.
 */
import type { Finding } from './kernel/finding.ts';
import { KernelProgram, type Scene } from './kernel/kernel-program.ts';
import type { Place } from './kernel/kernel-watch.ts';
import { LockOrder, type Nesting } from './kernel/lock-order.ts';
import { located } from './located.ts';
import { type Root, rootsOf } from './search/cut.ts';
import { Driver } from './search/driver.ts';
import { OptimalSearch } from './search/optimal.ts';
import { type Run, scheduleOf } from './search/schedule.ts';
import type { SearchCounts } from './search/search.ts';
import { SerialOutcomes } from './serial.ts';

/** A piece that was searched. */
export interface PieceResult {
  readonly piece: number;
  readonly counts: SearchCounts;
  /** What was found, and when. The piece was left with that. */
  readonly found?: { readonly finding: Finding; readonly schedule: readonly Run[] };
  /** The places that are busy, where there are more than were known. The piece was left with that. */
  readonly grown?: readonly Place[];
  /** Which locks were taken while others were held, in this piece. */
  readonly nestings: readonly Nesting[];
}

/** Executions between two reports. */
const BATCH = 64;

/** All pieces of a scene. */
export class Pieces {
  /** How many there are. */
  readonly count: number;
  /** The busy places: those that were given, and what was learned while the pieces were found. */
  readonly busyPlaces: readonly Place[];
  readonly #program: KernelProgram;
  readonly #order = new LockOrder();
  readonly #scene: Scene;
  readonly #serial: SerialOutcomes;
  readonly #driver: Driver<Finding>;
  readonly #roots: readonly Root[];

  /**
   * @param busyPlaces those that are known
   * @param least pieces to make, if the space has so many
   */
  constructor(scene: Scene, busyPlaces: readonly Place[], least: number) {
    this.#scene = scene;
    this.#serial = new SerialOutcomes(scene);
    this.#program = new KernelProgram(scene, busyPlaces, this.#order);
    this.#driver = new Driver(this.#program);
    this.#roots = rootsOf(this.#driver, least);
    this.count = this.#roots.length;
    this.busyPlaces = this.#program.busyPlaces;
  }

  /** Searches a piece, until something is found, or nothing is left. Reports its counts every now and then. */
  *search(piece: number): Generator<SearchCounts, PieceResult, void> {
    const { recorder, execution } = this.#driver;
    recorder.forget();
    this.#order.forget();
    const search = new OptimalSearch(this.#driver, this.#roots[piece]);
    const { counts } = search;
    for (;;) {
      for (let run = 0; run < BATCH; run++) {
        const ended = search.next();
        this.#order.settle(() => scheduleOf(execution.steps));
        if (ended === undefined) return { piece, counts, ...this.#learned };
        const finding = ended === 'complete' ? this.#finding : undefined;
        if (finding) {
          const schedule = scheduleOf(execution.steps);
          return {
            piece,
            counts,
            found: { finding: located(this.#scene, finding, schedule), schedule },
            ...this.#learned,
          };
        }
        if (search.isOutgrown) return { piece, counts, grown: this.#program.busyPlaces, ...this.#learned };
      }
      yield counts;
    }
  }

  get #learned(): Pick<PieceResult, 'nestings'> {
    return { nestings: this.#order.nestings };
  }

  /** What is wrong with the last execution. */
  get #finding(): Finding | undefined {
    return this.#driver.finding ?? this.#serial.judge(this.#scene.observe());
  }
}
