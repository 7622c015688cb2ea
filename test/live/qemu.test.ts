/**
 * A machine of QEMU's over its stub: the same as its ELF core, and as QEMU says how its accesses ended.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Access, AddressSpace } from '../../src/index.ts';
import { openDumpFile, openLiveMachine } from '../../src/node.ts';
import { ROOT, run } from '../cli/support.ts';
import { THOROUGH } from '../support/thorough.ts';
import { NO_QEMU, PHYSICAL_BITS, start, statusOf, until } from './qemu.ts';

const name = NO_QEMU ? `QEMU (skipped: ${NO_QEMU})` : 'QEMU';
/** Bits of an error code. */
const [P, W, U, RSVD, I] = [1, 2, 4, 8, 16];

describe.skipIf(NO_QEMU)(name, () => {
  test('gives the registers of two CPUs, the leaves and the memory that its ELF core has', async () => {
    await using machine = await start(0, '-smp', '2');
    await until(machine, 'running');
    await pause(300);
    await machine.qmp('stop');
    const live = await openLiveMachine(machine.place, { keepStopped: true });
    const space = await AddressSpace.open(live);
    await space.load();
    const frames = Array.from({ length: 200 }, (_, i) => BigInt(i) * 0xa000n);
    const memory = await live.readFrames(frames);
    await live.close();
    const file = join(machine.folder, 'core');
    await machine.qmp('dump-guest-memory', { paging: false, protocol: `file:${file}` });

    await using dump = await openDumpFile(file);
    expect(live.cpus).toHaveLength(2);
    expect(live.cpus).toEqual(dump.cpus.map((cpu, i) => ({ ...cpu, efer: live.cpus[i]!.efer })));
    expect(live.cpus.map(({ efer }) => efer)).toEqual([0xd00n, 0n]);
    const core = await AddressSpace.open(dump);
    await core.load();
    expect([...space.mmu.mappings()]).toEqual([...core.mmu.mappings()]);
    expect([...space.mmu.mappings()].length).toBeGreaterThan(4);
    const held = await dump.readFrames(frames);
    const differ = frames.filter((_, i) => Buffer.compare(memory[i] ?? new Uint8Array(), held[i] ?? new Uint8Array()));
    expect(differ).toEqual([]);
  });

  test('goes on when it ran, and stays stopped when it was', async () => {
    await using machine = await start(0, '-S');
    await (await openLiveMachine(machine.place)).close();
    expect(await statusOf(machine)).toBe('prelaunch');
    await machine.qmp('cont');
    for (let look = 0; look < 2; look++) {
      const live = await openLiveMachine(machine.place);
      expect(await statusOf(machine)).toBe('paused');
      await live.close();
      expect(await statusOf(machine)).toBe('running');
    }
    await machine.qmp('stop');
    const { qemu } = (await machine.qmp('query-version')) as { qemu: { major: number; minor: number } };
    const live = await openLiveMachine(machine.place, { keepStopped: qemu.major * 100 + qemu.minor > 800 });
    await live.close();
    expect(await statusOf(machine)).toBe('paused');
  });

  const few = [3, 5, 9];
  for (const mistake of [2, 3, 4, 5, 6, 7, 8, 9, 12]) {
    test(
      `says of mistake ${mistake} what the walk says: error code and CR2`,
      few.includes(mistake) ? {} : THOROUGH,
      async () => {
        await using machine = await start(mistake);
        await until(machine, 'shutdown');
        const [, code, cr2] = /v=0e e=([0-9a-f]{4}) .*CR2=([0-9a-f]{16})/.exec(machine.log()) ?? [];
        const error = Number.parseInt(code!, 16);
        await using live = await openLiveMachine(machine.place);
        const space = await AddressSpace.open(live, { maxPhysicalAddress: PHYSICAL_BITS });
        expect(live.cpus[0]!.cr2).toBe(BigInt(`0x${cr2}`));
        const access =
          (error & W ? Access.write : 0) | (error & U ? Access.user : 0) | (error & I ? Access.fetch : Access.read);
        const outcome = await space.translate(live.cpus[0]!.cr2, access);
        /* QEMU leaves P out where reserved bits are set; the SDM (4.7) has it set. */
        expect(outcome).toMatchObject({ kind: 'page-fault', errorCode: error & RSVD ? error | P : error });
      },
    );
  }

  for (const { mistake, title, code, cr2, commands } of sectionsOf('docs/osdev.md')) {
    test(`mistake ${mistake} of docs/osdev.md, ${title}`, few.includes(mistake) ? {} : THOROUGH, async () => {
      await using machine = await start(mistake);
      await until(machine, 'shutdown');
      expect(machine.log()).toContain(code);
      if (cr2) expect(machine.log()).toMatch(new RegExp(`${code} .*CR2=0*${cr2}\\b`));
      /* The kernel gave up, as it had read page A. */
      if (code.startsWith('v=06')) expect(machine.log()).toMatch(/v=06 [\s\S]*?RBX=000000000000000a/);
      for (const { args, output } of commands) {
        const { stdout, stderr } = await run(args.map((arg) => (arg.startsWith('qemu:') ? machine.place : arg)));
        const said = (stdout + stderr).replaceAll(machine.place, 'qemu:/tmp/gdb.sock').trim();
        expect(said.split('\n')).toEqual(output.split('\n'));
      }
    });
  }
});

interface Section {
  readonly mistake: number;
  readonly title: string;
  /** Vector and error code. */
  readonly code: string;
  readonly cr2: string | undefined;
  readonly commands: readonly { readonly args: readonly string[]; readonly output: string }[];
}

/** The mistakes of the page: what QEMU says, and the commands with their output. */
function sectionsOf(file: string): Section[] {
  const sections = readFileSync(join(ROOT, file), 'utf8').matchAll(
    /^### (\d+)\. (.*)\n\nQEMU: `(v=.. e=....)(?:, CR2 0x([0-9a-f]+))?`[\s\S]*?^```text\n([\s\S]*?)^```/gm,
  );
  return [...sections].map(([, mistake, title, code, cr2, block]) => ({
    mistake: Number(mistake),
    title: title!,
    code: code!,
    cr2,
    commands: block!
      .split(/^\$ npx hugewalk /m)
      .slice(1)
      .map((text) => {
        const [command, ...output] = text.trim().split('\n');
        return { args: command!.split(' '), output: output.join('\n') };
      }),
  }));
}

test('docs/osdev.md shows twelve mistakes', () => {
  expect(sectionsOf('docs/osdev.md').map(({ mistake }) => mistake)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});
