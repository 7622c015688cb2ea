/**
 * Every implementation of the walk behind one interface, so that one suite can run over all of them: the reference, and
 * the debug and release builds of the core over every kind of memory, single, in short batches and in long ones.
 */
import {
  Access,
  compileCoreSync,
  FlatMemory,
  Mmu,
  type Outcome,
  type PhysicalMemory,
  type Registers,
  SparseMemory,
  Tlb,
} from '../../src/index.ts';
import { decodeOutcome } from '../../src/mmu/outcome.ts';
import { DEFAULT_REGISTERS } from '../../src/mmu/registers.ts';
import { type ReferenceLeaf, referenceMappings, referenceWalk } from '../../src/reference/index.ts';
import { readFixture } from './files.ts';

/** Page tables: 4 KiB frames by physical address. */
export type Frames = ReadonlyMap<bigint, BigUint64Array>;

/** A walker over one image. */
export interface Walker {
  /** Probes: changes nothing. */
  translate(va: bigint, access?: number): Outcome;
  /** Makes the access: sets A and D. */
  access(va: bigint, access?: number): Outcome;
  /** An entry as it is now. */
  entry(physical: bigint): bigint | undefined;
  /** Writes an entry. */
  write(physical: bigint, entry: bigint): void;
  /** Changes registers; those left out keep their value. */
  setRegisters(registers: Partial<Registers>): void;
  /** Every leaf, in ascending order. */
  leaves(): Iterable<ReferenceLeaf>;
}

export interface Implementation {
  readonly name: string;
  make(frames: Frames, registers: Partial<Registers> & Pick<Registers, 'cr3'>): Walker;
}

const reference: Implementation = {
  name: 'reference',
  make(frames, registers) {
    let state = { ...DEFAULT_REGISTERS, ...registers };
    const own = new Map([...frames].map(([at, frame]) => [at, frame.slice()]));
    const read = (at: bigint) => own.get(at & ~0xfffn)?.[Number(at & 0xfffn) / 8];
    return {
      translate: (va, access = 0) => referenceWalk(read, state, va, access).outcome,
      access(va, access = 0) {
        const { outcome, marks } = referenceWalk(read, state, va, access);
        for (const { address, entry } of marks) own.get(address & ~0xfffn)![Number(address & 0xfffn) / 8] = entry;
        return outcome;
      },
      entry: read,
      write(at, entry) {
        own.get(at & ~0xfffn)![Number(at & 0xfffn) / 8] = entry;
      },
      setRegisters(changes) {
        state = { ...state, ...changes };
      },
      leaves: () => referenceMappings(read, state),
    };
  },
};

const debug = {
  flat: new WebAssembly.Module(await readFixture('build/flat-debug.wasm')),
  sparse: new WebAssembly.Module(await readFixture('build/sparse-debug.wasm')),
  threads: new WebAssembly.Module(await readFixture('build/threads-debug.wasm')),
};
const release = compileCoreSync();

/** A memory of a kind with the frames in it. A flat one ends right behind the last frame. */
export function memoryWith(frames: Frames, kind: PhysicalMemory['kind'], core = release): FlatMemory | SparseMemory {
  const bytes = (frame: BigUint64Array) => new Uint8Array(frame.buffer, frame.byteOffset, 4096);
  if (kind === 'sparse') {
    const memory = new SparseMemory(core);
    for (const [at, frame] of frames) memory.addFrame(at, bytes(frame));
    return memory;
  }
  const end = [...frames.keys()].reduce((max, at) => (at > max ? at : max), 0n) + 0x1000n;
  const memory = new FlatMemory({ bytes: Number(end), shared: kind === 'threads' });
  const view = memory.view();
  for (const [at, frame] of frames) view.set(bytes(frame), Number(at));
  return memory;
}

/** A walker on a core. */
interface CompiledWalker extends Walker {
  readonly mmu: Mmu;
}

interface CompiledImplementation extends Implementation {
  make(...image: Parameters<Implementation['make']>): CompiledWalker;
}

function compiled(build: 'debug' | 'release', kind: PhysicalMemory['kind']): CompiledImplementation {
  return {
    name: `${build}, ${kind}`,
    make(frames, registers) {
      const core = build === 'debug' ? debug : release;
      const mmu = new Mmu(memoryWith(frames, kind, core), registers, core);
      return {
        mmu,
        translate: (va, ...access) => mmu.translate(va, ...access),
        access: (va, ...access) => mmu.access(va, ...access),
        entry: (at) => mmu.memory.readEntry(at),
        write: (at, entry) => mmu.memory.writeEntry(at, entry),
        setRegisters: (changes) => mmu.setRegisters(changes),
        *leaves() {
          for (const { va, level, entry, writable, user, executable, shadowStack } of mmu.mappings()) {
            yield { va, level, entry, rights: { writable, user, executable, shadowStack } };
          }
        },
      };
    },
  };
}

