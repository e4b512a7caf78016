/**
 * The page-table lock of a table page (Linux keeps one in the struct page of each): bit PG_locked of its flags word.
 * Inside mmap_lock and the folio lock. The second of two has a subclass: a leaf table's inside the upper table's; fork takes
 * the child's first, mremap the old place's.
 */
import type { Task } from '@mmkit/base';
import { HOT_FLAGS, HOT_WORDS, PG_LOCKED } from '@mmkit/phys';
import { PAGE_TABLE_LOCK } from '@mmkit/task';
import { spinLockBit } from '@mmkit/task/sched';
import type { Memory } from './memory.ts';

/**
 * Takes the page-table lock of the table page `table`, a spinlock: its holder may not sleep. `subclass` is
 * SINGLE_DEPTH_NESTING when the caller has another one.
 */
export function* ptlLock(memory: Memory, table: number, subclass: number = 0): Task<void> {
  const word = table * HOT_WORDS + HOT_FLAGS;
  yield* spinLockBit(memory.sched, memory.phys.hot, word, PG_LOCKED, PAGE_TABLE_LOCK, subclass);
}
