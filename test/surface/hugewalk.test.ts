/**
 * Every function of the package's main entry and of hugewalk/reference, with wrong arguments: no engine's message reaches
 * the caller, and nothing wrong is taken.
 */
import { describe, expect, test } from 'vitest';
import * as core from '../../src/core/embedding.ts';
import * as hugewalk from '../../src/index.ts';
import * as node from '../../src/node.ts';
import * as reference from '../../src/reference/index.ts';
import { declaredCalls, withoutRow } from './declared.ts';
import { type Entry, refusesWrongArguments } from './wrong-arguments.ts';

const { FlatMemory, Mmu, SparseMemory, Tlb, AddressSpace } = hugewalk;

const memory = new FlatMemory({ bytes: 1 << 20 });
memory.writeEntry(0x1000n, 0x2007n);
memory.writeEntry(0x2000n, 0x87n);
const shared = new FlatMemory({ bytes: 4096, shared: true });
const sparse = new SparseMemory();
sparse.addFrame(0n);
const mmu = new Mmu(memory, { cr3: 0x1000n });
const tlb = new Tlb(mmu, { log2Pages: 0, log2Tables: 0 });
const batch = mmu.batch(1);
const tlbBatch = tlb.batch(1);
const one = new BigUint64Array(1);
const wasm = new WebAssembly.Memory({ initial: 1 });
const dumpOfZeros: hugewalk.Dump = {
  name: 'zeros',
  format: 'elf-core',
  segments: [],
  cpus: [],
  warnings: [],
  readFrames: async (frames) => frames.map(() => new Uint8Array(4096)),
  close: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};
const space = await AddressSpace.open(dumpOfZeros, { cr3: 0n });
const read = (): bigint => 0n;
const allocateFrame = (): bigint => 0x3000n;
const mapper = new hugewalk.Mapper(memory, { root: 0x1000n, allocateFrame });

