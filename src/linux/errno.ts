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
  | 'EEXIST'
  | 'EFAULT'
  | 'EINTR'
  | 'EINVAL'
  | 'EIO'
  | 'ENOENT'
  | 'ENOMEM'
  | 'ENOSPC'
  | 'EOPNOTSUPP'
  | 'EOVERFLOW'
  | 'ESRCH';

/** How a system call ends that has nothing else to return. */
export type Result = 'OK' | Errno;

/** The signal that a user's access gets when the fault handler cannot satisfy it. */
export type Signal = 'SIGBUS' | 'SIGSEGV';

/**
 * The access faults for ever: the fault handler returns, has changed nothing, and no other task is there that could.
 * Not a kernel's result but what an observer sees: the process never goes on.
 */
export type Hang = 'HANG';
