import { DumpError } from './dump-error.ts';

/** Warnings of a dump that are kept: a file may have a fault a byte. */
const MOST = 50;

/**
 * What is missing or broken in a dump and can be done without, a line each. Strict, each is an error.
 */
export class Warnings {
  /** The lines, without the file's name; more may come as the dump is read. */
  readonly lines: string[] = [];
  readonly #name: string;
  readonly #strict: boolean;

  /** @param name the file's name, for errors */
  constructor(name: string, strict = false) {
    this.#name = name;
    this.#strict = strict;
  }

  /** @throws {@link DumpError} instead, if strict */
  add(line: string): void {
    if (this.#strict) throw new DumpError(this.#name, `${line} (an error because of strict)`);
    if (this.lines.includes(line) || this.lines.length > MOST) return;
    this.lines.push(this.lines.length < MOST ? line : 'more is missing or broken, which is not listed');
  }
}

/** Like faults of many parts, of which one line names the first and counts the others. */
export class Tally {
  #first: string | undefined;
  #others = 0;

  add(line: string): void {
    if (this.#first === undefined) this.#first = line;
    else this.#others++;
  }

  /** Tells `warnings` of them, if there are any. */
  tell(warnings: Pick<Warnings, 'add'>): void {
    if (this.#first === undefined) return;
    warnings.add(this.#others ? `${this.#first} (and ${this.#others} more like it)` : this.#first);
  }
}
