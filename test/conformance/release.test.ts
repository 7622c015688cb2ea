/**
 * What is given back: a batch, a TLB, a memory. Afterwards any use throws, a second release() does nothing, and nobody is given
 * memory that is still in use.
 */
import { describe, expect, test } from 'vitest';
import { FlatMemory, Mmu, type PhysicalMemory, type SharedFlatMemory, SparseMemory, Tlb } from '../../src/index.ts';
import { memoryWith } from '../support/implementations.ts';
import { A, P, Tables } from '../support/tables.ts';

const VA = 0x40_0000n;
const tables = new Tables().map(VA, 0x5000n);
const released = (name: string) => new TypeError(`${name}: expected a ${name} in use, got a released one`);

describe.each(['flat', 'sparse', 'threads'] as const)('over %s memory', (kind) => {
  const setUp = () => {
    const memory: PhysicalMemory = memoryWith(tables.frames, kind);
    return { memory, mmu: new Mmu(memory, { cr3: tables.root }) };
  };

  test('a released batch throws on use', () => {
    const { mmu } = setUp();
    const batch = mmu.batch(4);
    batch.run();
    batch.release();
    for (const use of [() => batch.run(), () => batch.access(), () => batch.addresses, () => batch.outcomes]) {
      expect(use).toThrow(released('batch'));
    }
  });

  test('a released batch of a TLB throws on use, and so does the batch of a released TLB, also where another lies now', () => {
    const { mmu } = setUp();
    const tlb = new Tlb(mmu);
    const [batch, other] = [tlb.batch(4), tlb.batch(4)];
    batch.release();
    for (const use of [() => batch.access(), () => batch.addresses, () => batch.outcomes]) {
      expect(use).toThrow(released('batch'));
    }
    other.access();
    tlb.release();
    for (const use of [() => other.access(), () => other.addresses, () => other.outcomes]) {
      expect(use).toThrow(released('tlb'));
    }
    const next = new Tlb(mmu);
    expect(() => other.access()).toThrow(released('tlb'));
    expect(next.counts.lookups).toBe(0n);
    other.release();
  });

  test('a released TLB throws on use', () => {
    const { mmu } = setUp();
    const tlb = new Tlb(mmu);
    const listed = tlb.entries();
    tlb.access(VA);
    tlb.release();
    for (const use of [
      () => tlb.access(VA),
      () => tlb.accessWord(VA),
      () => tlb.accessMany(BigUint64Array.of(VA)),
      () => tlb.batch(4),
      () => tlb.counts,
      () => tlb.entries(),
      () => listed.next(),
      () => tlb.stale(),
      () => tlb.select(),
      () => tlb.invlpg(VA),
      () => tlb.invpcid(2),
      () => tlb.movToCr0(mmu.registers.cr0),
      () => tlb.movToCr3(0n),
      () => tlb.movToCr4(mmu.registers.cr4),
      () => tlb.wrmsr(0xc000_0080, mmu.registers.efer),
    ]) {
      expect(use).toThrow(released('tlb'));
    }
    expect(mmu.movToCr3(tables.root)).toEqual({ kind: 'done' });
    expect(new Tlb(mmu).access(VA).kind).toBe('page');
  });

  test('a released memory throws on use, with all that was made over it', () => {
    const { memory, mmu } = setUp();
    const tlb = new Tlb(mmu);
    const [batch, through] = [mmu.batch(4), tlb.batch(4)];
    const scan = mmu.scan();
    scan.next();
    memory.release();
    expect(memory.isReleased).toBe(true);
    const many = new BigUint64Array(20).fill(VA);
    for (const use of [
      () => memory.readEntry(0n),
      () => memory.writeEntry(0n, 0n),
      () => new Mmu(memory, { cr3: 0n }),
      () => mmu.translate(VA),
      () => mmu.translateWord(VA),
      () => mmu.access(VA),
      () => mmu.physicalAddress(0, 0x40_0000),
      () => mmu.translateMany(many),
      () => mmu.accessMany(many),
      () => mmu.explain(VA),
      () => mmu.batch(4),
      () => [...mmu.scan()],
      () => [...mmu.mappings()],
      () => mmu.setRegisters({ cr3: 0n }),
      () => mmu.movToCr3(0n),
      () => mmu.invlpg(VA),
      () => mmu.core,
      () => new Tlb(mmu),
      () => tlb.access(VA),
      () => tlb.accessMany(many),
      () => tlb.stale(),
      () => tlb.counts,
      () => batch.run(),
      () => batch.addresses,
      () => through.access(),
      () => through.outcomes,
    ]) {
      expect(use).toThrow(released('memory'));
    }
    if (memory instanceof FlatMemory) expect(() => memory.view()).toThrow(released('memory'));
    else if (memory instanceof SparseMemory) expect(() => memory.addFrame(0n)).toThrow(released('memory'));
    for (const thing of [batch, through, tlb, memory]) thing.release();
  });

  test('a scan that was begun ends with its memory', () => {
    const everywhere = new Tables();
    for (let i = 0n; i < 3000n; i++) everywhere.map(i << 13n, 0x5000n);
    const memory: PhysicalMemory = memoryWith(everywhere.frames, kind);
    const blocks = new Mmu(memory, { cr3: everywhere.root }).scanBlocks();
    expect(blocks.next().done).toBe(false);
    memory.release();
    expect(() => blocks.next()).toThrow(released('memory'));
  });

  test('released twice is released once: nobody shares memory with anybody', () => {
    const { mmu } = setUp();
    const first = mmu.batch(4);
    first.release();
    first.release();
    const [one, two] = [mmu.batch(4), mmu.batch(4)];
    one.addresses.fill(1n);
    two.addresses.fill(2n);
    first.release();
    expect([...one.addresses, ...mmu.batch(4).addresses].filter((va) => va === 2n)).toEqual([]);
    const tlb = new Tlb(mmu);
    tlb.release();
    tlb.release();
    const [itlb, dtlb] = [new Tlb(mmu), new Tlb(mmu)];
    itlb.access(VA);
    expect([...dtlb.entries()]).toEqual([]);
    expect(itlb.counts.lookups).toBe(1n);
  });

  test('`using` does the same: [Symbol.dispose] is release()', () => {
    const { memory, mmu } = setUp();
    const tlb = new Tlb(mmu);
    const [batch, through] = [mmu.batch(4), tlb.batch(4)];
    for (const thing of [batch, through, tlb, memory]) thing[Symbol.dispose]();
    expect(() => batch.run()).toThrow(TypeError);
    expect(() => through.access()).toThrow(TypeError);
    expect(() => tlb.access(VA)).toThrow(TypeError);
    expect(() => mmu.translate(VA)).toThrow(TypeError);
  });
});

