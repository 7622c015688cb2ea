/**
 * What a fault asks for, and how it ends. include/linux/mm_types.h of Linux 6.1: enum fault_flag, enum vm_fault_reason.
 */

/** The access is a write. */
export const FAULT_FLAG_WRITE: number = 1 << 0;
/** The access was made in user mode, not by the kernel on a program's behalf. */
export const FAULT_FLAG_USER: number = 1 << 6;
/** A reader wants to pin the page: it must be the process's own, and stay read-only. */
export const FAULT_FLAG_UNSHARE: number = 1 << 10;

/** How a fault ends: the access is tried again, or fails; `HANG`: the kernel would try for ever, with nothing to change that. */
export type VmFault = 'done' | 'SIGBUS' | 'SIGSEGV' | 'OOM' | 'HANG';
