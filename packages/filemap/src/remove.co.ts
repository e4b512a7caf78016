/**
 * Taking cached pages out of a file (Linux: truncate_inode_pages_range, invalidate_inode_pages2_range,
 * invalidate_mapping_pages, shrink_folio_list). The first ignores references and pins, and what it removes is lost; the second
 * spares what is dirty; the third what anybody uses; the last unmaps it and spares what is dirty or held.
 */
import { EBUSY, P_CACHE_LOOKUP, P_CACHE_UNMAP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  COLD_INDEX,
  COLD_WORDS,
  compoundHead,
  folioMapcount,
  folioNrPages,
  folioOrder,
  folioTestLarge,
  getPage,
  pageRefCount,
  PG_DIRTY,
  PG_WRITEBACK,
  putPage,
  splitFolio,
  writeBytes,
} from '@mmkit/phys';
import { clearBlockDirty, folioTestFlag, hasDirtyBlocks } from './buffers.ts';
import { folioLocked, folioLockToIo, folioTrylock, folioUnlock } from './folio.ts';
import { folioWaitWriteback } from './folio-lock.co.ts';
import { filemapLockFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { cachedIndexes, deleteFromPageCache, filemapGetFolio, folioAt } from './page-cache.ts';
import { unmapMappingRange } from './rmap-port.sched.ts';

/**
 * Removes every folio with all its bytes in [from, to), dirty or not, mapped or pinned, once it is not being written back; of a
 * large one with some the rest stays (truncate_inode_pages_range). Caller holds i_rwsem and invalidate_lock for writing, so
 * that no page comes back.
 */
export function* truncateInodePages(inode: Inode, from: number, to: number): Task<void> {
  const { files } = inode;
  const { pageSize } = files.phys;
  const low = Math.floor(from / pageSize);
  const high = Math.floor(to / pageSize);
  yield* truncatePartialFolio(inode, low, from, to);
  if (high > low) yield* truncatePartialFolio(inode, high, from, to);
  yield P_CACHE_LOOKUP;
  for (const index of cachedIndexes(inode, Math.ceil(from / pageSize), high, () => true)) {
    const pfn = yield* filemapLockFolio(inode, index);
    if (pfn < 0) continue;
    const { first, pages } = folioAt(inode, pfn, index);
    if (first * pageSize >= from && first + pages <= high) yield* truncateFolio(inode, pfn, index);
    folioUnlock(files, pfn);
    putPage(files.phys, pfn);
  }
}

/** Removes a locked folio (truncate_inode_folio). */
function* truncateFolio(inode: Inode, pfn: number, index: number): Task<void> {
  yield* folioWaitWriteback(inode.files, pfn);
  yield* unmapFolio(inode, pfn, index);
  deleteFromPageCache(inode, pfn, index);
}

/**
 * A large folio at `index` that lies in [from, to) in part: unmapped, zeroed there and split where that begins and ends, so that its
 * pages in between can go (truncate_inode_partial_folio). While a block is dirty it stays whole; when none is and somebody
 * holds it, it goes whole.
 */
function* truncatePartialFolio(inode: Inode, index: number, from: number, to: number): Task<void> {
  const { files } = inode;
  const { phys } = files;
  const { pageSize } = phys;
  const cached = inode.pages.get(index);
  if (cached === undefined || !folioTestLarge(phys, cached)) return;
  const pfn = yield* filemapLockFolio(inode, index);
  if (pfn < 0) return;
  const { head, first, pages } = folioAt(inode, pfn, index);
  const stop = (first + pages) * pageSize;
  const start = Math.max(from, first * pageSize);
  const end = Math.min(to, stop);
  let page = pfn;
  if (start < end && end - start < pages * pageSize) {
    yield* folioWaitWriteback(files, pfn);
    // All of it, as a folio is that is split; whoever touches what stays faults.
    yield* unmapFolio(inode, pfn, index);
    zeroBlocks(inode, head, first, start, end);
    // The lock and the reference stay with the page where it is split.
    const at = Math.floor(start / pageSize);
    page = head + at - first;
    if (splitAt(inode, page, at)) {
      if (to < stop) splitAtEnd(inode, Math.floor(to / pageSize));
    } else if (!hasDirtyBlocks(inode, head)) yield* truncateFolio(inode, pfn, index);
  }
  folioUnlock(files, page);
  putPage(phys, page);
}

/**
 * Splits the locked folio of the page at `index` until that is one of its own, and what lies before and after it in parts as
 * large as can be, or, `evenly`, into single pages; parts beyond the end of the file leave it (folio_split). False while a block is dirty, or when somebody
 * holds it.
 */
function splitAt(inode: Inode, page: number, index: number, evenly: boolean = false): boolean {
  const { files } = inode;
  const { phys } = files;
  const { head, first, pages } = folioAt(inode, page, index);
  if (hasDirtyBlocks(inode, head)) return false;
  folioLockToIo(files, page);
  let split = true;
  for (let order = evenly ? 1 : folioOrder(phys, page); order > 0 && split; order--) {
    split = splitFolio(phys, page, order - 1) === 0;
  }
  folioLocked(files, page);
  if (!split) return false;
  inode.buffers.delete(head);
  for (let at = first; at < first + pages; ) {
    const part = inode.pages.get(at)!;
    const length = folioNrPages(phys, part);
    if (at !== index && at * phys.pageSize >= inode.size) deleteFromPageCache(inode, part, at);
    at += length;
  }
  return true;
}

/** The same for what is left of a folio at `index`, if nobody has it locked. */
function splitAtEnd(inode: Inode, index: number): void {
  const { files } = inode;
  const page = inode.pages.get(index);
  if (page === undefined || !folioTestLarge(files.phys, page) || !folioTrylock(files, page)) return;
  getPage(files.phys, page);
  splitAt(inode, page, index);
  folioUnlock(files, page);
  putPage(files.phys, page);
}

/**
 * Splits the folio of a page of a disk file into single pages (split_folio), and unmaps it for that: false, with nothing
 * changed, when it is locked, a block is dirty, or somebody holds it.
 */
export function* splitFileFolio(inode: Inode, pfn: number): Task<boolean> {
  const { files } = inode;
  const { phys } = files;
  const head = compoundHead(phys, pfn);
  const index = phys.cold[head * COLD_WORDS + COLD_INDEX]!;
  const held = pageRefCount(phys, head) !== folioMapcount(phys, head) + folioNrPages(phys, head);
  if (held || hasDirtyBlocks(inode, head) || !folioTrylock(files, head)) return false;
  getPage(phys, head);
  yield* unmapFolio(inode, head, index);
  const split = splitAt(inode, head, index, true);
  folioUnlock(files, head);
  putPage(phys, head);
  return split;
}

/**
 * Unmaps the folio at `head` everywhere, and takes it out of its file when it is clean then and nobody else holds it
 * (shrink_folio_list): where nothing swaps and only the flusher writes back, a dirty one stays. One that is locked, being
 * written back or no file's any more is left alone; never waits for the device. The caller has a reference.
 */
export function* reclaimFileFolio(inode: Inode, head: number): Task<void> {
  const { files } = inode;
  const { phys } = files;
  yield P_CACHE_LOOKUP;
  if (!folioTrylock(files, head)) return;
  const index = phys.cold[head * COLD_WORDS + COLD_INDEX]!;
  if (inode.pages.get(index) === head && !folioTestFlag(files, head, PG_WRITEBACK)) {
    yield* unmapFolio(inode, head, index);
    const used = folioTestFlag(files, head, PG_DIRTY) || pageRefCount(phys, head) > folioNrPages(phys, head) + 1;
    if (!used) deleteFromPageCache(inode, head, index);
  }
  folioUnlock(files, head);
}

/** Zeroes bytes [start, end) of the file in the folio at `head`, whose blocks wholly in there need not be written any more. */
function zeroBlocks(inode: Inode, head: number, first: number, start: number, end: number): void {
  const { phys } = inode.files;
  const { pageSize } = phys;
  for (let at = start; at < end; at += pageSize - (at % pageSize)) {
    const page = head + Math.floor(at / pageSize) - first;
    const length = Math.min(end - at, pageSize - (at % pageSize));
    writeBytes(phys, page, at % pageSize, new Uint8Array(length), 0, length);
    if (length === pageSize) clearBlockDirty(inode, page);
  }
}
/**
 * Removes the folios with a page in [first, end), so that what was written past the cache is seen: 0, or -EBUSY when one was dirty,
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
    if (folioTestFlag(files, pfn, PG_DIRTY)) error = -EBUSY;
    else deleteFromPageCache(inode, pfn, index);
    folioUnlock(files, pfn);
    putPage(files.phys, pfn);
  }
  return error;
}

/**
 * Removes those folios that lie in [first, end) and are clean, not locked, not being written back, and neither mapped nor
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
      const at = folioAt(inode, pfn, index);
      const inside = at.first >= first && at.first + at.pages <= end;
      // The cache's references and ours.
      const used = folioTestFlag(files, pfn, PG_DIRTY | PG_WRITEBACK) || pageRefCount(phys, pfn) > at.pages + 1;
      if (inside && !used) deleteFromPageCache(inode, pfn, index);
      folioUnlock(files, pfn);
    }
    putPage(phys, pfn);
  }
}

/** Unmaps a locked folio everywhere (unmap_mapping_folio); nobody maps it anew while it is locked. */
function* unmapFolio(inode: Inode, pfn: number, index: number): Task<void> {
  yield P_CACHE_UNMAP;
  const { first, pages } = folioAt(inode, pfn, index);
  if (folioMapcount(inode.files.phys, pfn) > 0) yield* unmapMappingRange(inode, first, first + pages, false);
}
