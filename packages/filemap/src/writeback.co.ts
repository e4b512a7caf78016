/**
 * Writing dirty pages of a disk file back (Linux: filemap_fdatawrite_range, filemap_write_and_wait_range, fsync,
 * folio_clear_dirty_for_io; N.13). A folio is locked, its mappings are write-protected and cleaned, PG_dirty is cleared, the
 * bio is submitted and the page unlocked; until the bio ends it has PG_writeback. Whoever writes to the page from then on
 * makes it dirty again, but a device that holds a pin does not: what it stores is not written back (C.7).
 *
 * The bytes leave the page at the start of the transfer, not at submission, and the page is not locked then.
 */
import { checkInteger, P_CACHE_CLEAN, P_CACHE_LOOKUP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { PG_DIRTY, PG_WRITEBACK, putPage, setFlag, testFlag, writeBytes } from '@mmkit/phys';
import { BIO_WRITE, createBio } from './bio.ts';
import type { Bio } from './bio.ts';
import { submitBio } from './blockdev.ts';
import { allocateBlock, markWritten } from './blocks.ts';
import { clearBlockDirty, folioTestFlag, markBlocksDirty } from './buffers.ts';
import { folioEndWriteback, folioUnlock } from './folio.ts';
import { folioWaitWriteback } from './folio-lock.co.ts';
import { filemapLockFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { cachedIndexes, filemapGetFolio, folioAt, folioClearDirty, folioMarkDirty } from './page-cache.ts';
import { folioMkclean } from './rmap-port.sched.ts';

/** `filemapFdatawrite`: start what can be started; pages already being written back are passed over. */
export const WB_SYNC_NONE = 0;
/** `filemapFdatawrite`: all that is dirty now is to reach the device. */
export const WB_SYNC_ALL = 1;

/**
 * Writes the dirty pages with a byte in [start, end) back and waits for all writeback there
 * (filemap_write_and_wait_range, vfs_fsync_range; msync(MS_SYNC)): 0, or the first error since the last call that reported
 * one: -EIO, -ENOSPC. shmem: 0 at once. `end` may be Infinity.
 */
export function* filemapWriteAndWait(inode: Inode, start: number, end: number): Task<number> {
  if (inode.device === null) return 0;
  yield* filemapFdatawrite(inode, start, end, WB_SYNC_ALL);
  yield* waitRange(inode, start, end);
  const error = inode.writebackError;
  inode.writebackError = 0;
  return error;
}

/** Starts to write the dirty pages with a byte in [start, end) back; `mode` is WB_SYNC_NONE or WB_SYNC_ALL. */
export function* filemapFdatawrite(inode: Inode, start: number, end: number, mode: number): Task<void> {
  checkRange(start, end);
  yield P_CACHE_LOOKUP;
  if (inode.nrDirty === 0) return;
  const { files } = inode;
  const { phys } = files;
  const { pageSize } = phys;
  const dirty = (head: number): boolean => testFlag(phys, head, PG_DIRTY);
  // Behind the last folio that was written.
  let next = -1;
  for (const index of cachedIndexes(inode, Math.floor(start / pageSize), Math.ceil(end / pageSize), dirty)) {
    const pfn = yield* filemapLockFolio(inode, index);
    if (pfn < 0) continue;
    if (mode === WB_SYNC_ALL) yield* folioWaitWriteback(files, pfn);
    const { first, pages } = folioAt(inode, pfn, index);
    const beyond = first * pageSize >= inode.size;
    // ext4 on 6.18 leaves one beyond the end dirty when it has just written the one before.
    const free = !folioTestFlag(files, pfn, PG_WRITEBACK) && !(beyond && first === next);
    if (free && (yield* folioClearDirtyForIo(inode, pfn, index))) {
      startWriteback(inode, pfn, index);
      if (!beyond) next = first + pages;
    }
    folioUnlock(files, pfn);
    putPage(phys, pfn);
  }
}

/**
 * Makes the locked folio of a page of a disk file clean, its mappings too, but not its blocks: true when it is to be written.
 * Not aware of pins.
 */
export function* folioClearDirtyForIo(inode: Inode, pfn: number, index: number): Task<boolean> {
  const { head, first, pages } = folioAt(inode, pfn, index);
  let dirty = false;
  for (let i = 0; i < pages; i++) if (yield* folioMkclean(inode, head + i, first + i)) dirty = true;
  if (dirty) folioMarkDirty(inode.files, head);
  yield P_CACHE_CLEAN;
  return folioClearDirty(inode.files, head);
}

/**
 * Submits the writes of those blocks of a locked folio, no longer marked dirty, that are; what it holds beyond the end of the
 * file is zeroed first, and not written: truncation is about to remove it.
 */
function startWriteback(inode: Inode, pfn: number, index: number): void {
  const { files } = inode;
  const { phys } = files;
  const { head, first, pages } = folioAt(inode, pfn, index);
  const bios: Bio[] = [];
  let left = 0;
  for (let i = 0; i < pages; i++) {
    const page = head + i;
    const data = inode.size - (first + i) * phys.pageSize;
    const tail = Math.min(Math.max(phys.pageSize - data, 0), phys.pageSize);
    writeBytes(phys, page, phys.pageSize - tail, new Uint8Array(tail), 0, tail);
    if (!clearBlockDirty(inode, page) || data <= 0) continue;
    const offset = allocateBlock(inode, first + i);
    if (offset < 0) {
      markBlocksDirty(inode, page, 1);
      inode.writebackError = offset;
      continue;
    }
    const bio = createBio(BIO_WRITE, offset, Uint32Array.of(page), 0, phys.pageSize, (ended) => {
      if (ended.status === 0) markWritten(inode, first + i);
      else inode.writebackError = ended.status;
      if (--left === 0) folioEndWriteback(files, head);
    });
    left = bios.push(bio);
  }
  if (left === 0) return;
  setFlag(phys, head, PG_WRITEBACK);
  for (const bio of bios) submitBio(inode.device!, bio);
}

/** Waits for the pages with a byte in [start, end) that are being written back now (filemap_fdatawait_range). */
function* waitRange(inode: Inode, start: number, end: number): Task<void> {
  const { files } = inode;
  const { pageSize } = files.phys;
  const busy = (head: number): boolean => testFlag(files.phys, head, PG_WRITEBACK);
  yield P_CACHE_LOOKUP;
  for (const index of cachedIndexes(inode, Math.floor(start / pageSize), Math.ceil(end / pageSize), busy)) {
    yield P_CACHE_LOOKUP;
    const pfn = filemapGetFolio(inode, index);
    if (pfn < 0) continue;
    yield* folioWaitWriteback(files, pfn);
    putPage(files.phys, pfn);
  }
}

function checkRange(start: number, end: number): void {
  checkInteger('start', start, 0, Number.MAX_SAFE_INTEGER);
  if (end !== Infinity) checkInteger('end', end, start, Number.MAX_SAFE_INTEGER);
}
