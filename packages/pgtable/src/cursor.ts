/**
 * Visiting the entries of an address range, table by table. Linux: the loops of `walk_page_range`, `zap_pmd_range`, …
 * The caller holds what keeps the tables alive (Linux: mmap_lock); between two runs it may change them as it likes.
 */
import { alignDown, checkAddress } from '@mmkit/base';
import { childTable, levelIndex, nextUsed, NO_ENTRY, type Tables } from './tables.ts';

export class Cursor {
  /** Address the first entry of the run maps. Set by `nextRun`. */
  address: number;
  /** End of the range (exclusive). */
  end: number;
  /** PFN of the run's table. Set by `nextRun`. */
  table: number;
  /** Index of the run's first entry in it. Set by `nextRun`. */
  index: number;
  /** Entries of the run. Set by `nextRun`. */
  count: number;
  /** Level of the table: 0, or the level of a huge leaf, which is a run of its own. Set by `nextRun`. */
  level: number;
  /** Where the search for the next run begins. `nextRun` only. */
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
 * Moves to the next run: entries `index` to `index + count - 1` of `table`, the first of which maps `address`. A run is
 * the part of one existing leaf table that the range covers (its entries may be none), or one huge leaf or upper-level
 * non-present entry, whole, even where the range covers a part of it. False at the end of the range.
 */
export function nextRun(tables: Tables, root: number, cursor: Cursor): boolean {
  const { format, entries } = tables;
  const { end } = cursor;
  let address = cursor.next;
  while (address < end) {
    let table = root;
    let level = format.levels - 1;
    let index = levelIndex(format, level, address);
    let child = NO_ENTRY;
    while (level > 0 && (child = childTable(tables, table, index, level)) >= 0) {
      table = child;
      level--;
      index = levelIndex(format, level, address);
    }
    const span = format.spans[level]!;
    address = alignDown(address, span);
    if (level === 0 || child !== NO_ENTRY) {
      cursor.address = address;
      cursor.table = table;
      cursor.index = index;
      cursor.count = level > 0 ? 1 : Math.min(entries - index, Math.ceil((end - address) / span));
      cursor.level = level;
      cursor.next = address + cursor.count * span;
      return true;
    }
    address += (nextUsed(tables, table, index) - index) * span;
  }
  cursor.next = end;
  return false;
}
