/**
 * mincore. mm/mincore.c and mm/pagewalk.c of Linux 6.1: do_mincore, mincore_hugetlb, __mincore_unmapped_range.
 */
import { hex } from '../../core/errors.ts';
import type { Errno } from '../base/errno.ts';
import { lengthWords } from '../base/flag-words.ts';
import { HGM_POSTED_PAGEWALK_OVERRUN } from '../base/hgm.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import { type Mm, TASK_SIZE } from '../mm/mm.ts';
import type { Vma } from '../mm/vma.ts';
import { hugePteOffset, hugetlbFullWalkContinue } from '../page-tables/page-table.ts';

/** The kernel gathers answers for so many pages before it looks for the next VMA. */
const CHUNK = 4096;

/** mincore(2): a byte for each 4 KiB page, 1 where it is mapped, or, where there is no page table, in the page cache. */
export const sysMincore: typeof mincore = kernelFunction('do_mincore', mincore, {
  args: (_mm, start, length) => lengthWords(start, length),
});

function* mincore(task: Task, mm: Mm, start: number, length: number): Path<Uint8Array | Errno> {
  if (start % PAGE_SIZE !== 0) return refuse(task, 'EINVAL', `start ${hex(start)} is not aligned to a page`);
  if (start + length > TASK_SIZE)
    return refuse(task, 'ENOMEM', `the end ${hex(start + length)} is no program's address`);
  const pages = Math.ceil(length / PAGE_SIZE);
  const vector = new Uint8Array(pages);
  for (let done = 0; done < pages; ) {
    yield* mm.mmapLock.read(task);
    const address = start + done * PAGE_SIZE;
    const vma = mm.vmaLookup(address);
    const count = vma ? Math.min((vma.end - address) / PAGE_SIZE, pages - done, CHUNK) : 0;
    if (vma) fill(vma, address, vector.subarray(done, done + count));
    mm.mmapLock.unlock(task);
    if (!vma) return refuse(task, 'ENOMEM', `nothing is mapped at ${hex(address)}`);
    done += count;
  }
  return vector;
}

function fill(vma: Vma, start: number, vector: Uint8Array): void {
  const { tables } = vma.mm.machine;
  const overruns = vma.mm.machine.hgmPosted(HGM_POSTED_PAGEWALK_OVERRUN);
  const end = start + vector.length * PAGE_SIZE;
  for (let address = start; address < end; ) {
    const top = hugePteOffset(vma, address);
    const hpte = top && hugetlbFullWalkContinue(vma, top, address);
    const size = hpte?.size ?? vma.hstate.size;
    /* To the end of the leaf; as posted, one leaf's size further, which answers for pages behind it. */
    const from = hpte && overruns ? address : address - (address % size);
    const next = Math.min(from + size, end);
    const piece = vector.subarray((address - start) / PAGE_SIZE, (next - start) / PAGE_SIZE);
    if (hpte) piece.fill(tables.read(hpte.ptep).noneMostly ? 0 : 1);
    else fillFromPageCache(vma, address, piece);
    address = next;
  }
}

/**
 * Without a page table Linux asks the page cache: for the huge page's index first, and then, as if those were 4 KiB pages,
 * for the indexes that follow.
 */
function fillFromPageCache(vma: Vma, address: number, piece: Uint8Array): void {
  const first = vma.hugeIndex(address);
  for (let page = 0; page < piece.length; page++) {
    piece[page] = vma.inode.pageCache.find(first + page)?.uptodate ? 1 : 0;
  }
}
