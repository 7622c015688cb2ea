/**
 * The header of a sequence.
 */
import type { HgmOptions } from '../../linux/base/hgm.ts';
import { type Field, type Fields, fileSizes, integer, optional, Refusal, text } from '../fields.ts';
import type { Header } from '../format.ts';
import { type LineObject, NOWHERE, read, sequenceNumber } from '../lines.ts';
import type { Line } from '../sequence.ts';
import { HUGE_PAGES, MOST_PAGES, type Setting, slotBytesOf } from '../setting.ts';
import { DEFAULT_KERNEL } from './kernel.ts';

/** What `page`, `pages` and `hugepage` count. */
const PAGE = 4096;

/** Bytes of a huge page, which the header has in 4 KiB pages. */
const hugePage: Field<number> = (value) => {
  const size = Object.values(HUGE_PAGES).find((bytes) => bytes / PAGE === value);
  return size ?? new Refusal('512 or 262144');
};

const HEADER = {
  seq: sequenceNumber,
  hugepage: hugePage,
  pool: integer(0, MOST_PAGES),
  files: optional(fileSizes),
  what: optional(text(/^/, 'a text')),
} satisfies Fields;

/** `{"seq":7,"hugepage":512,...}`. */
export function parseHeader(line: Line, object: LineObject, kernel: HgmOptions = DEFAULT_KERNEL): Header {
  const { seq, hugepage, pool, files = [] } = read(line, object, HEADER, NOWHERE, 'a header');
  const slotBytes = slotBytesOf(hugepage);
  const setting: Setting = {
    hugePageSize: hugepage,
    pool,
    overcommit: 0,
    files,
    hgm: kernel,
    pageBytes: PAGE,
    slotBytes,
    slotPages: slotBytes / PAGE,
  };
  return { number: seq, setting };
}
