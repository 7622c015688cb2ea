/**
 * What is asked of a GDB stub: QEMU's, gdbstub.c of QEMU 7.2, or another that reads physical memory as that does. GDB's manual,
 * "General Query Packets". Connecting stops the machine.
 */
import type { CpuState } from '../cpu-state.ts';
import type { PhysicalRange } from '../dump.ts';
import { DumpError } from '../dump-error.ts';
import { bytesOfHex, Connection } from './connection.ts';
import { memoryMap } from './memory-map.ts';
import type { LivePlace } from './place.ts';
import { type RegisterNumbers, registerNumbers } from './target-description.ts';

const FRAME = 4096;
/** Questions for memory that are on their way at a time. */
const WINDOW = 64;
const MOST_CPUS = 4096;
/** Bytes that a stub answers with, where it does not say how many. */
const SMALL_PACKET = 1024;
/** Pieces of a file of the target description. */
const MOST_PIECES = 256;

/** What is known of a machine, once it is stopped. */
export interface Stopped {
  readonly cpus: readonly CpuState[];
  /** Undefined where the stub does not tell. */
  readonly memory: readonly PhysicalRange[] | undefined;
}

/** A machine that is stopped, as long as this is open. */
export class Stub {
  readonly #connection: Connection;
  readonly #name: string;
  #packet = SMALL_PACKET;
  #wasStopped: boolean | undefined;

  private constructor(connection: Connection, name: string) {
    this.#connection = connection;
    this.#name = name;
  }

  /** Connects, which stops the machine. @throws {@link DumpError} where nothing listens */
  static async open(place: LivePlace, name: string, timeout: number): Promise<Stub> {
    return new Stub(await Connection.open(place, name, timeout), name);
  }