describe('several memories over one WebAssembly.Memory', () => {
  const wasm = () => new WebAssembly.Memory({ initial: 4 });

  test('may have the very same image: two processors of one machine', () => {
    const memory = wasm();
    const one = new FlatMemory({ memory, bytes: 0x1_0000, scratch: { at: 0x1_0000, bytes: 0x1_0000 } });
    const two = new FlatMemory({ memory, bytes: 0x1_0000, scratch: { at: 0x2_0000, bytes: 0x1_0000 } });
    one.writeEntry(0n, 5n);
    expect(two.readEntry(0n)).toBe(5n);
    new FlatMemory({ memory, bytes: 0x1_0000 });
  });

  test('may have images with nothing in common: two machines', () => {
    const memory = wasm();
    const one = new FlatMemory({ memory, bytes: 0x1_0000 });
    const two = new FlatMemory({ memory, base: 0x1_0000, bytes: 0x1_0000 });
    one.writeEntry(0n, 5n);
    expect(two.readEntry(0n)).toBe(0n);
  });

  test.each([
    [
      'an image that begins in another',
      { base: 0x8000, bytes: 0x1_0000 },
      /^base: .* image at 0x0 to 0xffff .*, got 0x8000 to 0x17fff$/,
    ],
    [
      'an image that lies within another',
      { base: 0x1000, bytes: 0x1000 },
      /^base: expected the same bytes as, or none of,/,
    ],
    ['an image that is larger', { bytes: 0x1_0008 }, /^base: expected the same bytes as, or none of,/],
    [
      'an image in the scratch of another',
      { base: 0x2_8000, bytes: 0x1000 },
      /^base: .* scratch at 0x20000 to 0x2ffff /,
    ],
    [
      'a scratch in the image of another',
      { base: 0x1_0000, bytes: 0x1000, scratch: { at: 0xfff8, bytes: 8 } },
      /^scratch: expected none of the bytes of another memory's image at 0x0 to 0xffff \(release\(\) it, or choose other bytes\), got 0xfff8 to 0xffff$/,
    ],
    [
      'a scratch in that of another',
      { bytes: 0x1_0000, scratch: { at: 0x1_fff8, bytes: 16 } },
      /^scratch: .* scratch at/,
    ],
    ['the same scratch', { bytes: 0x1_0000, scratch: { at: 0x2_0000, bytes: 0x1_0000 } }, /^scratch: .* scratch at/],
  ])('refuses %s', (_, options, message) => {
    const memory = wasm();
    const first = new FlatMemory({ memory, bytes: 0x1_0000, scratch: { at: 0x2_0000, bytes: 0x1_0000 } });
    const make = () => new FlatMemory({ memory, ...options });
    expect(make).toThrow(RangeError);
    expect(make).toThrow(message);
    first.release();
    make();
  });

  test('a memory that was refused has claimed nothing', () => {
    const memory = wasm();
    const first = new FlatMemory({ memory, bytes: 0x1_0000 });
    const scratch = { at: 0x2_0000, bytes: 0x1_0000 };
    expect(() => new FlatMemory({ memory, base: 8, bytes: 0x1_0000, scratch })).toThrow(RangeError);
    new FlatMemory({ memory, bytes: 0x1_0000, scratch });
    expect(first.isReleased).toBe(false);
  });

  test('one of our own gives its buffers to nobody', () => {
    for (const own of [new FlatMemory({ bytes: 0x1_0000 }), new SparseMemory()]) {
      own.arena.allocate(8);
      const at = own.arena.allocate(0x2_0000);
      const scratch = { at: at + 0x1_0000, bytes: 8 };
      expect(() => new FlatMemory({ memory: own.wasm, bytes: 4096, scratch })).toThrow(/^scratch: .* scratch at/);
    }
    const own = new FlatMemory({ bytes: 0x1_0000 });
    const page = own.wasm.grow(1) * 65536;
    new FlatMemory({ memory: own.wasm, base: own.base, bytes: own.bytes, scratch: { at: page, bytes: 65536 } });
    own.arena.allocate(0x1_0000);
  });
});

