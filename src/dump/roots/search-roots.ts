/**
 * The search for the root tables in a dump: one pass over its frames with a fast filter, then a look at the tables below
 * what passed it, then evidence.
 */
import type { Dump } from '../dump.ts';
import { isFounded, type RootCandidate, weightOf } from './candidate.ts';
import { type AddressRule, addressRule, ENTRIES } from './entry-halves.ts';
import type { FindRootsOptions, RootSearch } from './find-roots.ts';
import { topOf } from './frame-scan.ts';
import { cpusAt, isolationOf, presentIn, UpperHalves } from './halves.ts';
import { OwnFrames } from './own-frame.ts';
import { probe, recursiveEntry, type Standing, stand, withoutInner } from './standing.ts';
import { survey } from './survey.ts';
import { TableReader } from './table-reader.ts';
import { TreeChecker } from './tree-check.ts';
import type { Vmcoreinfo } from './vmcoreinfo.ts';

/** Frames looked at together. */
const BATCH = 256;
/** Roots whose tables are those of a root, 4 KiB each. */
const MOST_STANDING = 2 ** 14;

/** The search that {@link findRoots} makes. */
export async function searchRoots(dump: Dump, { cBit: given, onProgress }: FindRootsOptions): Promise<RootSearch> {
  const { frames, more, vmcoreinfo, cBit } = await survey(dump, {
    cBit: given,
    onProgress,
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
