/**
 * A GDB stub of the tests' own: it answers as QEMU's does, but for what a test says.
 */
import { createServer, type Socket } from 'node:net';

const hexOf = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

/** A packet with its checksum, for text that is sent as it is. */
export function packet(text: string): string {
  let sum = 0;
  for (const byte of Buffer.from(text, 'latin1')) sum += byte;
  return `$${text}#${(sum & 0xff).toString(16).padStart(2, '0')}`;
}

const DESCRIPTION = `<target><architecture>i386:x86-64</architecture><xi:include href="core.xml"/></target>`;
/** Two registers have numbers that do not follow from their order. */
const CORE = `<feature name="x"><!-- <reg name="none" bitsize="64"/> -->
  <reg name="rip" bitsize="64"/><reg name="rsp" bitsize="64"/><reg name="eflags" bitsize="32"/><reg name="cs" bitsize="32"/>
  <reg name="cr0" bitsize="64" regnum="32"/><reg name="cr2" bitsize="64"/><reg name="cr3" bitsize="64"/>
  <reg name="cr4" bitsize="64"/><reg name="efer" bitsize="64" regnum="9"/></feature>`;
const REGISTERS: Readonly<Record<string, bigint>> = {
  p0: 0xffff_ffff_8100_0000n,
  p20: 0x8001_0001n,
  p22: 0x1000n,
  p23: 0x20n,
  p9: 0xd00n,
};
const register = (value: bigint): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.toString('hex');
};

/** What QEMU's stub answers: two CPUs, memory whose bytes are the lowest of their address divided by 16. */
export function usual(question: string): string {
  const [, from, length] = /^m([0-9a-f]+),([0-9a-f]+)$/.exec(question) ?? [];
  if (from !== undefined && length !== undefined) {
    const at = Number.parseInt(from, 16);
    return Buffer.from(Array.from({ length: Number.parseInt(length, 16) }, (_, i) => (at + i) >> 4)).toString('hex');
  }
  if (question.startsWith('qSupported')) return 'PacketSize=1000;qXfer:features:read+';
  if (question.startsWith('qXfer:features:read:target.xml:0,')) return `l${DESCRIPTION}`;
  /* In two pieces. */
  if (question.startsWith('qXfer:features:read:core.xml:0,')) return `m${CORE.slice(0, 150)}`;
  if (question.startsWith('qXfer:features:read:core.xml:96,')) return `l${CORE.slice(150)}`;
  if (question === 'qfThreadInfo') return 'm01';
  if (question === 'qsThreadInfo') return 'm02';
  if (question === 'qqemu.PhyMemMode') return '0';
  if (question === `qRcmd,${hexOf('info status')}`) return `O${hexOf('VM status: paused\r\n')}`;
  if (/^(Hg0|Qqemu|D$)/.test(question)) return 'OK';
  if (/^p/.test(question)) return register(REGISTERS[question] ?? 0n);
  return '';
}

/** What a stub sends for a question, frame and all; undefined: as usual; `nothing`, `hang up`, `prints on`. */
export type Answers = (question: string, times: number) => string | undefined;

/** A stub that listens. */
export interface FakeStub extends AsyncDisposable {
  readonly place: string;
  readonly asked: readonly string[];
  /** How often it was told to let the machine go. */
  readonly letGo: () => number;
}

/** @param greeting what it says to who connects */
export async function fakeStub(answers: Answers = () => undefined, greeting = ''): Promise<FakeStub> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.setEncoding('latin1');
    let text = '';
    let threads = 0;
    socket.write(greeting);
    socket.on('data', (piece: string) => {
      text += piece;
      for (;;) {
        const [whole, question] = /^[+-]*\$([^#]*)#../.exec(text) ?? [];
        if (whole === undefined || question === undefined) return;
        text = text.slice(whole.length);
        asked.push(question);
        const special = answers(question, asked.filter((one) => one === question).length);
        if (special === 'hang up') {
          socket.destroy();
          return;
        }
        if (special === 'prints on') {
          const timer = setInterval(() => socket.write(packet('O41')), 20);
          socket.on('close', () => clearInterval(timer));
          continue;
        }
        const plain = question === 'qsThreadInfo' && threads++ > 0 ? 'l' : usual(question);
        const monitor = plain.startsWith('O') && plain !== 'OK' ? packet('OK') : '';
        if (special !== 'nothing') socket.write(`+${special ?? packet(plain) + monitor}`, 'latin1');
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a port');
  return {
    place: `gdb:127.0.0.1:${address.port}`,
    asked,
    letGo: () => asked.filter((question) => question === 'D').length,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
