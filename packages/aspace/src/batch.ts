/** Entries that map a folio's pages one after the other (Linux: folio_pte_batch). */
import { createDecoded, createEntry, type Cursor, ENTRY_LEAF, readEntry } from '@mmkit/pgtable';
import { compoundHead, folioNrPages } from '@mmkit/phys';
import type { Memory } from './memory.ts';

/** How many entries from `index` on, in the cursor's run, map pages of the folio of `pfn` from `pfn` on: 1 and up. */
export function folioPteBatch({ tables, format, phys }: Memory, cursor: Cursor, index: number, pfn: number): number {
  const left = compoundHead(phys, pfn) + folioNrPages(phys, pfn) - pfn;
  const most = Math.min(left, cursor.index + cursor.count - index);
  const entry = createEntry();
  const decoded = createDecoded();
  let pages = 1;
  for (; pages < most; pages++) {
    readEntry(tables, cursor.table, index + pages, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    if (decoded.kind !== ENTRY_LEAF || decoded.pfn !== pfn + pages) break;
  }
  return pages;
}
