import type { CoreConstants } from './generated/constants.ts';
import type { WasmMemory } from './platform.ts';

/**
 * What a compiled core exports, by hand: the boundary between TypeScript and WebAssembly. Pointers are byte offsets in
 * linear memory. An `i64` result arrives as a signed bigint: use `BigInt.asUintN(64, …)`; a pointer as a signed number:
 * use `>>> 0`. The constants are globals here, for the imports of another module, and numbers in `layout`.
 *
 * docs/abi.md says of each function what memory it touches.
 */
export interface CoreExports extends CoreConstants {
  readonly memory: WasmMemory;

  /** assembly/cpu.ts */
  setRegisters(
    cr0: bigint,
    cr3: bigint,
    cr4: bigint,
    efer: bigint,
    rflags: bigint,
    pkru: number,
    pkrs: number,
    maxPhysicalAddress: number,
    features: number,
  ): void;

  /** assembly/memory.ts */
  setFlatMemory(at: number, bytes: bigint): void;
  tableAt(physical: bigint): number;
  addFrame(physical: bigint, at: number): number;
  moveDirectory(at: number, log2Slots: number): void;

  /** assembly/walk.ts, assembly/batch.ts, assembly/access.ts */
  translate(va: bigint, access: number): bigint;
  ruleOf(access: number): number;
  physicalAddress(high: number, low: number, access: number): number;
  translateMany(
    addresses: number,
    count: number,
    access: number,
    outcomes: number,
    cache: number,
    log2Slots: number,
    epoch: number,
  ): void;

  /** assembly/loads.ts, assembly/fill.ts */
  walkLoads(va: bigint, access: number, at: number): number;
  fillPage(va: bigint, access: number): bigint;

  /** assembly/scan.ts */
  scan(
    from: bigint,
    to: bigint,
    resume: bigint,
    at: number,
    filled: number,
    room: number,
    noteTable: number,
    flags: number,
  ): number;
  scanCursor(): bigint;
  scanIsFull(): number;

  /** assembly/gup.ts */
  gupPages(
    root: number,
    shift: number,
    first: number,
    count: number,
    write: number,
    pages: number,
    records: number,
    room: number,
  ): number;
  gupCount(root: number, shift: number, first: number, count: number, write: number): number;

  /** assembly/leaf.ts */
  leafRuns(
    root: number,
    shift: number,
    first: number,
    count: number,
    mayDiffer: number,
    records: number,
    room: number,
  ): number;
  leafAt(root: number, shift: number, page: number, stop: number): number;
  leafWrite(at: number, count: number, low: number, high: number, step: number): number;
  leafModify(
    to: number,
    from: number,
    count: number,
    keepLow: number,
    keepHigh: number,
    flipLow: number,
    flipHigh: number,
  ): number;

  /** assembly/tlb.ts */
  tlbBytes(log2PageEntries: number, log2TableEntries: number): number;
  makeTlb(at: number, log2PageEntries: number, log2TableEntries: number): void;
  selectTlb(at: number): void;
  dropTlb(): void;
  tlbLookups(): bigint;
  tlbMisses(): bigint;
  tlbTranslate(va: bigint, access: number): bigint;
  tlbTranslateMany(addresses: number, count: number, access: number, outcomes: number): void;

  /** assembly/invalidate.ts */
  invalidatePage(va: bigint): void;
  invalidatePcidPage(va: bigint, pcid: bigint): void;
  invalidatePcid(pcid: bigint, keepGlobal: number): void;
  invalidateAll(keepGlobal: number): void;
}
