/**
 * Taking page tables away. Linux: `free_pgtables`, `free_pgd_range`. The caller holds mmap_lock for write, or is alone.
 *
 * A table may be used again only when no CPU can walk it any more, so unhooking and freeing are two steps: unhook,
 * flush TLBs, wait for lock-free walkers, then `tables.freeTable` for each (reference N.11).
 */
import { alignDown, checkInteger } from '@mmkit/base';
import { childTable, clearEntry, levelIndex, nextUsed, type Tables } from './tables.ts';

/**
 * Unhooks every table, the root apart, whose whole span lies inside [floor, ceiling) and which covers a part of
 * [start, end), and adds its PFN to `out`, tables of lower levels first. `floor` is the end of the mapping below (0
 * without one), `ceiling` the start of the one above (`userEnd` without one; where Linux says 0): so nothing else is
 * mapped between them, and the entries of [start, end) have been cleared before. That is not checked.
 */
export function unhookTables(
  tables: Tables,
  root: number,
  floor: number,
  ceiling: number,
  start: number,
  end: number,
  out: number[],
): void {
  checkInteger('ceiling', ceiling, 0, tables.format.userEnd);
  checkInteger('end', end, 0, ceiling);
  checkInteger('start', start, 0, end);
  checkInteger('floor', floor, 0, start);
  if (start < end) unhookBelow(tables, root, tables.format.levels - 1, floor, ceiling, start, end, out);
}

/** The same for the tables below `table`, one of `level`. */
function unhookBelow(
  tables: Tables,
  table: number,
  level: number,
  floor: number,
  ceiling: number,
  start: number,
  end: number,
  out: number[],
): void {
  const { format } = tables;
  const span = format.spans[level]!;
  for (let base = alignDown(start, span); base < end; base += span) {
    const index = levelIndex(format, level, base);
    const child = childTable(tables, table, index, level);
    if (child < 0) continue;
    const last = Math.min(base + span, end);
    if (level > 1) unhookBelow(tables, child, level - 1, floor, ceiling, Math.max(base, start), last, out);
    if (base < floor || base + span > ceiling) continue;
    clearEntry(tables, table, index, tables.entry);
    out.push(child);
  }
}

/** Gives every table of `root`, the root included, to `tables.freeTable`. Nothing may walk them any more. */
export function freeAllTables(tables: Tables, root: number): void {
  freeBelow(tables, root, tables.format.levels - 1);
}

function freeBelow(tables: Tables, table: number, level: number): void {
  let index = level > 0 ? nextUsed(tables, table, 0) : tables.entries;
  while (index < tables.entries) {
    const child = childTable(tables, table, index, level);
    if (child >= 0) freeBelow(tables, child, level - 1);
    index = nextUsed(tables, table, index + 1);
  }
  tables.freeTable(table);
}
