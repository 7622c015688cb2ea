/**
 * `hugewalk roots`: the root tables in a dump.
 */
import { hex } from '../core/errors.ts';
import { evidenceWords, type RootCandidate } from '../dump/roots/candidate.ts';
import { findRoots, type RootSearch } from '../dump/roots/find-roots.ts';
import { nameOfPath } from './dump-files.ts';
import { line } from './failure.ts';
import type { Surroundings } from './map.ts';
import { type DumpOptions, searchProgress, withDump } from './open.ts';
import { columns, counted, type Paint } from './text.ts';

/** The options of `roots`. */
export interface RootsOptions extends DumpOptions {
  readonly json?: boolean;
  readonly cBit?: number;
}

/** Runs the command. */
export async function roots(
  paths: readonly string[],
  options: RootsOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { output, errors, progress, paint } = surroundings;
  const { json = false, cBit } = options;
  await withDump(paths, options, surroundings, async (dump) => {
    const onProgress = searchProgress(dump, progress);
    const found = await findRoots(dump, { onProgress, ...(cBit !== undefined && { cBit }) });
    progress.clear();
    const walked = (root: RootCandidate): string => commandOf(paths, root, found.cBit);
    output.add(
      json ? found.roots.map((root) => jsonOf(root, walked(root))).join('') : textOf(paths[0]!, found, walked, paint),
    );
    if (found.more) errors.write(line(`${dump.name}: looked at some of the candidates only: there are too many`));
    await output.flush();
  });
}

/** The command that shows what a root maps. */
function commandOf(paths: readonly string[], { root, levels }: RootCandidate, cBit: number | undefined): string {
  const quoted = paths.map((path) => (/^[\w./:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`));
  const bit = cBit === undefined ? '' : ` --c-bit ${cBit}`;
  return `hugewalk map ${quoted.join(' ')} --cr3 ${hex(root)} --cr4 ${levels === 5 ? '0x1020' : '0x20'}${bit}`;
}

function textOf(path: string, found: RootSearch, walked: (root: RootCandidate) => string, paint: Paint): string {
  const head = paint.bold(`${nameOfPath(path)}: ${counted(found.roots.length, 'root table')}`);
  if (found.roots.length === 0) return `${head}\n\nno frame has tables below it as a root has\n`;
  const header = ['root', 'levels', 'of', 'lower', 'upper', 'evidence'];
  const rows = found.roots.map((root) => [
    hex(root.root),
    String(root.levels),
    root.kind,
    String(root.lowerEntries),
    String(root.upperEntries),
    evidenceWords(root).join('; '),
  ]);
  const table = columns([header, ...rows], 'rrlrrl').map((text) => `  ${text}`);
  return [head, '', ...table, '', 'To see what they map:', ...found.roots.map((root) => `  ${walked(root)}`), ''].join(
    '\n',
  );
}

function jsonOf(candidate: RootCandidate, command: string): string {
  const { root, levels, kind, lowerEntries, upperEntries, isolation, evidence } = candidate;
  const { vmcoreinfo, cpus, sharedWith, sharedEntries, ownAddress, recursiveEntry, tables, others } = evidence;
  return `${JSON.stringify({
    root: hex(root),
    levels,
    kind,
    lowerEntries,
    upperEntries,
    isolation: isolation ? { half: isolation.half, other: hex(isolation.other) } : null,
    evidence: {
      vmcoreinfo,
      cpus,
      sharedWith,
      sharedEntries,
      ownAddress: ownAddress === undefined ? null : hex(ownAddress),
      recursiveEntry: recursiveEntry ?? null,
      tables,
      others,
    },
    command,
  })}\n`;
}
