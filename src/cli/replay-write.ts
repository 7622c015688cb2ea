/**
 * Writing scenarios: a file is there as it was, or as it is to be, and never half written.
 */
import { randomBytes } from 'node:crypto';
import { access, constants, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Scenario } from '../replay/sequence/sequence.ts';
import { Failure } from './failure.ts';

/** A scenario that may be written. */
export interface WritableScenario {
  readonly path: string;
  /** What was read, and is to be replaced. */
  readonly text: string;
}

const GZIP = [0x1f, 0x8b];
/** The file mode's bits for writing. */
const ANY_WRITE = 0o222;

/** @throws Failure for a gzipped file, and for a recording: both are evidence of what a real kernel did; and for a read-only file */
export async function checkWritable(path: string, scenario: Scenario, text: string): Promise<WritableScenario> {
  const bytes = await readFile(path);
  /* A new file is put in its place, which the file's own rights would not stop. */
  const { mode } = await stat(path);
  const denied = await access(path, constants.W_OK).then(
    () => (mode & ANY_WRITE) === 0,
    () => true,
  );
  if (denied)
    throw new Failure(`${path}: expected a file that may be written, found a read-only one: chmod +w, or a copy of it`);
  if (bytes[0] === GZIP[0] && bytes[1] === GZIP[1]) {
    throw new Failure(`${path}: expected a plain file to write to, found a gzipped one: unpack a copy of it`);
  }
  if (!bytes.equals(Buffer.from(text))) throw changed(path);
  const recorded = scenario.sequences.find(({ text, end }) => !end || 'mode' in (JSON.parse(text) as object));
  if (recorded) {
    throw new Failure(
      `${path}:${recorded.line}: expected a written scenario, found the recording of a kernel (${recorded.end ? '"mode"' : '"crash"'}), which is evidence and stays as it is`,
    );
  }
  return { path, text };
}

/** Puts a text in the place of what was read: a new file beside it, renamed. */
export async function replaceFile({ path, text: before }: WritableScenario, text: string): Promise<void> {
  let beside: string | undefined;
  try {
    /* Where the path is a link, what it leads to is replaced. */
    const target = await realpath(path);
    const { mode } = await stat(target);
    beside = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
    const file = await open(beside, 'wx', mode & 0o777);
    try {
      await file.writeFile(text);
      await file.chmod(mode & 0o777);
      await file.sync();
    } finally {
      await file.close();
    }
    if (!(await readFile(target)).equals(Buffer.from(before))) throw changed(path);
    await rename(beside, target);
  } catch (error) {
    if (beside !== undefined) await rm(beside, { force: true });
    if (error instanceof Failure) throw error;
    throw new Failure(`${path}: expected to write it, found ${(error as Error).message}`);
  }
}

function changed(path: string): Failure {
  return new Failure(`${path}: expected what was read before, found a file that has changed meanwhile: run it again`);
}