describe('share()', () => {
  const shared = () => {
    const memory = memoryWith(tables.frames, 'threads') as FlatMemory;
    return { memory, value: memory.share(0x1_0000) };
  };

  test('gives all that another thread needs, in one value that can be posted', () => {
    const { memory, value } = shared();
    expect(value).toEqual({
      memory: memory.wasm,
      base: memory.base,
      bytes: memory.bytes,
      scratch: { at: expect.any(Number), bytes: 0x1_0000 },
    });
    const theirs = FlatMemory.from(value);
    const tlb = new Tlb(new Mmu(theirs, { cr3: tables.root }));
    expect(tlb.access(VA)).toMatchObject({ physicalAddress: 0x5000n });
    expect(memory.readEntry(tables.entry(1, VA))! & (A | P)).toBe(A | P);
  });

  test('gives each caller a piece of its own, which the memory itself does not use any more', () => {
    const { memory, value } = shared();
    const other = memory.share(0x1_0000);
    const bytes = memory.wasm.buffer.byteLength;
    const batch = new Mmu(memory, { cr3: tables.root }).batch(0x1000);
    const pieces = [value.scratch, other.scratch].map(({ at }) => at);
    const views = [FlatMemory.from(value), FlatMemory.from(other)].map((theirs) => {
      const own = new Mmu(theirs, { cr3: tables.root }).batch(100).addresses.fill(1n);
      return own.byteOffset;
    });
    for (const [i, at] of pieces.entries()) {
      expect(views[i]).toBeGreaterThanOrEqual(at + 8);
      expect(views[i]! + 800).toBeLessThanOrEqual(at + 0x1_0000);
      const { byteOffset, byteLength } = batch.addresses;
      expect(byteOffset + 2 * byteLength <= at || byteOffset >= at + 0x1_0000).toBe(true);
    }
    expect(memory.wasm.buffer.byteLength).toBeGreaterThanOrEqual(bytes);
  });

  test('serves one memory at a time: the next one waits until the first is released', () => {
    const { value } = shared();
    const first = FlatMemory.from(value);
    expect(() => FlatMemory.from(value)).toThrow(
      new RangeError(
        `shared: expected a value that nobody uses, got one whose scratch at 0x${value.scratch.at.toString(16)} is taken; call share() once for each thread`,
      ),
    );
    first.release();
    first.release();
    const second = FlatMemory.from(value);
    first.release();
    expect(() => FlatMemory.from(value)).toThrow(RangeError);
    second.release();
    FlatMemory.from(value);
  });

  test('keeps the piece from everybody else in this thread, also after its release, and that of the memory', () => {
    const { memory, value } = shared();
    const { base, bytes, scratch, memory: wasm } = value;
    const grab = () => new FlatMemory({ memory: wasm, base, bytes, scratch: { at: scratch.at + 0x100, bytes: 8 } });
    expect(grab).toThrow(RangeError);
    const theirs = FlatMemory.from(value);
    expect(grab).toThrow(RangeError);
    theirs.release();
    memory.release();
    expect(grab).toThrow(RangeError);
  });

  test("takes the piece out of an embedder's scratch, and says where there is no room", () => {
    const wasm = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    const memory = new FlatMemory({ memory: wasm, bytes: 0x1_0000, scratch: { at: 0x2_0000, bytes: 0x2_0000 } });
    const value = memory.share(0x1_0000);
    expect(value.scratch).toEqual({ at: 0x2_0000, bytes: 0x1_0000 });
    FlatMemory.from(value);
    expect(() => memory.share()).toThrow(/^scratch: expected room for 1048576 more bytes, got 65536/);
    expect(wasm.buffer.byteLength).toBe(0x4_0000);
  });

  test('is for shared memory, and from() for what it gives', () => {
    expect(() => new FlatMemory({ bytes: 4096 }).share()).toThrow(
      new TypeError('memory: expected a shared one: new FlatMemory({ bytes, shared: true })'),
    );
    const { memory, value } = shared();
    expect(() => memory.share(8)).toThrow(/^scratch: expected an integer from 0x1000 to/);
    for (const wrong of [undefined, null, {}, { ...value, memory: new WebAssembly.Memory({ initial: 1 }) }]) {
      expect(() => FlatMemory.from(wrong as SharedFlatMemory)).toThrow(
        /^shared: expected the value of share\(\) of a shared FlatMemory, got /,
      );
    }
    memory.release();
    expect(() => memory.share()).toThrow(released('memory'));
  });
});
