import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { compileCoreSync } from '../../src/core/instantiate.ts';
import { AddressSpace, type AddressSpaceOptions } from '../../src/dump/address-space.ts';
import { bytesSource } from '../../src/dump/byte-source.ts';
import { openDump } from '../../src/dump/open-dump.ts';
import { Access } from '../../src/mmu/access.ts';
import { openDumpFile } from '../../src/node.ts';
import { type BuiltCore, buildCore, concat, LONG_MODE } from './elf-builder.ts';
import { dumpErrorOf, FIXTURES, NAME, open, openSpace, recorded, table } from './support.ts';

const core = compileCoreSync();

describe.each(FIXTURES)(
  'the Linux process of $levels levels',
  ({ levels, leaves, tables, register, plain, ...fixture }) => {
    test('has the registers that QEMU printed', async () => {
      const dump = await open(fixture.gzipped());
      expect(dump.cpus).toHaveLength(1);
      const [cpu] = dump.cpus;
      expect([cpu!.cr0, cpu!.cr2, cpu!.cr3, cpu!.cr4]).toEqual(['CR0', 'CR2', 'CR3', 'CR4'].map(register));
      expect([cpu!.rip, cpu!.rsp, cpu!.rflags]).toEqual(['RIP', 'RSP', 'RFL'].map(register));
      expect([cpu!.cs, cpu!.cpl]).toEqual([0x33, 3]);
    });

    test('has them in its MMU, with the EFER of any 64-bit system', async () => {
      const { mmu } = await openSpace(fixture.gzipped());
      const { cr0, cr3, cr4, efer, rflags } = mmu.registers;
      expect([cr0, cr3, cr4, efer, rflags]).toEqual(['CR0', 'CR3', 'CR4', 'EFER', 'RFL'].map(register));
      expect(mmu.levels).toBe(levels);
    });

    test('is loaded whole, from a file, plain, gzipped and streamed', async () => {
      const dumps = [
        await openDumpFile(fixture.path.pathname),
        await open(plain()),
        await open(fixture.gzipped()),
        await openDump(bytesSource(fixture.gzipped(), NAME), { keep: 0 }),
      ];
      for (const dump of dumps) {
        const space = await AddressSpace.open(dump, { core });
        expect(await space.load()).toEqual({ tables, missing: 0 });
        expect([...space.mmu.mappings()]).toHaveLength(leaves);
        await dump.close();
      }
    });

    test('is loaded with one pass a level', async () => {
      const file = recorded(bytesSource(plain(), NAME));
      const space = await AddressSpace.open(await openDump(file), { core });
      const before = file.passes.length;
      await space.load();
      expect(file.passes.length - before).toBe(levels - 1);
      await space.load();
      expect(file.passes.length - before).toBe(levels - 1);
    });

    test('is translated address by address as when it is loaded', async () => {
      const loaded = await openSpace(plain());
      await loaded.load();
      const addresses = [...loaded.mmu.mappings()].map(({ va, bytes }) => va + bytes / 3n);
      for (let i = 0n; i < 500n; i++) addresses.push((i * 0x9e37_79b9_7f4a_7c15n) & 0x7fff_ffff_ffffn);
      const lazy = await openSpace(plain());
      for (const va of addresses) expect(await lazy.translate(va)).toEqual(loaded.mmu.translate(va));
      expect(lazy.memory.frames).toBeLessThanOrEqual(tables);
    });

    test('is explained as it is translated', async () => {
      const space = await openSpace(plain());
      const { steps, outcome } = await space.explain(register('RIP'), Access.user | Access.fetch);
      expect(steps.map(({ level }) => level)).toEqual([5, 4, 3, 2, 1].slice(5 - levels));
      expect(outcome.kind).toBe('page');
      expect(outcome).toEqual(await space.translate(register('RIP'), 0b1_0100));
      expect(space.memory.frames).toBe(levels);
    });

    test('may be asked for many addresses at once', async () => {
      const file = recorded(bytesSource(plain(), NAME));
      const space = await AddressSpace.open(await openDump(file), { core });
      const before = file.passes.length;
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, () => space.translate(register('RIP'), Access.user)),
      );
      for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]);
      expect(outcomes[0]!.kind).toBe('page');
      expect(file.passes.length - before).toBe(levels - 1);
      await Promise.all([space.load(), space.translate(register('RSP')), space.load(), space.load()]);
      expect(space.memory.frames).toBe(tables);
    });
  },
);

