/**
 * GUP without locks. mm/gup.c of Linux 6.1: internal_get_user_pages_fast, lockless_pages_from_mm, gup_pgd_range, gup_huge_pud,
 * gup_huge_pmd, gup_pte_range, __gup_longterm_unlocked, get_user_pages_unlocked; arch/x86/include/asm/pgtable.h: pte_access_permitted.
 *
 * Another processor may change anything meanwhile. So an entry is read, its page grabbed, and the entry read again: if it is no
 * longer what it was, the page is let go.
 *
 *   PGD entry ─> PUD entry ─> PMD entry ─> entry        each is read once; of 4 KiB pages, also the PMD entry is read again
 *
 * Interrupts are off, so that no table is freed under the walk: who frees one flushes the TLBs before, and that waits for an
 * interrupt. Whoever pins also looks out for a fork, which makes entries read-only that a pin relies on.
 */
import { hex, InvariantError } from '../../core/errors.ts';
import { follWords } from '../base/flag-words.ts';
import {
  FOLL_FAST_ONLY,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_LONGTERM,
  FOLL_NOFAULT,
  FOLL_PIN,
  FOLL_TOUCH,
  FOLL_WRITE,
} from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { LINUX_BUG_GUP_FAST_LOOKS_ONCE, LINUX_BUG_GUP_FAST_MISSES_FORK } from '../base/linux-bugs.ts';
import { PAGE_SIZE } from '../base/page.ts';
import { PAGE_PRESENT, PAGE_RW, PAGE_USER, type Pte } from '../base/pte.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { watch } from '../base/watch.ts';
import type { Mm } from '../mm/mm.ts';
import { entryOffset, tableOf } from '../page-tables/page-table.ts';
import { gupPutFolio, type PageList, releasePages, tryGrabFolio } from '../pool/pin.ts';
import { type Locked, mustUnshare } from './follow-hugetlb-page.ts';
import { type GupResult, getUserPagesLocked, gupLongtermLocked, requestWords } from './gup.ts';

/** What GUP-fast is asked for: it needs a list. */
export interface FastRequest {
  readonly start: number;
  readonly nrPages: number;
  readonly flags: number;
  readonly pages: PageList;
}

const ADDRESSES = 2 ** 64;
const PAGE_SHIFT = 12;
/** Bits of an index into a table. */
const INDEX_BITS = 9;
const ALLOWED = FOLL_WRITE | FOLL_LONGTERM | FOLL_FORCE | FOLL_PIN | FOLL_GET | FOLL_FAST_ONLY | FOLL_NOFAULT;

/** `internal_get_user_pages_fast`: what can be had without a lock, then the rest with it. */
export const internalGetUserPagesFast: typeof fastThenSlow = kernelFunction(
  'internal_get_user_pages_fast',
  fastThenSlow,
  { args: (_mm, request) => requestWords(request) },
);

function* fastThenSlow(task: Task, mm: Mm, { start: address, nrPages, flags, pages }: FastRequest): Path<GupResult> {
  if (flags & ~ALLOWED) return refuse(task, 'EINVAL', `${follWords(flags & ~ALLOWED)} is not for GUP-fast`);
  if (flags & FOLL_PIN) mm.hasPinned = true;
  const start = address - (address % PAGE_SIZE);
  const end = start + nrPages * PAGE_SIZE;
  if (end >= ADDRESSES) return 0;
  if (end > taskSizeMax(mm)) return refuse(task, 'EFAULT', `the end ${hex(end)} is no program's address`);
  const done = yield* locklessPagesFromMm(task, mm, start, nrPages, flags, pages);
  if (done === nrPages || flags & FOLL_FAST_ONLY) return done;

  const rest = { start: start + done * PAGE_SIZE, nrPages: nrPages - done, flags, pages, base: done };
  const result = yield* gupUnlocked(task, mm, rest);
  if (typeof result === 'number') return done + result;
  /* The caller has to give back what there is, and could not if it were told of an error. */
  return result === 'HANG' || done === 0 ? result : done;
}

