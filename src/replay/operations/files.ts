/**
 * What is done to files: offsets and lengths are in huge pages.
 */
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../linux/base/uapi.ts';
import { file, fileOffset, filePages, fileSize, integer, type OldNames, withDefault } from '../line/fields.ts';
import { type Operation, tasking } from '../sequence/operation.ts';

/** fallocate without flags. */
const ALLOCATE = 0;
/** fallocate that takes pages away. */
const PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

function fallocate(mode: number, old: OldNames): Operation {
  return tasking(
    { file, offset: withDefault(fileOffset, 0), hugepages: filePages },
    {
      old,
      *calls(stage, { file, offset, hugepages }, task) {
        const caller = task ?? stage.anyone;
        const [start, length] = [stage.hugeBytes(offset), stage.hugeBytes(hugepages)];
        return { result: yield* caller.fallocate(stage.files[file]!, start, length, mode) };
      },
    },
  );
}

/** By the names that `op` gives. @param old names of their fields in a format */
export function fileOperations(old: OldNames): Readonly<Record<string, Operation>> {
  return {
    fallocate: fallocate(ALLOCATE, old),
    punch_hole: fallocate(PUNCH_HOLE, old),
    ftruncate: tasking(
      /* `offset` is there in recordings, and 0. */
      { file, offset: withDefault(integer(0, 0), 0), hugepages: fileSize },
      {
        old,
        *calls(stage, { file, hugepages }, task) {
          const caller = task ?? stage.anyone;
          return { result: yield* caller.ftruncate(stage.files[file]!, stage.hugeBytes(hugepages)) };
        },
      },
    ),
  };
}
