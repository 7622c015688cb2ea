/**
 * A connection to a GDB stub: questions in order, answers in the same order. Several may be on their way at a time. Node only.
 */
import { connect, type Socket } from 'node:net';
import { DumpError, messageOf } from '../dump-error.ts';
import { framed, PacketReader, type Received } from './packets.ts';
import type { LivePlace } from './place.ts';

interface Waiting {
  readonly resolve: (answer: string) => void;
  readonly reject: (error: unknown) => void;
  /** What a command has printed so far. */
  output: string;
}

/** A stop that is told without being asked: `T02thread:01;`. */
const STOPPED = /^[ST][0-9a-f]{2}/;
/** What a monitor prints: `O` and bytes in hexadecimal. */
const OUTPUT = /^O((?:[0-9a-fA-F]{2})*)$/;
/** Characters of output that are kept: far more than any command prints. */
const MOST_OUTPUT = 2 ** 24;

/** Milliseconds for a last word. */
const LAST_WORD = 1000;

/** Questions and answers. */
export class Connection {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #timeout: number;
  readonly #reader = new PacketReader();
  readonly #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #error: DumpError | undefined;
  #saidStopped = false;
  #isStub = true;
  #agreed: (() => void) | undefined;

  private constructor(socket: Socket, name: string, timeout: number) {
    this.#socket = socket;
    this.#name = name;
    this.#timeout = timeout;
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => this.#take(piece));
    socket.on('error', (error) => this.#fail(`expected an answer, found ${messageOf(error)}`));
    socket.on('close', () => this.#fail('expected an answer, found the connection closed'));
  }

  /**
   * @param timeout milliseconds to wait for an answer
   * @throws {@link DumpError} where nothing listens
   */
  static open(place: LivePlace, name: string, timeout: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(place);
      const failed = (why: string): void => {
        socket.destroy();
        reject(
          new DumpError(
            name,
            `expected a GDB stub that listens, found ${why}: start QEMU with -gdb, as in docs/osdev.md`,
          ),
        );
      };
      const timer = setTimeout(() => failed(`no connection within ${timeout} ms`), timeout);
      const refused = (error: Error): void => {
        clearTimeout(timer);
        failed(messageOf(error));
      };
      socket.once('error', refused);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', refused);
        resolve(new Connection(socket, name, timeout));
      });
    });
  }

  /** Whether the stub has told, unasked, that the machine stopped. */
  get saidStopped(): boolean {
    return this.#saidStopped;
  }

  /** Asks; what a monitor prints is the answer, if it prints. Before an answer comes, more may be asked. */
  ask(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#error) {
        reject(this.#error);
        return;
      }
      this.#waiting.push({ resolve, reject, output: '' });
      /* The answer before is acknowledged with the next question: a stub waits for either. */
      this.#socket.write(`+${framed(text)}`, 'latin1');
      if (this.#waiting.length === 1) this.#wait();
    });
  }

  /** Says one thing more, and ends the connection. What still waits fails; also after a failure it is said. */
  async closeWith(text: string): Promise<void> {
    if (this.#waiting.length > 0) this.#fail('expected an answer, found the connection closed');
    try {
      if (!this.#error) await this.ask(text);
      else if (this.#isStub) await this.#sayLast(text);
    } finally {
      this.close();
    }
  }

  /** Until the stub agrees, or is gone, or too late; what was asked before is answered first, and must be read or TCP forgets this. */
  #sayLast(text: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) {
        resolve();
        return;
      }
      const late = setTimeout(resolve, LAST_WORD);
      this.#agreed = () => {
        clearTimeout(late);
        resolve();
      };
      this.#socket.once('close', this.#agreed);
      this.#socket.write(`+${framed(text)}`, 'latin1');
    });
  }

  /** Ends the connection; what is asked still fails. */
  close(): void {
    this.#fail('expected an answer, found the connection closed');
    this.#socket.end('+');
    const late = setTimeout(() => this.#socket.destroy(), 1000);
    this.#socket.once('close', () => clearTimeout(late));
  }

  /** For an answer, whatever is printed before it: so a stub that prints without an end is too late. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#fail(`expected an answer of a GDB stub within ${this.#timeout} ms, found none: is a debugger attached?`);
    }, this.#timeout);
  }

  #take(piece: string): void {
    for (const received of this.#reader.take(piece)) this.#receive(received);
  }

  #receive(received: Received): void {
    if (received.kind === 'noise') {
      this.#isStub = false;
      this.#fail(`expected a GDB stub, found ${protocolOf(received.text)}`);
    } else if (received.kind === 'damaged') {
      this.#fail(`expected ${received.why}`);
    } else {
      this.#answer(received.text);
    }
  }

  #answer(text: string): void {
    if (STOPPED.test(text)) {
      this.#saidStopped = true;
      return;
    }
    const [waiting] = this.#waiting;
    if (!waiting) {
      if (text === 'OK') this.#agreed?.();
      return;
    }
    const [, printed] = OUTPUT.exec(text) ?? [];
    if (printed === undefined) {
      this.#waiting.shift();
      waiting.resolve(waiting.output === '' ? text : waiting.output);
      this.#wait();
    } else {
      waiting.output += bytesOfHex(printed).toString('latin1');
      if (waiting.output.length > MOST_OUTPUT) this.#fail('expected a monitor that prints less, found no end');
    }
  }

  /** What waits fails, and what is asked later. The socket stays: the machine may still be let go. */
  #fail(problem: string): void {
    this.#error ??= new DumpError(this.#name, problem);
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#error);
  }
}

/** Bytes of an even number of digits; fewer where there are others. */
export function bytesOfHex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}

function protocolOf(text: string): string {
  if (text.startsWith('{"QMP"')) {
    return 'QMP: let it start a stub, {"execute":"human-monitor-command","arguments":{"command-line":"gdbserver unix:/tmp/gdb.sock,server=on,wait=off"}}, and name that';
  }
  if (/^QEMU .* monitor/.test(text)) {
    return "QEMU's monitor: enter gdbserver unix:/tmp/gdb.sock,server=on,wait=off there, and name that";
  }
  return JSON.stringify(text.slice(0, 40));
}
