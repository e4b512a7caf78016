/**
 * Scheduling points: the numbers a coloured function yields. Each stands before an access to shared state that no held
 * lock covers; the explorer may run another task there. Reference E.5.
 */

/** The task waits: it may not run again until somebody wakes it. Yielded by the waiting primitives only. */
export const BLOCKED = 0;
/** Before the first step of a task. */
export const P_START = 1;
/** Before an attempt to take a spinlock, mutex, folio lock or rwsem. */
export const P_LOCK = 2;
/** Before an interrupt is sent to the next CPU. */
export const P_IPI = 3;
/** Sequence count: before the reader's first read or its check. */
export const P_SEQ = 4;
/** Before interrupts are turned off on this CPU. */
export const P_IRQ = 5;
/** Before an RCU read section begins, or a grace period is asked for. */
export const P_RCU = 6;
/** gup-fast: before a table entry is read. */
export const P_GUP_READ = 7;
/** gup-fast: entry read, before the folio is grabbed. */
export const P_GUP_GRAB = 8;
/** gup-fast: folio grabbed, before the entry is read again. */
export const P_GUP_RECHECK = 9;
/** gup-fast: entry unchanged, before PageAnonExclusive is looked at. */
export const P_GUP_UNSHARE = 10;
/** Slow GUP: after a fault, before the page is looked up again. */
export const P_GUP_AGAIN = 11;
/** Before MMF_HAS_PINNED is set. */
export const P_HAS_PINNED = 12;
/** fork: before the page is tested for pins. */
export const P_FORK_TEST = 13;
/** fork: tested as not pinned, before the parent's entry is write-protected. */
export const P_FORK_WRPROTECT = 14;
/** Unmap: before a page-table entry is cleared. */
export const P_ZAP_CLEAR = 15;
/** Unmap: entries cleared, before the TLB flush. */
export const P_ZAP_FLUSH = 16;
/** Unmap: flushed, before the pages are freed. */
export const P_ZAP_FREE = 17;
/** Page fault: before the entry is read without its lock. */
export const P_FAULT_READ = 18;
/** Page fault: page allocated or copied, before the entry is locked and compared. */
export const P_FAULT_LOCK = 19;
/** A CPU: before a load or store is translated. */
export const P_ACCESS = 20;
/** A CPU: translated, before the bytes move. */
export const P_ACCESS_DATA = 21;
/** A device: before it reads or writes memory. */
export const P_DMA = 22;

const NAMES: readonly string[] = Object.freeze([
  'blocked',
  'start',
  'lock',
  'ipi',
  'sequence count',
  'irq on/off',
  'rcu read section',
  'gup-fast: read entry',
  'gup-fast: grab folio',
  'gup-fast: read entry again',
  'gup-fast: exclusive?',
  'gup: look up again',
  'set has-pinned',
  'fork: pinned?',
  'fork: write-protect',
  'unmap: clear entry',
  'unmap: flush TLB',
  'unmap: free',
  'fault: read entry',
  'fault: lock entry',
  'cpu: translate',
  'cpu: move bytes',
  'device: move bytes',
]);

/** What a point stands before, in words; a number of your own is printed as `point N`. */
export function pointName(point: number): string {
  return NAMES[point] ?? `point ${point}`;
}