/** The release build again, but through the batch interface, one address a call. */
const batched: Implementation = {
  name: 'release, flat, batched',
  make(frames, registers) {
    const mmu = new Mmu(memoryWith(frames, 'flat'), registers);
    return {
      translate: (va, access = 0) => decodeOutcome(mmu.translateMany(BigUint64Array.of(va), access)[0]!),
      access: (va, access = 0) => decodeOutcome(mmu.accessMany(BigUint64Array.of(va), access)[0]!),
      entry: (at) => mmu.memory.readEntry(at),
      write: (at, entry) => mmu.memory.writeEntry(at, entry),
      setRegisters: (changes) => mmu.setRegisters(changes),
      *leaves() {
        for (const { count, words } of mmu.scanBlocks()) {
          for (let i = 0; i < count * 3; i += 3) {
            const [tag, entry] = [words[i]!, words[i + 1]!];
            if ((tag >> 8n) & 3n) continue;
            const right = (n: bigint) => ((tag >> (3n + n)) & 1n) === 1n;
            const rights = { writable: right(0n), user: right(1n), executable: right(2n), shadowStack: right(3n) };
            yield { va: tag & ~0xfffn, level: Number(tag & 7n), entry, rights };
          }
        }
      },
    };
  },
};

/** Addresses in a batch of one address over and over: all but the first two go through the loop for leaves of one size. */
const AGAIN = 16;
/** SS in an outcome word. */
const SHADOW_STACK_PAGE = 1n << 57n;

/**
 * The release build again, through batches long enough to be translated in pairs: each is one address over and over. The
 * first pair is walked and caches the table, the others find it there; all must answer alike.
 */
function paired(kind: PhysicalMemory['kind']): Implementation {
  return {
    name: `release, ${kind}, in pairs`,
    make(frames, registers) {
      const walker = compiled('release', kind).make(frames, registers);
      const { mmu } = walker;
      return {
        ...walker,
        translate(va, access = 0) {
          const outcomes = mmu.translateMany(new BigUint64Array(AGAIN).fill(va), access);
          return decodeOutcome(theOneOf(outcomes, outcomes[0]!));
        },
        access(va, access = 0) {
          const outcomes = mmu.accessMany(new BigUint64Array(AGAIN).fill(va), access);
          /* A write that sets D in a read-only page (CR0.WP = 0) makes a shadow-stack page of it. */
          const became = access & Access.write ? outcomes[0]! | (outcomes[1]! & SHADOW_STACK_PAGE) : outcomes[0]!;
          theOneOf(outcomes.subarray(1), became);
          return decodeOutcome(outcomes[0]!);
        },
      };
    },
  };
}

/** The last of some outcomes, all of which must be the expected one. */
function theOneOf(outcomes: BigUint64Array, expected: bigint): bigint {
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome !== expected) {
      throw new Error(`in pairs, outcome ${i}: expected 0x${expected.toString(16)}, got 0x${outcome.toString(16)}`);
    }
  }
  return outcomes.at(-1)!;
}

/** The release build through a TLB that is new for each access: it must then answer what the tables say. */
const coldTlb: Implementation = {
  name: 'release, flat, through a cold TLB',
  make(frames, registers) {
    const mmu = new Mmu(memoryWith(frames, 'flat'), registers);
    const tlb = new Tlb(mmu, { log2Pages: 2, log2Tables: 1 });
    return {
      translate: (va, ...access) => mmu.translate(va, ...access),
      access(va, access) {
        tlb.invpcid(2);
        return tlb.access(va, access);
      },
      entry: (at) => mmu.memory.readEntry(at),
      write: (at, entry) => mmu.memory.writeEntry(at, entry),
      setRegisters: (changes) => mmu.setRegisters(changes),
      leaves: () => [],
    };
  },
};

/** All of them. */
export const IMPLEMENTATIONS: readonly Implementation[] = [
  reference,
  compiled('debug', 'flat'),
  compiled('debug', 'sparse'),
  compiled('release', 'flat'),
  compiled('release', 'sparse'),
  compiled('debug', 'threads'),
  compiled('release', 'threads'),
  batched,
  paired('flat'),
  paired('sparse'),
  paired('threads'),
];

/** Those that make accesses, A and D included: the above and the TLB's walk. */
export const ACCESSORS: readonly Implementation[] = [...IMPLEMENTATIONS, coldTlb];
