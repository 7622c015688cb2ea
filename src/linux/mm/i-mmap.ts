/**
 * The VMAs that show a part of a file. include/linux/fs.h (struct address_space: i_mmap), mm/interval_tree.c of Linux 6.1:
 * vma_interval_tree_foreach. The list itself is the file's (pool/page-cache.ts), under i_mmap_rwsem.
 */
import { InvariantError } from '../../core/errors.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { PageCache, ShownPart } from '../pool/page-cache.ts';
import { Vma } from './vma.ts';

/** The VMAs that show any of [from, to), in 4 KiB pages of the file, in the order of the kernel's tree. */
export function vmasShowing(pageCache: PageCache, from: number, to: number): Vma[] {
  const vmas: Vma[] = [];
  for (const part of pageCache.iMmap) {
    if (part.pgoff < to && part.pgoff + (part.end - part.start) / PAGE_SIZE > from) vmas.push(vmaOf(part));
  }
  return vmas;
}

/** `container_of`: only VMAs are ever put into the list. */
function vmaOf(part: ShownPart): Vma {
  if (part instanceof Vma) return part;
  throw new InvariantError('vmasShowing: what shows a part of a file is no VMA');
}
