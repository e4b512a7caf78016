/**
 * Mapping an address range: what emulators, hypervisors and `vmap`-like users need. Linux: `vmap_range_noflush`,
 * `vmap_pages_range`, `ioremap_page_range`, and `set_ptes`; what faults and forks map is counted too and lives above this
 * package.
 *
 * A call maps the whole range, or throws or returns -ENOMEM before it changes an entry: it takes all the table pages it
 * needs first. A new table is hooked when it is full. Reference counts and locks are the caller's.
 */
import { alignDown, checkInteger, ENOMEM, InvariantError, isAligned } from '@mmkit/base';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { createCursor, nextEntry } from './cursor.ts';
import { E_USER_TABLE, ENTRY_LEAF, ENTRY_TABLE, setDecoded } from './flags.ts';
import { PFN_LIMIT } from './format.ts';
import { checkRange } from './range.ts';
import { childTable, entryIndex, entryStart, NO_ENTRY, type Tables, tryEncode, writeEntry } from './tables.ts';

/** What a map call carries through the levels. */
class Mapping {
  readonly tables: Tables;
  /** Flags of the leaves. */
  readonly flags: number;
  /** Highest level that may hold one. */
  readonly top: number;
  /** Words of a level-0 leaf of frame 0. */
  readonly lo: number;
  readonly hi: number;
  /** The table pages it needs, taken before anything is changed. */
  readonly pages: number[];

  constructor(tables: Tables, flags: number, top: number) {
    this.tables = tables;
    this.flags = flags;
    this.top = top;
    this.lo = tables.entry.lo;
    this.hi = tables.entry.hi;
    this.pages = [];
  }
}

/**
 * Maps the pages of [start, end) to consecutive frames from `pfn` on, as level-0 leaves with `flags` (E_*). Returns 0,
 * or -ENOMEM with nothing changed. `InvariantError('ALREADY_MAPPED')` when any page of the range has an entry,
 * 'BAD_ENTRY' when the format has no such leaf. Linux: `vmap_pages_range` without huge pages.
 */
export function mapRange(tables: Tables, root: number, start: number, end: number, pfn: number, flags: number): number {
  checkMapping(tables, root, start, end, pfn, flags);
  return map(new Mapping(tables, flags, 0), root, start, end, pfn);
}

/**
 * The same with the largest leaves that the format has and that fit: those whose whole span lies in the range, is
 * aligned in the frames too, and has no table yet. Linux: `vmap_range_noflush`, `ioremap_page_range`.
 */
export function mapLargest(
  tables: Tables,
  root: number,
  start: number,
  end: number,
  pfn: number,
  flags: number,
): number {
  const top = topLevel(tables, end - start, flags);
  checkMapping(tables, root, start, end, pfn, flags);
  return map(new Mapping(tables, flags, top), root, start, end, pfn);
}

/** Leaves the words of a level-0 leaf in the scratch entry. */
function checkMapping(tables: Tables, root: number, start: number, end: number, pfn: number, flags: number): void {
  const { format, decoded, entry } = tables;
  checkRange(tables, start, end);
  checkInteger('pfn', pfn, 0, PFN_LIMIT - (end - start) / tables.spans[0]!);
  const cursor = createCursor(start, end);
  if (nextEntry(tables, root, cursor)) {
    throw new InvariantError('ALREADY_MAPPED', `address ${cursor.address} has an entry already`);
  }
  setDecoded(decoded, ENTRY_LEAF, 0, flags);
  format.encode(decoded, 0, entry);
}

/** Highest level at which the format has leaves with `flags` of at most `bytes`. */
function topLevel(tables: Tables, bytes: number, flags: number): number {
  const { format, decoded, entry } = tables;
  let level = 0;
  while (level + 1 < format.levels && format.spans[level + 1]! <= bytes) {
    setDecoded(decoded, ENTRY_LEAF, 0, flags);
    if (!tryEncode(format, decoded, level + 1, entry)) break;
    level++;
  }
  return level;
}

function map(mapping: Mapping, root: number, start: number, end: number, pfn: number): number {
  const { tables, pages } = mapping;
  const top = tables.levels - 1;
  if (!reserve(mapping, root, top, start, end, pfn)) {
    for (const page of pages) tables.freeTable(page);
    return -ENOMEM;
  }
  fill(mapping, root, top, start, end, pfn);
  return 0;
}

