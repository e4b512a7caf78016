/** Giving pinned pages back after they were written to (Linux: unpin_user_pages_dirty_lock, set_page_dirty_lock). */
import { checkInteger, checkPages } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Memory } from '@mmkit/aspace';
import { folioMarkDirty, folioUnlock } from '@mmkit/filemap';
import { folioLock } from '@mmkit/filemap/sched';
import { compoundHead, folioMaybeDmaPinned, folioNrPages, PG_DIRTY, testFlag, unpinFolio } from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';

/**
 * Marks each of the first `nr` pages dirty if `makeDirty`, then drops one pin of it. InvariantError when a page is not
 * pinned: that one is as it was, the pages before it are unpinned. The zero page is never dirty.
 * `scope`: who pinned them, for a ledger of pins.
 */
export function* unpinUserPagesDirtyLock(
  memory: Memory,
  pages: Uint32Array,
  nr: number,
  makeDirty: boolean,
  scope: PinScope | null = null,
): Task<void> {
  checkInteger('nr', nr, 0, 0x7fffffff);
  checkPages('pages', pages, nr);
  const { phys } = memory;
  for (let i = 0; i < nr; i++) {
    const pfn = pages[i]!;
    if (makeDirty && pfn !== phys.zeroPfn && folioMaybeDmaPinned(phys, pfn)) yield* setPageDirtyLock(memory, pfn);
    unpinFolio(phys, pfn, 1, scope);
  }
}

/**
 * The same for frames that follow each other: `nr` (0 and up) from `pfn` on, a pin each (unpin_user_page_range_dirty_lock);
 * the pages of a large folio at once.
 */
export function* unpinUserPageRangeDirtyLock(
  memory: Memory,
  pfn: number,
  nr: number,
  makeDirty: boolean,
  scope: PinScope | null = null,
): Task<void> {
  const { phys } = memory;
  checkInteger('pfn', pfn, 0, phys.frames - 1);
  checkInteger('nr', nr, 0, phys.frames - pfn);
  for (let page = pfn; page < pfn + nr; ) {
    const folioEnd = compoundHead(phys, page) + folioNrPages(phys, page);
    const pins = Math.min(folioEnd, pfn + nr) - page;
    if (makeDirty && page !== phys.zeroPfn && folioMaybeDmaPinned(phys, page)) yield* setPageDirtyLock(memory, page);
    unpinFolio(phys, page, pins, scope);
    page += pins;
  }
}

/**
 * Marks the folio of a page dirty under its lock, which truncation takes too; nothing when it is dirty already. A page of a file will be
 * written back for it; one that has left its file only has the flag (N.13).
 */
export function* setPageDirtyLock(memory: Memory, page: number): Task<void> {
  const pfn = compoundHead(memory.phys, page);
  if (testFlag(memory.phys, pfn, PG_DIRTY)) return;
  yield* folioLock(memory, pfn);
  folioMarkDirty(memory.files, pfn);
  folioUnlock(memory, pfn);
}
