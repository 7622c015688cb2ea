/**
 * What a kernel path ends with. errno(3), signal(7).
 *
 * Results are values: the name of an errno, as a recording or strace prints it, or `OK`.
 */

/** The errnos that the model's system calls return. */
export type Errno =
  | 'EACCES'
  | 'EAGAIN'
  | 'EBADF'
  | 'EBUSY'
  | 'EEXIST'
  | 'EFAULT'
  | 'EHWPOISON'
  | 'EINTR'
  | 'EINVAL'
  | 'EIO'
  | 'ENOENT'
  | 'ENOMEM'
  | 'ENOSPC'
  | 'ENXIO'
  | 'EOPNOTSUPP'
  | 'EOVERFLOW'
  | 'EPERM'
  | 'ESRCH';

/** How a system call ends that has nothing else to return. */
export type Result = 'OK' | Errno;

/** The signal that a user's access gets when the fault handler cannot satisfy it; 'SIGKILL' if one came meanwhile. */
export type Signal = 'SIGBUS' | 'SIGSEGV' | 'SIGKILL';

/**
 * The process never comes back; not a kernel's result but what an observer sees. 'HANG': the same fault follows for ever, or a loop in the
 * kernel tries again for ever, and no other task is there that could change anything. 'BUG': the kernel has stopped at a BUG(), as only
 * faults of the HGM series as posted make it: see HGM_POSTED_.
 */
export type Hang = 'HANG' | 'BUG';

/**
 * The thread sleeps until another one wakes it: a fault waits for whoever reads a userfaultfd, or a system call for its
 * event to be read. Nobody else was there to do that, and the thread was given up as if it had got a SIGKILL. Not a
 * kernel's result either: with `interleave` threads really wait.
 */
export type Blocked = 'BLOCKED';
