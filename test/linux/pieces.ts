/**
 * A file's huge pages, mapped in pieces as UFFDIO_CONTINUE maps them.
 */
import {
  type HgmVersion,
  type HugetlbFile,
  MADV_SPLIT,
  type Machine,
  type Process,
  UFFD_FEATURE_MINOR_HUGETLBFS,
  UFFD_FEATURE_MINOR_HUGETLBFS_HGM,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  type UserfaultFile,
} from '../../src/linux/index.ts';
import { GIB1, machineWith, mapShared } from './support.ts';

export interface PiecesScene {
  readonly machine: Machine;
  readonly process: Process;
  readonly file: HugetlbFile;
  /** Where all of the file is mapped whole: what is written there is in the file. */
  readonly whole: number;
  /** Where it can be mapped in pieces; nothing is mapped there yet. */
  readonly at: number;
  /** Handles minor faults there. What nobody has continued is SIGBUS. */
  readonly uffd: UserfaultFile;
}

/**
 * A file of `pages` huge pages, all in memory, and mapped whole at one place, in pieces at another.
 *
 * @param size bytes of a huge page
 * @param pool huge pages; default: one more than the file has
 * @param checks whether all counts are checked after every system call
 */
export function pieces(
  size: number,
  pages = 1,
  pool: number = pages + 1,
  version: HgmVersion = 'v2',
  checks = true,
): PiecesScene {
  const machine = machineWith({ size, pages: pool, hgm: { version }, tables: 2 ** 23, checks });
  const process = machine.createProcess();
  const file = machine.memfdCreate({ hugePageSize: size });
  file.ftruncate(pages * size);
  const whole = mapShared(process, pages, { size, file, address: 64 * GIB1 });
  for (let page = 0; page < pages; page++) process.write(whole + page * size, 0);
  const at = mapShared(process, pages, { size, file, address: 128 * GIB1 });
  if (version === 'v2') process.madvise(at, pages * size, MADV_SPLIT);
  const uffd = process.userfaultfd();
  const features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MINOR_HUGETLBFS;
  uffd.api(version === 'v2' ? features : features | UFFD_FEATURE_MINOR_HUGETLBFS_HGM);
  uffd.register(at, pages * size, UFFDIO_REGISTER_MODE_MINOR);
  return { machine, process, file, whole, at, uffd };
}