  /** Learns what there is. @throws {@link DumpError} where the stub does not answer, or does not read physical memory */
  async learn(): Promise<Stopped> {
    const features = await this.#ask('qSupported:xmlRegisters=i386');
    const [, size] = /(?:^|;)PacketSize=([0-9a-f]{1,8})(?:;|$)/i.exec(features) ?? [];
    if (size !== undefined) this.#packet = Math.min(Math.max(Number.parseInt(size, 16), 256), 2 ** 16);
    /* First, so that nothing that is wrong later starts a machine. */
    const { saidStopped } = this.#connection;
    this.#wasStopped = wasStopped(saidStopped, await this.#monitor('info status'), await this.#monitor('info version'));
    const cpus = await this.#cpus();
    await this.#readPhysicalMemory();
    return { cpus, memory: memoryMap(await this.#monitor('info mtree -f')) };
  }

  /** Frames at physical addresses; undefined for those that cannot be read. */
  async readFrames(frames: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    /* A stub answers m with two digits a byte, QEMU's with at most PacketSize digits. */
    const piece = Math.min(FRAME, 2 ** Math.floor(Math.log2(this.#packet / 2)));
    const pieces = FRAME / piece;
    const contents: (Uint8Array | undefined)[] = frames.map(() => new Uint8Array(FRAME));
    let next = 0;
    const worker = async (): Promise<void> => {
      for (; next < frames.length * pieces; ) {
        const at = next++;
        const frame = Math.floor(at / pieces);
        const offset = (at % pieces) * piece;
        const answer = await this.#ask(`m${(frames[frame]! + offset).toString(16)},${piece.toString(16)}`);
        const bytes = this.#memoryOf(answer, piece);
        if (bytes) contents[frame]?.set(bytes, offset);
        else contents[frame] = undefined;
      }
    };
    await Promise.all(Array.from({ length: WINDOW }, worker));
    return contents;
  }

  /**
   * Ends the connection, and lets the machine go on: unless it was stopped before, or is to be kept so. Where the stub does not tell
   * whether it was, it goes on.
   */
  async letGo(keepStopped: boolean): Promise<void> {
    if (keepStopped || this.#wasStopped) this.#connection.close();
    else await this.#connection.closeWith('D');
  }

  #ask(text: string): Promise<string> {
    return this.#connection.ask(text);
  }

  #memoryOf(answer: string, length: number): Uint8Array | undefined {
    if (/^E[0-9a-f]{2}$/i.test(answer) || answer === '') return undefined;
    const bytes = bytesOfHex(answer);
    if (bytes.length === length && answer.length === 2 * length) return bytes;
    throw this.#wrong(`0x${length.toString(16)} bytes of memory`, answer);
  }

  async #readPhysicalMemory(): Promise<void> {
    const mode = await this.#ask('qqemu.PhyMemMode');
    if (mode === '1') return;
    if (mode !== '0' || (await this.#ask('Qqemu.PhyMemMode:1')) !== 'OK') {
      throw this.#wrong("a stub that reads physical memory, as QEMU's since 4.1 does (qqemu.PhyMemMode)", mode);
    }
  }

  async #cpus(): Promise<CpuState[]> {
    const registers = await registerNumbers((file) => this.#file(file));
    for (const name of ['cr0', 'cr3', 'cr4', 'efer']) {
      if (registers.has(name)) continue;
      const what = registers.size > 0 ? `${registers.size} other registers` : 'no target description';
      throw new DumpError(this.#name, `expected a stub of x86-64 that gives ${name}, found ${what}`);
    }
    const cpus: CpuState[] = [];
    for (const thread of await this.#threads()) {
      const selected = await this.#ask(`Hg${thread}`);
      if (selected !== 'OK') throw this.#wrong(`CPU ${thread} to be selected`, selected);
      cpus.push(await this.#cpu(registers));
    }
    return cpus;
  }

  async #cpu(numbers: RegisterNumbers): Promise<CpuState> {
    const one = async (name: string): Promise<bigint> => {
      const number = numbers.get(name);
      if (number === undefined) return 0n;
      const answer = await this.#ask(`p${number.toString(16)}`);
      const bytes = bytesOfHex(answer);
      if (bytes.length < 4 || bytes.length * 2 !== answer.length) throw this.#wrong(`the register ${name}`, answer);
      return bytes.length >= 8 ? bytes.readBigUInt64LE() : BigInt(bytes.readUInt32LE());
    };
    const cs = await one('cs');
    return {
      rip: await one('rip'),
      rsp: await one('rsp'),
      rflags: await one('eflags'),
      cs: Number(cs),
      cpl: Number(cs & 3n),
      cr0: await one('cr0'),
      cr2: await one('cr2'),
      cr3: await one('cr3'),
      cr4: await one('cr4'),
      efer: await one('efer'),
    };
  }

  async #threads(): Promise<string[]> {
    const threads: string[] = [];
    for (let query = 'qfThreadInfo'; ; query = 'qsThreadInfo') {
      const answer = await this.#ask(query);
      if (answer === 'l') return threads;
      const list = /^m([0-9a-fp.,]+)$/i.exec(answer)?.[1]?.split(',');
      if (!list || threads.length > MOST_CPUS) throw this.#wrong('a list of at most 4096 CPUs', answer);
      threads.push(...list);
    }
  }

  /** A file of the target description. */
  async #file(name: string): Promise<string | undefined> {
    let text = '';
    for (let piece = 0; piece < MOST_PIECES; piece++) {
      const length = (this.#packet - 5).toString(16);
      const answer = await this.#ask(`qXfer:features:read:${name}:${text.length.toString(16)},${length}`);
      if (!/^[ml]/.test(answer)) return undefined;
      text += answer.slice(1);
      if (answer.startsWith('l') || answer.length === 1) return text;
    }
    return undefined;
  }

  /** What QEMU's monitor prints; what another stub answers is nothing that is looked for. */
  #monitor(command: string): Promise<string> {
    return this.#ask(`qRcmd,${Buffer.from(command, 'latin1').toString('hex')}`);
  }

  #wrong(expected: string, answer: string): DumpError {
    const shown = answer.length > 40 ? `${answer.slice(0, 40)}... (0x${answer.length.toString(16)} bytes)` : answer;
    return new DumpError(
      this.#name,
      `expected ${expected}, found ${answer === '' ? 'no answer' : JSON.stringify(shown)}`,
    );
  }
}

/**
 * Whether a machine was stopped before it was connected to. One that ran has told of its stop, unasked, before its first answer, up to
 * QEMU 8.0; QEMU 8.1 and later tell nothing. `paused (prelaunch)` and other reasons are of before; `paused` is anybody's.
 */
function wasStopped(saidStopped: boolean, status: string, version: string): boolean | undefined {
  if (saidStopped) return false;
  if (/paused \(/.test(status)) return true;
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) return undefined;
  return Number(major) < 8 || (major === '8' && minor === '0') ? true : undefined;
}
