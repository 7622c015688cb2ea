/**
 * The header of a sequence: which machine it begins on, and what its states list.
 */
import { LINUX_BUGS, LINUX_FIXES } from '../../linux/base/linux-bugs.ts';
import { choice, type Fields, fileSizes, integer, namesOf, optional, text, withDefault } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { checkOvercommit, NOWHERE, read, refused, sequenceNumber } from '../line/lines.ts';
import { FLUSHES, HUGE_PAGES, MOST_PAGES, type Setting, slotBytesOf } from '../line/setting.ts';
import type { Header } from '../sequence/format.ts';

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
  overcommit: withDefault(integer(0, MOST_PAGES), 0),
  files: withDefault(fileSizes, []),
  bugs: namesOf(LINUX_BUGS),
  fixes: namesOf(LINUX_FIXES),
  flushes: withDefault(choice(FLUSHES), 'interrupt'),
  what: optional(text(/^/, 'a text')),
} satisfies Fields;

/** `{"seq":7,"pool":9,...}`. */
export function parseHeader(line: Line, object: LineObject): Header {
  const { seq, mode, hugepage, pool, overcommit, files, bugs, fixes, flushes } = read(
    line,
    object,
    HEADER,
    NOWHERE,
    'a header',
  );
  const only = mode === 'G' ? '1G' : mode === 'P' ? '2M' : undefined;
  if (only && hugepage && hugepage !== only) throw refused(line, 'hugepage', `"${only}" in mode "${mode}"`, hugepage);
  const hugePageSize = HUGE_PAGES[hugepage ?? only ?? '2M'];
  checkOvercommit(line, hugePageSize, overcommit);
  const slotBytes = slotBytesOf(hugePageSize) * (mode === 'P' ? 2 : 1);
  const setting: HugetlbSetting = {
    hugePageSize,
    pool,
    overcommit,
    files,
    bugs,
    fixes,
    flushes,
    hgm: { version: 'none' },
    pageBytes: hugePageSize,
    slotBytes,
    slotPages: slotBytes / hugePageSize,
    listed: mode === 'P' ? LISTED_IN_P : undefined,
  };
  return { number: seq, setting };
}
