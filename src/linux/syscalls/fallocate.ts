/**
 * fallocate. fs/hugetlbfs/inode.c of Linux 6.1: hugetlbfs_fallocate; fs/open.c: vfs_fallocate.
 */
import { hex } from '../../core/errors.ts';
import type { Result } from '../base/errno.ts';
import { fallocWords } from '../base/flag-words.ts';
import { kernelFunction, recordCall, refuse } from '../base/kernel-function.ts';
import type { Path, Task } from '../base/task.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../base/uapi.ts';
import { VM_HUGETLB, VM_MAYSHARE, VM_SHARED } from '../base/vm-flags.ts';
import { allocHugePage } from '../hugetlb/alloc-page.ts';
import { unlockAndPut } from '../hugetlb/find-lock-page.ts';
import { punchHole } from '../hugetlb/truncate.ts';
import type { HugetlbfsInode } from '../pool/inode.ts';
import type { PageClaim } from '../pool/reserve-map.ts';

/** fallocate(2): puts zero pages into a file, or with FALLOC_FL_PUNCH_HOLE takes pages out. Bytes. */
export const sysFallocate: typeof fallocate = kernelFunction('hugetlbfs_fallocate', fallocate, {
  args: (inode, mode, offset, length) =>
    `${inode.name}, mode=${fallocWords(mode)}, offset=${hex(offset)}, len=${hex(length)}`,
});

function* fallocate(task: Task, inode: HugetlbfsInode, mode: number, offset: number, length: number): Path<Result> {
  if (offset < 0 || length <= 0)
    return refuse(task, 'EINVAL', `offset ${offset} is negative, or len ${length} not positive`);
  if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) {
    return refuse(task, 'EOPNOTSUPP', `hugetlbfs has no mode ${fallocWords(mode)}`);
  }
  if (mode === FALLOC_FL_PUNCH_HOLE)
    return refuse(task, 'EOPNOTSUPP', 'FALLOC_FL_PUNCH_HOLE without FALLOC_FL_KEEP_SIZE');
  if (mode & FALLOC_FL_PUNCH_HOLE) return yield* punchHole(task, inode, offset, length);

  const { size } = inode.hstate;
  const end = Math.ceil((offset + length) / size);
  yield* inode.lock.write(task);
  for (let index = Math.floor(offset / size); index < end; index++) {
    if (!(yield* fillHole(task, inode, index))) {
      inode.lock.unlock(task);
      return refuse(task, 'ENOSPC', `no page for index ${index}`);
    }
  }
  if (!(mode & FALLOC_FL_KEEP_SIZE)) inode.size = Math.max(inode.size, offset + length);
  inode.lock.unlock(task);
  return 'OK';
}

function* fillHole(task: Task, inode: HugetlbfsInode, index: number): Path<boolean> {
  const mutex = inode.faultMutex(index);
  yield* mutex.write(task);
  if (inode.pageCache.find(index)) {
    mutex.unlock(task);
    return true;
  }
  /* The reservation of a shared mapping of this part is consumed, so that the counts stay right. */
  const folio = yield* allocHugePage(task, fileClaim(inode), index * inode.hstate.size, false);
  if (folio === 'ENOSPC') {
    mutex.unlock(task);
    return false;
  }
  recordCall(task, 'clear_huge_page', () => `pfn ${hex(folio.pfn)}`);
  folio.contents.clear();
  folio.uptodate = true;
  yield* folio.lock.write(task);
  inode.pageCache.add(folio, index);
  mutex.unlock(task);
  folio.migratable = true;
  yield* unlockAndPut(task, folio);
  return true;
}

/** The kernel makes a VMA here that nobody has (`pseudo_vma`), whose address 0 is the begin of the file. */
function fileClaim(inode: HugetlbfsInode): PageClaim {
  const { hstate, reserveMap } = inode;
  return {
    inode,
    hstate,
    flags: VM_HUGETLB | VM_MAYSHARE | VM_SHARED,
    mayShare: true,
    ownsReserves: false,
    reserveMap,
    hugeIndex: (address) => address / hstate.size,
  };
}
