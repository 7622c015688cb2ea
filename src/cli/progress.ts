/**
 * A word on stderr about work that takes long.
 */

/** Where progress is shown. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Work that is done sooner is not mentioned. */
const PATIENCE = 1000;
/** Milliseconds between two lines: on a terminal, where one is rewritten, and elsewhere. */
const PACE = { terminal: 100, log: 5000 };
const CLEAR = '\r\u001b[K';

/** One line on a terminal, rewritten; elsewhere a line every few seconds. */
export class Progress {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #due: number;
  #shown = false;

  constructor(stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#due = now() + PATIENCE;
  }

  /** Says how far the work is, if it is time to; cheap enough to be called often. */
  report(words: () => string): void {
    const now = this.#now();
    if (now < this.#due) return;
    this.#due = now + (this.#stream.isTTY ? PACE.terminal : PACE.log);
    this.#shown = true;
    this.#stream.write(this.#stream.isTTY ? `${CLEAR}${words()}` : `hugewalk: ${words()}\n`);
  }

  /** Takes the line away from a terminal. Call it before anything else is printed. */
  clear(): void {
    if (this.#shown && this.#stream.isTTY) this.#stream.write(CLEAR);
    this.#shown = false;
  }
}
