/**
 * `{"kernel":T}`: which kernel was recorded.
 */
import { HGM_POSTED_COLLAPSE_LOOP, HGM_POSTED_PROT_NONE_PUD, type HgmOptions } from '../../linux/base/hgm.ts';
import { MADV_SPLIT } from '../../linux/base/uapi.ts';
import { UFFD_FEATURE_MINOR_HUGETLBFS_HGM } from '../../linux/base/uffd-uapi.ts';
import type { Line, LineObject } from '../line/line.ts';
import { checkNames, refused } from '../line/lines.ts';

/** `v2, posted: 32 (in words)`; without `v2`, RFC v2; `fixed` for a kernel without faults as posted. */
const WORDS = /^(v2, )?(?:fixed|posted: (\d{1,3}))(?: \(.*\))?$/;
/** The faults that a recorded kernel could be given back. */
const MOST_POSTED = 127;

/** Nobody fixed these in any recorded kernel of RFC v2, or of v2. */
const UNFIXED = { 'rfc-v2': HGM_POSTED_PROT_NONE_PUD, v2: HGM_POSTED_PROT_NONE_PUD | HGM_POSTED_COLLAPSE_LOOP };

/** The kernel of a file that does not say. */
export const DEFAULT_KERNEL: HgmOptions = { version: 'v2', posted: 0 };

/** `{"kernel":T}`: what a machine with that kernel has. */
export function parseKernel(line: Line, object: LineObject): HgmOptions {
  checkNames(line, object, ['kernel'], 'a kernel');
  const { kernel } = object;
  const words = typeof kernel === 'string' ? WORDS.exec(kernel) : null;
  const posted = Number(words?.[2] ?? 0);
  if (!words || posted > MOST_POSTED) {
    throw refused(line, 'kernel', '"fixed", "v2, fixed", "posted: MASK" or "v2, posted: MASK"', kernel);
  }
  const version = words[1] ? 'v2' : 'rfc-v2';
  return { version, posted: posted | UNFIXED[version] };
}

/** How a program asks for HGM: by a feature of its userfaultfd, or by an advice. */
export interface OptIn {
  readonly features: number;
  readonly advice: number | undefined;
}

/** In either version. */
export const OPT_IN: Readonly<Record<'rfc-v2' | 'v2', OptIn>> = {
  'rfc-v2': { features: UFFD_FEATURE_MINOR_HUGETLBFS_HGM, advice: undefined },
  v2: { features: 0, advice: MADV_SPLIT },
};
