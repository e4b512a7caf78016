/**
 * Visiting the entries of an address range, table by table. Linux: the loops of `walk_page_range`, `zap_pmd_range`, …
 * The caller holds what keeps the tables alive (Linux: mmap_lock); between two runs it may change them as it likes.
 */
import { checkAddress } from '@mmkit/base';
import { checkUserAddress, childTable, entryIndex, entryStart, nextUsed, NO_ENTRY, type Tables } from './tables.ts';

export class Cursor {
  /** Address the first entry of the run maps. Set by `nextRun`, `nextEntry`, `findEntry`, as all but `end`. */
  address: number;
  /** End of the range (exclusive). */
  end: number;
  /** PFN of the run's table. */
  table: number;
  /** Index of the run's first entry in it. */
  index: number;
  /** Entries of the run. */
  count: number;
  /** Level of the table: 0, or the level of a huge leaf, which is a run of its own. */
  level: number;
  /** Where the search for the next run begins. */
  next: number;

  constructor(start: number, end: number) {
    this.address = start;
    this.end = end;
    this.table = 0;
    this.index = 0;
    this.count = 0;
    this.level = 0;
    this.next = start;
  }
}

/** A cursor before the first run of [start, end). An empty range has no run. */
export function createCursor(start: number, end: number): Cursor {
  checkAddress('start', start);
  checkAddress('end', end);
  return new Cursor(start, end);
}

/**
 * Sets the cursor's table, index, level and address to the entry that decides about `address`: a leaf, a non-present
 * entry, or the one that is none. Gives what `childTable` said of it.
 */
function descend(tables: Tables, root: number, address: number, cursor: Cursor): number {
  let table = root;
  let level = tables.levels - 1;
  let index = entryIndex(tables, level, address);
  let child = NO_ENTRY;
  while (level > 0 && (child = childTable(tables, table, index, level)) >= 0) {
    table = child;
    level--;
    index = entryIndex(tables, level, address);
  }
  cursor.address = entryStart(tables, level, address);
  cursor.table = table;
  cursor.index = index;
  cursor.level = level;
  return child;
}

/**
 * Finds the entry that decides about `address` (any byte of user memory), whatever the cursor's range: a leaf of any
 * level, a non-present entry, or the entry that is none where the path ends. The cursor is its run, of one entry; the
 * next search goes on behind it. Linux: `follow_pte`, `lookup_address`.
 */
export function findEntry(tables: Tables, root: number, address: number, cursor: Cursor): void {
  checkUserAddress(tables.format, address);
  descend(tables, root, address, cursor);
  cursor.count = 1;
  cursor.next = cursor.address + tables.spans[cursor.level]!;
}

/**
 * Moves to the next entry of the range that is not none: a run of one entry. A huge leaf is found whole, even where the
 * range covers a part of it. False at the end of the range.
 */
export function nextEntry(tables: Tables, root: number, cursor: Cursor): boolean {
  const { entries, spans } = tables;
  const { end } = cursor;
  while (cursor.next < end) {
    const child = descend(tables, root, cursor.next, cursor);
    const { address, table, index, level } = cursor;
    const span = spans[level]!;
    const limit = Math.min(entries, index + Math.ceil((end - address) / span)) | 0;
    const used = nextUsed(tables, table, index, limit);
    cursor.next = address + (used - index) * span;
    if (level > 0 ? child === NO_ENTRY : used === limit) continue;
    cursor.address = cursor.next;
    cursor.index = used;
    cursor.count = 1;
    cursor.next += span;
    return true;
  }
  return false;
}

/**
 * Moves to the next run: entries `index` to `index + count - 1` of `table`, the first of which maps `address`. A run is
 * the part of one existing leaf table that the range covers (its entries may be none), or one huge leaf or upper-level
 * non-present entry, whole, even where the range covers a part of it. False at the end of the range.
 */
export function nextRun(tables: Tables, root: number, cursor: Cursor): boolean {
  const { entries, spans } = tables;
  const { end } = cursor;
  while (cursor.next < end) {
    const child = descend(tables, root, cursor.next, cursor);
    const { address, table, index, level } = cursor;
    const span = spans[level]!;
    // `| 0`: as doubles, the counts would make their users' loops four times slower.
    const limit = Math.min(entries, index + Math.ceil((end - address) / span)) | 0;
    if (level === 0 || child !== NO_ENTRY) {
      cursor.count = level > 0 ? 1 : limit - index;
      cursor.next = address + cursor.count * span;
      return true;
    }
    cursor.next = address + (nextUsed(tables, table, index, limit) - index) * span;
  }
  return false;
}
