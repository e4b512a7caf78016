/**
 * Linux errno numbers (asm-generic), positive; functions return them negated (`-EFAULT`).
 */

/** Operation not permitted. */
export const EPERM = 1;
/** Interrupted by a signal. */
export const EINTR = 4;
/** Input/output error. */
export const EIO = 5;
/** No such device or address. */
export const ENXIO = 6;
/** The file is not open for this. */
export const EBADF = 9;
/** Try again; from an unlocked GUP variant: killed while waiting for mmap_lock (B.9). */
export const EAGAIN = 11;
/** Out of memory, out of map count, or no address range. */
export const ENOMEM = 12;
/** Permission denied. */
export const EACCES = 13;
/** Bad address. */
export const EFAULT = 14;
/** Resource busy. */
export const EBUSY = 16;
/** Already exists. */
export const EEXIST = 17;
/** Invalid argument. */
export const EINVAL = 22;
/** No space left on device. */
export const ENOSPC = 28;
/** Too many links; inside GUP only: the page must be unshared first (B.4). */
export const EMLINK = 31;
/** A wait took longer than it might (down_timeout). */
export const ETIME = 62;
/** Value too large: start + length wraps (B.11). */
export const EOVERFLOW = 75;
/** Not supported. */
export const EOPNOTSUPP = 95;
/** Poisoned page, reported only with FOLL_HWPOISON. */
export const EHWPOISON = 133;
/** Kernel-internal "restart the call", what the classic API returns for a fatal signal. */
export const ERESTARTSYS = 512;

/** Every errno above by number, for messages. */
const NAMES: readonly (readonly [number, string])[] = Object.freeze([
  [EPERM, 'EPERM'],
  [EINTR, 'EINTR'],
  [EIO, 'EIO'],
  [ENXIO, 'ENXIO'],
  [EBADF, 'EBADF'],
  [EAGAIN, 'EAGAIN'],
  [ENOMEM, 'ENOMEM'],
  [EACCES, 'EACCES'],
  [EFAULT, 'EFAULT'],
  [EBUSY, 'EBUSY'],
  [EEXIST, 'EEXIST'],
  [EINVAL, 'EINVAL'],
  [ENOSPC, 'ENOSPC'],
  [EMLINK, 'EMLINK'],
  [ETIME, 'ETIME'],
  [EOVERFLOW, 'EOVERFLOW'],
  [EOPNOTSUPP, 'EOPNOTSUPP'],
  [EHWPOISON, 'EHWPOISON'],
  [ERESTARTSYS, 'ERESTARTSYS'],
] as const);

/** The name of an errno, given positive or negative: `errnoName(-14)` is `'EFAULT'`; an unknown number is its digits. */
export function errnoName(errno: number): string {
  const n = Math.abs(errno);
  for (const [value, name] of NAMES) if (value === n) return name;
  return String(n);
}
