/**
 * Advice about the pages of a range: MADV_PAGEOUT, and two that leave them mapped: MADV_FREE (Linux:
 * madvise_free_pte_range, folio_mark_lazyfree; FACTS 16) and MADV_COLD (madvise_cold_or_pageout_pte_range). What changed is
 * flushed from the TLBs, so that the next access sets the bits anew.
 *
 * Caller holds mmap_lock for reading; entries change under the page-table lock.
 */
import type { Task } from '@mmkit/base';
import { folioInode, folioTrylock, folioUnlock } from '@mmkit/filemap';
import { reclaimFileFolio } from '@mmkit/filemap/sched';
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
  compoundHead,
  folioMapcount,
  folioMaybeMappedShared,
  folioNrPages,
  getPage,
  PG_ACTIVE,
  PG_DIRTY,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  putPage,
  testFlag,
} from '@mmkit/phys';
import { folioPteBatch } from './batch.ts';
import { flushTlbRange } from './flush.co.ts';
import { folioTestAnon, ptlUnlock } from './folio.ts';
import { ptlLock, ptlLockLeaf } from './lock.co.ts';
import type { Memory } from './memory.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';
import { splitMappedFolio } from './split-folio.co.ts';

/** Anonymous pages of [start, end) may be dropped instead of swapped, until they are written again. */
export function* lazyfreeRange(mm: Mm, start: number, end: number): Task<void> {
  yield* changePages(mm, start, end, E_YOUNG | E_DIRTY, markLazyfree);
}

/** Pages of [start, end) that nobody else maps have not been used lately. */
export function* coldRange(mm: Mm, start: number, end: number): Task<void> {
  yield* changePages(mm, start, end, E_YOUNG, markCold);
}

/**
 * Pages of [start, end) are reclaimed (MADV_PAGEOUT, reclaim_pages): those of files that nobody else maps are unmapped and
 * leave their file, unless they are dirty or held (`reclaimFileFolio`). Nothing swaps: anonymous pages stay. Large folios of
 * which a part lies in the range are split.
 */
export function* pageoutRange(mm: Mm, start: number, end: number): Task<void> {
  const { memory } = mm;
  const { files, phys } = memory;
  const found: number[] = [];
  yield* changePages(mm, start, end, 0, (_memory, page, mappings) => {
    const folio = compoundHead(phys, page);
    const alone = folioMapcount(phys, folio) === mappings;
    if (!alone || folioInode(files, folio) === null || testFlag(phys, folio, PG_UNEVICTABLE)) return false;
    getPage(phys, folio);
    found.push(folio);
    return true;
  });
  for (const folio of found) {
    const inode = folioInode(files, folio);
    if (inode !== null) yield* reclaimFileFolio(inode, folio);
    putPage(phys, folio);
  }
}

/** Decides about a folio, `pages` of which one address space maps here, one after the other: false leaves it alone. */
type Mark = (memory: Memory, folio: number, mappings: number) => boolean;

/**
 * Clears the bits `clear` of the entries whose folio `mark` has accepted. A large folio that does not lie whole in the range
 * is split first; if it cannot be, or others map it too, it is left alone.
 */
function* changePages(mm: Mm, start: number, end: number, clear: number, mark: Mark): Task<void> {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(start, end);
  let changed = false;
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    const { table, index, count, level, address } = cursor;
    let partial = -1;
    let at = index;
    if (level > 0) yield* ptlLock(memory, table);
    else if (!(yield* ptlLockLeaf(mm, table, address))) {
      cursor.next = address;
      continue;
    }
    for (let pages = 1; at < index + count; at += pages) {
      pages = 1;
      readEntry(tables, table, at, entry);
      format.decode(entry.lo, entry.hi, level, decoded);
      const pfn = decoded.kind === ENTRY_LEAF ? vmNormalPage(decoded) : -1;
      if (pfn < 0) continue;
      const nr = folioNrPages(phys, pfn);
      if (level === 0) pages = folioPteBatch(memory, cursor, at, pfn);
      const whole = level > 0 ? start <= address && address + format.spans[1]! <= end : pages === nr;
      if (nr > 1 && (level > 0 || !whole) && folioMaybeMappedShared(phys, pfn)) continue;
      if (!whole) {
        partial = pfn;
        break;
      }
      if (!mark(memory, pfn, level > 0 ? 1 : pages)) continue;
      for (let i = at; i < at + pages; i++) {
        readEntry(tables, table, i, entry);
        format.decode(entry.lo, entry.hi, level, decoded);
        if ((decoded.flags & clear) === 0) continue;
        decoded.flags &= ~clear;
        format.encode(decoded, level, entry);
        writeEntry(tables, table, i, entry);
        changed = true;
      }
    }
    ptlUnlock(memory, table);
    if (partial < 0) continue;
    const here = level > 0 ? Math.max(start, address) : address + (at - index) * phys.pageSize;
    if (yield* splitMappedFolio(mm, here, partial)) cursor.next = here;
    else if (level === 0) cursor.next = here + folioPteBatch(memory, cursor, at, partial) * phys.pageSize;
  }
  if (changed) yield* flushTlbRange(mm, start, end);
}

/** False leaves the page alone: it is dirty, and others map it or hold its lock. */
function markLazyfree(memory: Memory, page: number, mappings: number): boolean {
  const { phys } = memory;
  const folio = compoundHead(phys, page);
  if (testFlag(phys, folio, PG_DIRTY)) {
    if (!folioTrylock(memory, folio)) return false;
    const alone = folioMapcount(phys, folio) === mappings;
    if (alone) clearFlag(phys, folio, PG_DIRTY);
    folioUnlock(memory, folio);
    if (!alone) return false;
  }
  if (folioTestAnon(phys, folio) && !testFlag(phys, folio, PG_UNEVICTABLE)) {
    clearFlag(phys, folio, PG_SWAPBACKED | PG_ACTIVE | PG_REFERENCED);
  }
  return true;
}

function markCold(memory: Memory, page: number, mappings: number): boolean {
  const { phys } = memory;
  const folio = compoundHead(phys, page);
  if (folioMapcount(phys, folio) !== mappings) return false;
  clearFlag(phys, folio, PG_ACTIVE | PG_REFERENCED);
  return true;
}
