/**
 * Moving page-table entries from one range to another (Linux: move_page_tables, move_ptes; N.14). Each entry is cleared at
 * the old place before it appears at the new one, and the old range is flushed from the TLBs before the page-table
 * locks are dropped: else another CPU could use a page through its old address after it was freed at the new one
 * (CVE-2018-18281, C.10). The page itself, its counts and pins do not change.
 *
 * Caller holds mmap_lock for writing. Inside, per leaf table: the i_mmap lock of a file, so that truncation finds the
 * page at one of the two places; the old table's page-table lock, then the new one's.
 */
import type { Task } from '@mmkit/base';
import { upWrite } from '@mmkit/rwsem';
import type { RwSem } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import {
  clearEntry,
  createCursor,
  createDecoded,
  createEntry,
  ENTRY_LEAF,
  leafIndex,
  leafTableAlloc,
  levelIndex,
  nextRun,
  readEntry,
  tableAt,
  tableAtAlloc,
  writeEntry,
} from '@mmkit/pgtable';
import type { Cursor } from '@mmkit/pgtable';
import { SINGLE_DEPTH_NESTING } from '@mmkit/task';
import { flushTlbRange } from './flush.co.ts';
import { ptlUnlock } from './folio.ts';
import { depositTable, hugePageSize, withdrawTable } from './huge.ts';
import { ptlLock } from './lock.co.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { splitHugePmd } from './split-huge.co.ts';

/**
 * Moves the entries of [from, from + length) to `to` on (bytes, page-aligned, not overlapping; nothing is mapped there).
 * `iMmapLock` is that of the file mapped, or null. Returns the bytes done: `length`, or less when a table could not be
 * allocated; entries behind stay where they were.
 */
export function* moveTables(mm: Mm, from: number, to: number, length: number, iMmapLock: RwSem | null): Task<number> {
  const { memory } = mm;
  const { tables, format } = memory;
  const root = mm.words[MM_ROOT]!;
  const span = format.spans[0]!;
  const huge = hugePageSize(memory);
  const cursor = createCursor(from, from + length);
  while (nextRun(tables, root, cursor)) {
    const start = Math.max(from, cursor.address);
    const together = start % huge === 0 && (start - from + to) % huge === 0 && start + huge <= from + length;
    if (together && iMmapLock === null && (cursor.level > 0 || cursor.count === tables.entries)) {
      const error = yield* moveTogether(mm, cursor, start - from + to);
      if (error < 0) return start - from;
      if (error === 0) continue;
    }
    if (cursor.level > 0) {
      yield* splitHugePmd(mm, cursor.address);
      cursor.next = start;
      continue;
    }
    // A run lies in one old table; it may straddle two new ones.
    let index = cursor.index;
    const last = index + cursor.count;
    while (index < last) {
      const old = cursor.address + (index - cursor.index) * span;
      const target = old - from + to;
      const at = leafIndex(format, target);
      const count = Math.min(last - index, tables.entries - at);
      const table = leafTableAlloc(tables, root, target);
      if (table < 0) return old - from;
      if (iMmapLock !== null) yield* downWrite(memory.sched, iMmapLock);
      yield* moveEntries(mm, cursor.table, index, table, at, count, old);
      if (iMmapLock !== null) upWrite(memory.sched, iMmapLock);
      index += count;
    }
  }
  return length;
}

/**
 * Moves the large entry the cursor has found (move_huge_pmd), or the leaf table of its run (move_normal_pmd): 0; -ENOMEM; 1
 * when it must be done entry by entry, as something is at the new place.
 */
function* moveTogether(mm: Mm, cursor: Cursor, target: number): Task<number> {
  const { memory } = mm;
  const { tables, format } = memory;
  const root = mm.words[MM_ROOT]!;
  const toTable = tableAtAlloc(tables, root, target, 1);
  if (toTable < 0) return toTable;
  const fromTable = tableAt(tables, root, cursor.address, 1);
  const fromIndex = levelIndex(format, 1, cursor.address);
  const toIndex = levelIndex(format, 1, target);
  const entry = createEntry();
  yield* ptlLock(memory, fromTable);
  if (toTable !== fromTable) yield* ptlLock(memory, toTable, SINGLE_DEPTH_NESTING);
  readEntry(tables, toTable, toIndex, entry);
  const free = (entry.lo | entry.hi) === 0;
  if (free) {
    clearEntry(tables, fromTable, fromIndex, entry);
    const deposited = cursor.level > 0 && toTable !== fromTable;
    if (deposited) depositTable(memory, toTable, withdrawTable(memory, fromTable));
    writeEntry(tables, toTable, toIndex, entry);
    yield* flushTlbRange(mm, cursor.address, cursor.address + hugePageSize(memory));
  }
  if (toTable !== fromTable) ptlUnlock(memory, toTable);
  ptlUnlock(memory, fromTable);
  return free ? 0 : 1;
}

/** Moves `count` entries between two leaf tables; `old` is the address of the first (move_ptes). */
function* moveEntries(
  mm: Mm,
  fromTable: number,
  fromIndex: number,
  toTable: number,
  toIndex: number,
  count: number,
  old: number,
): Task<void> {
  const { memory } = mm;
  const { tables, format } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  let flush = false;
  yield* ptlLock(memory, fromTable);
  if (toTable !== fromTable) yield* ptlLock(memory, toTable, SINGLE_DEPTH_NESTING);
  for (let i = 0; i < count; i++) {
    clearEntry(tables, fromTable, fromIndex + i, entry);
    if ((entry.lo | entry.hi) === 0) continue;
    format.decode(entry.lo, entry.hi, 0, decoded);
    if (decoded.kind === ENTRY_LEAF) flush = true;
    writeEntry(tables, toTable, toIndex + i, entry);
  }
  if (flush) yield* flushTlbRange(mm, old, old + count * format.spans[0]!);
  if (toTable !== fromTable) ptlUnlock(memory, toTable);
  ptlUnlock(memory, fromTable);
}