/** `task_size_max`, behind the last address that `access_ok` takes for a program's. */
function taskSizeMax({ machine }: Mm): number {
  return 2 ** (machine.levels === 5 ? 56 : 47) - PAGE_SIZE;
}

/** `__gup_longterm_unlocked`. */
function* gupUnlocked(
  task: Task,
  mm: Mm,
  request: { start: number; nrPages: number; flags: number; pages: PageList; base: number },
): Path<GupResult> {
  yield* mm.mmapLock.read(task);
  if (request.flags & FOLL_LONGTERM) {
    const result = yield* gupLongtermLocked(task, mm, request);
    mm.mmapLock.unlock(task);
    return result;
  }
  const locked: Locked = { held: true };
  const result = yield* getUserPagesLocked(task, mm, { ...request, flags: request.flags | FOLL_TOUCH }, locked);
  if (locked.held) mm.mmapLock.unlock(task);
  return result;
}

/** `lockless_pages_from_mm`: pages done. */
const locklessPagesFromMm = kernelFunction('lockless_pages_from_mm', lockless, {
  args: (_mm, start, nrPages, flags) => requestWords({ start, nrPages, flags }),
});

function* lockless(task: Task, mm: Mm, start: number, nrPages: number, flags: number, pages: PageList): Path<number> {
  const sequence = mm.writeProtectSeq;
  if (flags & FOLL_PIN && sequence & 1) return 0;
  /* `local_irq_save`. */
  task.processor?.gupFast.begin(mm.machine.tables);
  watch?.gupBegins(mm, start, nrPages);
  const done =
    task.preemptible || !mm.machine.gupScan.canList
      ? yield* gupPgdRange(task, { mm, flags, pages, done: 0 }, start, start + nrPages * PAGE_SIZE)
      : gupRuns(mm, start, nrPages, flags, pages);
  task.processor?.gupFast.end();
  watch?.gupEnds(pages, 0, done);
  if (!(flags & FOLL_PIN)) return done;
  if (mm.writeProtectSeq === sequence || mm.machine.hasBug(LINUX_BUG_GUP_FAST_MISSES_FORK)) {
    /* Compiled in only with CONFIG_DEBUG_VM. A search asks more: see src/explore/kernel/pinned.ts. */
    if (watch) watch.pinned(mm, start, pages, 0, done);
    else sanityCheckPinnedPages(mm, pages, done);
    return done;
  }
  /* A fork came in between. Pages that were pinned behind its back may be shared by now: `unpin_user_pages_lockless`. */
  yield* releasePages(task, mm.machine.frames, pages, done, grabFlags(flags), false);
  return 0;
}

/** Who asks for both, against the rules, gets a reference. */
function grabFlags(flags: number): number {
  return flags & FOLL_GET ? FOLL_GET : flags & FOLL_PIN;
}

/** With nobody else there, entries stay what they are: the core reads them, and none has to be read again. */
function gupRuns(mm: Mm, start: number, nrPages: number, flags: number, pages: PageList): number {
  const { gupScan } = mm.machine;
  const write = (flags & FOLL_WRITE) !== 0;
  let done = 0;
  while (done < nrPages) {
    const listed = gupScan.list(mm, start + done * PAGE_SIZE, nrPages - done, write, pages, done, (folio, refs) => {
      return !mustUnshare(flags, folio) && tryGrabFolio(folio, refs, grabFlags(flags));
    });
    if (listed === 0) break;
    done += listed;
  }
  return done;
}

/** A walk under way. */
interface FastWalk {
  readonly mm: Mm;
  readonly flags: number;
  readonly pages: PageList;
  /** 4 KiB pages found so far. */
  done: number;
}

/** An entry that was read: its physical address, and what it was. */
interface SeenEntry {
  readonly at: number;
  readonly pte: Pte;
}

