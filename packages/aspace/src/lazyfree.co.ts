/**
 * Advice about anonymous pages that leaves them mapped: MADV_FREE (Linux: madvise_free_pte_range, folio_mark_lazyfree;
 * FACTS 16) and MADV_COLD (madvise_cold_or_pageout_pte_range). What changed is flushed from the TLBs, so that the next
 * access sets the bits anew.
 *
 * Caller holds mmap_lock for reading; entries change under the page-table lock.
 */
import type { Task } from '@mmkit/base';
import { folioTrylock, folioUnlock } from '@mmkit/filemap';
import {
  createCursor,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_YOUNG,
  ENTRY_LEAF,
  nextRun,
  readEntry,
  writeEntry,
} from '@mmkit/pgtable';
import {
  clearFlag,
  pageMapCount,
  PG_ACTIVE,
  PG_DIRTY,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  testFlag,
} from '@mmkit/phys';
import { flushTlbRange } from './flush.co.ts';
import { folioTestAnon, ptlUnlock } from './folio.ts';
import { ptlLock } from './lock.co.ts';
import type { Memory } from './memory.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';

/** Anonymous pages of [start, end) may be dropped instead of swapped, until they are written again. */
export function* lazyfreeRange(mm: Mm, start: number, end: number): Task<void> {
  yield* changePages(mm, start, end, E_YOUNG | E_DIRTY, markLazyfree);
}

/** Pages of [start, end) that nobody else maps have not been used lately. */
export function* coldRange(mm: Mm, start: number, end: number): Task<void> {
  yield* changePages(mm, start, end, E_YOUNG, markCold);
}

/** Clears the bits `clear` of the entries whose page `mark` has accepted. */
function* changePages(
  mm: Mm,
  start: number,
  end: number,
  clear: number,
  mark: (memory: Memory, pfn: number) => boolean,
): Task<void> {
  const { memory } = mm;
  const { tables, format } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(start, end);
  let changed = false;
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    yield* ptlLock(memory, cursor.table);
    for (let index = cursor.index; index < cursor.index + cursor.count; index++) {
      readEntry(tables, cursor.table, index, entry);
      format.decode(entry.lo, entry.hi, 0, decoded);
      const pfn = decoded.kind === ENTRY_LEAF ? vmNormalPage(decoded) : -1;
      if (pfn < 0 || !mark(memory, pfn) || (decoded.flags & clear) === 0) continue;
      decoded.flags &= ~clear;
      format.encode(decoded, 0, entry);
      writeEntry(tables, cursor.table, index, entry);
      changed = true;
    }
    ptlUnlock(memory, cursor.table);
  }
  if (changed) yield* flushTlbRange(mm, start, end);
}

/** False leaves the page alone: it is dirty, and others map it or hold its lock. */
function markLazyfree(memory: Memory, pfn: number): boolean {
  const { phys } = memory;
  if (testFlag(phys, pfn, PG_DIRTY)) {
    if (!folioTrylock(memory, pfn)) return false;
    const alone = pageMapCount(phys, pfn) === 1;
    if (alone) clearFlag(phys, pfn, PG_DIRTY);
    folioUnlock(memory, pfn);
    if (!alone) return false;
  }
  if (folioTestAnon(phys, pfn) && !testFlag(phys, pfn, PG_UNEVICTABLE)) {
    clearFlag(phys, pfn, PG_SWAPBACKED | PG_ACTIVE | PG_REFERENCED);
  }
  return true;
}

function markCold(memory: Memory, pfn: number): boolean {
  const { phys } = memory;
  if (pageMapCount(phys, pfn) !== 1) return false;
  clearFlag(phys, pfn, PG_ACTIVE | PG_REFERENCED);
  return true;
}
