/**
 * A Slurm of one node on this machine, with files and ports of its own: it has nothing to do with one that may be installed and run here.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const NEEDED = ['sbatch', 'slurmctld', 'slurmd', 'munged'];
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** Why none can be started here; undefined where it can. */
export function whyNoSlurm(): string | undefined {
  const missing = NEEDED.filter((name) => spawnSync('which', [name], { env: { PATH } }).status !== 0);
  if (missing.length > 0) return `without ${missing.join(', ')} (Debian: slurm-wlm and munge)`;
  return process.getuid?.() === 0 ? undefined : 'as nobody but root can start slurmd';
}

/** A cluster under way. */
export interface LocalSlurm {
  /** For those who submit. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts one, and waits until its node is idle. */
export async function startSlurm(): Promise<LocalSlurm> {
  const folder = mkdtempSync(join(tmpdir(), 'hugewalk-slurm-'));
  const at = (name: string): string => join(folder, name);
  const env = { PATH, SLURM_CONF: at('slurm.conf') };
  const pids = ['munged.pid', 'slurmctld.pid', 'slurmd.pid'].map(at);
  const stop = async (): Promise<void> => {
    for (const file of pids.toReversed()) await end(file);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const name of ['state', 'spool']) mkdirSync(at(name));
    writeFileSync(at('key'), randomBytes(1024), { mode: 0o400 });
    writeFileSync(env.SLURM_CONF, configuration(at));
    const munge = ['key-file', 'socket', 'pid-file', 'log-file', 'seed-file'];
    const files = ['key', 'munge.socket', 'munged.pid', 'munged.log', 'munged.seed'];
    execFileSync('munged', ['--force', ...munge.map((name, i) => `--${name}=${at(files[i]!)}`)], {
      env,
      stdio: 'ignore',
    });
    execFileSync('slurmctld', [], { env, stdio: 'ignore' });
    execFileSync('slurmd', [], { env, stdio: 'ignore' });
    for (let tries = 0; ; tries++) {
      const { stdout } = spawnSync('sinfo', ['-h', '-o', '%T'], { env, encoding: 'utf8' });
      if (stdout.trim() === 'idle') return { env, stop };
      if (tries === 100) throw new Error(`Slurm: expected an idle node, found "${stdout.trim()}": ${tail(at)}`);
      await delay(200);
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

function configuration(at: (name: string) => string): string {
  const host = hostname();
  return [
    'ClusterName=hugewalk',
    `SlurmctldHost=${host}(127.0.0.1)`,
    'SlurmctldPort=26817',
    'SlurmdPort=26818',
    'AuthType=auth/munge',
    `AuthInfo=socket=${at('munge.socket')}`,
    'CredType=cred/munge',
    'SlurmUser=root',
    'SlurmdUser=root',
    `StateSaveLocation=${at('state')}`,
    `SlurmdSpoolDir=${at('spool')}`,
    `SlurmctldPidFile=${at('slurmctld.pid')}`,
    `SlurmdPidFile=${at('slurmd.pid')}`,
    `SlurmctldLogFile=${at('slurmctld.log')}`,
    `SlurmdLogFile=${at('slurmd.log')}`,
    'ProctrackType=proctrack/linuxproc',
    'TaskPlugin=task/none',
    'MpiDefault=none',
    'ReturnToService=2',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core',
    'JobAcctGatherType=jobacct_gather/none',
    `NodeName=${host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN`,
    `PartitionName=p Nodes=${host} Default=YES State=UP`,
    '',
  ].join('\n');
}

function tail(at: (name: string) => string): string {
  return ['slurmctld.log', 'slurmd.log']
    .map((name) => (existsSync(at(name)) ? readFileSync(at(name), 'utf8').slice(-500) : `no ${name}`))
    .join('\n');
}

/** Ends a process that has written its number to a file. */
async function end(file: string): Promise<void> {
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8'));
  for (let tries = 0; tries < 100; tries++) {
    try {
      process.kill(pid, tries < 50 ? 'SIGTERM' : 'SIGKILL');
    } catch {
      return;
    }
    await delay(100);
  }
}
