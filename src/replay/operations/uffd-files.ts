/**
 * Opening and closing userfaultfds. They have numbers: 0 and 1 are opened, 2 is what a fork's event brought, for the child.
 */

import type { Path } from '../../linux/base/task.ts';
import {
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFD_FEATURE_MISSING_HUGETLBFS,
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
} from '../../linux/base/uffd-uapi.ts';
import { actor, type Field, integer, truth, withDefault } from '../line/fields.ts';
import { type Operation, tasking } from '../sequence/operation.ts';
import type { Answer } from '../stage/answer.ts';
import { NOTHING } from '../stage/caller.ts';
import { DELIVERED } from '../stage/stage.ts';
import { callerOf } from './common.ts';

/** What every userfaultfd of recordings has; with UFFD_FEATURE_SIGBUS, no fault ever waits. */
const FEATURES =
  UFFD_FEATURE_MISSING_HUGETLBFS |
  UFFD_FEATURE_MINOR_HUGETLBFS |
  UFFD_FEATURE_PAGEFAULT_FLAG_WP |
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

/** The numbers of userfaultfds. */
export const uffdNumber: Field<number> = integer(0, DELIVERED);

const off = withDefault(truth, false);

/** Opens one: {@link FEATURES} are there always, the others are asked for. */
export const uffdOpen: Operation = tasking(
  {
    proc: actor,
    uffd: integer(0, DELIVERED - 1),
    hgm: off,
    exact_address: off,
    event_fork: off,
    event_remap: off,
    event_remove: off,
    event_unmap: off,
    waits: off,
  },
  {
    *calls(stage, { proc, uffd, ...asked }): Path<Answer> {
      yield* NOTHING;
      const features =
        FEATURES |
        (asked.waits ? 0 : UFFD_FEATURE_SIGBUS) |
        (asked.hgm ? UFFD_FEATURE_MINOR_HUGETLBFS_HGM : 0) |
        (asked.exact_address ? UFFD_FEATURE_EXACT_ADDRESS : 0) |
        (asked.event_fork ? UFFD_FEATURE_EVENT_FORK : 0) |
        (asked.event_remap ? UFFD_FEATURE_EVENT_REMAP : 0) |
        (asked.event_remove ? UFFD_FEATURE_EVENT_REMOVE : 0) |
        (asked.event_unmap ? UFFD_FEATURE_EVENT_UNMAP : 0);
      return { result: stage.openUserfaultfd(uffd, stage.process(proc), features) };
    },
  },
);

/** Who waits goes on. */
export const uffdClose: Operation = tasking(
  { proc: actor, uffd: uffdNumber },
  {
    *calls(stage, { proc, uffd }, task) {
      const file = stage.userfaultfd(uffd, proc);
      if (!file) return { result: 'EBADF' };
      stage.closeUserfaultfd(uffd);
      yield* callerOf(stage, task, uffd === DELIVERED ? 0 : proc).uffdClose(file);
      return { result: 'OK' };
    },
  },
);
