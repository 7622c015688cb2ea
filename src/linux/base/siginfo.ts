/**
 * What comes with a signal for an access. arch/x86/mm/fault.c of Linux 6.1: do_sigbus, bad_area, bad_area_access_error; include/uapi/
 * asm-generic/siginfo.h.
 */
import type { VmFault } from './fault-flags.ts';
import type { Task } from './task.ts';

/** SIGSEGV: nothing is mapped there. */
export const SEGV_MAPERR = 1;
/** SIGSEGV: the mapping does not permit it. */
export const SEGV_ACCERR = 2;
/** SIGBUS: no page can be had for the address. */
export const BUS_ADRERR = 2;
/** SIGBUS: the memory is bad, and the program needs it to go on. */
export const BUS_MCEERR_AR = 4;

/** `siginfo_t` of a fault. */
export interface SignalInfo {
  readonly signal: 'SIGBUS' | 'SIGSEGV';
  /** `si_code`: SEGV_ or BUS_. */
  readonly code: number;
  /** `si_addr`: the address of the access. */
  readonly address: number;
  /** `si_addr_lsb` of BUS_MCEERR_AR: the binary logarithm of how much is lost: 12, 21 or 30. */
  readonly lsb?: number;
}

/**
 * `force_sig_fault`, `force_sig_mceerr`: the thread gets the signal of a fault that could not be handled.
 *
 * @param shift binary logarithm of the mapping's huge pages
 */
export function forceSignal(task: Task, shift: number, address: number, fault: VmFault): 'SIGBUS' | 'SIGSEGV' {
  const signal = fault === 'SIGSEGV' ? 'SIGSEGV' : 'SIGBUS';
  if (fault === 'HWPOISON') task.siginfo = { signal, code: BUS_MCEERR_AR, address, lsb: 12 };
  else if (fault === 'HWPOISON_LARGE') task.siginfo = { signal, code: BUS_MCEERR_AR, address, lsb: shift };
  else task.siginfo = { signal, code: signal === 'SIGSEGV' ? SEGV_MAPERR : BUS_ADRERR, address };
  return signal;
}
