/**
 * The search for the root tables in a dump: one pass over its frames with a fast filter, then a look at the tables below
 * what passed it, then evidence.
 */
import { checkFunction, checkInteger, checkOptions, type OptionNames } from '../../core/errors.ts';
import { checkDump } from '../check-dump.ts';
import type { Dump } from '../dump.ts';
import { isFounded, type RootCandidate, weightOf } from './candidate.ts';
import { type AddressRule, addressRule, ENTRIES } from './entry-halves.ts';
import { topOf } from './frame-scan.ts';
import { cpusAt, isolationOf, presentIn, UpperHalves } from './halves.ts';
import { OwnFrames } from './own-frame.ts';
import { probe, recursiveEntry, type Standing, stand, withoutInner } from './standing.ts';
import { survey } from './survey.ts';
import { TableReader } from './table-reader.ts';
import { TreeChecker } from './tree-check.ts';
import type { Vmcoreinfo } from './vmcoreinfo.ts';

/** How to search for roots. */
export interface FindRootsOptions {
  /** The C-bit of memory that is encrypted, 32 to 51. Default: the one that VMCOREINFO tells of. */
  readonly cBit?: number;
  /** Called as the search goes on, with bytes of memory done, and there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a search found. */
export interface RootSearch {
  /** The roots, the best founded first. */
  readonly roots: readonly RootCandidate[];
  /** What VMCOREINFO says, if the file or the memory has it. */
  readonly vmcoreinfo: Vmcoreinfo | undefined;
  readonly cBit: number | undefined;
  /** Whether there were more candidates than were looked at, as no memory of a machine has. */
  readonly more: boolean;
}

const OPTIONS: OptionNames<FindRootsOptions> = { cBit: true, onProgress: true };
/** Frames looked at together. */
const BATCH = 256;
/** Roots whose tables are those of a root, 4 KiB each. */
const MOST_STANDING = 2 ** 14;

/**
 * Searches a dump's memory for root tables, of four and of five levels: those of every process, and the kernel's. It needs
 * no register, no symbol and no note; it uses those that there are.
 *
 * @throws TypeError or RangeError for options that are wrong; {@link DumpError} when the file cannot be read
 *
 * @example
 * ```ts
 * import { AddressSpace, findRoots } from 'hugewalk';
 * import { openDumpFile } from 'hugewalk/node';
 * const dump = await openDumpFile('test/fixtures/linux-6.1-4level.elf.gz');
 * const { roots } = await findRoots(dump);
 * for (const { root, levels, kind } of roots) console.log(root.toString(16), levels, kind);
 * const space = await AddressSpace.open(dump, { cr3: roots[0]!.root });
 * ```
 */
export async function findRoots(dump: Dump, options: FindRootsOptions = {}): Promise<RootSearch> {
  checkDump(dump);
  checkOptions('options', options, OPTIONS);
  if (options.cBit !== undefined) checkInteger('cBit', options.cBit, 32, 51);
  if (options.onProgress !== undefined)
    checkFunction('onProgress', options.onProgress, 'of bytes done and bytes there are');
  const { frames, more, vmcoreinfo, cBit } = await survey(dump, {
    cBit: options.cBit,
    onProgress: options.onProgress,
    untilVmcoreinfo: false,
  });
  const rule = addressRule(topOf(dump.segments), cBit);
  const tables = new TableReader(dump);
  const { standing, full } = await standingAmong(frames, tables, rule);
  const roots = await candidatesOf(withoutInner(standing, rule), { dump, tables, rule, vmcoreinfo });
  roots.sort((a, b) => weightOf(b) - weightOf(a) || (a.root < b.root ? -1 : 1));
  return { roots, vmcoreinfo, cBit, more: more || full };
}

async function standingAmong(
  frames: readonly number[],
  tables: TableReader,
  rule: AddressRule,
): Promise<{ readonly standing: readonly Standing[]; readonly full: boolean }> {
  const checker = new TreeChecker(tables, rule);
  const standing: Standing[] = [];
  for (let at = 0; at < frames.length; at += BATCH) {
    for (const frame of await probe(frames.slice(at, at + BATCH), tables, rule)) {
      const found = await stand(frame, tables, checker, rule);
      if (found && standing.length === MOST_STANDING) return { standing, full: true };
      if (found) standing.push(found);
    }
  }
  return { standing, full: false };
}

interface Known {
  readonly dump: Dump;
  readonly tables: TableReader;
  readonly rule: AddressRule;
  readonly vmcoreinfo: Vmcoreinfo | undefined;
}

async function candidatesOf(standing: readonly Standing[], known: Known): Promise<RootCandidate[]> {
  const { dump, tables, rule, vmcoreinfo } = known;
  const halves = new UpperHalves(standing, rule);
  const byFrame = new Map(standing.map((one) => [one.frame, one]));
  const own = new OwnFrames(tables, rule);
  const candidates: RootCandidate[] = [];
  for (const one of standing) {
    const { frame, words, levels, tree, isProcess } = one;
    const root = BigInt(frame);
    const candidate: RootCandidate = {
      root,
      levels,
      kind: isProcess ? 'process' : 'kernel',
      lowerEntries: presentIn(words, 0, ENTRIES / 2),
      upperEntries: presentIn(words, ENTRIES / 2, ENTRIES),
      isolation: isolationOf(one, byFrame, rule),
      evidence: {
        vmcoreinfo: vmcoreinfo?.root === root,
        cpus: cpusAt(dump, frame, rule),
        ...halves.sharedBy(one),
        ownAddress: await own.find(frame, levels),
        recursiveEntry: recursiveEntry(one, rule),
        tables: tree.tables,
        others: tree.others,
      },
    };
    if (isFounded(candidate)) candidates.push(candidate);
  }
  return candidates;
}
