/**
 * What one pass over a dump's memory shows: frames that may be roots, and VMCOREINFO's text.
 */
import type { Dump } from '../dump.ts';
import { addressRule } from './entry-halves.ts';
import { scanFrames, topOf } from './frame-scan.ts';
import { mayBeRoot } from './root-filter.ts';
import { parseVmcoreinfo, type Vmcoreinfo, vmcoreinfoIn, vmcoreinfoOf } from './vmcoreinfo.ts';

/** What a survey found. */
export interface Survey {
  /** Physical addresses of frames that pass the filter, ascending. */
  readonly frames: readonly number[];
  /** Whether there were more of them than are kept. */
  readonly more: boolean;
  readonly vmcoreinfo: Vmcoreinfo | undefined;
  readonly cBit: number | undefined;
}

/** How to survey. */
export interface SurveyOptions {
  readonly cBit: number | undefined;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
  /** Whether VMCOREINFO that names a root is all that is asked for. */
  readonly untilVmcoreinfo: boolean;
}

/** Frames kept, 8 bytes each. */
const MOST_FRAMES = 2 ** 20;

/** Looks at every frame once; twice where VMCOREINFO, found on the way, tells of a C-bit that was not known. */
export async function survey(dump: Dump, options: SurveyOptions): Promise<Survey> {
  const { onProgress, untilVmcoreinfo } = options;
  let vmcoreinfo = vmcoreinfoOf(dump);
  const cBit = options.cBit ?? vmcoreinfo?.cBit;
  const rule = addressRule(topOf(dump.segments), cBit);
  const frames: number[] = [];
  let more = false;
  const isEnough = (): boolean => untilVmcoreinfo && vmcoreinfo?.root !== undefined;
  if (!isEnough()) {
    await scanFrames(
      dump,
      (frame, words) => {
        if (vmcoreinfo?.root === undefined) {
          const text = vmcoreinfoIn(words);
          if (text !== undefined) vmcoreinfo = parseVmcoreinfo(text);
          if (isEnough() || isOther(vmcoreinfo, cBit, options)) return true;
        }
        if (!mayBeRoot(words, rule)) return false;
        more ||= frames.length === MOST_FRAMES;
        if (!more) frames.push(frame);
        return false;
      },
      onProgress,
    );
  }
  if (isOther(vmcoreinfo, cBit, options)) return survey(dump, { ...options, cBit: vmcoreinfo!.cBit });
  return { frames, more, vmcoreinfo, cBit };
}

/** Whether VMCOREINFO tells of a C-bit where nobody said which. */
function isOther(vmcoreinfo: Vmcoreinfo | undefined, cBit: number | undefined, options: SurveyOptions): boolean {
  return options.cBit === undefined && vmcoreinfo?.cBit !== undefined && vmcoreinfo.cBit !== cBit;
}
