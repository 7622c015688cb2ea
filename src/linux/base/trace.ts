/**
 * The model's own record of what it does: locks, entries, pages.
 */
import { hex } from '../../core/errors.ts';
import type { Hang } from './errno.ts';

/** Something that happened in the kernel. */
export type TraceEvent =
  /** A lock was taken. */
  | { readonly kind: 'lock'; readonly task: string; readonly lock: string; readonly mode: 'read' | 'write' }
  | { readonly kind: 'unlock'; readonly task: string; readonly lock: string }
  /** A task sleeps until another one does something, or goes on. */
  | { readonly kind: 'sleep' | 'wake'; readonly task: string; readonly what: string }
  /** The kernel goes no further: it tries again for ever, or has stopped at a BUG(). */
  | { readonly kind: 'dead end'; readonly task: string; readonly outcome: Hang; readonly where: string }
  /** The processor reported a page fault, with its error code. */
  | { readonly kind: 'fault'; readonly task: string; readonly address: number; readonly errorCode: number }
  /** A page-table entry was written, by the kernel; `level` is the SDM's: 1 is a page table, 2 a page directory... */
  | {
      readonly kind: 'entry';
      readonly process: number;
      readonly address: number;
      readonly level: number;
      readonly before: bigint;
      readonly after: bigint;
    }
  /** A page table came or went, or a process began or ceased to use another's. */
  | {
      readonly kind: 'table';
      readonly process: number;
      readonly what: 'allocated' | 'freed' | 'shared' | 'unshared';
      readonly address: number;
      readonly table: number;
      readonly level: number;
    }
  /** A huge page left the pool, or came back. */
  | { readonly kind: 'page'; readonly what: 'allocated' | 'freed'; readonly pfn: number; readonly bytes: number }
  /** The pool's number of reserved pages changed. */
  | { readonly kind: 'reserved'; readonly bytes: number; readonly before: number; readonly after: number };

/**
 * An event in one line of words.
 *
 * @example
 * ```ts
 * import { describeTraceEvent } from 'hugewalk/linux';
 * describeTraceEvent({ kind: 'page', what: 'allocated', pfn: 0x100000, bytes: 0x200000 });
 * // 'page allocated: 2 MiB at pfn 0x100000'
 * ```
 */
export function describeTraceEvent(event: TraceEvent): string {
  switch (event.kind) {
    case 'lock':
      return `${event.task} takes ${event.lock}${event.mode === 'read' ? ' (read)' : ''}`;
    case 'unlock':
      return `${event.task} releases ${event.lock}`;
    case 'sleep':
      return `${event.task} sleeps: waits for ${event.what}`;
    case 'wake':
      return `${event.task} goes on: waited for ${event.what}`;
    case 'dead end':
      return `${event.task} goes no further, ${event.outcome}: ${event.where}`;
    case 'fault':
      return `${event.task} faults at ${hex(event.address)}, error code ${hex(event.errorCode)}`;
    case 'entry':
      return `entry of process ${event.process} at ${hex(event.address)}, level ${event.level}: ${hex(event.before)} -> ${hex(event.after)}`;
    case 'table':
      return `table ${hex(event.table)} of level ${event.level} ${event.what}: process ${event.process} at ${hex(event.address)}`;
    case 'page':
      return `page ${event.what}: ${sizeName(event.bytes)} at pfn ${hex(event.pfn)}`;
    case 'reserved':
      return `reserved ${sizeName(event.bytes)} pages: ${event.before} -> ${event.after}`;
  }
}

/** `2 MiB`, `1 GiB`. */
export function sizeName(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && size % 1024 === 0 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size} ${units[unit]}`;
}
