/**
 * mmap. mm/mmap.c of Linux 6.1: ksys_mmap_pgoff, do_mmap, mmap_region; fs/hugetlbfs/inode.c: hugetlbfs_file_mmap,
 * hugetlb_get_unmapped_area.
 */
import { hex } from '../../core/errors.ts';
import type { Errno } from '../base/errno.ts';
import { mapWords, protWords, rangeWords } from '../base/flag-words.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
} from '../base/uapi.ts';
import {
  VM_DONTEXPAND,
  VM_HUGETLB,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NORESERVE,
  VM_SHARED,
  VM_WRITE,
} from '../base/vm-flags.ts';
import { protectionFlags } from '../base/vm-protection.ts';
import { reservePages } from '../hugetlb/reserve-pages.ts';
import { putInode } from '../hugetlb/truncate.ts';
import { type Mm, TASK_SIZE } from '../mm/mm.ts';
import { Vma } from '../mm/vma.ts';
import type { HugetlbfsInode } from '../pool/inode.ts';
import { type UnmapEvents, userfaultfdUnmapComplete } from '../userfaultfd/uffd-event.ts';
import { doMunmap } from './munmap.ts';

/** Where mmap looks for room from, downwards: `mmap_base`, without randomization. */
const MMAP_BASE = 2 ** 47 - 2 ** 32;
/** mmap_min_addr. */
const MMAP_MIN_ADDRESS = 65536;

/** The bits that say whether a mapping is shared. */
const MAP_TYPE = 0xf;
/** `LEGACY_MAP_MASK`: the flags that are older than MAP_SHARED_VALIDATE, which refuses the others. */
const LEGACY_MAP_MASK = 0x7_f973 | MAP_HUGE_2MB | MAP_HUGE_1GB;

/** What mmap was asked for. Bytes. */
export interface MmapRequest {
  readonly address: number;
  readonly length: number;
  readonly prot: number;
  readonly flags: number;
  /** The file, or for an anonymous mapping one of its own, which the caller has made for it. */
  readonly inode: HugetlbfsInode;
  readonly offset: number;
}

/** `do_mmap` and `mmap_region` of a hugetlb file, with mmap_lock. */
export const sysMmap: typeof mmapPgoff = kernelFunction('vm_mmap_pgoff', mmapPgoff, {
  args: (_mm, { address, length }) => `addr=${hex(address)}, len=${hex(length)}`,
});

function* mmapPgoff(task: Task, mm: Mm, request: MmapRequest): Path<number | Errno> {
  const unmaps: UnmapEvents = [];
  yield* mm.mmapLock.write(task);
  const result = yield* doMmap(task, mm, request, unmaps);
  mm.mmapLock.unlock(task);
  yield* userfaultfdUnmapComplete(task, unmaps);
  return result;
}

const doMmap = kernelFunction('do_mmap', mmapLocked, {
  args: (_mm, { address, length, prot, flags, inode, offset }) =>
    `addr=${hex(address)}, len=${hex(length)}, prot=${protWords(prot)}, flags=${mapWords(flags)}, ${inode.name}, offset=${hex(offset)}`,
});

