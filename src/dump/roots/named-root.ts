/**
 * A root table, and who named it; and which one memory names by itself: VMCOREINFO's, else the best of a search.
 */
import type { Dump } from '../dump.ts';
import { DumpError } from '../dump-error.ts';
import { evidenceWords } from './candidate.ts';
import { searchRoots } from './search-roots.ts';
import { survey } from './survey.ts';
import type { Vmcoreinfo } from './vmcoreinfo.ts';

/** A root, before it is known whose mode it is walked in. */
export interface NamedRoot {
  readonly cr3: bigint;
  /** Who named it: the caller, a processor of the dump, VMCOREINFO, or a search. */
  readonly from: 'given' | 'cpu' | 'vmcoreinfo' | 'windows' | 'search';
  /** Why this one, in words. */
  readonly why: string;
  readonly levels?: 4 | 5;
  readonly levelsWhy?: string;
  readonly cBit?: number | undefined;
}

/** How memory is searched. */
export interface MemorySearch {
  readonly cBit: number | undefined;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
  /** Why no processor names one, for the message. */
  readonly problem: string | undefined;
}

/** The root that the dump's memory names. @throws {@link DumpError} where it names none */
export async function nameRootByMemory(dump: Dump, { cBit, onProgress, problem }: MemorySearch): Promise<NamedRoot> {
  const found = await survey(dump, { cBit, onProgress, untilVmcoreinfo: true });
  const byInfo = found.vmcoreinfo && (await ofVmcoreinfo(dump, found.vmcoreinfo));
  if (byInfo) return byInfo;
  const search = await searchRoots(dump, { ...(cBit !== undefined && { cBit }), ...(onProgress && { onProgress }) });
  const best = search.roots[0];
  if (!best) {
    throw new DumpError(
      dump.name,
      `${problem ?? 'expected a CPU with CR3, VMCOREINFO, or tables that look like a root, found none'}: give the CR3 to use (--cr3)`,
    );
  }
  const others = search.roots.length - 1;
  return {
    cr3: best.root,
    from: 'search',
    why: `found by search, the best of ${others + 1}: ${evidenceWords(best).join('; ')}`,
    levels: best.levels,
    levelsWhy: 'by what its tables look like',
    cBit: search.cBit,
  };
}

/** The root that VMCOREINFO names, unless the dump has no such frame. */
async function ofVmcoreinfo(dump: Dump, { root, levels, cBit }: Vmcoreinfo): Promise<NamedRoot | undefined> {
  if (root === undefined) return undefined;
  const [frame] = await dump.readFrames([root]);
  if (!frame) return undefined;
  const mode = levels && { levels, levelsWhy: `by VMCOREINFO's pgtable_l5_enabled` };
  return { cr3: root, from: 'vmcoreinfo', why: 'from VMCOREINFO', cBit, ...mode };
}
