/**
 * Reading files (Linux: filemap_read, filemap_get_pages, a_ops->read_folio; shmem_file_read_iter). A page that is not
 * uptodate is read in under its lock, with invalidate_lock held for reading until the end of the I/O, so that
 * truncation, which holds it for writing, neither frees the block meanwhile nor finds the page come back. i_rwsem is not
 * taken: a read beside a write or a truncation gives some bytes of both, and none from beyond the end it saw.
 *
 * Differs from Linux: no read-ahead but what advice asks for, so that reading makes no large folios; blocks are read in one by one.
 */
import { checkInteger, EEXIST, EIO, ENOMEM, P_CACHE_COPY, P_CACHE_LOOKUP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { putPage, readBytes, zeroFrame } from '@mmkit/phys';
import { upRead } from '@mmkit/rwsem';
import { downRead } from '@mmkit/rwsem/sched';
import { BIO_READ, createBio } from './bio.ts';
import type { Bio } from './bio.ts';
import { submitBio } from './blockdev.ts';
import { mapBlock } from './blocks.ts';
import { blockUptodate, isPartiallyUptodate, setBlocksUptodate, setBlockUptodate } from './buffers.ts';
import { folioLockToIo, folioUnlock } from './folio.ts';
import { folioLock, folioWaitLockedKillable } from './folio-lock.co.ts';
import { Inode } from './inode.ts';
import {
  filemapAddFolio,
  filemapGetFolio,
  folioAt,
  folioInFile,
  folioTestUptodate,
  mappingCanWriteback,
} from './page-cache.ts';
import { waitBio } from './wait.co.ts';

/**
 * Starts to read the folio of page `pfn` in and returns at once (a_ops->read_folio). It is locked, in the file with that page at
 * `index` and not uptodate; when the read ends it is unlocked, and uptodate unless the device failed. What nothing was written
 * to is zeroed at once; blocks that are uptodate stay. The caller holds invalidate_lock and a reference; it may drop both
 * while the read is under way.
 */
export function readFolio(inode: Inode, pfn: number, index: number): void {
  const { files } = inode;
  const { head, first, pages } = folioAt(inode, pfn, index);
  let left = 0;
  const bios: Bio[] = [];
  for (let i = 0; i < pages; i++) {
    const page = head + i;
    if (blockUptodate(inode, page)) continue;
    const bio = readBlockBio(inode, page, first + i, (status) => {
      if (status === 0) setBlocksUptodate(inode, page, 1);
      if (--left === 0) folioUnlock(files, head);
    });
    if (bio === null) setBlocksUptodate(inode, page, 1);
    else left = bios.push(bio);
  }
  if (left === 0) {
    setBlocksUptodate(inode, head, pages);
    folioUnlock(files, head);
    return;
  }
  folioLockToIo(files, head);
  for (const bio of bios) submitBio(inode.device!, bio);
}

/** Reads one page of a locked folio in, which its file has at `index`, and waits for it (ext4_read_bh): 0, or -EIO. */
export function* readBlock(inode: Inode, pfn: number, index: number): Task<number> {
  const bio = readBlockBio(inode, pfn, index, () => {});
  if (bio === null) {
    setBlocksUptodate(inode, pfn, 1);
    return 0;
  }
  submitBio(inode.device!, bio);
  if ((yield* waitBio(inode.device!, bio)) !== 0) return -EIO;
  setBlockUptodate(inode, pfn);
  return 0;
}

/** The read of a page, not submitted yet; or null, and it is zeroed. At its end `onEnd` is called. */
function readBlockBio(inode: Inode, pfn: number, index: number, onEnd: (status: number) => void): Bio | null {
  const { phys } = inode.files;
  const offset = mapBlock(inode, index);
  if (offset < 0) {
    zeroFrame(phys, pfn);
    return null;
  }
  return createBio(BIO_READ, offset, Uint32Array.of(pfn), 0, phys.pageSize, (ended) => onEnd(ended.status));
}

/**
 * The page at `index`, uptodate and with a reference for the caller, its folio read in if need be (read_mapping_folio): its
 * PFN, or -EIO, -ENOMEM, -EINTR (killed while waiting). It is not locked, and may leave the file at any moment. With `length`
 * only that many bytes of it from `inPage` on need be uptodate, where the folio is large (filemap_range_uptodate).
 */
export function* filemapReadFolio(
  inode: Inode,
  index: number,
  inPage: number = 0,
  length: number = Infinity,
): Task<number> {
  const { files, invalidateLock } = inode;
  const { sched, phys } = files;
  for (;;) {
    yield P_CACHE_LOOKUP;
    let pfn = filemapGetFolio(inode, index);
    if (pfn >= 0 && isReadable(inode, pfn, inPage, length)) return pfn;
    yield* downRead(sched, invalidateLock);
    if (pfn < 0) pfn = filemapAddFolio(inode, index);
    else yield* folioLock(files, pfn);
    if (pfn >= 0) {
      const error = yield* readIn(inode, pfn, index, inPage, length);
      upRead(sched, invalidateLock);
      if (error === 0) return pfn;
      putPage(phys, pfn);
      if (error < 0) return error;
    } else {
      upRead(sched, invalidateLock);
      if (pfn !== -EEXIST) return pfn;
    }
  }
}

/** True when the folio of a page is uptodate, or what is wanted of the page. */
function isReadable(inode: Inode, pfn: number, inPage: number, length: number): boolean {
  return (
    folioTestUptodate(inode.files.phys, pfn) || (length < Infinity && isPartiallyUptodate(inode, pfn, inPage, length))
  );
}

/** Reads a locked page in, which unlocks it: 0, a negative errno, or 1: it is in the file no more. */
function* readIn(inode: Inode, pfn: number, index: number, inPage: number, length: number): Task<number> {
  const { files } = inode;
  const here = folioInFile(inode, pfn, index);
  if (!here || isReadable(inode, pfn, inPage, length)) {
    folioUnlock(files, pfn);
    return here ? 0 : 1;
  }
  readFolio(inode, pfn, index);
  const error = yield* folioWaitLockedKillable(files, pfn);
  if (error !== 0) return error;
  return folioTestUptodate(files.phys, pfn) ? 0 : -EIO;
}

/**
 * Starts to read those pages at [first, end) in that are not cached, as far as the file goes, and waits for none of them;
 * stops when memory runs out (force_page_cache_readahead). Does nothing for shmem. Takes invalidate_lock for reading.
 *
 * Differs from Linux: one call reads any number of pages, not at most what one request of the device can carry.
 */
export function* forcePageCacheReadahead(inode: Inode, first: number, end: number): Task<void> {
  if (!mappingCanWriteback(inode)) return;
  const { files, invalidateLock } = inode;
  const { sched, phys } = files;
  yield* downRead(sched, invalidateLock);
  const stop = Math.min(end, Math.ceil(inode.size / phys.pageSize));
  for (let index = first; index < stop; index++) {
    yield P_CACHE_LOOKUP;
    const pfn = filemapAddFolio(inode, index);
    if (pfn === -ENOMEM) break;
    if (pfn === -EEXIST) continue;
    readFolio(inode, pfn, index);
    putPage(phys, pfn);
  }
  upRead(sched, invalidateLock);
}

/**
 * Reads up to `length` bytes of the file at `pos` into `into[at…]`: how many, fewer at the end of the file; or, when
 * there was none, -EIO, -ENOMEM, -EINTR. RangeError for bad JavaScript values.
 */
export function* filemapRead(inode: Inode, pos: number, into: Uint8Array, at: number, length: number): Task<number> {
  checkInteger('length', length, 0, into.length);
  checkInteger('at', at, 0, into.length - length);
  checkInteger('pos', pos, 0, Number.MAX_SAFE_INTEGER - length);
  const { phys } = inode.files;
  const { pageSize } = phys;
  let done = 0;
  while (done < length) {
    const here = pos + done;
    const inPage = here % pageSize;
    const index = (here - inPage) / pageSize;
    yield P_CACHE_LOOKUP;
    if (here >= inode.size) break;
    // A hole of shmem gets no page by being read.
    const hole = inode.device === null && !inode.pages.has(index);
    const wanted = Math.min(pageSize - inPage, length - done);
    const pfn = hole ? -1 : yield* filemapReadFolio(inode, index, inPage, wanted);
    if (pfn < 0 && !hole) return done > 0 ? done : pfn;
    yield P_CACHE_COPY;
    // Once more: what the page holds beyond a new end is no data.
    const part = Math.min(wanted, Math.max(inode.size - here, 0));
    if (hole) into.fill(0, at + done, at + done + part);
    else {
      readBytes(phys, pfn, inPage, into, at + done, part);
      putPage(phys, pfn);
    }
    if (part === 0) break;
    done += part;
  }
  return done;
}
