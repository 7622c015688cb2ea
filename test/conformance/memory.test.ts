/**
 * Physical memory: our own, an embedder's, and sparse; and what is refused.
 */
import { describe, expect, test } from 'vitest';
import {
  Access,
  type CoreModules,
  type CoreSources,
  compileCore,
  compileCoreSync,
  decodeOutcome,
  FlatMemory,
  Mmu,
  type PageOutcome,
  physicalAddressOf,
  type Registers,
  SparseMemory,
  Tlb,
} from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { Random } from '../support/random.ts';
import { Tables } from '../support/tables.ts';

const tables = new Tables().map(0x40_0000n, 0x5000n).map(0xffff_8000_0000_0000n, 0x4000_0000n, { level: 3 });
const image = memoryWith(tables.frames, 'flat') as FlatMemory;

describe("an embedder's own memory", () => {
  /** Ten pages filled with a pattern, the image at `base`. */
  const embedder = (base: number) => {
    const memory = new WebAssembly.Memory({ initial: 10 });
    const bytes = new Uint8Array(memory.buffer);
    for (let i = 0; i < bytes.length; i++) bytes[i] = i * 31;
    bytes.set(image.view(), base);
    return { memory, bytes, before: bytes.slice() };
  };

  test.each([0, 8, 0x1238, 0x5_0000])('is walked at base %i', (base) => {
    const { memory } = embedder(base);
    const mmu = new Mmu(new FlatMemory({ memory, base, bytes: image.bytes }), { cr3: tables.root });
    expect(mmu.translate(0x40_0123n)).toMatchObject({ physicalAddress: 0x5123n });
    expect(mmu.translate(0xffff_8000_0000_0001n)).toMatchObject({ physicalAddress: 0x4000_0001n });
    expect(mmu.explain(0x40_0123n).outcome).toMatchObject({ physicalAddress: 0x5123n });
  });

  test('is neither written to outside the scratch nor grown', () => {
    const { memory, bytes, before } = embedder(0x1000);
    const scratch = { at: 0x8_0008, bytes: 0x1_0000 };
    const mmu = new Mmu(new FlatMemory({ memory, base: 0x1000, bytes: image.bytes, scratch }), { cr3: tables.root });
    mmu.translate(0x40_0000n);
    expect([...mmu.mappings({ coalesce: true })]).toHaveLength(2);
    expect(mmu.translateMany(new BigUint64Array(5000).fill(0x40_0042n))[4999]! & 0xffffn).toBe(0x5042n);
    mmu.batch(100).run();
    expect(memory.buffer.byteLength).toBe(10 * 65536);
    before.set(bytes.subarray(scratch.at, scratch.at + scratch.bytes), scratch.at);
    expect(bytes.findIndex((byte, i) => byte !== before[i])).toBe(-1);
  });

  test('without scratch serves single translations, and says what a batch would need', () => {
    const { memory } = embedder(0);
    const mmu = new Mmu(new FlatMemory({ memory, bytes: image.bytes }), { cr3: tables.root });
    expect(mmu.translate(0x40_0000n).kind).toBe('page');
    expect(() => mmu.translateMany(new BigUint64Array(1))).toThrow(
      new RangeError('scratch: expected room for 32768 more bytes, got 0; give the memory a larger scratch'),
    );
  });

  test('may be filled to its last byte', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const bytes = image.bytes;
    const base = 65536 - bytes;
    new Uint8Array(memory.buffer).set(image.view(), base);
    const mmu = new Mmu(new FlatMemory({ memory, base, bytes }), { cr3: tables.root });
    expect(mmu.translate(0x40_0fffn)).toMatchObject({ physicalAddress: 0x5fffn });
    mmu.setRegisters({ cr3: BigInt(bytes) });
    expect(mmu.translate(0n)).toEqual({ kind: 'missing-table', level: 4, table: BigInt(bytes) });
  });

  test('sees tables that the embedder edits', () => {
    const { memory } = embedder(0);
    const mmu = new Mmu(new FlatMemory({ memory, bytes: image.bytes }), { cr3: tables.root });
    new DataView(memory.buffer).setBigUint64(Number(tables.entry(1, 0x40_0000n)), 0xabc_d001n, true);
    expect(mmu.translate(0x40_0000n)).toMatchObject({ physicalAddress: 0xabc_d000n, writable: false });
  });

  test('must hold the physical memory and the scratch, apart from each other', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const make = (options: object) => () => new FlatMemory({ memory, bytes: 4096, ...options });
    expect(make({ bytes: 65537 })).toThrow(
      new RangeError('base (bytes): expected an integer from 0x0 to 0x10000, got 0x10001'),
    );
    expect(make({ base: 61441 })).toThrow(RangeError);
    expect(make({ base: 4 })).toThrow(new RangeError('base: expected a multiple of 0x8, got 0x4'));
    expect(make({ scratch: { at: 4088, bytes: 64 } })).toThrow(
      new RangeError('scratch: expected a piece outside the physical memory, got 0xff8'),
    );
    expect(make({ scratch: { at: 65528, bytes: 16 } })).toThrow(RangeError);
    expect(() => new FlatMemory({ bytes: 4096, base: 8 })).toThrow(TypeError);
  });
});

