/**
 * A machine over a GDB stub: what is asked, and what is said where a stub is short, damaged, silent or something else.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { memoryMap } from '../../src/dump/live/memory-map.ts';
import { PacketReader } from '../../src/dump/live/packets.ts';
import { placeOf } from '../../src/dump/live/place.ts';
import { AddressSpace, DumpError } from '../../src/index.ts';
import { openLiveMachine } from '../../src/node.ts';
import { FIXTURES, ROOT, run } from '../cli/support.ts';
import { type Answers, fakeStub, packet } from './fake-stub.ts';

const soon = { timeout: 150 };

/** The message of a DumpError, without the name of the place. */
async function refusal(what: Promise<unknown>): Promise<string> {
  const error: unknown = await what.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof DumpError)) throw new Error(`expected a DumpError, got ${String(error)}`);
  return error.message.replace(/^gdb:127\.0\.0\.1:\d+: /, '');
}

describe('a stub', () => {
  test('gives the registers of each CPU by the numbers of the target description, and is let go', async () => {
    await using stub = await fakeStub();
    const machine = await openLiveMachine(stub.place);
    expect(machine.cpus).toHaveLength(2);
    expect(machine.cpus[1]).toMatchObject({
      rip: 0xffff_ffff_8100_0000n,
      cr0: 0x8001_0001n,
      cr3: 0x1000n,
      efer: 0xd00n,
    });
    expect(stub.asked).toEqual(expect.arrayContaining(['Hg01', 'Hg02', 'Qqemu.PhyMemMode:1']));
    expect(stub.letGo()).toBe(0);
    await machine.close();
    expect(stub.letGo()).toBe(1);
    await machine.close();
    expect(stub.letGo()).toBe(1);
  });

  test('gives frames in the order asked; what it refuses is not there', async () => {
    await using stub = await fakeStub((question) => (question.startsWith('m2000,') ? packet('E14') : undefined));
    await using machine = await openLiveMachine(stub.place);
    const [third, second, first] = await machine.readFrames([0x5000n, 0x2000n, 0x1000n]);
    expect([third?.length, second, first?.length]).toEqual([4096, undefined, 4096]);
    expect([third![0x123], first![0xfff]]).toEqual([0x12, 0xff]);
    expect(machine.warnings).toHaveLength(1);
  });

  test('is stopped again by what is read after it was let go', async () => {
    await using stub = await fakeStub();
    await using machine = await openLiveMachine(stub.place);
    await machine.letGo();
    expect((await machine.readFrames([0n]))[0]).toHaveLength(4096);
    expect(stub.asked.filter((question) => question === 'Qqemu.PhyMemMode:1')).toHaveLength(2);
  });

  test('escapes and repeats as the protocol says, also cut anywhere', () => {
    const text = `+${packet('}]0* x')}${packet('OK')}%Stop:T05#00-`;
    for (let cut = 0; cut <= text.length; cut++) {
      const reader = new PacketReader();
      const received = [...reader.take(text.slice(0, cut)), ...reader.take(text.slice(cut))];
      expect(received).toEqual([
        { kind: 'packet', text: '}0000x' },
        { kind: 'packet', text: 'OK' },
      ]);
    }
  });

  test.for([
    ['a machine that is to stay stopped', { keepStopped: true }, '', 'paused'],
    ['one that waited to be started', {}, '', 'paused (prelaunch)'],
    ['one that has shut down', {}, '', 'paused (shutdown)'],
  ] as const)('lets nothing go on: %s', async ([, options, greeting, status]) => {
    await using stub = await fakeStub(monitorSays(status), greeting);
    await (await openLiveMachine(stub.place, options)).close();
    expect(stub.letGo()).toBe(0);
  });

  test.for([
    ['7.2.22', '', 0],
    ['7.2.22', packet('T02thread:01;'), 1],
    ['8.0.4', '', 0],
    ['8.1.0', '', 1],
    ['10.0.2', '', 1],
  ] as const)('of QEMU %s, having said %j unasked, lets go on: %i', async ([version, greeting, letGo]) => {
    await using stub = await fakeStub(monitorSays('paused', version), greeting);
    await (await openLiveMachine(stub.place)).close();
    expect(stub.letGo()).toBe(letGo);
  });
});

