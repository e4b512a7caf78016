/**
 * Writing dirty pages of a disk file back (Linux: filemap_fdatawrite_range, filemap_write_and_wait_range, fsync,
 * folio_clear_dirty_for_io; N.13). A page is locked, its mappings are write-protected and cleaned, PG_dirty is cleared, the
 * bio is submitted and the page unlocked; until the bio ends it has PG_writeback. Whoever writes to the page from then on
 * makes it dirty again, but a device that holds a pin does not: what it stores is not written back (C.7).
 *
 * The bytes leave the page at the start of the transfer, not at submission, and the page is not locked then.
 */
import { checkInteger, P_CACHE_CLEAN, P_CACHE_LOOKUP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { PG_DIRTY, PG_WRITEBACK, putPage, setFlag, testFlag, writeBytes } from '@mmkit/phys';
import { BIO_WRITE, createBio } from './bio.ts';
import { submitBio } from './blockdev.ts';
import { allocateBlock, markWritten } from './blocks.ts';
import { folioEndWriteback, folioUnlock } from './folio.ts';
import { folioWaitWriteback } from './folio-lock.co.ts';
import { filemapLockFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { cachedIndexes, filemapGetFolio, folioClearDirty, folioMarkDirty } from './page-cache.ts';
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
  const dirty = (pfn: number): boolean => testFlag(phys, pfn, PG_DIRTY);
  for (const index of cachedIndexes(inode, Math.floor(start / pageSize), Math.ceil(end / pageSize), dirty)) {
    const pfn = yield* filemapLockFolio(inode, index);
    if (pfn < 0) continue;
    if (mode === WB_SYNC_ALL) yield* folioWaitWriteback(files, pfn);
    const start = !testFlag(phys, pfn, PG_WRITEBACK) && (yield* folioClearDirtyForIo(inode, pfn, index));
    if (start) startWriteback(inode, pfn, index);
    folioUnlock(files, pfn);
    putPage(phys, pfn);
  }
}

/**
 * Makes a locked page of a disk file clean, its mappings too: true when it is to be written. Not aware of pins.
 */
export function* folioClearDirtyForIo(inode: Inode, pfn: number, index: number): Task<boolean> {
  if (yield* folioMkclean(inode, pfn, index)) folioMarkDirty(inode.files, pfn);
  yield P_CACHE_CLEAN;
  return folioClearDirty(inode.files, pfn);
}

/** Submits the write of a locked, clean page; what it holds beyond the end of the file is zeroed first. */
function startWriteback(inode: Inode, pfn: number, index: number): void {
  const { files } = inode;
  const { phys } = files;
  const data = inode.size - index * phys.pageSize;
  // Beyond the end: truncation is about to remove it.
  if (data <= 0) return;
  const offset = allocateBlock(inode, index);
  if (offset < 0) {
    folioMarkDirty(files, pfn);
    inode.writebackError = offset;
    return;
  }
  const tail = Math.max(phys.pageSize - data, 0);
  writeBytes(phys, pfn, phys.pageSize - tail, new Uint8Array(tail), 0, tail);
  setFlag(phys, pfn, PG_WRITEBACK);
  const bio = createBio(BIO_WRITE, offset, Uint32Array.of(pfn), 0, phys.pageSize, (ended) => {
    if (ended.status === 0) markWritten(inode, index);
    else inode.writebackError = ended.status;
    folioEndWriteback(files, pfn);
  });
  submitBio(inode.device!, bio);
}

/** Waits for the pages with a byte in [start, end) that are being written back now (filemap_fdatawait_range). */
function* waitRange(inode: Inode, start: number, end: number): Task<void> {
  const { files } = inode;
  const { pageSize } = files.phys;
  const busy = (pfn: number): boolean => testFlag(files.phys, pfn, PG_WRITEBACK);
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
