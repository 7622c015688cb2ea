/**
 * `{"ptdump":...}`: the kernel's own listing of a process's page tables, as /sys/kernel/debug/page_tables/current_user has it, before and
 * after MADV_COLLAPSE. mm/ptdump.c, arch/x86/mm/dump_pagetables.c of Linux 6.1: note_page, printk_prot.
 *
 *   0x0000100000001000-0x0000100000003000 8K USR RW NX pte        leaves with the same rights
 *   0x0000100000003000-0x0000100000200000 2036K pte               nothing
 */

import type { Errno } from '../../linux/base/errno.ts';
import { PAGE_SIZE } from '../../linux/base/page.ts';
import { PAGE_NX_HIGH, PAGE_PRESENT, PAGE_PSE, PAGE_RW, PAGE_USER } from '../../linux/base/pte.ts';
import { MADV_COLLAPSE } from '../../linux/base/uapi.ts';
import { UFFD_FEATURE_SIGBUS } from '../../linux/base/uffd-uapi.ts';
import type { Process } from '../../linux/machine/process.ts';
import { integer, text } from '../line/fields.ts';
import type { Line, LineObject } from '../line/line.ts';
import { read, refused } from '../line/lines.ts';
import { FIRST_SLOT } from '../line/setting.ts';
import { errnoOf, MOST_ERRNO } from '../operations/errno-numbers.ts';
import type { Begun } from '../sequence/begun.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import type { Answer } from '../stage/answer.ts';
import { sceneOf } from './scene.ts';
import type { HgmStage } from './stage.ts';

const ENTRIES = 512;

const LINE = { ptdump: text(/^0x[\da-f]{16}-0x[\da-f]{16} \d+[KMGT] /, 'a line of a listing') };
const COLLAPSE = { ptdump_collapse: integer(-MOST_ERRNO, 0) };

/** The lines of one look follow each other: a listing, the result of MADV_COLLAPSE, a listing. */
export const PTDUMP_FIELDS = ['ptdump', 'ptdump_collapse'] as const;

/** A mapping in pieces of a new process, listed, collapsed, and listed again. */
const ptdump: Operation = operation(
  {},
  {
    found: ['before', 'collapse', 'after'],
    run: (stage: HgmStage) =>
      stage.withProcess((process): Answer => {
        const { uffd, start, length, result } = sceneOf(stage, process, true, UFFD_FEATURE_SIGBUS);
        if (result !== 'OK') return { result };
        uffd.continue(start + PAGE_SIZE, 2 * PAGE_SIZE);
        uffd.continue(start + length / 2, length / 2);
        const before = listingOf(stage, process);
        const collapsed: string = process.madvise(start, length, MADV_COLLAPSE);
        const collapse = collapsed === 'OK' ? 0 : -errnoOf(collapsed as Errno);
        return { result: 'OK', found: { before, collapse, after: listingOf(stage, process) } };
      }),
  },
);

/** Takes one of the lines. */
export function takePtdump(line: Line, object: LineObject, begun: Begun): void {
  const { last } = begun;
  const look =
    last?.operation === ptdump
      ? last
      : { ...line, kind: 'look' as const, operation: ptdump, values: {}, result: 'OK', hang: false };
  if (look !== last) begun.look(look);
  const { before = [], collapse, after = [] } = (look.found ?? {}) as Listings;
  if ('ptdump_collapse' in object) {
    const { ptdump_collapse } = read(line, object, COLLAPSE, begun, 'ptdump_collapse');
    if (collapse !== undefined)
      throw refused(line, 'ptdump_collapse', 'one collapse between two listings', ptdump_collapse);
    begun.complete({ ...look, found: { before, collapse: ptdump_collapse } });
    return;
  }
  const { ptdump: listed } = read(line, object, LINE, begun, 'ptdump');
  const found =
    collapse === undefined ? { before: [...before, listed] } : { before, collapse, after: [...after, listed] };
  begun.complete({ ...look, found });
}

interface Listings {
  readonly before?: readonly string[];
  readonly collapse?: number;
  readonly after?: readonly string[];
}

/** A stretch of entries of one level with the same rights. */
interface Stretch {
  readonly start: number;
  end: number;
  readonly words: string;
}

const LEVELS: Readonly<Record<number, string>> = { 12: 'pte', 21: 'pmd', 30: 'pud' };

/** What the kernel lists of the 512 GiB that all slots lie in. */
function listingOf(stage: HgmStage, process: Process): string[] {
  const stretches: Stretch[] = [];
  list(stage, process.mm.pgd.address, 39, Math.floor(FIRST_SLOT / 2 ** 48) * 2 ** 48, stretches);
  return stretches.map(({ start, end, words }) => `${hex(start)}-${hex(end)} ${sizeOf(end - start)} ${words}`);
}

/** @param base the first address that the table covers */
function list(stage: HgmStage, table: number, shift: number, base: number, stretches: Stretch[]): void {
  const { tables } = stage.machine;
  for (let i = 0; i < ENTRIES; i++) {
    const start = base + i * 2 ** shift;
    const { lo, hi } = tables.read(table + i * 8);
    if (shift > 12 && (lo & (PAGE_PRESENT | PAGE_PSE)) === PAGE_PRESENT) {
      list(stage, (hi & 0xf_ffff) * 2 ** 32 + ((lo & ~0xfff) >>> 0), shift - 9, start, stretches);
    } else if (shift < 39) add(stretches, start, start + 2 ** shift, `${rightsOf(lo, hi, shift)}${LEVELS[shift]}`);
  }
}

function add(stretches: Stretch[], start: number, end: number, words: string): void {
  const last = stretches.at(-1);
  if (last?.end === start && last.words === words) last.end = end;
  else stretches.push({ start, end, words });
}

function rightsOf(lo: number, hi: number, shift: number): string {
  if ((lo & PAGE_PRESENT) === 0) return '';
  const user = lo & PAGE_USER ? 'USR ' : '';
  const large = shift > 12 && lo & PAGE_PSE ? 'PSE ' : '';
  return `${user}${lo & PAGE_RW ? 'RW' : 'ro'} ${large}${hi & PAGE_NX_HIGH ? 'NX' : 'x'} `;
}

/** In the largest unit of which there is a whole number. */
function sizeOf(bytes: number): string {
  const units = ['K', 'M', 'G', 'T'];
  let size = bytes / 1024;
  while (size % 1024 === 0 && units.length > 1) {
    size /= 1024;
    units.shift();
  }
  return `${size}${units[0]}`;
}

function hex(address: number): string {
  return `0x${address.toString(16).padStart(16, '0')}`;
}
