/**
 * Locks that are a bit of the frame's flags word: the folio lock, and the page-table lock of a table page (Linux keeps
 * one in the struct page of each table page). Both are PG_locked: a table page is never a folio that somebody locks.
 * Order (outer to inner): mmap_lock, folio lock, page-table lock; two page-table locks: fork takes the child's first.
 */
import type { Task } from '@mmkit/base';
import { HOT_FLAGS, HOT_WORDS, PG_LOCKED } from '@mmkit/phys';
import { lockBit, spinLockBit } from '@mmkit/task/sched';
import type { Memory } from './memory.ts';

/** Takes the lock of the folio `pfn`; sleeps as long as it takes. */
export function* folioLock(memory: Memory, pfn: number): Task<void> {
  yield* lockBit(memory.sched, memory.phys.hot, pfn * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

/** Takes the page-table lock of the table page `table`, a spinlock: its holder may not sleep. */
export function* ptlLock(memory: Memory, table: number): Task<void> {
  yield* spinLockBit(memory.sched, memory.phys.hot, table * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}
