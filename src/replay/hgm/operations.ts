/**
 * The operations of HGM's recordings: ranges are in 4 KiB pages.
 */
import { MADV_COLLAPSE, MADV_SPLIT } from '../../linux/base/uapi.ts';
import { byte, file, fileOffset } from '../line/fields.ts';
import { madvise } from '../operations/mappings.ts';
import { operationsOf } from '../operations/operations.ts';
import { uffdNumber } from '../operations/uffd-files.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import { fill } from './fill.ts';
import type { HgmStage } from './stage.ts';

/** All operations, by the name that `op` gives. */
export const OPERATIONS: ReadonlyMap<string, Operation> = operationsOf({
  oldHugepages: {},
  uffd: uffdNumber,
  /* The kernel refuses an empty range itself. */
  fewestPages: 0,
  /* A huge page of 2 MiB. Nothing is behind it, so that no copy of 1 GiB succeeds. */
  sourceBytes: 2 ** 21,
  own: {
    fill: operation(
      { file, hugepage: fileOffset, tag: byte },
      { run: (stage: HgmStage, { file, hugepage, tag }) => ({ result: fill(stage, file, hugepage, tag) }) },
    ),
    madvise_collapse: madvise(MADV_COLLAPSE),
    madvise_split: madvise(MADV_SPLIT),
  },
});
