/**
 * hugewalk: the x86-64 MMU as a library.
 *
 * @module
 */

export type { LinearRange } from './core/claims.ts';
export { InvariantError } from './core/errors.ts';
export type { CoreExports } from './core/exports.ts';
export { FlatMemory, type SharedFlatMemory } from './core/flat-memory.ts';
export type { FlatMemoryOptions } from './core/flat-memory-options.ts';
export {
  type CoreModules,
  type CoreSource,
  type CoreSources,
  compileCore,
  compileCoreSync,
} from './core/instantiate.ts';
export type { PhysicalMemory } from './core/physical-memory.ts';
export type { Releasable } from './core/released.ts';
export { SparseMemory } from './core/sparse-memory.ts';
export { AddressSpace, type AddressSpaceOptions, type LoadOptions, type LoadResult } from './dump/address-space.ts';
export { type ByteSource, blobSource, bytesSource } from './dump/byte-source.ts';
export type { CpuState } from './dump/cpu-state.ts';
export type { Dump, PhysicalRange, WindowsHeader } from './dump/dump.ts';
export { DumpError } from './dump/dump-error.ts';
export type { InflateOptions } from './dump/gzip.ts';
export { type DumpSource, type OpenDumpOptions, openDump } from './dump/open-dump.ts';
export type { RegisterOptions } from './dump/paging-registers.ts';
export { type AbsentEntries, type AbsentOptions, absentEntries } from './dump/questions/absent-entries.ts';
export { type DiffOptions, type DiffSide, diffMappings, type SpaceDifference } from './dump/questions/diff.ts';
export { describeOsEntry, type EntryOs, type OsEntry, type OsEntryPlace } from './dump/questions/os-entries.ts';
export type { HoleReason, MemoryContents, MemoryHole } from './dump/questions/read-memory.ts';
export { type PhysicalUse, physicalUses } from './dump/questions/reverse.ts';
export type { ByteRange } from './dump/ranges.ts';
export type { RawRange } from './dump/raw-ranges.ts';
export type { RootOptions, RootOrigin } from './dump/root-choice.ts';
export type { RootCandidate, RootEvidence } from './dump/roots/candidate.ts';
export { type FindRootsOptions, findRoots, type RootSearch } from './dump/roots/find-roots.ts';
export { parseVmcoreinfo, type Vmcoreinfo } from './dump/roots/vmcoreinfo.ts';
export { Access, type AccessArgument, describeAccess } from './mmu/access.ts';
export type { Batch } from './mmu/batch.ts';
export type { ManyArguments } from './mmu/batch-arrays.ts';
export * as CR0 from './mmu/bits/cr0.ts';
export * as CR4 from './mmu/bits/cr4.ts';
export * as EFER from './mmu/bits/efer.ts';
export * as Entry from './mmu/bits/entry.ts';
export * as RFLAGS from './mmu/bits/rflags.ts';
export type { CachedPage, CachedTable } from './mmu/cached-entry.ts';
export {
  type DoneOutcome,
  type GeneralProtectionOutcome,
  type InstructionOutcome,
  Msr,
} from './mmu/instructions.ts';
export { Mapper, type MapperOptions } from './mmu/mapper.ts';
export type {
  Changed,
  MapResult,
  NoFrame,
  Obstacle,
  ProtectResult,
  TableObstacle,
  UnmapResult,
} from './mmu/mapper-result.ts';
export type { Mapping, MappingKind } from './mmu/mapping.ts';
export { Mmu } from './mmu/mmu.ts';
export { decodeOutcome, isTranslated, physicalAddressOf } from './mmu/outcome.ts';
export type { Processor } from './mmu/processor.ts';
export type { Registers } from './mmu/registers.ts';
export type { RecordBlock, ScanOptions } from './mmu/scan.ts';
export { type StaleEntry, Tlb, type TlbLayout, type TlbOptions } from './mmu/tlb.ts';
export type { TlbBatch } from './mmu/tlb-batch.ts';
export type { ExplainedStep, Explanation } from './reference/explain.ts';
export { effectiveMemoryType, type MemoryType, patType } from './reference/memory-type.ts';
export type {
  LassOutcome,
  MissingTableOutcome,
  NonCanonicalOutcome,
  Outcome,
  PageFaultOutcome,
  PageOutcome,
  PageSize,
  PagingOffOutcome,
} from './reference/outcome.ts';
export type { TakenRight } from './reference/remarks.ts';
export { errorCodeWords } from './reference/words.ts';
