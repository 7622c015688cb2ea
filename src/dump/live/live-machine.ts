/**
 * A machine that runs, as a dump: stopped while it is read, and let go afterwards. Node only.
 */
import { checkBoolean, checkInteger, checkOptions, checkString, type OptionNames } from '../../core/errors.ts';
import type { CpuState } from '../cpu-state.ts';
import type { Dump, PhysicalRange } from '../dump.ts';
import { checkedFrames } from '../segmented-dump.ts';
import { type LivePlace, placeOf } from './place.ts';
import { type Stopped, Stub } from './stub.ts';

/** How to look at a machine that runs. */
export interface LiveOptions {
  /** Leave it stopped, also if it ran. Default: as it was; where that cannot be told, it goes on. */
  readonly keepStopped?: boolean;
  /** Milliseconds to wait for an answer. Default 5000. */
  readonly timeout?: number;
}

const OPTIONS: OptionNames<LiveOptions> = { keepStopped: true, timeout: true };
const ALL: readonly PhysicalRange[] = [{ physical: 0n, bytes: 1n << 52n }];
const FRAME = 4096n;

/**
 * A machine that runs, over its GDB stub. It is stopped from the moment that it is opened, or that something is read of it, until
 * `letGo` or `close`. QEMU lets nobody go by itself: a program that ends without either leaves the machine stopped.
 */
export interface LiveMachine extends Dump {
  readonly format: 'live';
  /** Lets the machine go on, if it ran before; what is read next stops it again. */
  letGo(): Promise<void>;
  /** Stops it anew, and reads its registers. */
  refresh(): Promise<void>;
}

class StoppedMachine implements LiveMachine {
  readonly name: string;
  readonly format = 'live';
  readonly warnings: readonly string[];
  readonly #place: LivePlace;
  readonly #keepStopped: boolean;
  readonly #timeout: number;
  readonly #warnings: string[] = [];
  #known: Stopped = { cpus: [], memory: undefined };
  #stub: Promise<Stub> | undefined;

  private constructor(name: string, place: LivePlace, keepStopped: boolean, timeout: number) {
    this.name = name;
    this.warnings = this.#warnings;
    this.#place = place;
    this.#keepStopped = keepStopped;
    this.#timeout = timeout;
  }

  static async open(name: string, options: LiveOptions): Promise<StoppedMachine> {
    checkString('place', name);
    checkOptions('options', options, OPTIONS);
    const { keepStopped = false, timeout = 5000 } = options;
    checkBoolean('keepStopped', keepStopped);
    checkInteger('timeout', timeout, 1, 3_600_000);
    const machine = new StoppedMachine(name, placeOf(name), keepStopped, timeout);
    await machine.#attached();
    return machine;
  }

  /** Registers at the moment when it was stopped last. */
  get cpus(): readonly CpuState[] {
    return this.#known.cpus;
  }

  get segments(): readonly PhysicalRange[] {
    return this.#known.memory ?? ALL;
  }

  async readFrames(physical: readonly bigint[]): Promise<(Uint8Array | undefined)[]> {
    const asked = checkedFrames(physical);
    const stub = await this.#attached();
    const known = [...new Set(asked)].filter((frame) => this.#hasMemory(BigInt(frame)));
    const contents = await stub.readFrames(known);
    const frames = new Map(known.map((frame, i) => [frame, contents[i]]));
    return asked.map((frame) => frames.get(frame));
  }

  async letGo(): Promise<void> {
    const stub = await this.#stub?.catch(() => undefined);
    this.#stub = undefined;
    await stub?.letGo(this.#keepStopped);
  }

  async refresh(): Promise<void> {
    await this.letGo();
    await this.#attached();
  }

  async close(): Promise<void> {
    await this.letGo();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #attached(): Promise<Stub> {
    this.#stub ??= this.#attach().catch((error: unknown) => {
      this.#stub = undefined;
      throw error;
    });
    return this.#stub;
  }

  async #attach(): Promise<Stub> {
    const stub = await Stub.open(this.#place, this.name, this.#timeout);
    try {
      this.#known = await stub.learn();
    } catch (error) {
      await stub.letGo(this.#keepStopped).catch(() => undefined);
      throw error;
    }
    const unknown =
      'the stub does not tell where there is memory: what is not there may be read as zeros, and devices may be read';
    if (!this.#known.memory && !this.#warnings.includes(unknown)) this.#warnings.push(unknown);
    return stub;
  }

  #hasMemory(frame: bigint): boolean {
    return this.segments.some(({ physical, bytes }) => frame >= physical && frame + FRAME <= physical + bytes);
  }
}

/**
 * Stops a machine that runs, to look at its memory and registers: `qemu:/run/vm/gdb.sock`, a Unix socket of QEMU's `-gdb`, or
 * `qemu:HOST:PORT`, or `gdb:HOST:PORT` of another stub that reads physical memory as QEMU's does. Node only.
 *
 * @throws TypeError or RangeError for a place that is none; {@link DumpError} where nothing listens there, or something else does
 *
 * @example
 * ```ts
 * import { AddressSpace, DumpError } from 'hugewalk';
 * import { openLiveMachine } from 'hugewalk/node';
 * try {
 *   const machine = await openLiveMachine('qemu:/tmp/no-such-gdb.sock');
 *   try {
 *     const space = await AddressSpace.open(machine);
 *     console.log(await space.translate(machine.cpus[0]!.rip));
 *   } finally {
 *     await machine.close();                              // and it goes on
 *   }
 * } catch (error) {
 *   if (!(error instanceof DumpError)) throw error;       // nothing listens there
 * }
 * ```
 */
export function openLiveMachine(place: string, options: LiveOptions = {}): Promise<LiveMachine> {
  return StoppedMachine.open(place, options);
}
