/**
 * Taking cached pages out of a file (Linux: truncate_inode_pages_range, invalidate_inode_pages2_range,
 * invalidate_mapping_pages). The first ignores references and pins, and what it removes is lost; the second spares what is
 * dirty; the third what anybody uses.
 */
import { EBUSY, P_CACHE_LOOKUP, P_CACHE_UNMAP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { pageMapCount, pageRefCount, PG_DIRTY, PG_WRITEBACK, putPage, testFlag } from '@mmkit/phys';
import { folioTrylock, folioUnlock } from './folio.ts';
import { folioWaitWriteback } from './folio-lock.co.ts';
import { filemapLockFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { cachedIndexes, deleteFromPageCache, filemapGetFolio } from './page-cache.ts';
import { unmapMappingRange } from './rmap-port.sched.ts';

/** References of a page that nobody uses: the cache's and ours. */
const UNUSED = 2;

/**
 * Removes every page at [first, end), dirty or not, mapped or pinned, once it is not being written back. Caller holds
 * i_rwsem and invalidate_lock for writing, so that no page comes back.
 */
export function* truncateInodePages(inode: Inode, first: number, end: number): Task<void> {
  const { files } = inode;
  yield P_CACHE_LOOKUP;
  for (const index of cachedIndexes(inode, first, end, () => true)) {
    const pfn = yield* filemapLockFolio(inode, index);
    if (pfn < 0) continue;
    yield* folioWaitWriteback(files, pfn);
    yield* unmapFolio(inode, pfn, index);
    deleteFromPageCache(inode, pfn, index);
    folioUnlock(files, pfn);
    putPage(files.phys, pfn);
  }
}

/**
 * Removes the pages at [first, end), so that what was written past the cache is seen: 0, or -EBUSY when one was dirty,
 * or became so by a mapping taken away; that one stays. Pins keep no page in the file (N.13).
 */
export function* invalidateInodePages2Range(inode: Inode, first: number, end: number): Task<number> {
  const { files } = inode;
  let error = 0;
  yield P_CACHE_LOOKUP;
  for (const index of cachedIndexes(inode, first, end, () => true)) {
    const pfn = yield* filemapLockFolio(inode, index);
    if (pfn < 0) continue;
    yield* folioWaitWriteback(files, pfn);
    yield* unmapFolio(inode, pfn, index);
    yield P_CACHE_LOOKUP;
    if (testFlag(files.phys, pfn, PG_DIRTY)) error = -EBUSY;
    else deleteFromPageCache(inode, pfn, index);
    folioUnlock(files, pfn);
    putPage(files.phys, pfn);
  }
  return error;
}

/**
 * Removes those pages at [first, end) that are clean, not locked, not being written back, and neither mapped nor
 * otherwise referenced (mapping_evict_folio). Never waits.
 */
export function* invalidateMappingPages(inode: Inode, first: number, end: number): Task<void> {
  const { files } = inode;
  const { phys } = files;
  yield P_CACHE_LOOKUP;
  for (const index of cachedIndexes(inode, first, end, () => true)) {
    yield P_CACHE_LOOKUP;
    const pfn = filemapGetFolio(inode, index);
    if (pfn < 0) continue;
    if (folioTrylock(files, pfn)) {
      const used = testFlag(phys, pfn, PG_DIRTY | PG_WRITEBACK) || pageRefCount(phys, pfn) > UNUSED;
      if (!used) deleteFromPageCache(inode, pfn, index);
      folioUnlock(files, pfn);
    }
    putPage(phys, pfn);
  }
}

/** Unmaps a locked page everywhere (unmap_mapping_folio); nobody maps it anew while it is locked. */
function* unmapFolio(inode: Inode, pfn: number, index: number): Task<void> {
  yield P_CACHE_UNMAP;
  if (pageMapCount(inode.files.phys, pfn) > 0) yield* unmapMappingRange(inode, index, index + 1, false);
}