describe('flat memory', () => {
  test('ends where it ends: a frame that is not wholly inside holds no table', () => {
    const memory = new FlatMemory({ bytes: 0x2ff8 });
    const mmu = new Mmu(memory, { cr3: 0x1000n });
    expect(mmu.translate(0n).kind).toBe('page-fault');
    mmu.setRegisters({ cr3: 0x2000n });
    expect(mmu.translate(0n)).toEqual({ kind: 'missing-table', level: 4, table: 0x2000n });
  });

  test('starts at zero and takes no megabyte of its own', () => {
    const memory = new FlatMemory({ bytes: 4096 });
    expect(memory.view().every((byte) => byte === 0)).toBe(true);
    expect(memory.wasm.buffer.byteLength).toBeLessThan(2 ** 20);
  });

  test('refuses addresses outside, unaligned, or of another type', () => {
    const memory = new FlatMemory({ bytes: 4096 });
    expect(() => memory.writeEntry(4096n, 0n)).toThrow(new RangeError('physical: expected 0x0 to 0xfff, got 0x1000'));
    expect(() => memory.readEntry(4n)).toThrow(new RangeError('physical: expected a multiple of 0x8, got 0x4'));
    expect(memory.readEntry(1n << 40n)).toBeUndefined();
    expect(() => memory.readEntry(8 as unknown as bigint)).toThrow(
      new TypeError('physical: expected a bigint, got 0x8'),
    );
    for (const bytes of [0, 4095, 2 ** 32, 1.5, Number.NaN])
      expect(() => new FlatMemory({ bytes })).toThrow(RangeError);
  });
});