function monitorSays(status: string, version = '9.0.0'): (question: string) => string | undefined {
  const said: Readonly<Record<string, string>> = {
    'info status': `VM status: ${status}\r\n`,
    'info version': `${version}\r\n`,
  };
  return (question) => {
    const text = said[Buffer.from(question.replace('qRcmd,', ''), 'hex').toString('latin1')];
    return text === undefined ? undefined : packet(`O${Buffer.from(text).toString('hex')}`) + packet('OK');
  };
}

describe('what is wrong is one line, and the machine goes on', () => {
  test.for([
    ['a checksum', 'm1000,800', '$00#ff', 'expected the checksum 60 of a packet, found "ff"'],
    ['too little memory', 'm1000,800', packet('0011'), 'expected 0x800 bytes of memory, found "0011"'],
    [
      'memory that is none',
      'm1000,800',
      packet('zz'.repeat(2048)),
      /^expected 0x800 bytes of memory, found "zzz.*\(0x1000 bytes\)"$/,
    ],
    [
      'an escape at the end',
      'm1000,800',
      packet('00}'),
      'expected escapes and repetitions that fit, found others in a packet',
    ],
    [
      'no answer',
      'm1000,800',
      'nothing',
      'expected an answer of a GDB stub within 150 ms, found none: is a debugger attached?',
    ],
  ] as const)('%s', async ([, question, answer, message]) => {
    await using stub = await fakeStub((asked) => (asked === question ? answer : undefined));
    const machine = await openLiveMachine(stub.place, soon);
    const said = await refusal(machine.readFrames([0x1000n]));
    if (typeof message === 'string') expect(said).toBe(message);
    else expect(said).toMatch(message);
    await machine.close();
    await expect.poll(() => stub.letGo()).toBe(1);
  });

  test.for([
    [
      'no mode for physical memory',
      'qqemu.PhyMemMode',
      packet(''),
      "expected a stub that reads physical memory, as QEMU's since 4.1 does (qqemu.PhyMemMode), found no answer",
    ],
    [
      'no target description',
      'qXfer:features:read:target.xml:0,ffb',
      packet(''),
      'expected a stub of x86-64 that gives cr0, found no target description',
    ],
    [
      'another processor',
      'qXfer:features:read:target.xml:0,ffb',
      packet('l<reg name="x0"/>'),
      'expected a stub of x86-64 that gives cr0, found 1 other registers',
    ],
    ['a register that is short', 'p22', packet('00'), 'expected the register cr3, found "00"'],
    ['a CPU that is refused', 'Hg02', packet('E22'), 'expected CPU 02 to be selected, found "E22"'],
    [
      'no answer at the beginning',
      'qfThreadInfo',
      'nothing',
      'expected an answer of a GDB stub within 150 ms, found none: is a debugger attached?',
    ],
  ] as const)('%s', async ([, question, answer, message]) => {
    await using stub = await fakeStub((asked) => (asked === question ? answer : undefined));
    expect(await refusal(openLiveMachine(stub.place, soon))).toBe(message);
    await expect.poll(() => stub.letGo()).toBe(1);
  });

  test('a monitor that prints without an end', async () => {
    await using stub = await fakeStub((asked) => (asked.startsWith('qRcmd') ? 'prints on' : undefined));
    expect(await refusal(openLiveMachine(stub.place, soon))).toMatch(/^expected an answer of a GDB stub within 150 ms/);
  });

  test('a target description that is all tags and comments without an end', async () => {
    const text = `l${'<!--'.repeat(100_000)}${'<reg '.repeat(100_000)}`;
    await using stub = await fakeStub((asked) => (asked.startsWith('qXfer') ? packet(text) : undefined));
    expect(await refusal(openLiveMachine(stub.place))).toMatch(/^expected a stub of x86-64 that gives cr0/);
  });

  test('a list of CPUs without an end', async () => {
    await using stub = await fakeStub((asked) =>
      asked === 'qsThreadInfo' ? packet(`m${'01,'.repeat(500)}01`) : undefined,
    );
    expect(await refusal(openLiveMachine(stub.place))).toMatch(/^expected a list of at most 4096 CPUs, found "m01,/);
  });

  test('a stub that is gone', async () => {
    await using stub = await fakeStub((asked) => (asked.startsWith('m') ? 'hang up' : undefined));
    await using machine = await openLiveMachine(stub.place, soon);
    expect(await refusal(machine.readFrames([0x1000n]))).toBe('expected an answer, found the connection closed');
  });

  test('another protocol is named, with what helps, and told nothing more', async () => {
    await using qmp = await fakeStub(() => 'nothing', '{"QMP": {"version": {}}}\r\n');
    const line = await refusal(openLiveMachine(qmp.place, soon));
    expect(line).toMatch(/^expected a GDB stub, found QMP: let it start a stub, .*gdbserver unix:/);
    await using monitor = await fakeStub(() => 'nothing', 'QEMU 7.2.22 monitor - type help\r\n(qemu) ');
    expect(await refusal(openLiveMachine(monitor.place, soon))).toMatch(/found QEMU's monitor: enter gdbserver unix:/);
    expect(qmp.letGo() + monitor.letGo()).toBe(0);
  });

  test('nobody listens', async () => {
    const { place } = await (async () => {
      await using stub = await fakeStub();
      return stub;
    })();
    expect(await refusal(openLiveMachine(place, soon))).toMatch(
      /^expected a GDB stub that listens, found connect ECONNREFUSED/,
    );
    const { status, stderr } = await run(['map', 'qemu:/no/such.sock']);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^hugewalk: qemu:\/no\/such\.sock: expected a GDB stub that listens, found connect ENOENT .*\n$/,
    );
  });
});

test('places are a socket, or a host and a port', () => {
  expect(placeOf('qemu:/run/a.sock')).toEqual({ path: '/run/a.sock' });
  expect(placeOf('qemu:gdb.sock')).toEqual({ path: 'gdb.sock' });
  expect(placeOf('gdb:vm.example:1234')).toEqual({ host: 'vm.example', port: 1234 });
  expect(placeOf('gdb:[::1]:1234')).toEqual({ host: '::1', port: 1234 });
  expect(placeOf('qemu::1234')).toEqual({ host: 'localhost', port: 1234 });
  for (const wrong of ['', 'qemu:', 'gdb:host:0', 'gdb:host:65536', 'file:/x', 'qemu:\0']) {
    expect(() => placeOf(wrong), wrong).toThrow(RangeError);
  }
});

test('memory is what the flat view calls ram and rom, of the address space "memory"', () => {
  const view = (...lines: string[]): string =>
    ` Root memory region: system\r\n${lines.map((one) => `  ${one}\r\n`).join('')}\r\n`;
  const text = [
    'FlatView #0\r\n AS "I/O", root: io\r\n',
    view('0000000000000000-0000000000000007 (prio 0, i/o): dma-chan'),
    'FlatView #1\r\n AS "cpu-memory-0", root: system\r\n AS "memory", root: system\r\n',
    view(
      '0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM',
      '00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem',
      '00000000000c0000-00000000000cffff (prio 1, rom): pc.rom',
      '00000000000d0000-0000000001ffffff (prio 0, ram): pc.ram @00000000000d0000',
      '00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi',
      '00000001ffffffff-0000000100000000 (prio 0, ram): ends before it begins',
      '0010000000000000-ffffffffffffffff (prio 0, ram): beyond 52 bits',
    ),
  ].join('');
  expect(memoryMap(text)).toEqual([
    { physical: 0n, bytes: 0xa_0000n },
    { physical: 0xc_0000n, bytes: 0x1f4_0000n },
  ]);
  expect(memoryMap('unknown command: info mtree')).toBeUndefined();
});

/** Answers to what is asked for memory: from 12 KiB, in which a test writes. */
function answersFrom(memory: Buffer): Answers {
  return (question) => {
    const [, from, length] = /^m([0-9a-f]+),([0-9a-f]+)$/.exec(question) ?? [];
    if (from === undefined || length === undefined) return undefined;
    const start = Number.parseInt(from, 16);
    return packet(memory.subarray(start, start + Number.parseInt(length, 16)).toString('hex'));
  };
}

test('an address space that forgets reads anew; what it had stays as it was', async () => {
  const memory = Buffer.alloc(0x3000);
  memory.writeBigUInt64LE(0x2003n, 0x1000);
  await using stub = await fakeStub(answersFrom(memory));
  await using machine = await openLiveMachine(stub.place);
  const space = await AddressSpace.open(machine);
  await space.load();
  const before = space.mmu;
  expect(before.translate(0n).kind).toBe('page-fault');
  memory.writeBigUInt64LE(0x83n, 0x2000);
  await space.load();
  expect(space.mmu.translate(0n).kind).toBe('page-fault');
  await space.refresh();
  expect(await space.translate(0n)).toMatchObject({ kind: 'page', pageSize: 2 ** 30 });
  expect(before.translate(0n).kind).toBe('page-fault');
});

test('an address space of a machine that runs has the registers of its last look', async () => {
  let root = '0010000000000000';
  await using stub = await fakeStub((question) => (question === 'p22' ? packet(root) : undefined));
  await using machine = await openLiveMachine(stub.place);
  const space = await AddressSpace.open(machine);
  root = '0030000000000000';
  expect(space.mmu.registers.cr3).toBe(0x1000n);
  await space.refresh();
  expect(space.mmu.registers.cr3).toBe(0x3000n);
  expect(space.memory.has(0x3000n)).toBe(true);
});

describe('hugewalk', () => {
  test('map --follow shows what has changed, and ends with Ctrl-C; the machine goes on in between and afterwards', async () => {
    const memory = Buffer.alloc(0x3000);
    memory.writeBigUInt64LE(0x2003n, 0x1000);
    await using stub = await fakeStub(answersFrom(memory));
    const child = spawn(process.execPath, [join(ROOT, 'dist/cli.js'), 'map', stub.place, '--follow', '0.05']);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await expect.poll(() => output, { timeout: 10_000 }).toContain('nothing is mapped');
    memory.writeBigUInt64LE(0x4000_0083n, 0x2000);
    await expect
      .poll(() => output, { timeout: 10_000 })
      .toMatch(/^\+ +0x0 +0x3fffffff +1 GiB +0x40000000 +rwx kernel/m);
    memory.writeBigUInt64LE(0x4000_0081n, 0x2000);
    await expect.poll(() => output, { timeout: 10_000 }).toMatch(/^- +0x0 .* rwx kernel .*\n\+ +0x0 .* r-x kernel/m);
    child.kill('SIGINT');
    const [status] = await once(child, 'close');
    expect(status).toBe(130);
    await expect
      .poll(() => stub.letGo())
      .toBe(stub.asked.filter((question) => question === 'Qqemu.PhyMemMode:1').length);
  });

  test('diff looks at one machine twice', async () => {
    const memory = Buffer.alloc(0x3000);
    memory.writeBigUInt64LE(0x83n, 0x2000);
    memory.writeBigUInt64LE(0x2003n, 0x1000);
    await using stub = await fakeStub(answersFrom(memory));
    const { status, stdout } = await run(['diff', stub.place, stub.place, '--to-cr3', '0x0']);
    expect(stdout).toMatch(/^- +0x0 +0x3fffffff +1 GiB/m);
    expect([status, stub.letGo()]).toEqual([1, 2]);
  });

  test('lets the machine go on when it is interrupted while it reads', async () => {
    await using stub = await fakeStub((question) => (question.startsWith('m1000,') ? 'nothing' : undefined));
    const child = spawn(process.execPath, [join(ROOT, 'dist/cli.js'), 'map', stub.place]);
    await expect
      .poll(() => stub.asked.some((question) => question.startsWith('m1000,')), { timeout: 10_000 })
      .toBe(true);
    child.kill('SIGTERM');
    const [status] = await once(child, 'close');
    expect([status, stub.letGo()]).toEqual([130, 1]);
  });

  test.for([
    [['map', 'qemu:'], 'qemu:SOCKET'],
    [['map', 'qemu:/a', 'b.elf'], 'no file with it'],
    [['map', 'qemu:/a', '--format', 'raw'], '--format'],
    [['map', 'a.elf', '--follow'], '--follow: expected a machine that runs'],
    [['map', 'qemu:/a', '--follow', '0'], '--follow: expected seconds'],
    [['map', 'qemu:/a', '--follow', '--leaves'], 'no --leaves'],
    [['map', 'a.elf', '--keep-stopped'], '--keep-stopped: expected a machine that runs'],
    [['walk', FIXTURES[4], 'cr3'], 'cr3'],
  ] as const)('%j is one line with the remedy', async ([args, message]) => {
    const { status, stderr } = await run(args);
    expect(stderr).toMatch(/^hugewalk: [^\n]*\n$/);
    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });

  test('walk takes registers that hold addresses, of dumps, too', async () => {
    const { stdout } = await run(['walk', FIXTURES[4], 'rip', '--json']);
    expect(JSON.parse(stdout).va).toBe('0x401a49');
  });
});
