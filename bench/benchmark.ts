/**
 * A row of the benchmark: what is compared, beside what, on which image. A row has a path for a name,
 * `walk/4k/8MiB/random`; a figure of it one more part, `.../batch`.
 */
import { buildImage, type Image, type ImageOptions } from './images.ts';
import type { Job } from './job.ts';
import { type Native, NativeProcess } from './native.ts';
import { measureInTurn, type Side, type Times } from './rounds.ts';

/** How thoroughly to measure. */
export interface Effort {
  /** Repetitions that count. */
  readonly repetitions: number;
  /** Walks a repetition, at least. */
  readonly walks: number;
}

export const FULL: Effort = { repetitions: 7, walks: 2 ** 20 };
export const QUICK: Effort = { repetitions: 5, walks: 2 ** 19 };

/** Times by figure. */
export type Figures = ReadonlyMap<string, Times>;

/** What was measured, and on which image. */
export interface Measured {
  readonly figures: Figures;
  readonly image?: Image;
}

/** A row: what it measured. */
export interface Row extends Measured {
  readonly name: string;
}

/** A row to come. */
export interface Plan {
  readonly name: string;
  readonly measure: (bench: Benchmark) => Promise<Measured>;
}

/** What the rows share: how thoroughly to measure, the native walker, the image that was built last. */
export class Benchmark {
  readonly effort: Effort;
  readonly native: Native;
  #built: { wanted: string; image: Image } | undefined;

  constructor(effort: Effort, native: Native) {
    this.effort = effort;
    this.native = native;
  }

  /** Measures a row. */
  async run({ name, measure }: Plan): Promise<Row> {
    return { name, ...(await measure(this)) };
  }

  /** An image; kept while the same one is asked for. */
  image(options: ImageOptions): Image {
    const wanted = JSON.stringify(options);
    if (this.#built?.wanted !== wanted) this.#built = { wanted, image: buildImage(options) };
    return this.#built.image;
  }

  /** Measures sides in turn. */
  compare(sides: readonly Side[]): Promise<Figures> {
    return measureInTurn(sides, this.effort.repetitions);
  }

  /**
   * Measures the sides and, where there is a native walker, that one in turn with them.
   *
   * @param checksum of the outcomes that the native walker has to find
   */
  async compareWithNative(sides: readonly Side[], job: Job, checksum: number): Promise<Figures> {
    if (this.native.binary === undefined) return this.compare(sides);
    const walker = new NativeProcess(this.native.binary, job);
    try {
      return await this.compare([...sides, { name: 'native', repeat: () => nativeRepetition(walker, checksum) }]);
    } finally {
      walker.end();
    }
  }
}

/** @throws Error when the native walker's outcomes differ from ours */
async function nativeRepetition(walker: NativeProcess, expected: number): Promise<number> {
  const { milliseconds, checksum } = await walker.repeat();
  if (checksum !== expected) throw new Error(`expected outcomes with checksum ${expected}, got native ${checksum}`);
  return milliseconds;
}

/** A size as names of rows have it: `512KiB`. */
export function sizeName(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes / 2 ** 10}KiB` : `${bytes / 2 ** 20}MiB`;
}