describe('sparse memory', () => {
  test('finds each of many frames again, anywhere below 2^52, and nothing else', () => {
    const random = new Random(7);
    const memory = new SparseMemory();
    const frames = new Map<bigint, bigint>([
      [0n, 1n],
      [0xf_ffff_ffff_f000n, 2n],
    ]);
    while (frames.size < 5000) frames.set((random.bits() >> 12n) & ~0xfffn, random.bits());
    for (const [at, value] of frames) {
      memory.addFrame(at);
      memory.writeEntry(at + 0x7f8n, value);
    }
    expect(memory.frames).toBe(5000);
    for (const [at, value] of frames) expect(memory.readEntry(at + 0x7f8n)).toBe(value);
    for (let i = 0; i < 5000; i++) {
      const at = (random.bits() >> 12n) & ~0xfffn;
      expect(memory.has(at)).toBe(frames.has(at));
    }
  });

  test('holds frames whose numbers follow each other', () => {
    const memory = new SparseMemory();
    for (let i = 0n; i < 3000n; i++) {
      memory.addFrame(i << 12n);
      memory.writeEntry(i << 12n, i);
    }
    for (let i = 0n; i < 3000n; i++) expect(memory.readEntry(i << 12n)).toBe(i);
    expect(memory.has(3000n << 12n)).toBe(false);
  });

  test('grows under the feet of an Mmu and of a scan', () => {
    const memory = new SparseMemory();
    memory.addFrame(0n);
    for (let i = 0n; i < 512n; i++) memory.writeEntry(i * 8n, ((i + 1n) << 12n) | 3n);
    const mmu = new Mmu(memory, { cr3: 0n });
    expect(mmu.translate(0n)).toEqual({ kind: 'missing-table', level: 3, table: 0x1000n });
    let seen = 0;
    for (const { kind, pa } of mmu.scan()) {
      expect(kind).toBe('missing-table');
      if (seen++ < 300)
        for (let i = 0n; i < 5n; i++) memory.addFrame((1n << 40n) + BigInt(seen) * 0x5000n + i * 0x1000n);
      memory.addFrame(pa);
    }
    expect(seen).toBe(512);
    expect(mmu.translate(0n)).toEqual({ kind: 'page-fault', errorCode: 0, level: 3, table: 0x1000n });
  });

  test('fills a frame with zeros or content, again where it exists', () => {
    const memory = new SparseMemory();
    memory.addFrame(0x1000n, new Uint8Array(4096).fill(0xff));
    expect(memory.readEntry(0x1ff8n)).toBe(0xffff_ffff_ffff_ffffn);
    memory.addFrame(0x1000n);
    expect(memory.readEntry(0x1ff8n)).toBe(0n);
    expect(memory.frames).toBe(1);
  });

  test('refuses frames that are not 4 KiB at a multiple of 4 KiB below 2^52', () => {
    const memory = new SparseMemory();
    expect(() => memory.addFrame(0x800n)).toThrow(new RangeError('physical: expected a multiple of 0x1000, got 0x800'));
    expect(() => memory.addFrame(1n << 52n)).toThrow(RangeError);
    expect(() => memory.addFrame(0n, new Uint8Array(8))).toThrow(new RangeError('content: expected 4096 bytes, got 8'));
    expect(() => memory.writeEntry(0n, 0n)).toThrow(new RangeError('physical: expected a frame that exists, got 0x0'));
  });

  test('takes no megabyte when empty', () => {
    const memory = new SparseMemory();
    new Mmu(memory, { cr3: 0n });
    expect(memory.wasm.buffer.byteLength).toBeLessThan(2 ** 20);
  });
});

describe('creation', () => {
  test('works without blocking, from the inlined core or from modules compiled elsewhere', async () => {
    const mmu = await Mmu.create(image, { cr3: tables.root });
    expect(mmu.translate(0x40_0000n).kind).toBe('page');
    const core = await compileCore({ flat: compileCoreSync().flat });
    expect(new Mmu(image, { cr3: tables.root }, core).translate(0x40_0000n).kind).toBe('page');
    expect(new SparseMemory(core).frames).toBe(0);
    const none = {} as CoreModules;
    await expect(Mmu.create(image, { cr3: tables.root }, none)).rejects.toThrow();
  });

  test('two Mmus over one memory have registers of their own', () => {
    const one = new Mmu(image, { cr3: tables.root });
    const two = new Mmu(image, { cr3: 0n });
    expect(one.translate(0x40_0000n).kind).toBe('page');
    expect(two.translate(0x40_0000n).kind).toBe('page-fault');
  });

  test('the core has no data segment, no start function, and imports nothing but the memory', () => {
    for (const module of Object.values(compileCoreSync())) {
      expect(WebAssembly.Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
    }
    const memory = new WebAssembly.Memory({ initial: 1 });
    new WebAssembly.Instance(compileCoreSync().flat, { env: { memory } });
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 0)).toBe(true);
  });
});

function sparseWithOneFrame(): SparseMemory {
  const memory = new SparseMemory();
  memory.addFrame(0n);
  return memory;
}

/** What a negative i64 wants. */
const SIGNED = '; an i64 of WebAssembly is signed: use BigInt.asUintN(64, ';
const UNTRANSLATED = 'linear addresses are physical ones, so translate none until the guest sets PG';
const NAMES = 'cr3, cr0, cr4, efer, rflags, pkru, pkrs, pat, mtrrDefault, maxPhysicalAddress, page1G, vendor';
const OTHERS = 'which hugewalk does not walk; it walks 4-level and 5-level paging, with CR4.PAE and EFER.LME';

