/**
 * The page-table lock of a table page (Linux keeps one in the struct page of each): bit PG_locked of its flags word.
 * Inside mmap_lock and the folio lock. The second of two has a subclass: a leaf table's inside the upper table's; fork takes
 * the child's first, mremap the old place's.
 */
import type { Task } from '@mmkit/base';
import { leafTable } from '@mmkit/pgtable';
import { HOT_FLAGS, HOT_WORDS, PG_LOCKED } from '@mmkit/phys';
import { PAGE_TABLE_LOCK } from '@mmkit/task';
import { spinLockBit } from '@mmkit/task/sched';
import { ptlUnlock } from './folio.ts';
import type { Memory } from './memory.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { OTHERS_RUN } from './others.sched.ts';

/**
 * Takes the page-table lock of the table page `table`, a spinlock: its holder may not sleep. `subclass` is
 * SINGLE_DEPTH_NESTING when the caller has another one.
 */
export function* ptlLock(memory: Memory, table: number, subclass: number = 0): Task<void> {
  const word = table * HOT_WORDS + HOT_FLAGS;
  yield* spinLockBit(memory.sched, memory.phys.hot, word, PG_LOCKED, PAGE_TABLE_LOCK, subclass);
}

/**
 * Takes the lock of the leaf table `table`, which was found for `address` (bytes): false, with nothing taken, where it is
 * that table no longer (Linux: pte_offset_map_lock gives NULL). MADV_DONTNEED unhooks tables that it has emptied, under a
 * read hold of mmap_lock as others have.
 */
export function* ptlLockLeaf(mm: Mm, table: number, address: number): Task<boolean> {
  const { memory } = mm;
  yield* ptlLock(memory, table);
  if (!OTHERS_RUN || leafTable(memory.tables, mm.words[MM_ROOT]!, address) === table) return true;
  ptlUnlock(memory, table);
  return false;
}
