/**
 * The header of a sequence: which machine it begins on, and what its states list.
 */
import { choice, type Fields, fileSizes, integer, optional } from '../fields.ts';
import type { Header } from '../format.ts';
import { type LineObject, NOWHERE, read, refused, sequenceNumber } from '../lines.ts';
import type { Line } from '../sequence.ts';
import { HUGE_PAGES, MOST_PAGES, type Setting, slotBytesOf } from '../setting.ts';

/** How a recording was made; what differs is the range of a slot, and what its states list. */
const MODES = ['A', 'B', 'C', 'P', 'G'] as const;
type Mode = (typeof MODES)[number];

/** In mode P every mapping has 512 pages, of which these alone are touched and listed. */
const LISTED_IN_P: ReadonlySet<number> = new Set([0, 1, 2, 255, 256, 511]);

/** A header and what follows from it. */
export interface HugetlbSetting extends Setting {
  /** The pages of a slot that states list; all, if undefined. */
  readonly listed: ReadonlySet<number> | undefined;
}

const HEADER = {
  seq: sequenceNumber,
  mode: optional(choice<Mode>(Object.fromEntries(MODES.map((mode) => [mode, mode])))),
  hugepage: optional(choice<keyof typeof HUGE_PAGES>({ '2M': '2M', '1G': '1G' })),
  pool: integer(0, MOST_PAGES),
  overcommit: optional(integer(0, MOST_PAGES)),
  files: optional(fileSizes),
} satisfies Fields;

/** `{"seq":7,"pool":9,...}`. */
export function parseHeader(line: Line, object: LineObject): Header {
  const { seq, mode, hugepage, pool, overcommit = 0, files = [] } = read(line, object, HEADER, NOWHERE, 'a header');
  const only = mode === 'G' ? '1G' : mode === 'P' ? '2M' : undefined;
  if (only && hugepage && hugepage !== only) throw refused(line, 'hugepage', `"${only}" in mode "${mode}"`, hugepage);
  const hugePageSize = HUGE_PAGES[hugepage ?? only ?? '2M'];
  if (hugePageSize === HUGE_PAGES['1G'] && overcommit > 0) {
    throw refused(line, 'overcommit', '0, as pages of 1 GiB are never surplus', overcommit);
  }
  const slotBytes = slotBytesOf(hugePageSize) * (mode === 'P' ? 2 : 1);
  const setting: HugetlbSetting = {
    hugePageSize,
    pool,
    overcommit,
    files,
    hgm: { version: 'none' },
    pageBytes: hugePageSize,
    slotBytes,
    slotPages: slotBytes / hugePageSize,
    listed: mode === 'P' ? LISTED_IN_P : undefined,
  };
  return { number: seq, setting };
}
