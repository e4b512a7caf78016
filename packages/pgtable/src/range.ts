/**
 * Mapping, unmapping and protecting an address range of page tables: what `vm_map_ram`-like users and emulators need.
 * Reference counts, TLBs and locks are the caller's; Linux's own versions of these loops (zap, `change_protection`,
 * copy for fork) count pages too and live above this package.
 *
 * A call either does the whole range or throws, or returns -ENOMEM, before it changes an entry.
 */
import { checkInteger, InvariantError, isAligned } from '@mmkit/base';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { createCursor, nextRun } from './cursor.ts';
import { ENTRY_LEAF, setDecoded } from './flags.ts';
import { PFN_LIMIT } from './format.ts';
import { childTable, leafTableAlloc, levelIndex, NO_TABLE, readEntry, type Tables, writeEntry } from './tables.ts';

/** [start, end) must be whole pages of user memory. */
function checkRange(tables: Tables, start: number, end: number): void {
  const { userEnd, spans } = tables.format;
  checkInteger('end', end, 0, userEnd);
  checkInteger('start', start, 0, end);
  if (!isAligned(start, spans[0]!)) throw new RangeError(`start: expected a multiple of ${spans[0]}, got ${start}`);
  if (!isAligned(end, spans[0]!)) throw new RangeError(`end: expected a multiple of ${spans[0]}, got ${end}`);
}

/** Refuses a range edge inside a huge leaf: the leaf would have to be split first. */
function refuseCut(tables: Tables, root: number, edge: number): void {
  const { format } = tables;
  if (edge === format.userEnd) return;
  let table = root;
  for (let level = format.levels - 1; level > 0 && !isAligned(edge, format.spans[level]!); level--) {
    table = childTable(tables, table, levelIndex(format, level, edge), level);
    if (table === NO_TABLE) throw new InvariantError('HUGE_LEAF', `address ${edge} lies inside a huge leaf`);
    if (table < 0) return;
  }
}

/** Refuses a range in which an entry is not none. */
function refuseMapped(tables: Tables, root: number, start: number, end: number): void {
  const { phys } = tables;
  const cursor = createCursor(start, end);
  while (nextRun(tables, root, cursor)) {
    const words = frameWords(phys, cursor.table);
    const first = frameWordIndex(phys, cursor.table) + cursor.index * 2;
    const last = first + cursor.count * 2;
    for (let at = first; at < last; at++) {
      if (words[at] !== 0) {
        const address = cursor.address + ((at - first) >> 1) * tables.format.spans[0]!;
        throw new InvariantError('ALREADY_MAPPED', `address ${address} has an entry already`);
      }
    }
  }
}

/**
 * Maps the pages of [start, end) to consecutive frames from `pfn` on, as level-0 leaves with `flags` (E_*). Returns 0,
 * or -ENOMEM with nothing mapped (empty tables may stay). `InvariantError('ALREADY_MAPPED')` when any page of the range
 * has an entry, 'BAD_ENTRY' when the format has no such leaf.
 */
export function mapRange(tables: Tables, root: number, start: number, end: number, pfn: number, flags: number): number {
  const { format, phys, decoded, entry } = tables;
  checkRange(tables, start, end);
  checkInteger('pfn', pfn, 0, PFN_LIMIT - (end - start) / format.spans[0]!);
  setDecoded(decoded, ENTRY_LEAF, 0, flags);
  format.encode(decoded, 0, entry);
  const { lo, hi } = entry;
  refuseMapped(tables, root, start, end);
  for (let at = start; at < end; at += format.spans[1]! - (at % format.spans[1]!)) {
    const error = leafTableAlloc(tables, root, at);
    if (error < 0) return error;
  }
  const { lowAt, highAt, pfnLowShift, pfnHighShift } = format;
  const cursor = createCursor(start, end);
  let frame = pfn;
  while (nextRun(tables, root, cursor)) {
    const words = frameWords(phys, cursor.table);
    const first = frameWordIndex(phys, cursor.table) + cursor.index * 2;
    const last = first + cursor.count * 2;
    for (let at = first; at < last; at += 2, frame++) {
      words[at + highAt] = hi ^ (frame >>> pfnHighShift);
      words[at + lowAt] = lo ^ (frame << pfnLowShift);
    }
  }
  return 0;
}

/**
 * Makes every entry of [start, end) none and returns how many were not, huge leaves counting one. Tables stay (see
 * `unhookTables`). `InvariantError('HUGE_LEAF')` when an edge of the range lies inside a huge leaf.
 */
export function unmapRange(tables: Tables, root: number, start: number, end: number): number {
  const { phys, format } = tables;
  checkRange(tables, start, end);
  refuseCut(tables, root, start);
  refuseCut(tables, root, end);
  const { lowAt, highAt } = format;
  const cursor = createCursor(start, end);
  let cleared = 0;
  while (nextRun(tables, root, cursor)) {
    const words = frameWords(phys, cursor.table);
    const first = frameWordIndex(phys, cursor.table) + cursor.index * 2;
    const last = first + cursor.count * 2;
    for (let at = first; at < last; at += 2) {
      if ((words[at]! | words[at + 1]!) === 0) continue;
      words[at + lowAt] = 0;
      words[at + highAt] = 0;
      cleared++;
    }
  }
  return cleared;
}

/**
 * Changes the flags of every leaf of [start, end), PROT_NONE ones included: first those of `clear` are taken away, then
 * those of `set` added. Frame, and everything else in the entry, stays; other entries are left alone. Returns how many
 * entries changed. `InvariantError('HUGE_LEAF')` when an edge of the range lies inside a huge leaf, 'BAD_ENTRY' when
 * the format has no level-0 leaf with the flags `set`.
 */
export function protectRange(
  tables: Tables,
  root: number,
  start: number,
  end: number,
  set: number,
  clear: number,
): number {
  const { format, decoded, entry } = tables;
  checkRange(tables, start, end);
  refuseCut(tables, root, start);
  refuseCut(tables, root, end);
  setDecoded(decoded, ENTRY_LEAF, 0, set);
  format.encode(decoded, 0, entry);
  const cursor = createCursor(start, end);
  let changed = 0;
  while (nextRun(tables, root, cursor)) {
    const { table, level } = cursor;
    for (let index = cursor.index; index < cursor.index + cursor.count; index++) {
      readEntry(tables, table, index, entry);
      const { lo, hi } = entry;
      format.decode(lo, hi, level, decoded);
      if (decoded.kind !== ENTRY_LEAF) continue;
      decoded.flags = (decoded.flags & ~clear) | set;
      format.encode(decoded, level, entry);
      if (entry.lo === lo && entry.hi === hi) continue;
      writeEntry(tables, table, index, entry);
      changed++;
    }
  }
  return changed;
}
