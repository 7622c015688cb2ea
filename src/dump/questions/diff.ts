/**
 * What differs between two address spaces: two moments of one, or two processes.
 *
 *   before   ├── a: rw, pa 0x1000 ──┤├── b ──┤
 *   after         ├── c: r-, pa 0x1000 ─────────┤
 *            removed │   changed    │ changed │ added
 */
import { checkBoolean, checkOptions, type OptionNames, wrongKind } from '../../core/errors.ts';
import type { Mapping } from '../../mmu/mapping.ts';
import { Mmu } from '../../mmu/mmu.ts';

/** One side of a difference: where a range leads, and how. */
export interface DiffSide {
  /** Physical address of its first byte. */
  readonly pa: bigint;
  /** The run of leaves that it is a part of: entry, size and rights. */
  readonly mapping: Mapping;
}

/** A range that differs. */
export interface SpaceDifference {
  readonly kind: 'added' | 'removed' | 'changed';
  /** First linear address. */
  readonly va: bigint;
  readonly bytes: bigint;
  /** Undefined where it is added. */
  readonly before: DiffSide | undefined;
  /** Undefined where it is removed. */
  readonly after: DiffSide | undefined;
}

/** What counts as a difference. */
export interface DiffOptions {
  /** Whether A and D count, which processors set as they go. Default false. */
  readonly marks?: boolean;
}

const OPTIONS: OptionNames<DiffOptions> = { marks: true };
const ACCESSED_DIRTY = 0x60n;
/** Bits of an entry that are its frame's number; with PAT's place in large pages. */
const ADDRESS = 0xf_ffff_ffff_f000n;
const PAT_OF_LARGE = 1n << 12n;

/** The leaves of an address space, run by run, of which a part may have been passed. */
class Runs {
  readonly #mappings: Generator<Mapping, void, undefined>;
  #run: Mapping | undefined;
  /** First linear address that was not passed. */
  at = 0n;

  constructor(mmu: Mmu) {
    this.#mappings = mmu.mappings({ coalesce: true });
    this.#next();
  }

  /** Where the run begins, or what is left of it; undefined behind the last. */
  get start(): bigint | undefined {
    const begins = this.#run?.va;
    return begins !== undefined && begins < this.at ? this.at : begins;
  }

  get end(): bigint {
    return this.#run!.va + this.#run!.bytes;
  }

  side(va: bigint): DiffSide | undefined {
    const run = this.#run;
    if (!run || va < run.va) return undefined;
    return { pa: run.pa + (va - run.va), mapping: run };
  }

  passTo(va: bigint): void {
    this.at = va;
    while (this.#run && this.end <= va) this.#next();
  }

  #next(): void {
    const { value } = this.#mappings.next();
    this.#run = value ?? undefined;
  }
}

/**
 * The ranges in which two address spaces differ, in ascending order of linear address; tables that are not in memory map nothing.
 *
 * @throws TypeError or RangeError for what is no Mmu, or options that there are not
 *
 * @example
 * ```ts
 * import { diffMappings, Entry, FlatMemory, Mmu } from 'hugewalk';
 * const memory = new FlatMemory({ bytes: 1 << 20 });
 * memory.writeEntry(0x1000n, 0x2000n | Entry.present | Entry.writable);
 * memory.writeEntry(0x2000n, 0x4000_0000n | Entry.present | Entry.pageSize);
 * const [before, after] = [new Mmu(memory, { cr3: 0x5000n }), new Mmu(memory, { cr3: 0x1000n })];
 * for (const { kind, va, bytes } of diffMappings(before, after)) console.log(kind, va, bytes);   // added 0n 1073741824n
 * ```
 */
export function diffMappings(
  before: Mmu,
  after: Mmu,
  options: DiffOptions = {},
): Generator<SpaceDifference, void, undefined> {
  if (!(before instanceof Mmu)) throw wrongKind('before', 'an Mmu', before);
  if (!(after instanceof Mmu)) throw wrongKind('after', 'an Mmu', after);
  checkOptions('options', options, OPTIONS);
  const { marks = false } = options;
  checkBoolean('marks', marks);
  return joined(differences(new Runs(before), new Runs(after), marks ? 0n : ACCESSED_DIRTY));
}

/** The stretches between one boundary and the next, of those that differ. @param ignored bits of entries */
function* differences(before: Runs, after: Runs, ignored: bigint): Generator<SpaceDifference, void, undefined> {
  for (;;) {
    const starts = [before.start, after.start].filter((start) => start !== undefined);
    if (starts.length === 0) return;
    const va = lowest(starts);
    const one = before.side(va);
    const other = after.side(va);
    const ends = [one ? before.end : before.start, other ? after.end : after.start].filter((end) => end !== undefined);
    const end = lowest(ends);
    if (!one || !other || !same(one, other, ignored)) {
      const kind = !one ? 'added' : other ? 'changed' : 'removed';
      yield { kind, va, bytes: end - va, before: one, after: other };
    }
    before.passTo(end);
    after.passTo(end);
  }
}

/** Of addresses, of which there is one at least. */
function lowest([first, ...others]: readonly bigint[]): bigint {
  let low = first!;
  for (const other of others) if (other < low) low = other;
  return low;
}

/** Whether both lead to the same memory in the same way. */
function same(one: DiffSide, other: DiffSide, ignored: bigint): boolean {
  const { mapping: a } = one;
  const { mapping: b } = other;
  return (
    one.pa === other.pa &&
    a.level === b.level &&
    a.writable === b.writable &&
    a.user === b.user &&
    a.executable === b.executable &&
    a.shadowStack === b.shadowStack &&
    bitsOf(a, ignored) === bitsOf(b, ignored)
  );
}

/** The bits of a leaf that are not its address. */
function bitsOf({ entry, level }: Mapping, ignored: bigint): bigint {
  const address = level > 1 ? ADDRESS & ~PAT_OF_LARGE : ADDRESS;
  return entry & ~address & ~ignored;
}

/** Neighbours that differ in the same way are one. */
function* joined(all: Generator<SpaceDifference, void, undefined>): Generator<SpaceDifference, void, undefined> {
  let last: SpaceDifference | undefined;
  for (const next of all) {
    if (last && continues(last, next)) {
      last = { ...last, bytes: last.bytes + next.bytes };
      continue;
    }
    if (last) yield last;
    last = next;
  }
  if (last) yield last;
}

function continues(last: SpaceDifference, next: SpaceDifference): boolean {
  return (
    last.kind === next.kind &&
    last.va + last.bytes === next.va &&
    goesOn(last.before, next.before, last.bytes) &&
    goesOn(last.after, next.after, last.bytes)
  );
}

function goesOn(last: DiffSide | undefined, next: DiffSide | undefined, bytes: bigint): boolean {
  if (!last || !next) return last === next;
  return same({ pa: last.pa + bytes, mapping: last.mapping }, next, 0n);
}
