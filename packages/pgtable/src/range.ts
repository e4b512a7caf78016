/**
 * Which ranges the editor takes, and unmapping one. Linux: `vunmap_range_noflush`, `free_pgd_range`; its own loop for
 * processes (`zap_pte_range`) counts pages too and lives above this package.
 *
 * A call does the whole range, or throws before it changes an entry. Reference counts, TLBs and locks are the caller's.
 * Tables that became empty are unhooked and go to `TablePorts.freeTable` at once: where CPUs may still walk them (no
 * lock, upper entries in a TLB) that port keeps the page until the TLBs are flushed (Linux: `tlb_remove_table`).
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { childTable, clearEntry, entryIndex, entryStart, nextUsed, NO_TABLE, type Tables } from './tables.ts';

/** [start, end) must be whole pages of user memory. */
export function checkRange(tables: Tables, start: number, end: number): void {
  checkInteger('end', end, 0, tables.userEnd);
  checkInteger('start', start, 0, end);
  checkEdge(tables, 'start', start);
  checkEdge(tables, 'end', end);
}

/** `address` must be where a page begins. */
function checkEdge(tables: Tables, name: string, address: number): void {
  if (entryStart(tables, 0, address) === address) return;
  throw new RangeError(`${name}: expected a multiple of ${tables.spans[0]}, got ${address}`);
}

/** Refuses a range edge inside a huge leaf: the leaf would have to be split first. */
function refuseCut(tables: Tables, root: number, edge: number): void {
  if (edge === tables.userEnd) return;
  let table = root;
  for (let level = tables.levels - 1; level > 0 && entryStart(tables, level, edge) !== edge; level--) {
    table = childTable(tables, table, entryIndex(tables, level, edge), level);
    if (table === NO_TABLE) throw new InvariantError('HUGE_LEAF', `address ${edge} lies inside a huge leaf`);
    if (table < 0) return;
  }
}

/** [start, end) must be whole pages, and cut no huge leaf. */
export function checkWhole(tables: Tables, root: number, start: number, end: number): void {
  checkRange(tables, start, end);
  refuseCut(tables, root, start);
  refuseCut(tables, root, end);
}

/**
 * Makes every entry of [start, end) none and returns how many were not, huge leaves counting one. Every table of the
 * range that has no entry left goes to `freeTable`, the root apart. `InvariantError('HUGE_LEAF')` when an edge of the
 * range lies inside a huge leaf (see `splitAt`). Linux: `vunmap_range`, `free_pgd_range`.
 */
export function unmapRange(tables: Tables, root: number, start: number, end: number): number {
  checkWhole(tables, root, start, end);
  if (start === end) return 0;
  return clear(tables, root, tables.levels - 1, start, end);
}

/** Clears [start, end) of `table`, one of `level`. */
function clear(tables: Tables, table: number, level: number, start: number, end: number): number {
  const { entry } = tables;
  const first = entryIndex(tables, level, start);
  const last = entryIndex(tables, level, end - 1);
  if (level === 0) return clearLeaves(tables, table, first, last);
  const span = tables.spans[level]!;
  const base = entryStart(tables, level, start) - first * span;
  let cleared = 0;
  for (let index = first; (index = nextUsed(tables, table, index, last + 1)) <= last; index++) {
    const child = childTable(tables, table, index, level);
    const from = Math.max(start, base + index * span);
    const to = Math.min(end, base + (index + 1) * span);
    if (child >= 0 && to - from < span) {
      cleared += clear(tables, child, level - 1, from, to);
      if (!isEmpty(tables, child, entryIndex(tables, level - 1, from))) continue;
      clearEntry(tables, table, index, entry);
      tables.freeTable(child);
    } else {
      clearEntry(tables, table, index, entry);
      cleared += child < 0 ? 1 : release(tables, child, level - 1);
    }
  }
  return cleared;
}

/**
 * Gives an unhooked table of `level` and all below it to `freeTable` and returns how many entries led nowhere else.
 * Its entries stay: whoever still walks it is as one whose TLB has not been flushed.
 */
function release(tables: Tables, table: number, level: number): number {
  const { entries } = tables;
  let count = level > 0 ? 0 : countUsed(tables, table);
  let index = level > 0 ? nextUsed(tables, table, 0) : entries;
  for (; index < entries; index = nextUsed(tables, table, index + 1)) {
    const child = childTable(tables, table, index, level);
    count += child < 0 ? 1 : release(tables, child, level - 1);
  }
  tables.freeTable(table);
  return count;
}

/** Entries of a table that are not none. */
function countUsed(tables: Tables, table: number): number {
  const words = frameWords(tables.phys, table);
  const first = frameWordIndex(tables.phys, table);
  const last = (first + tables.entries * 2) | 0;
  let count = 0;
  // Each `| 0` spares a test for overflow, the first comparison mostly the second word. Two at a time: their number is even.
  for (let at = first; at < last; at = (at + 4) | 0) {
    if (words[at] !== 0 || words[at | 1] !== 0) count = (count + 1) | 0;
    if (words[(at + 2) | 0] !== 0 || words[(at + 3) | 0] !== 0) count = (count + 1) | 0;
  }
  return count;
}

/** True when a table has no entry. What is mapped lies mostly together: the search begins a little below `index`. */
function isEmpty(tables: Tables, table: number, index: number): boolean {
  const near = Math.max(index - 8, 0);
  return nextUsed(tables, table, near) === tables.entries && nextUsed(tables, table, 0, near) === near;
}

/** Clears entries `first` to `last` of a leaf table. */
function clearLeaves(tables: Tables, table: number, first: number, last: number): number {
  const { phys, lowAt } = tables;
  const words = frameWords(phys, table);
  const base = frameWordIndex(phys, table) + lowAt;
  const end = (base + last * 2) | 0;
  let cleared = 0;
  for (let low = (base + first * 2) | 0; low <= end; low = (low + 2) | 0) {
    if (words[low] === 0 && words[low ^ 1] === 0) continue;
    words[low] = 0;
    words[low ^ 1] = 0;
    cleared = (cleared + 1) | 0;
  }
  return cleared;
}