/** True when [start, end), which one entry of `level` covers, may be one leaf. */
function fits(mapping: Mapping, level: number, start: number, end: number, pfn: number): boolean {
  if (level > mapping.top) return false;
  const { spans } = mapping.tables;
  return end - start === spans[level] && isAligned(pfn, spans[level]! / spans[0]!);
}

/** Takes a page for every table that [start, end) lacks below `table`, one of `level`, or -1 where it lacks that too. */
function reserve(mapping: Mapping, table: number, level: number, start: number, end: number, pfn: number): boolean {
  const { tables, pages } = mapping;
  const span = tables.spans[level]!;
  for (let at = start, next: number, frame = pfn; at < end; frame += (next - at) / tables.spans[0]!, at = next) {
    next = Math.min(entryStart(tables, level, at) + span, end);
    const child = table < 0 ? NO_ENTRY : childTable(tables, table, entryIndex(tables, level, at), level);
    if (child < 0) {
      if (fits(mapping, level, at, next, frame)) continue;
      const page = tables.allocTable();
      if (page < 0) return false;
      pages.push(page);
    }
    if (level > 1 && !reserve(mapping, child, level - 1, at, next, frame)) return false;
  }
  return true;
}

/** Maps [start, end) in `table`, one of `level`. */
function fill(mapping: Mapping, table: number, level: number, start: number, end: number, pfn: number): void {
  if (level === 0) {
    fillLeaves(mapping, table, start, end, pfn);
    return;
  }
  const { tables, flags, pages } = mapping;
  const { format, decoded, entry } = tables;
  const span = tables.spans[level]!;
  for (let at = start, next: number, frame = pfn; at < end; frame += (next - at) / tables.spans[0]!, at = next) {
    next = Math.min(entryStart(tables, level, at) + span, end);
    const index = entryIndex(tables, level, at);
    const child = childTable(tables, table, index, level);
    if (child >= 0) {
      fill(mapping, child, level - 1, at, next, frame);
      continue;
    }
    if (fits(mapping, level, at, next, frame)) {
      setDecoded(decoded, ENTRY_LEAF, frame, flags);
    } else {
      const page = pages.pop()!;
      fill(mapping, page, level - 1, at, next, frame);
      setDecoded(decoded, ENTRY_TABLE, page, E_USER_TABLE);
    }
    format.encode(decoded, level, entry);
    writeEntry(tables, table, index, entry);
  }
}

/** Leaves of `table` for [start, end): a run for each value of the high word, which numbers 2^pfnHighShift frames. */
function fillLeaves(mapping: Mapping, table: number, start: number, end: number, pfn: number): void {
  const { tables, lo, hi } = mapping;
  const { phys, lowAt, pfnLowShift, pfnHighShift, spans } = tables;
  const words = frameWords(phys, table);
  const last = pfn + (end - start) / spans[0]!;
  let low = frameWordIndex(phys, table) + entryIndex(tables, 0, start) * 2 + lowAt;
  for (let frame = pfn, next: number; frame < last; frame = next) {
    next = Math.min(last, alignDown(frame, 2 ** pfnHighShift) + 2 ** pfnHighShift);
    fillRun(words, low, next - frame, lo, hi ^ (frame >>> pfnHighShift), frame << pfnLowShift, 1 << pfnLowShift);
    low += (next - frame) * 2;
  }
}

/**
 * The hot loop: `count` entries, the low word of the first at `low`; its PFN bits are `bits`, those of the next `step`
 * more. The entries are none, so the low word, which makes them be there, comes last.
 */
function fillRun(
  words: Int32Array,
  low: number,
  count: number,
  lo: number,
  hi: number,
  bits: number,
  step: number,
): void {
  // Each `| 0` spares a test for overflow; a double would make the loop twice as slow.
  const stop = (low + count * 2) | 0;
  for (let at = low | 0, pfnBits = bits; at < stop; at = (at + 2) | 0, pfnBits = (pfnBits + step) | 0) {
    words[at ^ 1] = hi;
    words[at] = lo ^ pfnBits;
  }
}
