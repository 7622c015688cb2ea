/**
 * What some looks begin with: a process of their own, and a file's first two huge pages in it, which may be mapped in pieces.
 */
import { MAP_FIXED_NOREPLACE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../../linux/base/uapi.ts';
import { UFFD_FEATURE_MINOR_HUGETLBFS, UFFDIO_REGISTER_MODE_MINOR } from '../../linux/base/uffd-uapi.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { UserfaultFile } from '../../linux/machine/userfault-file.ts';
import { OPT_IN } from './kernel.ts';
import type { HgmStage } from './stage.ts';

/** Huge pages of the mapping. */
const HUGE_PAGES = 2;

/** A mapping that is registered for minor faults. */
export interface Scene {
  readonly uffd: UserfaultFile;
  /** Where the mapping begins: slot 0. */
  readonly start: number;
  readonly length: number;
  /** How UFFDIO_REGISTER, or what had to go before it, ended. */
  readonly result: string;
}

/** Maps file 0, and registers it. @param features besides those that every program asks for */
export function sceneOf(stage: HgmStage, process: Process, hgm: boolean, features: number): Scene {
  const { version } = stage.setting.hgm;
  const optIn = OPT_IN[version === 'v2' ? 'v2' : 'rfc-v2'];
  const start = stage.address(0, 0);
  const length = stage.hugeBytes(HUGE_PAGES);
  const uffd = process.userfaultfd();
  const { result: opened } = uffd.api(features | UFFD_FEATURE_MINOR_HUGETLBFS | (hgm ? optIn.features : 0));
  if (opened !== 'OK') return { uffd, start, length, result: opened };
  const flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
  const mapped = process.mmap({ address: start, length, prot: PROT_READ | PROT_WRITE, flags, file: stage.files[0]! });
  if (typeof mapped === 'string') return { uffd, start, length, result: mapped };
  const advised = hgm && optIn.advice !== undefined ? process.madvise(start, length, optIn.advice) : 'OK';
  const result = advised === 'OK' ? uffd.register(start, length, UFFDIO_REGISTER_MODE_MINOR).result : advised;
  return { uffd, start, length, result };
}
