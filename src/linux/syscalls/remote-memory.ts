/**
 * Another process's memory, by way of GUP. mm/process_vm_access.c of Linux 6.1: process_vm_rw_single_vec; fs/proc/base.c: mem_rw;
 * mm/memory.c: __access_remote_vm.
 *
 * process_vm_readv and process_vm_writev pin: a reader gets a page of the process's own. /proc/PID/mem takes references, with
 * FOLL_FORCE: it reads what is PROT_NONE, too.
 */
import { hex } from '../../core/errors.ts';
import type { Hang } from '../base/errno.ts';
import { FOLL_FORCE, FOLL_GET, FOLL_PIN, FOLL_REMOTE, FOLL_TOUCH, FOLL_WRITE } from '../base/gup-flags.ts';
import { kernelFunction, refuse } from '../base/kernel-function.ts';
import { PAGE_SIZE } from '../base/page.ts';
import type { Path, Task } from '../base/task.ts';
import type { Locked } from '../gup/follow-hugetlb-page.ts';
import { getUserPagesLocked } from '../gup/gup.ts';
import type { Mm } from '../mm/mm.ts';
import type { Frames } from '../pool/frames.ts';
import { releasePages } from '../pool/pin.ts';

/** Pages that process_vm_rw pins at a time: PVM_MAX_KMALLOC_PAGES of pointers. */
const PAGES_AT_A_TIME = 1024;

/** Which way bytes go: into the buffer, or out of it into the process. */
export type Direction = 'read' | 'write';

/** `process_vm_rw` of one range: bytes transferred; 'EFAULT' if none. */
export const processVmAccess: typeof processVmRw = kernelFunction('process_vm_rw', processVmRw, {
  args: (mm, address, buffer, direction) =>
    `${mm.process}, addr=${hex(address)}, len=${hex(buffer.length)}, ${direction}`,
});

function* processVmRw(
  task: Task,
  mm: Mm,
  address: number,
  buffer: Uint8Array,
  direction: Direction,
): Path<number | 'EFAULT' | Hang> {
  const write = direction === 'write';
  const flags = FOLL_PIN | FOLL_TOUCH | FOLL_REMOTE | (write ? FOLL_WRITE : 0);
  let done = 0;
  while (done < buffer.length) {
    const offset = (address + done) % PAGE_SIZE;
    const start = address + done - offset;
    const nrPages = Math.min(Math.ceil((offset + buffer.length - done) / PAGE_SIZE), PAGES_AT_A_TIME);
    const pages = new Float64Array(nrPages);
    const locked: Locked = { held: true };
    yield* mm.mmapLock.read(task);
    const pinned = yield* getUserPagesLocked(task, mm, { start, nrPages, flags, pages }, locked);
    if (locked.held) mm.mmapLock.unlock(task);
    if (pinned === 'HANG') return pinned;
    if (typeof pinned === 'string' || pinned === 0) break;
    const length = Math.min(pinned * PAGE_SIZE - offset, buffer.length - done);
    transfer(mm.machine.frames, pages, offset, buffer.subarray(done, done + length), write);
    yield* releasePages(task, mm.machine.frames, pages, pinned, flags, write);
    done += length;
  }
  if (done > 0 || buffer.length === 0) return done;
  return refuse(task, 'EFAULT', `no page at ${hex(address)} could be had`);
}

/** `mem_rw`: bytes transferred; 'EIO' if none. */
export const procMemAccess: typeof memRw = kernelFunction('mem_rw', memRw, {
  args: (mm, address, buffer, direction) =>
    `${mm.process}, addr=${hex(address)}, len=${hex(buffer.length)}, ${direction}`,
});

function* memRw(
  task: Task,
  mm: Mm,
  address: number,
  buffer: Uint8Array,
  direction: Direction,
): Path<number | 'EIO' | Hang> {
  const write = direction === 'write';
  const flags = FOLL_FORCE | FOLL_GET | FOLL_TOUCH | FOLL_REMOTE | (write ? FOLL_WRITE : 0);
  let done = 0;
  yield* mm.mmapLock.read(task);
  while (done < buffer.length) {
    const pages: number[] = [];
    const start = address + done;
    const got = yield* getUserPagesLocked(task, mm, { start, nrPages: 1, flags, pages, vmas: [] });
    if (got === 'HANG') {
      mm.mmapLock.unlock(task);
      return got;
    }
    if (got !== 1) break;
    const offset = start % PAGE_SIZE;
    const length = Math.min(PAGE_SIZE - offset, buffer.length - done);
    transfer(mm.machine.frames, pages, offset, buffer.subarray(done, done + length), write);
    yield* releasePages(task, mm.machine.frames, pages, 1, flags, write);
    done += length;
  }
  mm.mmapLock.unlock(task);
  if (done > 0 || buffer.length === 0) return done;
  return refuse(task, 'EIO', `no page at ${hex(address)} could be had`);
}

/** Copies between a buffer and pages that follow each other in linear memory, from `offset` in the first one on. */
function transfer(frames: Frames, pages: ArrayLike<number>, offset: number, buffer: Uint8Array, write: boolean): void {
  for (let at = 0; at < buffer.length; ) {
    const place = (offset + at) % PAGE_SIZE;
    const piece = buffer.subarray(at, at + PAGE_SIZE - place);
    const physical = pages[Math.floor((offset + at) / PAGE_SIZE)]! * PAGE_SIZE + place;
    if (write) frames.writeBytes(physical, piece);
    else frames.readBytes(physical, piece);
    at += piece.length;
  }
}
