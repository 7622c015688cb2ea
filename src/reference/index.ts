/**
 * `hugewalk/reference`: the walk in plain TypeScript, without WebAssembly. Slow, and meant to be read.
 *
 * @module
 */
export { explain, referenceMappings, referenceWalk } from './checked.ts';
export type { ExplainedStep, Explanation } from './explain.ts';
export type { ReferenceLeaf } from './mappings.ts';
export type {
  LassOutcome,
  MissingTableOutcome,
  NonCanonicalOutcome,
  Outcome,
  PageFaultOutcome,
  PageOutcome,
  PageSize,
  PagingOffOutcome,
} from './outcome.ts';
export type { TakenRight } from './remarks.ts';
export type { PagingState, ReadEntry, Rights, WalkRecord, WalkStep } from './walk.ts';
export { errorCodeWords } from './words.ts';
