/** mlock and munlock of what is mapped already (Linux: mlock_pte_range). Entries are read under the page-table lock. */
import type { Task } from '@mmkit/base';
import { createCursor, createDecoded, createEntry, ENTRY_LEAF, nextRun, readEntry } from '@mmkit/pgtable';
import { folioNrPages } from '@mmkit/phys';
import { folioPteBatch } from './batch.ts';
import { ptlUnlock } from './folio.ts';
import { ptlLock } from './lock.co.ts';
import { mlockFolio, munlockMapped } from './mlock.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';

/** Counts every page mapped in [start, end) as mlocked once more, or with `locked` false once less. */
export function* mlockRange(mm: Mm, start: number, end: number, locked: boolean): Task<void> {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(start, end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    yield* ptlLock(memory, cursor.table);
    for (let at = cursor.index; at < cursor.index + cursor.count; at++) {
      readEntry(tables, cursor.table, at, entry);
      format.decode(entry.lo, entry.hi, cursor.level, decoded);
      const pfn = decoded.kind === ENTRY_LEAF ? vmNormalPage(decoded) : -1;
      if (pfn < 0) continue;
      let pages = 1;
      if (cursor.level === 0) {
        pages = folioPteBatch(memory, cursor, at, pfn);
        at += pages - 1;
        // Of a large folio that single entries map only a whole one is locked; the rest is left to reclaim.
        if (locked && pages < folioNrPages(phys, pfn)) continue;
      }
      if (locked) mlockFolio(phys, pfn);
      else munlockMapped(mm, pfn);
    }
    ptlUnlock(memory, cursor.table);
  }
}
