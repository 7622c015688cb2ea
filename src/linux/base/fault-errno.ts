/**
 * How a fault's end is told to who asked for the page. include/linux/mm.h of Linux 6.1: vm_fault_to_errno.
 */
import type { Errno } from './errno.ts';
import { FOLL_HWPOISON } from './gup-flags.ts';

/** Ends of a fault that are errors: `VM_FAULT_ERROR`. Of these the model's own faults know all but the last. */
export type VmFaultError = 'OOM' | 'SIGBUS' | 'SIGSEGV' | 'HWPOISON' | 'HWPOISON_LARGE' | 'FALLBACK';

/**
 * `vm_fault_to_errno`: 'EFAULT' for both signals. 0 for what has none, so that GUP ends without an error.
 *
 * @param flags FOLL_ bits: FOLL_HWPOISON tells poison from other failures
 */
export function vmFaultToErrno(fault: VmFaultError, flags: number): Errno | 0 {
  switch (fault) {
    case 'OOM':
      return 'ENOMEM';
    case 'HWPOISON':
    case 'HWPOISON_LARGE':
      return flags & FOLL_HWPOISON ? 'EHWPOISON' : 'EFAULT';
    case 'SIGBUS':
    case 'SIGSEGV':
      return 'EFAULT';
    case 'FALLBACK':
      return 0;
  }
}
