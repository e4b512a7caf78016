/**
 * The page-table lock of a table page (Linux keeps one in the struct page of each): bit PG_locked of its flags word.
 * Inside mmap_lock and the folio lock; two of them: fork takes the child's first.
 */
import type { Task } from '@mmkit/base';
import { HOT_FLAGS, HOT_WORDS, PG_LOCKED } from '@mmkit/phys';
import { spinLockBit } from '@mmkit/task/sched';
import type { Memory } from './memory.ts';

/** Takes the page-table lock of the table page `table`, a spinlock: its holder may not sleep. */
export function* ptlLock(memory: Memory, table: number): Task<void> {
  yield* spinLockBit(memory.sched, memory.phys.hot, table * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}
