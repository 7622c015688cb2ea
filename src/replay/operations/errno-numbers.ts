/**
 * The numbers of errnos: include/uapi/asm-generic/errno-base.h, errno.h of Linux 6.1.
 */
import type { Errno } from '../../linux/base/errno.ts';

const NUMBERS: Readonly<Record<Errno, number>> = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  EHWPOISON: 133,
};

/** The largest of them. */
export const MOST_ERRNO: number = NUMBERS.EHWPOISON;

/** The number of an errno, as ioctls write it, negative, where they tell how much was done. */
export function errnoOf(name: Errno): number {
  return NUMBERS[name];
}
