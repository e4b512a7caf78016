/**
 * Huge leaves cut up and put together. Linux: `__split_huge_pmd` (`split_huge_pmd_if_needed`, `split_mapping` of the
 * kernel's own map), `collapse_pte_mapped_thp` without pages. The mapping, the rights and the notes stay what they are, so
 * only the size of the TLB's entries changes; flushing them (Arm: break before make) and locks are the caller's.
 */
import { checkInteger, EINVAL, ENOMEM, InvariantError, isAligned } from '@mmkit/base';
import { createCursor, findEntry } from './cursor.ts';
import {
  createDecoded,
  type Decoded,
  E_DIRTY,
  E_USER_TABLE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_TABLE,
  setDecoded,
} from './flags.ts';
import { checkRange } from './range.ts';
import { childTable, levelIndex, readEntry, tableAt, type Tables, tryEncode, writeEntry } from './tables.ts';

/** The notes a huge leaf has when one of its pages has them. */
const NOTES = E_YOUNG | E_DIRTY;

/** Pages of a leaf of `level`. */
function leafPages(tables: Tables, level: number): number {
  const { spans } = tables.format;
  return spans[level]! / spans[0]!;
}

/**
 * Sees to it that no huge leaf lies across `address` (a page edge of user memory, its end included): one that does gives
 * way to a table of the next lower level, whose leaves have its rights, notes and software bits, PROT_NONE included, and
 * so on down. Returns 0, also when there is nothing to split, or -ENOMEM with nothing changed. Nothing changes either with
 * `InvariantError('NOT_A_LEAF')`, when what lies across is a non-present entry, and 'BAD_ENTRY', when the format has no
 * smaller leaf that says the same.
 */
export function splitAt(tables: Tables, root: number, address: number): number {
  const { format, entry } = tables;
  checkRange(tables, address, address);
  if (address === format.userEnd) return 0;
  const cursor = createCursor(address, address);
  findEntry(tables, root, address, cursor);
  const { table, index, level } = cursor;
  if (isAligned(address, format.spans[level]!)) return 0;
  readEntry(tables, table, index, entry);
  const huge = createDecoded();
  format.decode(entry.lo, entry.hi, level, huge);
  if (huge.kind === ENTRY_NONE) return 0;
  if (huge.kind !== ENTRY_LEAF) throw new InvariantError('NOT_A_LEAF', `level ${level} maps no page at ${address}`);
  let lowest = level;
  for (; !isAligned(address, format.spans[lowest]!); lowest--) {
    if (!canStore(tables, huge, lowest - 1)) {
      throw new InvariantError('BAD_ENTRY', `${format.name} has no such leaf at level ${lowest - 1}`);
    }
  }
  const pages: number[] = [];
  for (let n = lowest; n < level; n++) {
    const page = tables.allocTable();
    if (page < 0) {
      for (const taken of pages) tables.freeTable(taken);
      return -ENOMEM;
    }
    pages.push(page);
  }
  // Whoever walks the tables meanwhile finds the huge leaf or all that takes its place.
  for (const [n, page] of pages.entries()) {
    const below = level - n - 1;
    fillTable(tables, page, below, huge);
    const inside = levelIndex(format, below, address);
    huge.pfn += inside * leafPages(tables, below);
    if (n > 0) hook(tables, pages[n - 1]!, levelIndex(format, below + 1, address), below + 1, page);
  }
  hook(tables, table, index, level, pages[0]!);
  return 0;
}

/** True when a leaf of `level` can say all that `leaf` says. */
function canStore(tables: Tables, leaf: Decoded, level: number): boolean {
  const { format, decoded, entry } = tables;
  if (!tryEncode(format, leaf, level, entry)) return false;
  format.decode(entry.lo, entry.hi, level, decoded);
  return isSame(decoded, leaf);
}

/** The same leaf, the frame apart. */
function isSame(a: Decoded, b: Decoded): boolean {
  return a.kind === b.kind && a.flags === b.flags && a.restLo === b.restLo && a.restHi === b.restHi;
}

/** Fills a table of `level` with the parts of `huge`. */
function fillTable(tables: Tables, table: number, level: number, huge: Decoded): void {
  const { format, entry } = tables;
  const first = huge.pfn;
  const pages = leafPages(tables, level);
  for (let index = 0; index < tables.entries; index++) {
    huge.pfn = first + index * pages;
    format.encode(huge, level, entry);
    writeEntry(tables, table, index, entry);
  }
  huge.pfn = first;
}

function hook(tables: Tables, table: number, index: number, level: number, child: number): void {
  const { format, decoded, entry } = tables;
  setDecoded(decoded, ENTRY_TABLE, child, E_USER_TABLE);
  format.encode(decoded, level, entry);
  writeEntry(tables, table, index, entry);
}

/**
 * Puts one leaf of `level` (1 to levels − 1) in the place of the full table that maps `address` (a multiple of its size)
 * and gives the table to `freeTable`. The leaf is accessed or dirty when one of its pages was. Returns 0, or -EINVAL with
 * nothing changed: no table there, an entry of it is no leaf, the frames are not consecutive and aligned, the leaves
 * differ in more than those notes, or the format has no such leaf.
 */
export function joinAt(tables: Tables, root: number, address: number, level: number): number {
  const { format, entry } = tables;
  const { levels, spans, userEnd } = format;
  checkInteger('level', level, 1, levels - 1);
  checkInteger('address', address, 0, userEnd - 1);
  if (!isAligned(address, spans[level]!)) {
    throw new RangeError(`address: expected a multiple of ${spans[level]}, got ${address}`);
  }
  const table = tableAt(tables, root, address, level);
  if (table < 0) return -EINVAL;
  const index = levelIndex(format, level, address);
  const child = childTable(tables, table, index, level);
  if (child < 0) return -EINVAL;
  const huge = createDecoded();
  if (!gather(tables, child, level - 1, huge)) return -EINVAL;
  if (!isAligned(huge.pfn, leafPages(tables, level)) || !canStore(tables, huge, level)) return -EINVAL;
  format.encode(huge, level, entry);
  writeEntry(tables, table, index, entry);
  tables.freeTable(child);
  return 0;
}

/** Makes `huge` what all the entries of a table of `level` say together; false when they do not agree. */
function gather(tables: Tables, table: number, level: number, huge: Decoded): boolean {
  const { format, decoded, entry } = tables;
  const pages = leafPages(tables, level);
  const plain = createDecoded();
  let notes = 0;
  for (let index = 0; index < tables.entries; index++) {
    readEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, level, decoded);
    if (decoded.kind !== ENTRY_LEAF) return false;
    const { flags, pfn } = decoded;
    notes |= flags & NOTES;
    // A format may note who made a leaf dirty: without the notes that is forgotten.
    decoded.flags &= ~NOTES;
    format.encode(decoded, level, entry);
    format.decode(entry.lo, entry.hi, level, decoded);
    decoded.flags = flags & ~NOTES;
    if (index === 0) {
      copy(decoded, plain);
    } else if (!isSame(decoded, plain) || pfn !== plain.pfn + index * pages) return false;
  }
  copy(plain, huge);
  huge.flags |= notes;
  return true;
}

function copy(from: Decoded, to: Decoded): void {
  setDecoded(to, from.kind, from.pfn, from.flags);
  to.restLo = from.restLo;
  to.restHi = from.restHi;
}
