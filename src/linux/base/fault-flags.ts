/**
 * What a fault asks for, and how it ends. include/linux/mm_types.h of Linux 6.1: enum fault_flag, enum vm_fault_reason.
 */

/** The access is a write. */
export const FAULT_FLAG_WRITE: number = 1 << 0;
/** The fault may drop mmap_lock and ask to be tried again. */
export const FAULT_FLAG_ALLOW_RETRY: number = 1 << 2;
/** It may ask to be tried again, but must not wait, and keeps mmap_lock. */
export const FAULT_FLAG_RETRY_NOWAIT: number = 1 << 3;
/** A SIGKILL ends the waiting. */
export const FAULT_FLAG_KILLABLE: number = 1 << 4;
/** This is the second try. */
export const FAULT_FLAG_TRIED: number = 1 << 5;
/** The access was made in user mode, not by the kernel on a program's behalf. */
export const FAULT_FLAG_USER: number = 1 << 6;
/** A reader wants to pin the page: it must be the process's own, and stay read-only. */
export const FAULT_FLAG_UNSHARE: number = 1 << 10;

/**
 * How a fault ends: the access is tried again (`RETRY`: after mmap_lock was dropped), or fails; `HANG`: the kernel would try for ever, with nothing
 * to change that. `HWPOISON`: the memory is bad, 4 KiB of it; `HWPOISON_LARGE`: the whole huge page is given up.
 */
export type VmFault = 'done' | 'RETRY' | 'SIGBUS' | 'SIGSEGV' | 'OOM' | 'HANG' | 'HWPOISON' | 'HWPOISON_LARGE';
