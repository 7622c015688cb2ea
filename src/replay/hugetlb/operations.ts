/**
 * The operations of Linux 6.1's recordings.
 */
import { optional } from '../line/fields.ts';
import { operationsOf } from '../operations/operations.ts';
import { uffdNumber } from '../operations/uffd-files.ts';
import type { Operation } from '../sequence/operation.ts';

/** All operations, by the name that `op` gives. */
export const OPERATIONS: ReadonlyMap<string, Operation> = operationsOf({
  oldHugepages: { pages: { is: 'hugepages' } },
  uffd: optional(uffdNumber),
  fewestPages: 1,
  sourceBytes: Number.POSITIVE_INFINITY,
  own: {},
});
