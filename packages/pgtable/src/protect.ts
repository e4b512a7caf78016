/**
 * Changing the flags of the leaves of an address range. Linux: `change_protection`, `ptep_test_and_clear_young`,
 * `pmdp_test_and_clear_young`, `pte_mkclean` over a range. TLB flushes and locks are the caller's.
 *
 * A call either does the whole range or throws before it changes an entry: it looks first whether the format has all
 * the leaves that would result.
 */
import { checkInteger } from '@mmkit/base';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { createCursor, nextRun } from './cursor.ts';
import { E_DIRTY, E_SOFT_DIRTY, E_YOUNG, ENTRY_LEAF } from './flags.ts';
import { checkWhole } from './range.ts';
import type { Tables } from './tables.ts';

/** What the hardware or a tracker notes in a leaf. */
const NOTES = E_YOUNG | E_DIRTY | E_SOFT_DIRTY;

/** A change of every leaf: first the flags of `clear` are taken away, then those of `set` added. */
class Change {
  readonly set: number;
  readonly clear: number;
  /** False while the range is only looked at. */
  writing: boolean;
  /** Leaves that differ, or differed. */
  changed: number;
  /** What it flips in the words of the last leaf looked at. */
  flipLo: number;
  flipHi: number;

  constructor(set: number, clear: number) {
    this.set = set;
    this.clear = clear;
    this.writing = false;
    this.changed = 0;
    this.flipLo = 0;
    this.flipHi = 0;
  }
}

/**
 * Changes the flags of every leaf of [start, end), PROT_NONE ones included: first those of `clear` are taken away, then
 * those of `set` added. Frame, and everything else in the entry, stays; other entries are left alone. Returns how many
 * entries changed. `InvariantError('HUGE_LEAF')` when an edge of the range lies inside a huge leaf (see `splitAt`),
 * 'BAD_ENTRY' when the format has no leaf such as one of them would become.
 */
export function protectRange(
  tables: Tables,
  root: number,
  start: number,
  end: number,
  set: number,
  clear: number,
): number {
  checkWhole(tables, root, start, end);
  const change = new Change(set, clear);
  changeRange(tables, root, start, end, change);
  if (change.changed === 0) return 0;
  change.writing = true;
  change.changed = 0;
  changeRange(tables, root, start, end, change);
  return change.changed;
}

/**
 * Clears E_YOUNG, E_DIRTY or E_SOFT_DIRTY (`flags`: one or more of them) in every leaf of [start, end) and returns how many
 * leaves had one of them. What the hardware notes meanwhile may be lost on a machine that others walk (see tables.ts);
 * where a TLB holds the entry, it notes nothing again until it is flushed. Errors as `protectRange`; `RangeError` for
 * other flags.
 */
export function testAndClear(tables: Tables, root: number, start: number, end: number, flags: number): number {
  checkInteger('flags', flags, 1, NOTES);
  if ((flags & ~NOTES) !== 0) throw new RangeError(`flags: expected E_YOUNG, E_DIRTY, E_SOFT_DIRTY, got ${flags}`);
  return protectRange(tables, root, start, end, 0, flags);
}

function changeRange(tables: Tables, root: number, start: number, end: number, change: Change): void {
  const cursor = createCursor(start, end);
  while (nextRun(tables, root, cursor)) {
    changeRun(tables, cursor.table, cursor.index, cursor.count, cursor.level, change);
  }
}

/** Entries of one table: leaves that differ in the PFN alone are looked at once. */
function changeRun(tables: Tables, table: number, index: number, count: number, level: number, change: Change): void {
  const { phys, lowAt, highAt } = tables;
  const words = frameWords(phys, table);
  const first = frameWordIndex(phys, table) + index * 2;
  const last = first + count * 2;
  for (let at = first, stop: number; at < last; at = stop) {
    const lo = words[at + lowAt]!;
    const hi = words[at + highAt]!;
    stop = at + 2;
    if ((lo | hi) === 0 || !findFlips(tables, lo, hi, level, change)) continue;
    stop = alikeUntil(tables, words, at, last);
    if ((change.flipLo | change.flipHi) === 0) continue;
    change.changed += (stop - at) >> 1;
    if (change.writing) flip(tables, words, at, stop, change.flipLo, change.flipHi);
  }
}

/** Finds what the change flips in this entry; false when it is no leaf. */
function findFlips(tables: Tables, lo: number, hi: number, level: number, change: Change): boolean {
  const { format, decoded, entry } = tables;
  format.decode(lo, hi, level, decoded);
  if (decoded.kind !== ENTRY_LEAF) return false;
  decoded.flags = (decoded.flags & ~change.clear) | change.set;
  format.encode(decoded, level, entry);
  change.flipLo = lo ^ entry.lo;
  change.flipHi = hi ^ entry.hi;
  return true;
}

/** Where the leaves that differ from the one at word `first` in the PFN alone end, at `last` at the latest. */
function alikeUntil(tables: Tables, words: Int32Array, first: number, last: number): number {
  const { lowAt, highAt } = tables;
  const maskLo = ~(-1 << tables.pfnLowShift);
  const maskHi = ~tables.pfnHighMask;
  const wantLo = words[first + lowAt]! & maskLo;
  const wantHi = words[first + highAt]! & maskHi;
  let at = first + 2;
  for (; at < last; at += 2) {
    const lo = words[at + lowAt]!;
    const hi = words[at + highAt]!;
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi || (lo | hi) === 0) break;
  }
  return at;
}

function flip(tables: Tables, words: Int32Array, first: number, last: number, flipLo: number, flipHi: number): void {
  const { lowAt, highAt } = tables;
  for (let at = first; at < last; at += 2) {
    const lo = words[at + lowAt]! ^ flipLo;
    const hi = words[at + highAt]! ^ flipHi;
    words[at + lowAt] = 0;
    words[at + highAt] = hi;
    words[at + lowAt] = lo;
  }
}
