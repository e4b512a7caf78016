/**
 * Scheduling points: the numbers a coloured function yields. Each stands before an access to shared state that no held
 * lock covers; the explorer may run another task there. Reference E.5.
 */

/** The task waits: it may not run again until somebody wakes it. Yielded by the waiting primitives only. */
export const BLOCKED = 0;
/** Before an attempt to take a spinlock, mutex, folio lock or rwsem. */
export const P_LOCK = 1;
/** Before an interrupt is sent to the next CPU. */
export const P_IPI = 2;
/** Sequence count: before the reader's first read or its check. */
export const P_SEQ = 3;
/** Before interrupts are turned off on this CPU. */
export const P_IRQ = 4;
/** Before an RCU read section begins, or a grace period is asked for. */
export const P_RCU = 5;
/** gup-fast: before a table entry is read. */
export const P_GUP_READ = 6;
/** gup-fast: entry read, before the folio is grabbed. */
export const P_GUP_GRAB = 7;
/** gup-fast: folio grabbed, before the entry is read again. */
export const P_GUP_RECHECK = 8;
/** gup-fast: entry unchanged, before PageAnonExclusive is looked at. */
export const P_GUP_UNSHARE = 9;
/** Slow GUP: after a fault, before the page is looked up again. */
export const P_GUP_AGAIN = 10;
/** Before MMF_HAS_PINNED is set. */
export const P_HAS_PINNED = 11;
/** fork: before the page is tested for pins. */
export const P_FORK_TEST = 12;
/** fork: tested as not pinned, before the parent's entry is write-protected. */
export const P_FORK_WRPROTECT = 13;
/** Unmap: before a page-table entry is cleared. */
export const P_ZAP_CLEAR = 14;
/** Unmap: entries cleared, before the TLB flush. */
export const P_ZAP_FLUSH = 15;
/** Unmap: flushed, before the pages are freed. */
export const P_ZAP_FREE = 16;
/** Page fault: before the entry is read without its lock. */
export const P_FAULT_READ = 17;
/** Page fault: page allocated or copied, before the entry is locked and compared. */
export const P_FAULT_LOCK = 18;
/** A CPU: before a load or store is translated. */
export const P_ACCESS = 19;
/** A CPU: translated, before the bytes move. */
export const P_ACCESS_DATA = 20;
/** Before the pages an address space has pinned for long (pinned_vm) are counted. */
export const P_PINNED_VM = 21;
/** RDMA: before the key of a memory region is given out or withdrawn. */
export const P_RDMA_KEY = 22;
/** Page cache: before a page, or the size of the file, is looked at without its lock. */
export const P_CACHE_LOOKUP = 23;
/** Page cache: before the bytes of a page that is not locked are copied. */
export const P_CACHE_COPY = 24;
/** Writeback: mappings cleaned, before PG_dirty is tested and cleared. */
export const P_CACHE_CLEAN = 25;
/** Truncation, hole punch, invalidation: before the pages of the range are unmapped. */
export const P_CACHE_UNMAP = 26;
/** mprotect: before an entry is given other rights. */
export const P_PROTECT = 27;
/** A device: before it moves bytes. */
export const P_DEVICE = 28;
/** Before a pin is given back. */
export const P_UNPIN = 29;
/** Write fault: before the page's references are counted, to reuse it. */
export const P_WP_REUSE = 30;
/** Write fault: decided, before the entry is made writable or the copy is mapped. */
export const P_WP_MAP = 31;
/** Migration: before the entry becomes a migration entry. */
export const P_MIGRATE_UNMAP = 32;
/** Migration: before the references are compared with those expected and frozen. */
export const P_MIGRATE_FREEZE = 33;
/** Migration: before the page is copied. */
export const P_MIGRATE_COPY = 34;
/** Migration: before the new page is mapped. */
export const P_MIGRATE_MAP = 35;
/** khugepaged: before the upper entry is cleared. */
export const P_COLLAPSE_CLEAR = 36;
/** khugepaged: table unhooked, before the references are looked at. */
export const P_COLLAPSE_CHECK = 37;
/** khugepaged: pages copied and unmapped, before the huge page is mapped. */
export const P_COLLAPSE_MAP = 38;
/** Unmap: before a page-table page is freed. */
export const P_TABLE_FREE = 39;
/** A free page: before its new owner writes to it. */
export const P_REUSE = 40;
/** Inside a critical section, where another task may look at the lock. */
export const P_HELD = 41;
/** khugepaged: nobody else holds a page, before the pages are copied and unmapped. */
export const P_COLLAPSE_COPY = 42;

const NAMES: readonly string[] = Object.freeze([
  'blocked',
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
  'count pinned_vm',
  'rdma: region key',
  'page cache: look up',
  'page cache: copy bytes',
  'writeback: clear dirty',
  'page cache: unmap range',
  'mprotect: change entry',
  'device: move bytes',
  'unpin',
  'write fault: only reference?',
  'write fault: map',
  'migration: unmap',
  'migration: references?',
  'migration: copy',
  'migration: map',
  'khugepaged: clear pmd',
  'khugepaged: references?',
  'khugepaged: map',
  'free page table',
  'page reused',
  'lock held',
  'khugepaged: copy',
]);

/** What a point stands before, in words; a number of your own is printed as `point N`. */
export function pointName(point: number): string {
  return NAMES[point] ?? `point ${point}`;
}
