/**
 * `fill`: a file's page gets contents that tell which page it is.
 */
import { PAGE_SIZE } from '../../linux/base/page.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../../linux/base/uapi.ts';
import type { HgmStage } from './stage.ts';

/** Bytes at the beginning of a 4 KiB page that are written. */
const WRITTEN = 64;
/** Of a huge page of 1 GiB: all of these first pages, and then every 512th. */
const ALL_BELOW = 1024;
const STRIDE = 512;

/** Maps one huge page of a file, writes it, unmaps it: 'ENOMEM' or 'SIGBUS' where the pool has none. */
export function fill(stage: HgmStage, file: number, hugepage: number, tag: number): string {
  const { controller } = stage;
  const bytes = stage.setting.hugePageSize;
  const at = controller.mmap({
    address: stage.address(0, 0),
    length: bytes,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_SHARED,
    file: stage.files[file]!,
    offset: hugepage * bytes,
  });
  if (typeof at === 'string') return at;
  const first = hugepage * (bytes / PAGE_SIZE);
  const touched = controller.write(at, byteOf(first, file, tag));
  if (touched === 'OK') write(stage, file, hugepage, tag);
  const unmapped = controller.munmap(at, bytes);
  return touched === 'OK' ? unmapped : touched;
}

/** What the program writes after its first fault, without a walk for each byte. */
function write(stage: HgmStage, file: number, hugepage: number, tag: number): void {
  const { contents, pages } = stage.files[file]!.inode.pageCache.find(hugepage)!;
  const bytes = new Uint8Array(WRITTEN);
  for (let page = 0; page < pages; page += page < ALL_BELOW || pages === STRIDE ? 1 : STRIDE) {
    contents.writeBytes(page * PAGE_SIZE, bytes.fill(byteOf(hugepage * pages + page, file, tag)));
  }
}

/** @param page of the file, in 4 KiB */
function byteOf(page: number, file: number, tag: number): number {
  return (37 * page + 11 * file + tag) & 255;
}
