/**
 * fork. kernel/fork.c of Linux 6.1: dup_mmap; mm/memory.c: vma_needs_copy.
 *
 * The child gets the VMAs; of entries, only those of mappings with pages of their own: a file's pages it finds by
 * faulting.
 */
import { kernelFunction, recordCall } from '../base/kernel-function.ts';
import { LINUX_BUG_FORK_LINKS_EARLY } from '../base/linux-bugs.ts';
import { type Path, preemptionPoint, type Task } from '../base/task.ts';
import { VM_DONTCOPY, VM_HUGETLB_HGM, VM_UFFD_WP } from '../base/vm-flags.ts';
import { type CopyResult, copyHugetlbPageRange } from '../hugetlb/copy-page-range.ts';
import type { Mm } from '../mm/mm.ts';
import { flushTlb } from '../mm/tlb.ts';
import type { Vma } from '../mm/vma.ts';
import { dupUserfaultfd, dupUserfaultfdComplete, type ForkedUserfaultfds } from '../userfaultfd/uffd-event.ts';

/** `dup_mmap`: fills a new address space. On an error the caller ends it. */
export const dupMmap: typeof copyMm = kernelFunction('dup_mmap', copyMm, {
  args: (child, parent) => `from ${parent.process} to ${child.process}`,
});

function* copyMm(task: Task, child: Mm, parent: Mm): Path<CopyResult> {
  yield* parent.mmapLock.write(task);
  yield* child.mmapLock.write(task);
  let result: CopyResult = 'OK';
  parent.addTlbFlushPending(1);
  const forked: ForkedUserfaultfds = new Map();
  for (const vma of parent.vmas) {
    if (vma.flags & VM_DONTCOPY) continue;
    result = yield* dupVma(task, child, vma, forked);
    if (result !== 'OK') break;
  }
  child.mmapLock.unlock(task);
  /* What the parent could write is read-only, or copied: nobody writes there through an old translation from here on. */
  yield* flushTlb(task, parent);
  parent.addTlbFlushPending(-1);
  parent.mmapLock.unlock(task);
  yield* dupUserfaultfdComplete(task, forked);
  return result;
}

function* dupVma(task: Task, child: Mm, vma: Vma, forked: ForkedUserfaultfds): Path<CopyResult> {
  const copy = vma.duplicate({ mm: child });
  /* RFC v2 keeps HGM beside the VMA's lock, of which the child has a new one, and turns it on where entries are copied. */
  if (copy.mm.machine.hgm === 'rfc-v2') copy.flags &= ~VM_HUGETLB_HGM;
  dupUserfaultfd(copy, forked);
  /* Who comes by the file takes and releases the lock that the copy has at that moment: until it has its own, nobody may find it. */
  const linksEarly = child.machine.hasBug(LINUX_BUG_FORK_LINKS_EARLY);
  if (linksEarly) {
    yield* link(task, copy, vma);
    yield* preemptionPoint(task, copy);
  }
  copy.forgetPrivate();
  recordCall(task, 'hugetlb_dup_vma_private', () => copy.name);
  child.insert(copy);
  if (!linksEarly) {
    open(task, copy);
    yield* link(task, copy, vma);
  }
  const result = copy.flags & VM_UFFD_WP || vma.anonVma ? yield* copyHugetlbPageRange(task, copy, vma) : 'OK';
  if (linksEarly) {
    yield* preemptionPoint(task, copy);
    open(task, copy);
  }
  return result;
}

function open(task: Task, copy: Vma): void {
  copy.open();
  recordCall(task, 'hugetlb_vm_op_open', () => copy.name);
}

/** From then on whoever comes by the file meets the copy. */
function* link(task: Task, copy: Vma, vma: Vma): Path<void> {
  const { pageCache } = vma.inode;
  yield* pageCache.iMmapRwsem.write(task);
  pageCache.linkAfter(copy, vma);
  pageCache.iMmapRwsem.unlock(task);
}
