/**
 * The header of a sequence.
 */

import { HGM_POSTED_RACES, type HgmOptions } from '../../linux/base/hgm.ts';
import { LINUX_BUGS, LINUX_FIXES } from '../../linux/base/linux-bugs.ts';
import { PAGE_SIZE } from '../../linux/base/page.ts';
import {
  choice,
  type Field,
  type Fields,
  fileSizes,
  integer,
  namesOf,
  optional,
  Refusal,
  text,
  withDefault,
} from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { checkOvercommit, NOWHERE, read, sequenceNumber } from '../line/lines.ts';
import { FLUSHES, HUGE_PAGES, MOST_PAGES, type Setting, slotBytesOf } from '../line/setting.ts';
import type { Header } from '../sequence/format.ts';
import { DEFAULT_KERNEL } from './kernel.ts';

/** What `unit` is in a header of this format. */
export const UNIT = '4K';

/** Bytes of a huge page, which recordings have in 4 KiB pages. */
const hugePage: Field<number> = (value = '2M') => {
  const size = Object.entries(HUGE_PAGES).find(([name, bytes]) => name === value || bytes / PAGE_SIZE === value);
  return size?.[1] ?? new Refusal('"2M" or "1G", or 512 or 262144');
};

const HEADER = {
  seq: sequenceNumber,
  unit: optional(choice({ [UNIT]: UNIT })),
  hugepage: hugePage,
  pool: integer(0, MOST_PAGES),
  overcommit: withDefault(integer(0, MOST_PAGES), 0),
  files: withDefault(fileSizes, []),
  posted: namesOf(HGM_POSTED_RACES),
  bugs: namesOf(LINUX_BUGS),
  fixes: namesOf(LINUX_FIXES),
  flushes: withDefault(choice(FLUSHES), 'interrupt'),
  what: optional(text(/^/, 'a text')),
} satisfies Fields;

/** `{"seq":7,"hugepage":512,...}`. */
export function parseHeader(line: Line, object: LineObject, kernel: HgmOptions = DEFAULT_KERNEL): Header {
  const { seq, hugepage, pool, overcommit, files, bugs, fixes, flushes, posted } = read(
    line,
    object,
    HEADER,
    NOWHERE,
    'a header',
  );
  checkOvercommit(line, hugepage, overcommit);
  const slotBytes = slotBytesOf(hugepage);
  const setting: Setting = {
    hugePageSize: hugepage,
    pool,
    overcommit,
    files,
    bugs,
    fixes,
    flushes,
    hgm: { ...kernel, posted: (kernel.posted ?? 0) | posted },
    pageBytes: PAGE_SIZE,
    slotBytes,
    slotPages: slotBytes / PAGE_SIZE,
  };
  return { number: seq, setting };
}
