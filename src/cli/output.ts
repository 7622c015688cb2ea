/**
 * Standard output in large chunks, at the pace of whoever reads it.
 */
import type { Writable } from 'node:stream';
import { EXIT, Failure } from './failure.ts';

/** Characters a chunk holds at least: what a pipe holds. */
const CHUNK = 2 ** 16;

/** Thrown when nobody reads any more (`| head`): the end of the work, and no failure. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
}

/** Standard output, or what stands for it. */
export type OutputStream = Writable & { readonly isTTY?: boolean };

/** Collects text and writes it, chunk by chunk. */
export class Output {
  readonly #stream: OutputStream;
  #text = '';

  constructor(stream: OutputStream) {
    this.#stream = stream;
    /* The callbacks of `flush` tell of errors; without a listener they would end the process besides. */
    stream.on('error', () => undefined);
  }

  /** Whether what is written appears on a terminal, where nothing else should be written in between. */
  get isTerminal(): boolean {
    return this.#stream.isTTY ?? false;
  }

  /** Adds text; true when it is time to `flush`. */
  add(text: string): boolean {
    this.#text += text;
    return this.#text.length >= CHUNK;
  }

  /** Writes what was added, and waits until it is taken. */
  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (text !== '') await this.#write(text);
  }

  /** Writes bytes, behind what was added before. */
  async writeBytes(bytes: Uint8Array): Promise<void> {
    await this.flush();
    await this.#write(bytes);
  }

  #write(chunk: string | Uint8Array): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#stream.write(chunk, (error) => (error ? reject(unwritable(error)) : resolve()));
    });
  }
}

function unwritable(error: NodeJS.ErrnoException): Error {
  if (error.code === 'EPIPE') return new ReaderGone();
  return new Failure(`standard output: expected to write to it, found ${error.message}`, EXIT.incomplete);
}
