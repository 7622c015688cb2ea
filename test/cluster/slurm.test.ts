/**
 * cluster/slurm on a real Slurm, which the test starts for itself. Where there is none, it is skipped, and named at the end of the run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../cli/support.ts';
import { THOROUGH } from '../support/thorough.ts';
import { type LocalSlurm, startSlurm, whyNoSlurm } from './local-slurm.ts';

const lines = (...objects: object[]): string => objects.map((object) => `${JSON.stringify(object)}\n`).join('');
const FILE = { op: 'mmap', proc: 0, slot: 0, kind: 'shared_file', file: 0, hugepages: 2, prot: 'rw' };

/** Nothing is wrong here, in hundreds of interleavings. */
const SOUND = lines(
  { seq: 1, pool: 4, files: [2] },
  FILE,
  { op: 'write', proc: 0, slot: 0, page: 0, value: 1, task: 0 },
  { op: 'write', proc: 0, slot: 0, page: 1, value: 2, task: 0 },
  { op: 'write', proc: 0, slot: 0, page: 1, value: 3, task: 1 },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 4, task: 1 },
  { end: 1 },
);

/** A deadlock of Linux 6.1.192's. */
const DEADLOCK = lines(
  { seq: 1, pool: 2, files: [1] },
  { op: 'fallocate', file: 0, hugepages: 1 },
  { op: 'mmap', proc: 0, slot: 0, kind: 'private_file', file: 0, hugepages: 1, prot: 'rw' },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 1 },
  { op: 'mmap', proc: 0, slot: 1, kind: 'shared_file', file: 0, hugepages: 1, prot: 'rw' },
  { op: 'fork', proc: 0, child: 1 },
  { op: 'write', proc: 0, slot: 0, page: 0, value: 2, task: 0 },
  { op: 'read', proc: 0, slot: 1, page: 0, task: 1 },
  { end: 1 },
);

const why = whyNoSlurm();

describe.skipIf(why !== undefined)(`cluster/slurm${why === undefined ? '' : `, ${why}`}`, THOROUGH, () => {
  let folder: string;
  let slurm: LocalSlurm;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hugewalk-cluster-'));
    slurm = await startSlurm();
  }, 60_000);

  afterAll(async () => {
    await slurm?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const HUGEWALK = `${process.execPath} ${join(ROOT, 'dist', 'cli.js')}`;
  const written = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const alone = (path: string) =>
    spawnSync(process.execPath, ['dist/cli.js', 'explore', path], { cwd: ROOT, encoding: 'utf8' });

  /** Runs explore.sh. @param during called while it runs */
  async function cluster(out: string, path: string, during: () => Promise<void> = async () => undefined) {
    const child = spawn('bash', [join(ROOT, 'cluster/slurm/explore.sh'), '3', out, path], {
      env: { ...slurm.env, HUGEWALK },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await during();
    return { status: await ended, stdout, stderr };
  }

  const rounds = (stderr: string): string[] =>
    stderr.split('\n').filter((line) => line.startsWith('explore.sh: round'));

  test('shards find what one search finds, and tell the same of what was covered', async () => {
    const path = written('sound.jsonl', SOUND);
    const out = join(folder, 'sound');
    const { status, stdout, stderr } = await cluster(out, path);
    expect(stdout, stderr).toBe(alone(path).stdout);
    expect(status).toBe(0);
    expect(rounds(stderr)).toEqual(['explore.sh: round 1: shards 1-3 of 3']);
    expect(readdirSync(out).filter((name) => name.endsWith('.json'))).toEqual(['1.json', '2.json', '3.json']);
    const logOf = (shard: number): string => readFileSync(join(out, `${shard}.log`), 'utf8');
    expect(logOf(1)).toMatch(/any interleaving: [\d,]+ executions, \d+ of \d+ pieces/);
    /* A shard that starts after another has ended goes on from what that has searched. */
    for (const shard of [2, 3])
      expect(logOf(shard)).toMatch(/any interleaving: [\d,]+ executions, (\d+ of \d+ pieces|all)/);
  }, 120_000);

  test('a finding ends in the same words, and with status 1', async () => {
    const path = written('deadlock.jsonl', DEADLOCK);
    const { status, stdout, stderr } = await cluster(join(folder, 'deadlock'), path);
    expect(stdout, stderr).toBe(alone(path).stdout);
    expect(status).toBe(1);
  }, 120_000);

  test('a shard that is killed is run again, and only that one', async () => {
    const path = written('killed.jsonl', SOUND);
    const out = join(folder, 'killed');
    let killed = '';
    const slurmSays = (...args: string[]) => spawnSync(args[0]!, args.slice(1), { env: slurm.env, encoding: 'utf8' });
    const kill = async (): Promise<void> => {
      for (let tries = 0; tries < 400 && killed === ''; tries++) {
        const running = slurmSays('squeue', '-h', '-r', '-t', 'R', '-o', '%i %K').stdout;
        const [job, task] = running.split('\n')[0]!.split(' ');
        if (task && slurmSays('scancel', '--signal=KILL', '--full', job!).status === 0) {
          while (slurmSays('squeue', '-h', '-r', '-o', '%i').stdout.split('\n').includes(job!)) await delay(25);
          /* It may have ended before. */
          if (!existsSync(join(out, `${task}.json`))) killed = task;
        } else await delay(25);
      }
    };
    const { status, stdout, stderr } = await cluster(out, path, kill);
    expect(rounds(stderr)).toEqual([
      'explore.sh: round 1: shards 1-3 of 3',
      `explore.sh: round 2: shards ${killed} of 3`,
    ]);
    expect(stdout, stderr).toBe(alone(path).stdout);
    expect(status).toBe(0);
  }, 120_000);
});