const entries: Entry[] = [
  {
    name: 'new FlatMemory',
    call: (o: never) => new FlatMemory(o),
    good: [{ bytes: 4096 }],
    kinds: ['required options'],
  },
  { name: 'FlatMemory: bytes', call: (bytes: number) => new FlatMemory({ bytes }), good: [4096], kinds: ['number'] },
  {
    name: 'FlatMemory: memory',
    call: (m: never) => new FlatMemory({ bytes: 4096, memory: m }),
    good: [wasm],
    kinds: ['object?'],
  },
  {
    name: 'FlatMemory: base',
    call: (base: number) => new FlatMemory({ bytes: 4096, memory: wasm, base }),
    good: [0],
    kinds: ['number?'],
  },
  {
    name: 'FlatMemory: scratch',
    call: (scratch: never) => new FlatMemory({ bytes: 4096, memory: wasm, scratch }),
    good: [{ at: 4096, bytes: 8 }],
    kinds: ['options'],
  },
  { name: 'FlatMemory.readEntry', call: (a: bigint) => memory.readEntry(a), good: [0n], kinds: ['bigint'] },
  {
    name: 'FlatMemory.writeEntry',
    call: (a: bigint, e: bigint) => memory.writeEntry(a, e),
    good: [0n, 0n],
    kinds: ['bigint', 'bigint'],
  },
  { name: 'new SparseMemory', call: (core: never) => new SparseMemory(core), good: [], kinds: ['object?'] },
  { name: 'SparseMemory.has', call: (a: bigint) => sparse.has(a), good: [0n], kinds: ['bigint'] },
  {
    name: 'SparseMemory.addFrame',
    call: (a: bigint, c: never) => sparse.addFrame(a, c),
    good: [0n],
    kinds: ['bigint', 'object?'],
  },
  { name: 'SparseMemory.readEntry', call: (a: bigint) => sparse.readEntry(a), good: [0n], kinds: ['bigint'] },
  {
    name: 'SparseMemory.writeEntry',
    call: (a: bigint, e: bigint) => sparse.writeEntry(a, e),
    good: [0n, 0n],
    kinds: ['bigint', 'bigint'],
  },
  {
    name: 'new Mmu',
    call: (m: never, r: never, core: never) => new Mmu(m, r, core),
    good: [memory, { cr3: 0n }],
    kinds: ['object', 'required options', 'object?'],
  },
  {
    name: 'Mmu.create',
    call: (m: never, r: never, core: never) => Mmu.create(m, r, core),
    good: [memory, { cr3: 0n }],
    kinds: ['object', 'required options', 'object?'],
  },
  { name: 'Mmu.setRegisters', call: (r: never) => mmu.setRegisters(r), good: [{}], kinds: ['options'] },
  ...(['cr0', 'cr3', 'cr4', 'efer', 'rflags', 'pat'] as const).map(
    (name): Entry => ({ name, call: (r: bigint) => mmu.setRegisters({ [name]: r }), good: [], kinds: ['bigint'] }),
  ),
  ...(['pkru', 'pkrs', 'maxPhysicalAddress'] as const).map(
    (name): Entry => ({ name, call: (r: number) => mmu.setRegisters({ [name]: r }), good: [], kinds: ['number'] }),
  ),
  ...(['translate', 'translateWord', 'access', 'explain'] as const).map(
    (name): Entry => ({
      name: `Mmu.${name}`,
      call: (va: bigint, access: number) => mmu[name](va, access),
      good: [0n, 0],
      kinds: ['bigint', 'access'],
    }),
  ),
  {
    name: 'Mmu.physicalAddress',
    call: (h: number, l: number, a: number) => mmu.physicalAddress(h, l, a),
    good: [0, 0, 0],
    kinds: ['half', 'half', 'access'],
  },
  ...(['translateMany', 'accessMany'] as const).flatMap((name): Entry[] =>
    [mmu, tlb].flatMap((on): Entry[] =>
      name in on
        ? [
            {
              name: `${on.constructor.name}.${name}`,
              call: (a: never, access: number, o: never) => (on as hugewalk.Mmu)[name](a, access, o),
              good: [one, 0, one],
              kinds: ['words', 'access', 'words?'],
            },
          ]
        : [],
    ),
  ),
  { name: 'Mmu.memoryType', call: (o: never) => mmu.memoryType(o), good: [], kinds: ['object'] },
  { name: 'Mmu.batch', call: (n: number) => mmu.batch(n), good: [], kinds: ['number'] },
  { name: 'Batch.run', call: (n: number, a: number) => batch.run(n, a), good: [1, 0], kinds: ['number?', 'access'] },
  {
    name: 'Batch.access',
    call: (n: number, a: number) => batch.access(n, a),
    good: [1, 0],
    kinds: ['number?', 'access'],
  },
  ...(['mappings', 'scan', 'scanBlocks'] as const).flatMap((name): Entry[] => [
    { name: `Mmu.${name}`, call: (o: never) => mmu[name](o), good: [], kinds: ['options'] },
    { name: `${name}: from`, call: (from: bigint) => mmu[name]({ from }), good: [], kinds: ['bigint?'] },
    { name: `${name}: to`, call: (to: bigint) => mmu[name]({ to }), good: [], kinds: ['bigint?'] },
  ]),
  { name: 'new Tlb', call: (m: never, o: never) => new Tlb(m, o), good: [mmu], kinds: ['object', 'options'] },
  {
    name: 'Tlb.access',
    call: (va: bigint, a: number) => tlb.access(va, a),
    good: [0n, 0],
    kinds: ['bigint', 'access'],
  },
  {
    name: 'Tlb.accessWord',
    call: (va: bigint, a: number) => tlb.accessWord(va, a),
    good: [0n, 0],
    kinds: ['bigint', 'access'],
  },
  { name: 'Tlb.batch', call: (n: number) => tlb.batch(n), good: [], kinds: ['number'] },
  {
    name: 'TlbBatch.access',
    call: (n: number, a: number) => tlbBatch.access(n, a),
    good: [1, 0],
    kinds: ['number?', 'access'],
  },
  ...[mmu, tlb].flatMap((on): Entry[] => [
    {
      name: `${on.constructor.name}.movToCr0`,
      call: (v: bigint, long: never) => on.movToCr0(v, long),
      good: [0n],
      kinds: ['bigint', 'flag'],
    },
    { name: `${on.constructor.name}.movToCr3`, call: (v: bigint) => on.movToCr3(v), good: [], kinds: ['bigint'] },
    { name: `${on.constructor.name}.movToCr4`, call: (v: bigint) => on.movToCr4(v), good: [], kinds: ['bigint'] },
    {
      name: `${on.constructor.name}.wrmsr`,
      call: (msr: number, v: bigint) => on.wrmsr(msr, v),
      good: [hugewalk.Msr.pat, 0n],
      kinds: ['number', 'bigint'],
    },
    { name: `${on.constructor.name}.invlpg`, call: (va: bigint) => on.invlpg(va), good: [], kinds: ['bigint'] },
    {
      name: `${on.constructor.name}.invpcid`,
      call: (t: never, p: number, va: bigint) => on.invpcid(t, p, va),
      good: [0, 0, 0n],
      kinds: ['number', undefined, 'bigint?'],
    },
  ]),
  { name: 'FlatMemory.share', call: (n: number) => shared.share(n), good: [], kinds: ['number?'] },
  { name: 'FlatMemory.grow', call: (n: number) => memory.grow(n), good: [], kinds: ['number'] },
  { name: 'FlatMemory.from', call: (shared: never) => FlatMemory.from(shared), good: [], kinds: ['object'] },
  { name: 'decodeOutcome', call: (w: bigint) => hugewalk.decodeOutcome(w), good: [], kinds: ['bigint'] },
  { name: 'isTranslated', call: (w: bigint) => hugewalk.isTranslated(w), good: [], kinds: ['bigint'] },
  { name: 'physicalAddressOf', call: (w: bigint) => hugewalk.physicalAddressOf(w), good: [], kinds: ['bigint'] },
  { name: 'describeAccess', call: (a: number) => hugewalk.describeAccess(a), good: [], kinds: ['access'] },
  { name: 'errorCodeWords', call: (c: number) => hugewalk.errorCodeWords(c), good: [], kinds: ['number'] },
  {
    name: 'patType',
    call: (p: bigint, i: number) => hugewalk.patType(p, i),
    good: [0n, 0],
    kinds: ['bigint', 'number'],
  },
  {
    name: 'effectiveMemoryType',
    call: (p: never, m: never) => hugewalk.effectiveMemoryType(p, m),
    good: ['WB', 'WB'],
    kinds: ['object', 'object'],
  },
  {
    name: 'new Mapper',
    call: (m: never, o: never) => new hugewalk.Mapper(m, o),
    good: [memory, { root: 0x1000n, allocateFrame }],
    kinds: ['object', 'required options'],
  },
  {
    name: 'Mapper: root',
    call: (root: bigint) => new hugewalk.Mapper(memory, { root, allocateFrame }),
    good: [],
    kinds: ['bigint?'],
  },
  {
    name: 'Mapper: levels',
    call: (levels: never) => new hugewalk.Mapper(memory, { root: 0x1000n, allocateFrame, levels }),
    good: [],
    kinds: ['number?'],
  },
  {
    name: 'Mapper: allocateFrame',
    call: (f: never) => new hugewalk.Mapper(memory, { root: 0x1000n, allocateFrame: f }),
    good: [],
    kinds: ['function'],
  },
  {
    name: 'Mapper: what allocateFrame gives',
    call: (frame: never) => new hugewalk.Mapper(memory, { allocateFrame: () => frame }),
    good: [],
    kinds: ['bigint'],
  },
  {
    name: 'Mapper.map',
    call: (va: bigint, pa: bigint, n: bigint, bits: bigint, size: never) => mapper.map(va, pa, n, bits, size),
    good: [0n, 0n, 4096n, 0n, 4096],
    kinds: ['bigint', 'bigint', 'bigint', 'bigint', 'number?'],
  },
  {
    name: 'Mapper.unmap',
    call: (va: bigint, n: bigint) => mapper.unmap(va, n),
    good: [0n, 4096n],
    kinds: ['bigint', 'bigint'],
  },
  {
    name: 'Mapper.protect',
    call: (va: bigint, n: bigint, r: bigint) => mapper.protect(va, n, r),
    good: [0n, 4096n, 0n],
    kinds: ['bigint', 'bigint', 'bigint'],
  },
  { name: 'compileCore', call: (s: never) => hugewalk.compileCore(s), good: [], kinds: ['options'] },
  {
    name: 'instantiateCore',
    call: (kind: never, m: never, modules: never) => core.instantiateCore(kind, m, modules),
    good: ['flat', wasm, undefined],
    kinds: ['string', 'object', 'options'],
  },
  { name: 'compileCore: flat', call: (flat: never) => hugewalk.compileCore({ flat }), good: [], kinds: ['object?'] },
  {
    name: 'openDump',
    call: (s: never, o: never) => hugewalk.openDump(s, o),
    good: [new Blob([])],
    kinds: ['object', 'options'],
  },
  {
    name: 'openDump: format and ranges',
    call: (format: never, ranges: never) => hugewalk.openDump(new Blob(['x']), { format, ranges }),
    good: ['raw', [{ physical: 0n, bytes: 1n }]],
    kinds: ['string?', 'list?'],
  },
  { name: 'openDumpFile', call: (p: string) => node.openDumpFile(p), good: [], kinds: ['string'] },
  {
    name: 'openLiveMachine',
    call: (p: string, o: never) => node.openLiveMachine(p, o),
    good: ['qemu:/no/such/gdb.sock'],
    kinds: ['string', 'options'],
  },
  { name: 'fileSource', call: (p: string) => node.fileSource(p), good: [], kinds: ['string'] },
  {
    name: 'streamSource',
    call: (s: never, n: string, o: never) => node.streamSource(s, n, o),
    good: [new Blob([]).stream(), 'x'],
    kinds: ['object', 'string', 'options'],
  },
  {
    name: 'bytesSource',
    call: (b: never, n: string) => hugewalk.bytesSource(b, n),
    good: [new Uint8Array(1), 'x'],
    kinds: [undefined, 'string'],
  },
  { name: 'bytesSource: bytes', call: (b: never) => hugewalk.bytesSource(b, 'x'), good: [], kinds: ['words'] },
  { name: 'blobSource', call: (b: never) => hugewalk.blobSource(b), good: [], kinds: ['object'] },
  {
    name: 'AddressSpace.open',
    call: (d: never, o: never) => AddressSpace.open(d, o),
    good: [dumpOfZeros, { cr3: 0n }],
    kinds: ['object', 'options'],
  },
  { name: 'AddressSpace.load', call: (o: never) => space.load(o), good: [], kinds: ['options'] },
  { name: 'AddressSpace.refresh', call: () => space.refresh(), good: [], kinds: [] },
  {
    name: 'AddressSpace.translate',
    call: (va: bigint, a: number) => space.translate(va, a),
    good: [0n, 0],
    kinds: ['bigint', 'access'],
  },
  {
    name: 'AddressSpace.explain',
    call: (va: bigint, a: number) => space.explain(va, a),
    good: [0n, 0],
    kinds: ['bigint', 'access'],
  },
  {
    name: 'AddressSpace.read',
    call: (va: bigint, length: number) => space.read(va, length),
    good: [0n, 1],
    kinds: ['bigint', 'number'],
  },
  { name: 'AddressSpace.reverse', call: (pa: bigint) => space.reverse(pa), good: [0n], kinds: ['bigint'] },
  {
    name: 'physicalUses',
    call: (m: never, pa: bigint) => [...hugewalk.physicalUses(m, pa)],
    good: [mmu, 0n],
    kinds: ['object', 'bigint'],
  },
  {
    name: 'absentEntries',
    call: (m: never, os: never, o: never) => hugewalk.absentEntries(m, os, o),
    good: [mmu, 'linux', {}],
    kinds: ['object', 'string', 'options'],
  },
  {
    name: 'diffMappings',
    call: (a: never, b: never, o: never) => hugewalk.diffMappings(a, b, o),
    good: [mmu, mmu],
    kinds: ['object', 'object', 'options'],
  },
  {
    name: 'describeOsEntry',
    call: (entry: bigint, os: never, place: never) => hugewalk.describeOsEntry(entry, os, place),
    good: [2n, 'linux'],
    kinds: ['bigint', 'words', 'options'],
  },
  {
    name: 'findRoots',
    call: (d: never, o: never) => hugewalk.findRoots(d, o),
    good: [dumpOfZeros],
    kinds: ['object', 'options'],
  },
  { name: 'parseVmcoreinfo', call: (t: string) => hugewalk.parseVmcoreinfo(t), good: [], kinds: ['string'] },
  ...[reference.referenceWalk, reference.explain].map(
    (walk): Entry => ({
      name: walk.name,
      call: (r: never, s: never, va: bigint, a: number) => walk(r, s, va, a),
      good: [read, mmu.registers, 0n, 0],
      kinds: ['function', 'required options', 'bigint', 'number'],
    }),
  ),
  ...[reference.referenceWalk, reference.explain].map(
    (walk): Entry => ({
      name: `${walk.name}: what readEntry answers`,
      call: (entry: bigint) => walk(() => entry, mmu.registers, 0n, 0),
      good: [],
      kinds: ['bigint?'],
    }),
  ),
  {
    name: 'referenceMappings: what readEntry answers',
    call: (entry: bigint) => [...reference.referenceMappings(() => entry, mmu.registers)],
    good: [],
    kinds: ['bigint?'],
  },
  {
    name: 'referenceWalk: page1G',
    call: (page1G: never) => reference.referenceWalk(read, { ...mmu.registers, page1G }, 0n, 0),
    good: [],
    kinds: ['required flag'],
  },
  {
    name: 'referenceWalk: vendor',
    call: (vendor: never) => reference.referenceWalk(read, { ...mmu.registers, vendor }, 0n, 0),
    good: [],
    kinds: ['object'],
  },
  {
    name: 'referenceMappings',
    call: (r: never, s: never) => reference.referenceMappings(r, s),
    good: [read, mmu.registers],
    kinds: ['function', 'required options'],
  },
];

describe('refuses every wrong argument, and names it:', () => {
  test.each(entries.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
    await refusesWrongArguments(entry);
  });
});

test('every exported function and class, and every method of a class, is among them', () => {
  const calls = ['index.ts', 'core/embedding.ts', 'node.ts', 'reference/index.ts'].flatMap(declaredCalls);
  expect(calls).toEqual(expect.arrayContaining(['new Mmu', 'Mmu.translate', 'openDumpFile', 'referenceWalk']));
  /* An error takes a message. */
  expect(withoutRow(calls, entries)).toEqual(['new DumpError']);
});
