/**
 * Debian's QEMU with the kernel of examples/osdev, for tests; skipped where QEMU or gcc is missing.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ROOT } from '../cli/support.ts';

const QEMU = 'qemu-system-x86_64';
const missing = [QEMU, 'gcc', 'ld'].filter((program) => spawnSync(program, ['--version']).error);

/** Why these tests cannot run here; empty where they can. */
export const NO_QEMU: string = missing.length > 0 ? `${missing.join(', ')} not found` : '';

/** MAXPHYADDR of the machine. */
export const PHYSICAL_BITS = 40;

/** A machine that runs. */
export interface Machine extends AsyncDisposable {
  readonly folder: string;
  /** The stub's. */
  readonly place: string;
  /** A command over QMP, and what it returns. */
  qmp(command: string, args?: object): Promise<unknown>;
  /** What QEMU has told of interrupts and exceptions. */
  log(): string;
}

/** Builds the kernel with a mistake, and starts it. */
export async function start(mistake: number, ...args: string[]): Promise<Machine> {
  const folder = mkdtempSync(join(tmpdir(), 'hugewalk-osdev-'));
  const made = (name: string): string => join(folder, name);
  const tool = (program: string, ...given: string[]): Buffer => execFileSync(program, given, { cwd: ROOT });
  tool('gcc', '-m32', '-c', `-DMISTAKE=${mistake}`, 'examples/osdev/kernel.S', '-o', made('kernel.o'));
  tool(
    'ld',
    '-m',
    'elf_i386',
    '-n',
    '-Ttext=0x100000',
    '--no-warn-rwx-segments',
    '-o',
    made('kernel.elf'),
    made('kernel.o'),
  );
  const [gdb, qmp] = [made('gdb.sock'), made('qmp.sock')];
  const child = spawn(
    QEMU,
    [
      ...['-cpu', `max,phys-bits=${PHYSICAL_BITS}`, '-m', '32', '-nodefaults', '-display', 'none', '-accel', 'tcg'],
      ...['-kernel', made('kernel.elf'), '-no-reboot', '-no-shutdown', '-d', 'int,cpu_reset', '-D', made('log')],
      ...['-gdb', `unix:${gdb},server=on,wait=off`, '-qmp', `unix:${qmp},server=on,wait=off`, ...args],
    ],
    { stdio: 'ignore' },
  );
  for (let tries = 0; !(existsSync(gdb) && existsSync(qmp)); tries++) {
    if (tries > 500 || child.exitCode !== null) throw new Error(`expected ${QEMU} to listen`);
    await pause(10);
  }
  return {
    folder,
    place: `qemu:${gdb}`,
    qmp: (command, given = {}) => askQmp(qmp, command, given),
    log: () => readFileSync(made('log'), 'latin1'),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until it has stopped by itself, or runs, or whatever the state is called. */
export async function until(machine: Machine, status: string): Promise<void> {
  for (let tries = 0; (await statusOf(machine)) !== status; tries++) {
    if (tries > 500) throw new Error(`expected the machine to be ${status}, found ${await statusOf(machine)}`);
    await pause(10);
  }
}

/** `running`, `paused`, `shutdown`, `prelaunch`. */
export async function statusOf(machine: Machine): Promise<string> {
  return ((await machine.qmp('query-status')) as { status: string }).status;
}

async function askQmp(path: string, command: string, args: object): Promise<unknown> {
  const socket = connect(path);
  socket.write(`${JSON.stringify({ execute: 'qmp_capabilities' })}\n`);
  socket.write(`${JSON.stringify({ execute: command, arguments: args, id: 1 })}\n`);
  let text = '';
  try {
    for await (const piece of socket) {
      text += String(piece);
      for (const line of text.split('\n').filter((one) => one.endsWith('\r'))) {
        const answer = JSON.parse(line);
        if (answer.error) throw new Error(answer.error.desc);
        if (answer.id === 1) return answer.return;
      }
    }
  } finally {
    socket.destroy();
  }
  throw new Error('expected an answer over QMP');
}
