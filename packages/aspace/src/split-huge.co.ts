/**
 * A large entry gives way to a table of small ones (Linux: __split_huge_pmd; N.21). The folio stays as it is, pinned or not;
 * of its count as a whole become counts of its pages. A dirty entry makes the folio dirty; a mlocked
 * one stays mlocked (as measured on 6.18).
 *
 * The entry is invalid, though not none, while TLBs are flushed: a lock-free walker finds the large entry, nothing it may
 * use, or the table. mmap_lock is held, at least for reading; entries change under the lock of the upper table.
 */
import type { Task } from '@mmkit/base';
import { folioMarkDirty } from '@mmkit/filemap';
import {
  createDecoded,
  createEntry,
  type Decoded,
  E_DIRTY,
  E_INVALID,
  E_PROTNONE,
  E_USER_TABLE,
  E_WRITE,
  ENTRY_LEAF,
  ENTRY_TABLE,
  levelIndex,
  readEntry,
  setDecoded,
  tableAt,
  writeEntry,
} from '@mmkit/pgtable';
import { getPage } from '@mmkit/phys';
import { flushTlbRange } from './flush.co.ts';
import { folioSplitRmapPmd, ptlUnlock } from './folio.ts';
import { hugeNormalFolio, hugePageSize, hugePageStart, withdrawTable } from './huge.ts';
import { ptlLock } from './lock.co.ts';
import { MM_ROOT, Mm } from './mm.ts';

/** Splits the large entry that maps `address`, if one does. */
export function* splitHugePmd(mm: Mm, address: number): Task<void> {
  const { memory } = mm;
  const table = tableAt(memory.tables, mm.words[MM_ROOT]!, address, 1);
  if (table < 0) return;
  yield* ptlLock(memory, table);
  yield* splitHugePmdLocked(mm, table, address);
  ptlUnlock(memory, table);
}

/** The same where the huge page would go across `address` (split_huge_pmd_if_needed). */
export function* splitHugePmdAt(mm: Mm, address: number): Task<void> {
  if (address % hugePageSize(mm.memory) !== 0) yield* splitHugePmd(mm, address);
}

/** The same with the lock of `table`, the level-1 table of `address`, held. */
export function* splitHugePmdLocked(mm: Mm, table: number, address: number): Task<void> {
  const { memory } = mm;
  const { tables, format, stat } = memory;
  const index = levelIndex(format, 1, address);
  const entry = createEntry();
  const huge = createDecoded();
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 1, huge);
  if (huge.kind !== ENTRY_LEAF) return;
  stat.thpSplitPmd++;
  yield* invalidateHugePmd(mm, table, address);
  const leaves = withdrawTable(memory, table);
  const folio = hugeNormalFolio(huge);
  if (folio < 0) fillZero(mm, leaves, huge);
  else {
    fillPages(mm, leaves, huge);
    if ((huge.flags & E_DIRTY) !== 0) folioMarkDirty(memory.files, folio);
    getPage(memory.phys, folio, tables.entries - 1);
    folioSplitRmapPmd(mm, folio);
  }
  setDecoded(huge, ENTRY_TABLE, leaves, E_USER_TABLE);
  format.encode(huge, 1, entry);
  writeEntry(tables, table, index, entry);
}

/**
 * Makes the large entry of `address` invalid, though not none, so that nobody puts a table there, and flushes TLBs
 * (pmdp_invalidate); one of PROT_NONE is so anyway. The lock of `table`, in which it is, is held.
 */
export function* invalidateHugePmd(mm: Mm, table: number, address: number): Task<void> {
  const { memory } = mm;
  const { tables, format } = memory;
  const index = levelIndex(format, 1, address);
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 1, decoded);
  if ((decoded.flags & E_PROTNONE) !== 0) return;
  decoded.flags |= E_INVALID;
  format.encode(decoded, 1, entry);
  writeEntry(tables, table, index, entry);
  const start = hugePageStart(memory, address);
  yield* flushTlbRange(mm, start, start + hugePageSize(memory));
}

/** A leaf for each page of what `huge` maps. */
function fillPages(mm: Mm, table: number, huge: Decoded): void {
  const { tables, format } = mm.memory;
  const entry = createEntry();
  const first = huge.pfn;
  for (let i = 0; i < tables.entries; i++) {
    huge.pfn = first + i;
    format.encode(huge, 0, entry);
    writeEntry(tables, table, i, entry);
  }
}

/** The zero page in place of each page of the huge one. */
function fillZero(mm: Mm, table: number, huge: Decoded): void {
  const { tables, format, phys } = mm.memory;
  const entry = createEntry();
  huge.pfn = phys.zeroPfn;
  huge.flags &= ~(E_WRITE | E_DIRTY);
  format.encode(huge, 0, entry);
  for (let i = 0; i < tables.entries; i++) writeEntry(tables, table, i, entry);
}
