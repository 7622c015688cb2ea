/**
 * Physical memory: our own, an embedder's, and sparse; and what is refused.
 */
import { describe, expect, test } from 'vitest';
import { Access, compileCore, compileCoreSync, FlatMemory, Mmu, SparseMemory } from '../../src/index.ts';
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

describe('misuse', () => {
  const mmu = new Mmu(image, { cr3: tables.root });

  test('of an address is named', () => {
    expect(() => mmu.translate(1n << 64n)).toThrow(
      new RangeError('va: expected 0x0 to 0xffffffffffffffff, got 0x10000000000000000'),
    );
    expect(() => mmu.translate(-1n)).toThrow(new RangeError('va: expected 0x0 to 0xffffffffffffffff, got -0x1'));
    expect(() => mmu.translate(5 as unknown as bigint)).toThrow(new TypeError('va: expected a bigint, got 0x5'));
    expect(() => mmu.translate(undefined as unknown as bigint)).toThrow(TypeError);
  });

  test('of an access is named', () => {
    for (const access of [1, 8, -1, 0.5, 2 ** 32, Access.write | Access.fetch]) {
      expect(() => mmu.translate(0n, access)).toThrow(RangeError);
    }
    expect(() => mmu.translate(0n, 'r' as unknown as number)).toThrow(TypeError);
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

  test('of arrays is named', () => {
    const five = new BigUint64Array(5);
    expect(() => mmu.translateMany(five, 0, new BigUint64Array(4))).toThrow(
      new RangeError('outcomes: expected room for 5, got 4'),
    );
    expect(() => mmu.translateMany([1n] as unknown as BigUint64Array)).toThrow(TypeError);
    expect(() => mmu.batch(0)).toThrow(RangeError);
    expect(() => mmu.batch(4).run(5)).toThrow(RangeError);
  });
});