test('without the option, cores are compiled', async () => {
  const space = await AddressSpace.open(await open(FIXTURES[0]!.plain()));
  expect((await space.translate(0xffff_ffff_8100_0000n)).kind).toBe('page');
});

const ROOT = 0x1000n;
/** One 1 GiB page at 0, one PDPT. */
const ONE_PAGE = concat([table({ 0: 0x2007n }), table({ 0: 0x87n })]);
const space = (changes: Partial<BuiltCore> = {}, options: AddressSpaceOptions = {}): Promise<AddressSpace> =>
  openSpace(
    buildCore({
      cpus: [{ ...LONG_MODE, cr3: ROOT, cs: 0x10 }],
      segments: [{ physical: ROOT, content: ONE_PAGE }],
      ...changes,
    }),
    options,
  );

describe('registers', () => {
  test('are those of the first CPU, or of the one chosen', async () => {
    const cpus = [
      { ...LONG_MODE, cr3: ROOT, rflags: 0x4_0202n },
      { ...LONG_MODE, cr3: 0x2000n },
    ];
    expect((await space({ cpus })).mmu.registers).toMatchObject({ cr3: ROOT, rflags: 0x4_0202n });
    expect((await space({ cpus }, { cpu: 0 })).mmu.registers.cr3).toBe(ROOT);
    expect((await space({ cpus }, { cpu: 1 })).mmu.registers).toMatchObject({ cr3: 0x2000n, rflags: 0n });
  });

  test('given go before those of the CPU', async () => {
    const given = { cr0: 0x8000_0001n, cr3: 0x2000n, cr4: 0x30_0020n, efer: 0x500n, rflags: 2n };
    const all = { ...given, maxPhysicalAddress: 40, page1G: false };
    expect((await space({}, all)).mmu.registers).toMatchObject(all);
  });

  test('that are undefined are not given', async () => {
    const options: object = { cpu: undefined, cr3: undefined, cr4: undefined, efer: undefined, maxTables: undefined };
    expect((await space({}, options)).mmu.registers).toMatchObject({ cr3: ROOT, efer: 0xd01n });
  });

  test('but CR3 have defaults where there is no CPU: 4 levels', async () => {
    const { mmu } = await space({ cpus: [] }, { cr3: ROOT });
    expect(mmu.registers).toMatchObject({ cr0: 0x8001_0001n, cr4: 0x20n, efer: 0xd01n });
    expect((await space({ cpus: [] }, { cr3: ROOT, cr4: 0x1020n })).mmu.levels).toBe(5);
  });

  const nothing = [{ physical: ROOT, content: new Uint8Array(8192) }];
  test('of nobody are asked for, where no table looks like a root', async () => {
    expect(await dumpErrorOf(space({ cpus: [], segments: nothing }))).toBe(
      'expected a CPU with CR3, VMCOREINFO, or tables that look like a root, found none: give the CR3 to use (--cr3)',
    );
    expect(await dumpErrorOf(space({ cpus: [], segments: nothing }, { cr4: 0x20n }))).toMatch(/--cr3/);
  });

  test('of a CPU that does not page are not used: the root is searched for, and the reason is told', async () => {
    const { mmu, origin } = await space({ cpus: [{ cr0: 0x11n }] });
    expect([mmu.registers.cr3, mmu.levels, origin.from, origin.cpu]).toEqual([ROOT, 4, 'search', undefined]);
    expect(origin.problem).toMatch(/^CPU 0: cr0: expected PG and PE set/);
    expect(await dumpErrorOf(space({ cpus: [{ cr0: 0x11n }], segments: nothing }))).toMatch(
      /^CPU 0: cr0: expected PG and PE set .*: give the CR3 to use \(--cr3\)$/,
    );
  });

  test.each([
    [
      'without paging',
      { cr0: 0x11n },
      /^CPU 0: cr0: expected PG and PE set \(paging on\), got 0x11; that is paging switched off: /,
    ],
    [
      'without PAE',
      { cr4: 0x10n },
      /^CPU 0: cr4: expected PAE set \(4-level or 5-level paging\), got 0x10; that is 32-bit paging, /,
    ],
    [
      'with a CR3 too wide',
      { cr3: 1n << 60n },
      /^CPU 0: cr3: expected no bit from MAXPHYADDR 52 to 62, got 0x1000000000000000$/,
    ],
    [
      'with a root that was not dumped',
      { cr3: 0x7_7018n },
      /^expected the root table at CR3 = 0x77000, found no whole frame there$/,
    ],
  ])('of a CPU %s are refused, where it is asked for', async (_, registers, message) => {
    expect(await dumpErrorOf(space({ cpus: [{ ...LONG_MODE, cr3: ROOT, ...registers }] }, { cpu: 0 }))).toMatch(
      message,
    );
  });

  test('of a CPU may be mended by those given', async () => {
    const cpus = [{ cr0: 0x11n, cr3: 0x7_7000n }];
    expect((await space({ cpus }, { cr0: LONG_MODE.cr0, cr3: ROOT, cr4: LONG_MODE.cr4 })).mmu.levels).toBe(4);
  });

  test.each<[AddressSpaceOptions, RegExp]>([
    [{ cpu: 1 }, /^cpu: expected a CPU that guest\.elf has \(0 to 0\), got 1$/],
    [{ cpu: -1 }, /^cpu: expected an integer/],
    [{ cpu: 0.5 }, /^cpu: expected an integer/],
    [{ cr0: 0n }, /^cr0: expected PG and PE set/],
    [{ cr4: 0n }, /^cr4: expected PAE set/],
    [{ efer: 0n }, /^efer: expected LME set/],
    [{ cr3: 1n << 64n }, /^cr3: expected 0x0 to/],
    [{ maxPhysicalAddress: 53 }, /^maxPhysicalAddress: expected/],
    [{ maxTables: 0 }, /^maxTables: expected/],
    [{ maxTables: 2 ** 21 }, /^maxTables: expected/],
  ])('given wrongly are the caller’s mistake: %o', async (options, message) => {
    const error: unknown = await space({}, options).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ name: 'RangeError', message: expect.stringMatching(message) });
  });

  test('given for a CPU of a dump that has none are the caller’s mistake', async () => {
    await expect(space({ cpus: [] }, { cpu: 0, cr3: ROOT })).rejects.toThrow(
      /^cpu: expected a CPU that guest\.elf has \(none\), got 0$/,
    );
  });
});

