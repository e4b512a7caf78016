/** Giving pinned pages back after they were written to (Linux: unpin_user_pages_dirty_lock, set_page_dirty_lock). */
import { checkInteger, checkPages, FOLL_PIN } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { folioUnlock } from '@mmkit/aspace';
import type { Memory } from '@mmkit/aspace';
import { folioLock } from '@mmkit/aspace/sched';
import { folioMaybeDmaPinned, gupPutFolio, PG_DIRTY, setFlag, testFlag } from '@mmkit/phys';

/**
 * Marks each of the first `nr` pages dirty if `makeDirty`, then drops one pin of it. InvariantError when a page is not
 * pinned: that one is as it was, the pages before it are unpinned. The zero page is never dirty.
 */
export function* unpinUserPagesDirtyLock(
  memory: Memory,
  pages: Uint32Array,
  nr: number,
  makeDirty: boolean,
): Task<void> {
  checkInteger('nr', nr, 0, 0x7fffffff);
  checkPages('pages', pages, nr);
  const { phys } = memory;
  for (let i = 0; i < nr; i++) {
    const pfn = pages[i]!;
    if (makeDirty && pfn !== phys.zeroPfn && folioMaybeDmaPinned(phys, pfn)) yield* setPageDirtyLock(memory, pfn);
    gupPutFolio(phys, pfn, 1, FOLL_PIN);
  }
}

/** Marks a page dirty under its lock, which truncation takes too; nothing when it is dirty already. */
export function* setPageDirtyLock(memory: Memory, pfn: number): Task<void> {
  if (testFlag(memory.phys, pfn, PG_DIRTY)) return;
  yield* folioLock(memory, pfn);
  setFlag(memory.phys, pfn, PG_DIRTY);
  folioUnlock(memory, pfn);
}
