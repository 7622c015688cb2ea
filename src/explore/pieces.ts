/**
 * Searches pieces of a scene (search/piece.ts), for threads and machines that do so at the same time. What comes of a piece depends on nothing but the piece and the busy
 * places that were known: whatever is learned of others is forgotten. A piece that learns of another busy place is given up: all begin anew with it.
 */
import type { Finding } from './kernel/finding.ts';
import { KernelProgram, type Scene } from './kernel/kernel-program.ts';
import type { Place } from './kernel/kernel-watch.ts';
import { LockOrder, type Nesting } from './kernel/lock-order.ts';
import { located } from './located.ts';
import type { Accesses } from './search/access.ts';
import { BoundedSearch } from './search/bounded.ts';
import { Driver } from './search/driver.ts';
import { type NamedPiece, type Names, named, translated, unnamed } from './search/named.ts';
import { OptimalSearch } from './search/optimal.ts';
import type { Piece } from './search/piece.ts';
import { type Run, scheduleOf } from './search/schedule.ts';
import type { SearchCounts } from './search/search.ts';
import { SerialOutcomes } from './serial.ts';

/** What became of a piece. */
export interface PieceResult {
  readonly counts: Readonly<SearchCounts>;
  /** What was found, and when. The piece was given up with that. */
  readonly found?: { readonly finding: Finding; readonly schedule: readonly Run[] };
  /** The places that are busy, where there are more than were known. The piece was given up with that. */
  readonly grown?: readonly Place[];
  /** Which locks were taken while others were held, in this piece. */
  readonly nestings: readonly Nesting[];
  /** Otherwise, what is left. */
  readonly left?: NamedPiece;
}

/** Which pass over a scene is cut into pieces, and what is known of it. */
export interface CutPass {
  /** Most preemptions; undefined: all interleavings that matter. */
  readonly preemptions: number | undefined;
  readonly busyPlaces: readonly Place[];
}

/** Executions between two reports. */
const BATCH = 64;

/** Searches pieces of a pass, one after the other. */
export class PieceSearcher {
  readonly #scene: Scene;
  readonly #serial: SerialOutcomes;
  readonly #pass: CutPass;
  readonly #order = new LockOrder();
  #program!: KernelProgram;
  #driver!: Driver<Finding>;

  constructor(scene: Scene, pass: CutPass, serial: SerialOutcomes = new SerialOutcomes(scene)) {
    this.#scene = scene;
    this.#serial = serial;
    this.#pass = pass;
    this.#begin();
  }

  /** Knows the busy places that all know, and no others. */
  #begin(): void {
    this.#program = new KernelProgram(this.#scene, this.#pass.busyPlaces, this.#order);
    this.#driver = new Driver(this.#program);
    this.#driver.reset();
  }

  /** Searches so many executions of a piece, until something is found, or nothing is left. Reports its counts every now and then. */
  *search(piece: NamedPiece, executions: number): Generator<Readonly<SearchCounts>, PieceResult, void> {
    const driver = this.#driver;
    driver.recorder.forget();
    this.#order.forget();
    const search = this.#searchOf(unnamed(piece, this.#program));
    const { counts } = search;
    for (let run = 1; run <= executions; run++) {
      const ended = search.next();
      this.#order.settle(() => scheduleOf(driver.steps));
      if (ended === undefined) break;
      const finding = ended === 'complete' ? this.#finding : undefined;
      if (finding) {
        const schedule = scheduleOf(driver.steps);
        if (search.isOutgrown) this.#begin();
        return {
          counts,
          nestings: this.#order.nestings,
          found: { finding: located(this.#scene, finding, schedule), schedule },
        };
      }
      if (search.isOutgrown) return { counts, nestings: this.#order.nestings, grown: this.#outgrown() };
      if (run % BATCH === 0) yield counts;
    }
    const { nestings } = this.#order;
    const left = search.left();
    if (search.isOutgrown) return { counts, nestings, grown: this.#outgrown() };
    return { counts, nestings, left: named(left, this.#program) };
  }

  /** By task, what its next step touches behind a way, in names of somebody else; undefined where it cannot go on. */
  stepsFrom(way: readonly number[], names: Names): (Accesses | undefined)[] {
    const driver = this.#driver;
    const goThere = (): void => {
      driver.analyses = true;
      driver.reset();
      for (const task of way) driver.step(task);
    };
    goThere();
    const { ready, finding } = driver;
    return Array.from({ length: this.#scene.tasks }, (_, task) => {
      if (finding || !((ready >> task) & 1)) return undefined;
      goThere();
      driver.step(task);
      return translated(driver.execution.steps.at(-1)!.accesses, this.#program, names);
    });
  }

  #searchOf(piece: Piece): OptimalSearch<Finding> | BoundedSearch<Finding> {
    return 'states' in piece
      ? new OptimalSearch(this.#driver, piece)
      : new BoundedSearch(this.#driver, this.#pass.preemptions!, piece);
  }

  #outgrown(): readonly Place[] {
    const { busyPlaces } = this.#program;
    this.#begin();
    return busyPlaces;
  }

  /** What is wrong with the last execution. */
  get #finding(): Finding | undefined {
    return this.#driver.finding ?? this.#serial.judge(this.#scene.observe());
  }
}
