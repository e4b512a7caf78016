/** FOLL_* of the documented call by the values of Linux 3.14 and 4.8 (A.2), and their translation to today's. */
import type { Policy } from '@mmkit/aspace';
import * as today from '@mmkit/base';
import * as request from './request.ts';

/** The entry must be writable. */
export const FOLL_WRITE = 0x01;
/** Mark the page accessed, and dirty on write. */
export const FOLL_TOUCH = 0x02;
/** Take a reference. */
export const FOLL_GET = 0x04;
/** Give an error instead of creating a zero-filled page. */
export const FOLL_DUMP = 0x08;
/** Use the VM_MAY* permissions. */
export const FOLL_FORCE = 0x10;
/** Start I/O, do not wait for it, keep the lock. */
export const FOLL_NOWAIT = 0x20;
/** Fault pages in, but for the guard of a stack (4.4 and up). The value was FOLL_MLOCK's before. */
export const FOLL_POPULATE = 0x40;
/**
 * mlock pages found in locked memory; with FOLL_POPULATE what is not there is faulted in, else passed over (4.4 and
 * up).
 */
export const FOLL_MLOCK = 0x1000;
/** Up to 4.3: fault pages in, but for the guard of a stack, and mlock those found in locked memory. */
export const FOLL_MLOCK_3_14 = 0x40;
/** Split a huge page first; there is none here. */
export const FOLL_SPLIT = 0x80;
/** Report a poisoned page as -EHWPOISON. */
export const FOLL_HWPOISON = 0x100;
/** Take NUMA hinting faults; there are none here. */
export const FOLL_NUMA = 0x200;
/** Wait for migration entries; there are none here. */
export const FOLL_MIGRATION = 0x400;
/** Second pass after a retry (3.18 and up); not together with `nonblocking`. */
export const FOLL_TRIED = 0x800;
/** The mm is not the caller's own (4.6 and up). */
export const FOLL_REMOTE = 0x2000;

/** Every flag this call knows under every policy. */
const CLASSIC_FLAGS = 0x2fbf;

/** What of `gup_flags` the call knows: GUP stopped mlocking with 5.18, and FOLL_POPULATE went with it. */
export function knownFlags(policy: Policy): number {
  if (policy.mlocks === 'gup') return CLASSIC_FLAGS | FOLL_MLOCK_3_14;
  return policy.mlocks === 'gupPopulate' ? CLASSIC_FLAGS | FOLL_POPULATE | FOLL_MLOCK : CLASSIC_FLAGS;
}

/** The engine's flags for the classic ones, all known; those that mean nothing here fall away. */
export function modernFlags(policy: Policy, flags: number): number {
  let modern = 0;
  if ((flags & FOLL_POPULATE) !== 0) modern |= request.FOLL_POPULATE;
  if ((flags & (policy.mlocks === 'gup' ? FOLL_MLOCK_3_14 : FOLL_MLOCK)) !== 0) modern |= request.FOLL_MLOCK;
  if ((flags & FOLL_WRITE) !== 0) modern |= today.FOLL_WRITE;
  if ((flags & FOLL_TOUCH) !== 0) modern |= today.FOLL_TOUCH;
  if ((flags & FOLL_GET) !== 0) modern |= today.FOLL_GET;
  if ((flags & FOLL_DUMP) !== 0) modern |= today.FOLL_DUMP;
  if ((flags & FOLL_FORCE) !== 0) modern |= today.FOLL_FORCE;
  if ((flags & FOLL_NOWAIT) !== 0) modern |= today.FOLL_NOWAIT;
  if ((flags & FOLL_HWPOISON) !== 0) modern |= today.FOLL_HWPOISON;
  if ((flags & FOLL_TRIED) !== 0) modern |= today.FOLL_TRIED;
  if ((flags & FOLL_REMOTE) !== 0) modern |= today.FOLL_REMOTE;
  return modern;
}