/** `gup_pgd_range`: pages found. */
function* gupPgdRange(task: Task, walk: FastWalk, start: number, end: number): Path<number> {
  const { pgd, topShift } = walk.mm;
  yield* gupTable(task, walk, pgd.address, topShift, start, end, undefined);
  return walk.done;
}

/**
 * `gup_p4d_range`, `gup_pud_range`, `gup_pmd_range`, `gup_pte_range`: the entries of one table for [start, end). Returns whether to go on.
 *
 * @param table physical address
 * @param shift binary logarithm of what an entry covers
 * @param above the entry that points to the table
 */
function* gupTable(
  task: Task,
  walk: FastWalk,
  table: number,
  shift: number,
  start: number,
  end: number,
  above: SeenEntry | undefined,
): Path<boolean> {
  const { tables } = walk.mm.machine;
  const size = 2 ** shift;
  for (let address = start; address < end; ) {
    const next = Math.min(end, (Math.floor(address / size) + 1) * size);
    const at = table + entryOffset(address, shift);
    /* Where nobody waits for interrupts, as without a search, a table could be freed under the walk: there it is one step. */
    if (task.processor) yield* preemptionPoint(task, at);
    const pte = tables.read(at);
    task.processor?.gupFast.saw(at, pte);
    if ((pte.lo & PAGE_PRESENT) === 0) return false;
    const seen = { at, pte };
    const goesOn =
      shift === PAGE_SHIFT || pte.huge
        ? yield* gupLeaf(task, walk, seen, shift, address, (next - address) / PAGE_SIZE, above)
        : yield* gupTable(task, walk, tableOf(pte), shift - INDEX_BITS, address, next, seen);
    if (!goesOn) return false;
    address = next;
  }
  return true;
}

/** `gup_huge_pud`, `gup_huge_pmd`, and a turn of `gup_pte_range`: takes `refs` pages of one leaf. Returns whether to go on. */
function* gupLeaf(
  task: Task,
  walk: FastWalk,
  { at, pte }: SeenEntry,
  shift: number,
  address: number,
  refs: number,
  above: SeenEntry | undefined,
): Path<boolean> {
  const { mm, flags, pages } = walk;
  const { tables, frames } = mm.machine;
  if (!isAccessPermitted(pte, (flags & FOLL_WRITE) !== 0)) return false;
  const offset = Math.floor((address % 2 ** shift) / PAGE_SIZE);
  for (let page = 0; page < refs; page++) pages[walk.done + page] = pte.pfn + offset + page;
  const folio = frames.find(pte.pfn);
  if (folio) yield* preemptionPoint(task, folio);
  if (!folio || !tryGrabFolio(folio, refs, grabFlags(flags))) return false;
  yield* preemptionPoint(task, at);
  /* The same place in the table: it may be another's by now, where tables are shared. */
  const same =
    mm.machine.hasBug(LINUX_BUG_GUP_FAST_LOOKS_ONCE) ||
    ((shift !== PAGE_SHIFT || !above || tables.read(above.at).same(above.pte)) && tables.read(at).same(pte));
  if (same && (pte.write || !mustUnshare(flags, folio))) {
    walk.done += refs;
    return true;
  }
  yield* gupPutFolio(task, folio, refs, grabFlags(flags));
  return false;
}

/** `pte_access_permitted`, by the bits of the entry alone: a PROT_NONE entry has neither P nor U/S. */
function isAccessPermitted(pte: Pte, write: boolean): boolean {
  const needed = PAGE_PRESENT | PAGE_USER | (write ? PAGE_RW : 0);
  return (pte.lo & needed) === needed;
}

/** `sanity_check_pinned_pages`: what is pinned of private memory is the process's own. */
function sanityCheckPinnedPages({ machine }: Mm, pages: PageList, count: number): void {
  for (let at = 0; at < count; ) {
    const folio = machine.frames.folio(pages[at]!);
    if (folio.anon && !folio.anonExclusive)
      throw new InvariantError('sanityCheckPinnedPages: pins a page that others have');
    at += folio.pfn + folio.pages - pages[at]!;
  }
}
