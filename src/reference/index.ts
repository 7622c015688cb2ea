/**
 * `hugewalk/reference`: the walk in plain TypeScript, without WebAssembly. Slow, and meant to be read.
 *
 * @module
 */
export { type ExplainedStep, type Explanation, errorCodeWords, explain } from './explain.ts';
export { type ReferenceLeaf, referenceMappings } from './mappings.ts';
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
export {
  type PagingState,
  type ReadEntry,
  type Rights,
  referenceWalk,
  type WalkRecord,
  type WalkStep,
} from './walk.ts';