describe('misuse', () => {
  const mmu = new Mmu(image, { cr3: tables.root });

  test('of an address is named', () => {
    expect(() => mmu.translate(1n << 64n)).toThrow(
      new RangeError('va: expected 0x0 to 0xffffffffffffffff, got 0x10000000000000000'),
    );
    expect(() => mmu.translate(-1n)).toThrow(
      new RangeError(`va: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}va)`),
    );
    expect(() => mmu.translate(5 as unknown as bigint)).toThrow(new TypeError('va: expected a bigint, got 0x5'));
    expect(() => mmu.translate(undefined as unknown as bigint)).toThrow(TypeError);
    const tlb = new Tlb(mmu, { log2Pages: 0, log2Tables: 0 });
    for (const call of [
      (va: bigint) => mmu.access(va),
      (va: bigint) => mmu.explain(va),
      (va: bigint) => mmu.translateWord(va),
      (va: bigint) => tlb.access(va),
      (va: bigint) => tlb.invlpg(va),
      (va: bigint) => tlb.invpcid(0, 0, va),
    ]) {
      expect(() => call(-1n)).toThrow(new RangeError(`va: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}va)`));
    }
    expect(() => [...mmu.scan({ from: -1n })]).toThrow(
      new RangeError(`from: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}from)`),
    );
    expect(() => [...mmu.scan({ to: -1n })]).toThrow(
      new RangeError(`to: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}to)`),
    );
  });

  test('of an access is named', () => {
    for (const access of [1, 8, -1, 0.5, 2 ** 32, Access.write | Access.fetch]) {
      expect(() => mmu.translate(0n, access)).toThrow(RangeError);
    }
    expect(() => mmu.translate(0n, 'r' as unknown as number)).toThrow(
      new TypeError('access: expected a number, got "r"'),
    );
    expect(() => mmu.translate(0n, 0x103)).toThrow(
      new RangeError('access: expected an integer from 0x0 to 0x102, got 0x103'),
    );
    expect(() => mmu.translate(0n, 1)).toThrow(
      new RangeError(
        'access: expected read, write or fetch, with or without user, shadowStack or implicit where they fit, got 0x1',
      ),
    );
    for (const call of [
      () => mmu.access(0n, 1),
      () => mmu.explain(0n, 1),
      () => mmu.translateMany(new BigUint64Array(1), 1),
      () => mmu.accessMany(new BigUint64Array(1), 1),
      () => mmu.batch(1).run(1, 1),
      () => new Tlb(mmu, { log2Pages: 0, log2Tables: 0 }).access(0n, 1),
    ]) {
      expect(call).toThrow(/^access: expected read/);
    }
  });

  test('of registers changes nothing', () => {
    const before = mmu.registers;
    for (const wrong of [
      { cr3: 1n << 52n },
      { cr3: 1n << 40n, maxPhysicalAddress: 40 },
      { cr0: 1n },
      { cr4: 0n },
      { efer: 0n },
      { maxPhysicalAddress: 35 },
      { maxPhysicalAddress: 53 },
      { cr3: -1n },
    ]) {
      expect(() => mmu.setRegisters(wrong)).toThrow(RangeError);
      expect(mmu.registers).toBe(before);
    }
    expect(mmu.translate(0x40_0000n).kind).toBe('page');
  });

  test.each<[string, Record<string, unknown>, Error]>([
    [
      'cr3, with bits above MAXPHYADDR',
      { cr3: 1n << 40n, maxPhysicalAddress: 40 },
      new RangeError('cr3: expected no bit from MAXPHYADDR 40 to 62, got 0x10000000000'),
    ],
    ['cr3', { cr3: 1 }, new TypeError('cr3: expected a bigint, got 0x1')],
    ['rflags', { rflags: -1n }, new RangeError(`rflags: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}rflags)`)],
    [
      'cr0 of real mode',
      { cr0: 0x10n },
      new RangeError(`cr0: expected PG and PE set (paging on), got 0x10; that is real mode: ${UNTRANSLATED}`),
    ],
    [
      'cr0 without paging',
      { cr0: 1n },
      new RangeError(`cr0: expected PG and PE set (paging on), got 0x1; that is paging switched off: ${UNTRANSLATED}`),
    ],
    [
      'cr0, with CET',
      { cr0: 0x8000_0001n, cr4: (1n << 5n) | (1n << 23n) },
      new RangeError('cr0: expected WP set, which CR4.CET demands, got 0x80000001'),
    ],
    [
      'cr4 of 32-bit paging',
      { cr4: 0x80n },
      new RangeError(`cr4: expected PAE set (4-level or 5-level paging), got 0x80; that is 32-bit paging, ${OTHERS}`),
    ],
    [
      'efer of PAE paging',
      { efer: 0x800n },
      new RangeError(
        `efer: expected LME set (long mode), got 0x800; that is PAE paging (three levels, CR3 points to four entries), ${OTHERS}`,
      ),
    ],
    [
      'a name',
      { cr5: 1n },
      new TypeError(`registers: expected only ${NAMES}, got cr5: did you mean cr3 or cr0 or cr4?`),
    ],
    ['a name in capitals', { CR3: 1n }, new TypeError(`registers: expected only ${NAMES}, got CR3: did you mean cr3?`)],
    ['a name far off', { foo: 1n }, new TypeError(`registers: expected only ${NAMES}, got foo`)],
    ['pkru', { pkru: 2 ** 32 }, new RangeError('pkru: expected an integer from 0x0 to 0xffffffff, got 0x100000000')],
    ['pkrs', { pkrs: -1 }, new RangeError('pkrs: expected an integer from 0x0 to 0xffffffff, got -0x1')],
    [
      'maxPhysicalAddress',
      { maxPhysicalAddress: 53 },
      new RangeError('maxPhysicalAddress: expected an integer from 0x24 to 0x34, got 0x35'),
    ],
    ['page1G', { page1G: 1 }, new TypeError('page1G: expected a boolean, got 0x1')],
    ['vendor', { vendor: 'via' }, new TypeError("vendor: expected 'intel' or 'amd', got \"via\"")],
    ['mtrrDefault', { mtrrDefault: 'UC-' }, new RangeError('mtrrDefault: expected UC, WC, WT, WP or WB, got "UC-"')],
  ])('of %s is named', (_, wrong, error) => {
    expect(() => mmu.setRegisters(wrong as Partial<Registers>)).toThrow(error);
    expect(() => new Mmu(image, { cr3: 0n, ...(wrong as Partial<Registers>) })).toThrow(error);
  });

  test('of a TLB is named', () => {
    expect(() => new Tlb(mmu, { log2Pages: 21 })).toThrow(
      new RangeError('log2Pages: expected an integer from 0x0 to 0x14, got 0x15'),
    );
    expect(() => new Tlb(mmu, { log2Tables: -1 })).toThrow(
      new RangeError('log2Tables: expected an integer from 0x0 to 0x14, got -0x1'),
    );
    const tlb = new Tlb(mmu, { log2Pages: 0, log2Tables: 0 });
    expect(() => tlb.invpcid(-1)).toThrow(
      new RangeError('type: expected an integer from 0x0 to 0x1fffffffffffff, got -0x1'),
    );
    expect(() => tlb.invpcid(1, -1n)).toThrow(/^pcid: expected 0x0 to 0xffffffffffffffff, got -0x1/);
    expect(() => tlb.wrmsr(0x10, 0n)).toThrow(
      new RangeError(
        'msr: expected 0xc0000080 (EFER), 0x277 (PAT) or 0x6e1 (PKRS), got 0x10: paging depends on no other',
      ),
    );
    const wrong = new RangeError(`value: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}value)`);
    expect(() => tlb.movToCr3(-1n)).toThrow(wrong);
    expect(() => tlb.movToCr4(-1n)).toThrow(wrong);
    expect(() => tlb.movToCr0(-1n)).toThrow(wrong);
    expect(() => tlb.wrmsr(0xc000_0080, -1n)).toThrow(wrong);
  });

  test('of an outcome word is named', () => {
    expect(() => decodeOutcome((1n << 63n) | (7n << 55n))).toThrow(
      new RangeError('word: expected an outcome word, got 0x8380000000000000, whose kind there is not'),
    );
  });

  test('of the outcome of an access that reached no page is named', () => {
    const fault = mmu.translate(0x7fff_0000_0000n);
    expect(() => mmu.memoryType(fault as PageOutcome)).toThrow(
      new RangeError(
        "outcome: expected the outcome of an access that reached a page, kind 'page', got kind 'page-fault'",
      ),
    );
    expect(() => physicalAddressOf(mmu.translateWord(1n << 47n))).toThrow(
      /^word: expected the outcome of an access that reached a page, got 0x[0-9a-f]+, which is a 'non-canonical'; ask isTranslated first$/,
    );
  });

  test('of an entry that does not fit is named', () => {
    for (const memory of [new FlatMemory({ bytes: 4096 }), sparseWithOneFrame()]) {
      expect(() => memory.writeEntry(0n, 1n << 64n)).toThrow(
        new RangeError('entry: expected 0x0 to 0xffffffffffffffff, got 0x10000000000000000'),
      );
      expect(() => memory.writeEntry(0n, -1n)).toThrow(
        new RangeError(`entry: expected 0x0 to 0xffffffffffffffff, got -0x1${SIGNED}entry)`),
      );
      expect(memory.readEntry(0n)).toBe(0n);
    }
  });

  test('of a flat memory of more than 4 GiB is told what has no such limit', () => {
    expect(() => new FlatMemory({ bytes: 2 ** 33 })).toThrow(
      new RangeError(
        'bytes: expected at most 0xffbf0000, got 0x200000000; SparseMemory takes frames at any address below 2^52',
      ),
    );
  });

  test('of an access that there is not, though there is a default, is named', () => {
    const { wirte } = Access as unknown as { wirte: number };
    const error = new TypeError('access: expected a number, got undefined');
    const tlb = new Tlb(mmu, { log2Pages: 0, log2Tables: 0 });
    const one = new BigUint64Array(1);
    for (const call of [
      () => mmu.translate(0n, wirte),
      () => mmu.translateWord(0n, wirte),
      () => mmu.access(0n, wirte),
      () => mmu.physicalAddress(0, 0, wirte),
      () => mmu.explain(0n, wirte),
      () => mmu.translateMany(one, wirte),
      () => mmu.accessMany(one, wirte, one),
      () => mmu.batch(1).run(1, wirte),
      () => mmu.batch(1).access(1, wirte),
      () => tlb.access(0n, wirte),
      () => tlb.accessWord(0n, wirte),
      () => tlb.accessMany(one, wirte),
      () => tlb.batch(1).access(1, wirte),
    ]) {
      expect(call).toThrow(error);
    }
  });

  test('of cores is named', async () => {
    const core = compileCore();
    expect(() => new Mmu(image, { cr3: 0n }, core as unknown as CoreModules)).toThrow(
      new TypeError(
        'core: expected the CoreModules that compileCore() promises, got a Promise, which has to be awaited',
      ),
    );
    const { flat, sparse, threads } = await core;
    expect(() => new SparseMemory({ flat, sparse: flat, threads })).toThrow(
      new TypeError('core.sparse: expected the core for sparse memory, got that for flat memory'),
    );
    expect(() => new SparseMemory({ flat: sparse, threads } as unknown as CoreModules)).toThrow(
      new TypeError('core.sparse: expected a WebAssembly.Module, got undefined'),
    );
    const empty = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    expect(() => new SparseMemory({ flat, sparse: empty, threads })).toThrow(
      new TypeError('core.sparse: expected the core for sparse memory, got a module that is no core'),
    );
    await expect(compileCore({ flat: new Uint8Array(4) })).rejects.toThrow(
      new RangeError('flat: expected the WebAssembly of a core, got 4 bytes that are none'),
    );
    await expect(compileCore({ flat: new Response('', { status: 404 }) })).rejects.toThrow(
      /^flat: expected a response with a core, got status 404/,
    );
    await expect(compileCore({ core: flat } as CoreSources)).rejects.toThrow(
      new TypeError('sources: expected only flat, sparse, threads, got core'),
    );
  });

  test('of arrays is named', () => {
    const five = new BigUint64Array(5);
    expect(() => mmu.translateMany(five, 0, new BigUint64Array(4))).toThrow(
      new RangeError('outcomes: expected room for 5, got 4'),
    );
    const [array, other] = [[1n] as unknown as BigUint64Array, new BigInt64Array(5) as unknown as BigUint64Array];
    expect(() => mmu.translateMany(array)).toThrow(new TypeError('addresses: expected a BigUint64Array, got an array'));
    expect(() => mmu.translateMany(five, 0, other)).toThrow(
      new TypeError('outcomes: expected a BigUint64Array, got a BigInt64Array'),
    );
    expect(() => mmu.batch(0.5)).toThrow(
      new RangeError('capacity: expected an integer from 0x1 to 0x8000000, got 0.5'),
    );
    expect(() => mmu.batch(4).run(-1)).toThrow(new RangeError('count: expected an integer from 0x0 to 0x4, got -0x1'));
    expect(() => mmu.batch(0)).toThrow(RangeError);
    expect(() => mmu.batch(4).run(5)).toThrow(RangeError);
  });
});
