/**
 * The native walker: finds a C compiler, compiles bench/native/walk.c, talks to the process.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { encodeJob, type Job } from './job.ts';

/** The walker, ready to run; or why there is none. */
export type Native =
  | { readonly binary: string; readonly compiler: string }
  | { readonly binary: undefined; readonly missing: string };

/** The project's folder: the nearest one above this file with a package.json. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/**
 * Compiles the walker into build/bench, unless it is there and newer than its source.
 *
 * @throws Error with the compiler's messages when there is a compiler and it does not accept the source
 */
export function compileNative(): Native {
  const names = [...(process.env.CC ? [process.env.CC] : []), 'cc', 'gcc', 'clang'];
  const found = names.flatMap((name) => versionOf(name).map((version) => ({ name, version })))[0];
  if (!found) return { binary: undefined, missing: `no C compiler: none of ${names.join(', ')} runs` };
  const source = join(projectRoot(), 'bench/native/walk.c');
  const binary = join(projectRoot(), `build/bench/walk-${found.name.replaceAll(/\W/g, '-')}`);
  const compiler = `${found.version}, -O3 -march=native`;
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return { binary, compiler };
  mkdirSync(dirname(binary), { recursive: true });
  /* Two processes may compile at the same time: each makes its own, the last one stays. */
  const own = `${binary}.${process.pid}`;
  const result = spawnSync(found.name, ['-std=gnu11', '-Wall', '-O3', '-march=native', '-o', own, source]);
  if (result.status !== 0) throw new Error(`${found.name}: cannot compile ${source}:\n${result.stderr}`);
  renameSync(own, binary);
  return { binary, compiler };
}

/** What a compiler says that it is; nothing when it does not run. */
function versionOf(compiler: string): string[] {
  const { status, stdout } = spawnSync(compiler, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n', 1) : [];
}

/** What a job leaves behind. */
export interface Walked {
  /** Outcome words. */
  readonly words: BigUint64Array;
  /** Memory, as it is afterwards. */
  readonly memory: Uint8Array;
}

/**
 * Walks a job once.
 *
 * @throws Error with what the walker says when it does not accept the job
 */
export function nativeWalk(binary: string, job: Job): Walked {
  const { status, stdout, stderr } = runNative(binary, ['--once'], Buffer.concat(encodeJob(job)));
  if (status !== 0) throw new Error(`native walker: ${stderr}`);
  const { buffer } = new Uint8Array(stdout);
  const count = job.addresses.length;
  return { words: new BigUint64Array(buffer, 0, count), memory: new Uint8Array(buffer, count * 8) };
}

/** Runs the walker to its end. */
export function runNative(
  binary: string,
  words: readonly string[],
  input: Uint8Array,
): { status: number | null; stdout: Buffer; stderr: Buffer } {
  return spawnSync(binary, words, { input, maxBuffer: 2 ** 30 });
}

/** What the walker answers to a request. */
export interface NativeAnswer {
  /** Nanoseconds of each repetition. */
  readonly ns: readonly number[];
  readonly checksum: number;
}

/** A walker that holds a job and waits to be asked for repetitions. */
export class NativeProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #job: Job;
  readonly #closed: Promise<number | null>;
  #messages = '';

  constructor(binary: string, job: Job) {
    this.#job = job;
    this.#child = spawn(binary, [], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.on('error', ({ message }) => {
      this.#messages += message;
    });
    this.#child.stderr!.on('data', (text) => {
      this.#messages += text;
    });
    this.#closed = new Promise((resolve) => this.#child.on('close', resolve));
    /* A walker that dies closes its stdin; what it said is reported by repeat(). */
    this.#child.stdin!.on('error', () => {});
    this.#lines = createInterface(this.#child.stdout!)[Symbol.asyncIterator]();
    for (const piece of encodeJob(job)) this.#child.stdin!.write(piece);
  }

  /** One repetition: milliseconds a walk, and the checksum of the outcomes. */
  async repeat(): Promise<{ milliseconds: number; checksum: number }> {
    this.#child.stdin!.write('.');
    const { value, done } = await this.#lines.next();
    if (done) {
      const status = await this.#closed;
      throw new Error(`native walker: ended early with status ${status}: ${this.#messages}`);
    }
    const { ns, checksum } = JSON.parse(value) as NativeAnswer;
    return { milliseconds: ns[0]! / 1e6 / (this.#job.passes * this.#job.addresses.length), checksum };
  }

  /** Lets it end. */
  end(): void {
    this.#child.stdin!.end();
  }
}