function* mmapLocked(
  task: Task,
  mm: Mm,
  { address, length, prot, flags, inode, offset }: MmapRequest,
  unmaps: UnmapEvents,
): Path<number | Errno> {
  const { size } = inode.hstate;
  const bytes = Math.ceil(length / size) * size;
  if (length === 0) return refuse(task, 'EINVAL', 'len is 0');
  if (bytes === 0) return refuse(task, 'ENOMEM', 'len overflows when it is rounded up');
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const start = getUnmappedArea(task, mm, address, bytes, size, fixed);
  if (typeof start === 'string') return start;
  const end = start + bytes;
  if (flags & MAP_FIXED_NOREPLACE && mm.intersects(start, end)) {
    return refuse(task, 'EEXIST', `MAP_FIXED_NOREPLACE, and something is mapped in [${hex(start)}, ${hex(end)})`);
  }

  const type = flags & MAP_TYPE;
  if (type === MAP_SHARED_VALIDATE && flags & ~LEGACY_MAP_MASK) {
    return refuse(
      task,
      'EOPNOTSUPP',
      `MAP_SHARED_VALIDATE, and hugetlbfs does not know ${hex(flags & ~LEGACY_MAP_MASK)}`,
    );
  }
  if (type !== MAP_SHARED && type !== MAP_SHARED_VALIDATE && type !== MAP_PRIVATE) {
    return refuse(task, 'EINVAL', `neither MAP_SHARED nor MAP_PRIVATE: type ${hex(type)}`);
  }
  if (flags & MAP_GROWSDOWN) return refuse(task, 'EINVAL', 'MAP_GROWSDOWN is for stacks');
  let vmFlags = protectionFlags(prot) | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_HUGETLB | VM_DONTEXPAND;
  if (type !== MAP_PRIVATE) vmFlags |= VM_SHARED | VM_MAYSHARE;
  if (flags & MAP_NORESERVE) vmFlags |= VM_NORESERVE;

  if (mm.intersects(start, end)) {
    const unmapped = yield* doMunmap(task, mm, start, bytes, unmaps);
    if (unmapped !== 'OK') return refuse(task, 'ENOMEM', 'what is mapped there could not be unmapped');
  }
  const pgoff = offset / PAGE_SIZE;
  const vma = new Vma({ mm, start, end, flags: vmFlags, pgoff, inode });
  inode.references++;
  const mapped = yield* hugetlbfsFileMmap(task, vma);
  if (mapped !== 'OK') {
    yield* putInode(task, inode);
    return mapped;
  }
  const { iMmapRwsem } = inode.pageCache;
  yield* iMmapRwsem.write(task);
  mm.insert(vma);
  inode.pageCache.link(vma);
  iMmapRwsem.unlock(task);
  return start;
}

/** `hugetlbfs_file_mmap`: reserves, and makes the file as long as a writable mapping of it. */
const hugetlbfsFileMmap = kernelFunction('hugetlbfs_file_mmap', fileMmap, {
  args: (vma) => rangeWords(vma.start, vma.end),
});

function* fileMmap(task: Task, vma: Vma): Path<'OK' | Errno> {
  const { inode, hstate } = vma;
  if (vma.pgoff % hstate.pagesPerHugePage !== 0) {
    return refuse(task, 'EINVAL', `vm_pgoff ${hex(vma.pgoff)} is not aligned to the huge page`);
  }
  const from = vma.pgoff / hstate.pagesPerHugePage;
  const to = from + (vma.end - vma.start) / hstate.size;
  /* No other task can fault here yet; file operations must not change the file's reservations meanwhile. */
  yield* inode.lock.write(task);
  const reserved = yield* reservePages(task, vma, from, to);
  if (reserved && vma.flags & VM_WRITE) inode.size = Math.max(inode.size, to * hstate.size);
  inode.lock.unlock(task);
  return reserved ? 'OK' : refuse(task, 'ENOMEM', 'the pages cannot be reserved');
}

/** `hugetlb_get_unmapped_area`: the hint if there is room, else the highest gap below mmap_base; aligned to the page size. */
export function getUnmappedArea(
  task: Task,
  mm: Mm,
  address: number,
  bytes: number,
  size: number,
  fixed: boolean,
): number | 'EINVAL' | 'ENOMEM' {
  if (bytes % size !== 0) return refuse(task, 'EINVAL', `len ${hex(bytes)} is not a multiple of the huge page`);
  if (bytes > TASK_SIZE) return refuse(task, 'ENOMEM', `len ${hex(bytes)} is more than a program can have`);
  if (fixed) {
    if (address % size !== 0) return refuse(task, 'EINVAL', `addr ${hex(address)} is not aligned to the huge page`);
    if (address > TASK_SIZE - bytes) {
      return refuse(task, 'ENOMEM', `the end ${hex(address + bytes)} is no program's address`);
    }
    return address;
  }
  const hint = Math.floor(address / size) * size;
  if (address !== 0 && hint <= TASK_SIZE - bytes && !mm.intersects(hint, hint + bytes)) return hint;
  return highestGap(mm, bytes, size) ?? refuse(task, 'ENOMEM', `no gap of ${hex(bytes)} bytes is left`);
}

function highestGap(mm: Mm, bytes: number, size: number): number | undefined {
  let top = MMAP_BASE;
  for (let at = mm.vmas.length - 1; at >= -1; at--) {
    const vma = mm.vmas[at];
    const bottom = Math.max(vma?.end ?? 0, MMAP_MIN_ADDRESS);
    const start = Math.floor((top - bytes) / size) * size;
    if (start >= bottom) return start;
    if (vma) top = Math.min(top, vma.start);
  }
  return undefined;
}
