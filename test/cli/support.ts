/**
 * Runs the built command as users do, and makes dumps for it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { buildCore, LONG_MODE } from '../dump/elf-builder.ts';
import { readFixture } from '../support/files.ts';

/** The project's root, in which commands run. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));
const CLI = join(ROOT, 'dist', 'cli.js');
if (!existsSync(CLI)) throw new Error('dist/cli.js: expected the built command, found none: npm run build');

/** What became of a command. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  /** Without lines of progress, which a slow machine gets and a fast one does not. */
  readonly stderr: string;
  readonly milliseconds: number;
}

const PROGRESS = /^hugewalk: (?:exploring|listing|reading|replaying|scanning|searching|walking)\b.*\n/gm;

/** How to run a command. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of Node; default: the command's file. */
  readonly node?: readonly string[];
  /** What comes on its standard input; default: nothing. */
  readonly input?: Uint8Array;
  /** Stop reading its output after the first piece. */
  readonly hangUp?: boolean;
}

/** Runs `hugewalk` with arguments. */
export function run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, node = [CLI], hangUp = false, input } = options;
  const began = performance.now();
  const child = spawn(process.execPath, [...node, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  /* A command that does not want it may be gone. */
  child.stdin.on('error', () => undefined).end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (hangUp) child.stdout.destroy();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stdout, stderr: stderr.replace(PROGRESS, ''), milliseconds: performance.now() - began });
    });
  });
}

/** The fixtures by number of levels, relative to the project's root. */
export const FIXTURES = {
  4: 'test/fixtures/linux-6.1-4level.elf.gz',
  5: 'test/fixtures/linux-6.1-5level.elf.gz',
} as const;

/** A leaf as a line of JSON tells it. */
export interface Leaf {
  readonly va: string;
  readonly pa: string;
  readonly size: number;
  readonly bytes?: number;
  readonly present: boolean;
  readonly write: boolean;
  readonly user: boolean;
  readonly execute: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly global: boolean;
  readonly pwt: boolean;
  readonly pcd: boolean;
}

/**
 * QEMU's list of a fixture's leaves, in the shape of ours. It does not print sizes: a large page is of 1 GiB where both
 * addresses are multiples of that and the next leaf is not within.
 */
export async function qemuLeaves(levels: 4 | 5): Promise<Leaf[]> {
  const gzipped = await readFixture(`test/fixtures/linux-6.1-${levels}level.info-tlb.txt.gz`);
  const lines = gunzipSync(gzipped).toString().trim().split('\n');
  const listed = lines.map((line) => {
    const [, va, pa, flags] = /^([0-9a-f]+): ([0-9a-f]+) (\S{9})$/.exec(line.trim())!;
    return { va: BigInt(`0x${va}`), pa: BigInt(`0x${pa}`), flags: flags! };
  });
  const GIB = 1n << 30n;
  return listed.map(({ va, pa, flags }, i) => {
    const next = listed[i + 1]?.va ?? 1n << 64n;
    const giant = va % GIB === 0n && pa % GIB === 0n && next - va >= GIB;
    const set = (letter: string): boolean => flags['XGPDACTUW'.indexOf(letter)] === letter;
    return {
      va: hex(va),
      pa: hex(pa),
      size: set('P') ? (giant ? 0x4000_0000 : 0x20_0000) : 0x1000,
      present: true,
      write: set('W'),
      user: set('U'),
      execute: !set('X'),
      accessed: set('A'),
      dirty: set('D'),
      global: set('G'),
      pwt: set('T'),
      pcd: set('C'),
    };
  });
}

/** A number as the command writes it. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** The lines of an output. */
export function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

/* The suites of a process share this module. What they write lies in a folder for each worker, which is empty at first. */
const folder = fileURLToPath(new URL(`../../build/test-cli/${process.env.VITEST_POOL_ID}`, import.meta.url));
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

/** A file of this suite's folder. */
export function file(name: string, content: string | Uint8Array = ''): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A dump whose CR3 is 0x1000, with tables at physical addresses: what each entry holds, by its index. */
export function dumpOf(name: string, tables: Readonly<Record<number, (index: number) => bigint>>): string {
  const segments = Object.entries(tables).map(([physical, entryAt]) => ({
    physical: BigInt(physical),
    content: new Uint8Array(BigUint64Array.from({ length: 512 }, (_, index) => entryAt(index)).buffer),
  }));
  return file(name, buildCore({ cpus: [{ ...LONG_MODE, cr3: 0x1000n }], segments }));
}

/** Runs `hugewalk` with arguments, and presses Ctrl-C as soon as it tells of progress in pieces. */
export function interrupted(args: readonly string[]): Promise<Pick<Ran, 'status' | 'stdout'>> {
  const child = spawn(process.execPath, [CLI, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (/\d pieces/.test(stderr) && !child.killed) child.kill('SIGINT');
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout }));
  });
}