describe('tables', () => {
  test('that the dump lacks are an outcome, and asked for once', async () => {
    const segments = [{ physical: ROOT, content: table({ 0: 0x7_7007n, 1: 0x7_7007n, 2: 0xf_ffff_ffff_f007n }) }];
    const file = recorded(bytesSource(buildCore({ cpus: [{ ...LONG_MODE, cr3: ROOT }], segments }), NAME));
    const lacking = await AddressSpace.open(await openDump(file), { core });
    const before = file.passes.length;
    for (let i = 0; i < 2; i++) {
      expect(await lacking.load()).toEqual({ tables: 1, missing: 2 });
      expect(await lacking.translate(0n)).toEqual({ kind: 'missing-table', level: 3, table: 0x7_7000n });
      expect((await lacking.explain(0n)).outcome.kind).toBe('missing-table');
    }
    expect(file.passes.length).toBe(before);
  });

  test('that contain themselves are loaded', async () => {
    const segments = [{ physical: ROOT, content: table(Object.fromEntries(Array(512).fill(0x1007n).entries())) }];
    const knot = await space({ segments });
    expect(await knot.load()).toEqual({ tables: 1, missing: 0 });
    expect(await knot.translate(0x1234_5678n)).toMatchObject({ kind: 'page', physicalAddress: 0x1678n });
  });

  test('that contain each other at every level are loaded in time', async () => {
    /* 64 tables, each of which points to all, and to 448 that are not there: 512^4 paths. */
    const entries = Array.from({ length: 512 }, (_, i) => (BigInt(i) << 12n) | 7n);
    const content = concat(Array.from({ length: 64 }, () => table(Object.fromEntries(entries.entries()))));
    const knot = await space({ segments: [{ physical: 0n, content }] });
    const start = performance.now();
    expect(await knot.load()).toEqual({ tables: 64, missing: 448 });
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  test('of a part are loaded alone', async () => {
    const linux = FIXTURES[0]!;
    const half = await openSpace(linux.plain());
    const lower = await half.load({ to: 0x7fff_ffff_ffffn });
    expect(lower.tables).toBeLessThan(linux.tables);
    const upper = await openSpace(linux.plain());
    const { tables } = await upper.load({ from: 0xffff_8000_0000_0000n });
    expect(lower.tables + tables - 1).toBe(linux.tables);
    expect(await half.load({ from: 0xffff_8000_0000_0000n })).toEqual({ tables: linux.tables, missing: 0 });
  });

  test.each([
    [{ from: 1n << 47n }, /^from: expected a canonical address/],
    [{ from: 0x1000n, to: 1n << 47n }, /^to: expected a canonical address/],
    [{ from: 0x2000n, to: 0x1000n }, /^from: expected at most to/],
    [{ from: -1n }, /^from: expected 0x0 to/],
  ])('of no range are the caller’s mistake: %o', async (range, message) => {
    const one = await space();
    await expect(one.load(range)).rejects.toThrow(message);
    await expect(one.load(range)).rejects.toBeInstanceOf(RangeError);
  });

  test('are counted as they arrive', async () => {
    const counts: number[] = [];
    const linux = await openSpace(FIXTURES[0]!.plain());
    await linux.load({ onProgress: (tables) => counts.push(tables) });
    expect(counts).toHaveLength(3);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBe(FIXTURES[0]!.tables);
  });

  test('beyond the limit are refused, and those within stay usable', async () => {
    const linux = FIXTURES[0]!;
    const limited = await openSpace(linux.plain(), { maxTables: linux.tables - 1 });
    expect(await dumpErrorOf(limited.load())).toBe('expected at most 0x19e page tables, found more');
    expect(limited.memory.frames).toBe(linux.tables - 1);
    expect((await limited.translate(0xffff_ffff_8100_0000n)).kind).toBe('page');
    expect(await (await openSpace(linux.plain(), { maxTables: linux.tables })).load()).toMatchObject({ missing: 0 });
  });

  test('that cannot be read any more are a DumpError, also later', async () => {
    const bytes = FIXTURES[0]!.plain();
    const source = bytesSource(bytes, NAME);
    let broken = false;
    const dump = await openDump({
      ...source,
      read: async (ranges) => {
        if (broken) throw new Error('no carrier');
        return source.read(ranges);
      },
    });
    const failing = await AddressSpace.open(dump, { core });
    broken = true;
    await expect(failing.load()).rejects.toThrow('no carrier');
    await expect(failing.translate(0xffff_ffff_8100_0000n)).rejects.toThrow('no carrier');
    broken = false;
    expect(await failing.load()).toMatchObject({ missing: 0 });
  });

  test('keep what was written to them', async () => {
    const one = await space();
    expect((await one.translate(0x1234n)).kind).toBe('page');
    one.memory.writeEntry(0x2000n, 0n);
    await one.load();
    expect((await one.translate(0x1234n)).kind).toBe('page-fault');
  });

  test('keep what was added while the dump was read', async () => {
    const file = buildCore({ cpus: [{ ...LONG_MODE, cr3: ROOT }], segments: [{ physical: ROOT, content: ONE_PAGE }] });
    const source = bytesSource(file, NAME);
    let onRead = (): void => undefined;
    const dump = await openDump({
      ...source,
      read: (ranges) => {
        onRead();
        return source.read(ranges);
      },
    });
    const one = await AddressSpace.open(dump, { core });
    onRead = () => one.memory.addFrame(0x2000n);
    expect((await one.translate(0x1234n)).kind).toBe('page-fault');
  });

  test('of another process are found when CR3 changes', async () => {
    const one = await space({ segments: [{ physical: ROOT, content: concat([ONE_PAGE, table({ 0: 0x1007n })]) }] });
    one.mmu.setRegisters({ cr3: 0x3000n });
    expect((await one.translate(0x1234n)).kind).toBe('page');
    expect(one.memory.has(0x3000n)).toBe(true);
  });
});

test('a dump gzipped in one piece is the same as a plain one', async () => {
  const bytes = buildCore({ cpus: [{ ...LONG_MODE, cr3: ROOT }], segments: [{ physical: ROOT, content: ONE_PAGE }] });
  expect(await (await openSpace(gzipSync(bytes))).translate(5n)).toEqual(await (await openSpace(bytes)).translate(5n));
});
