/**
 * Changing a file's size and making holes (Linux: do_truncate with ext4_setattr or shmem_setattr, fallocate, truncate(2),
 * fallocate(2)). Cutting takes four steps: the size, so that no fault finds the pages from now on; their mappings; the
 * pages themselves, each under its lock; and the mappings once more, for a fault that had looked at the old size. Whoever
 * holds a pin of a page keeps it, out of the file (N.13).
 *
 * All take i_rwsem for writing, and invalidate_lock while they cut; shmem of Linux does without the latter.
 */
import { checkInteger, EINVAL, EPERM, InvariantError, P_CACHE_UNMAP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { putPage } from '@mmkit/phys';
import { upWrite } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import { allocateBlock, freeBlocks } from './blocks.ts';
import { folioUnlock } from './folio.ts';
import { filemapLockFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { filemapAddFolio, folioMarkDirty } from './page-cache.ts';
import { truncateInodePages } from './remove.co.ts';
import { unmapMappingRange } from './rmap-port.sched.ts';
import { F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE } from './seals.ts';
import { zeroFileTail, zeroPartialPage } from './zero.co.ts';

/**
 * Makes the file `size` bytes long (ftruncate(2)): 0; -EINVAL for a negative size; -EPERM (sealed); -EIO or -ENOMEM, when
 * the page with the end could not be zeroed. Private copies of pages wholly beyond the end go too. RangeError for bad
 * JavaScript values.
 */
export function* truncateSetSize(inode: Inode, size: number): Task<number> {
  checkInteger('size', size, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  if (size < 0) return -EINVAL;
  const { sched } = inode.files;
  yield* downWrite(sched, inode.iRwsem);
  // The same size: what the last page holds beyond it is zeroed all the same.
  const error = size > inode.size ? yield* grow(inode, size) : yield* shrink(inode, size);
  upWrite(sched, inode.iRwsem);
  return error;
}

function* shrink(inode: Inode, size: number): Task<number> {
  if ((inode.seals & F_SEAL_SHRINK) !== 0 && size < inode.size) return -EPERM;
  const { sched, phys } = inode.files;
  const { pageSize } = phys;
  const first = Math.ceil(size / pageSize);
  yield* downWrite(sched, inode.invalidateLock);
  inode.size = size;
  yield* cut(inode, size, Infinity, true);
  const error = size < first * pageSize ? yield* zeroPartialPage(inode, size, first * pageSize) : 0;
  upWrite(sched, inode.invalidateLock);
  return error;
}

function* grow(inode: Inode, size: number): Task<number> {
  if ((inode.seals & F_SEAL_GROW) !== 0) return -EPERM;
  const error = yield* zeroFileTail(inode);
  if (error === 0) inode.size = size;
  return error;
}

/**
 * Nobody has the file any more: no name, no OpenFile, no VMA (evict). Its pages are thrown away, pins keep theirs; its
 * blocks are free, its number is given to no other. InvariantError FILE_MAPPED while a VMA maps it. i_rwsem is not taken, as
 * nobody can want it: munmap may hold mmap_lock, which is inside.
 */
export function* evictInode(inode: Inode): Task<void> {
  const { files } = inode;
  if (inode.iMmap.size > 0) throw new InvariantError('FILE_MAPPED', `file ${inode.id} is mapped`);
  yield* truncateInodePages(inode, 0, Infinity);
  freeBlocks(inode, 0, Infinity);
  files.inodes[inode.id] = null;
}

/**
 * A write past the page cache that was to make the file longer has failed: blocks beyond the end are given back and the
 * last page is zeroed beyond it (ext4_truncate_failed_write). Caller holds i_rwsem for writing. 0, -EIO or -ENOMEM.
 */
export function* truncateFailedWrite(inode: Inode): Task<number> {
  freeBlocks(inode, Math.ceil(inode.size / inode.files.phys.pageSize), Infinity);
  return yield* zeroFileTail(inode);
}

/** Pages with all their bytes in [from, to) leave the page tables, the cache, the page tables again; their blocks are free. */
function* cut(inode: Inode, from: number, to: number, evenCows: boolean): Task<void> {
  const { pageSize } = inode.files.phys;
  const first = Math.ceil(from / pageSize);
  const end = Math.floor(to / pageSize);
  if (first < end) {
    yield P_CACHE_UNMAP;
    yield* unmapMappingRange(inode, first, end, evenCows);
  }
  yield* truncateInodePages(inode, from, to);
  if (first >= end) return;
  yield P_CACHE_UNMAP;
  yield* unmapMappingRange(inode, first, end, evenCows);
  freeBlocks(inode, first, end);
}

/**
 * Makes bytes [offset, offset + length) a hole (fallocate(2), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE; MADV_REMOVE):
 * whole pages go, their private copies stay; the parts of pages at both ends are zeroed. Results as of truncateSetSize;
 * -EINVAL also when nothing is asked for.
 */
export function* punchHole(inode: Inode, offset: number, length: number): Task<number> {
  if (!checkExtent(offset, length)) return -EINVAL;
  const { sched } = inode.files;
  yield* downWrite(sched, inode.iRwsem);
  const sealed = (inode.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0;
  const error = sealed ? -EPERM : yield* punch(inode, offset, offset + length);
  upWrite(sched, inode.iRwsem);
  return error;
}

function* punch(inode: Inode, from: number, to: number): Task<number> {
  const { sched, phys } = inode.files;
  const { pageSize } = phys;
  // ext4 looks at nothing beyond the page with the end, which goes whole where the hole reaches past the end.
  const end = inode.device !== null && to > inode.size ? Math.ceil(inode.size / pageSize) * pageSize : to;
  if (inode.device !== null && from >= inode.size) return 0;
  const first = Math.ceil(from / pageSize) * pageSize;
  const last = Math.floor(end / pageSize) * pageSize;
  yield* downWrite(sched, inode.invalidateLock);
  // The bounds of a hole that ends in the first page wrap: all pages after it lose their mappings (measured on 6.18).
  if (last === 0) yield* unmapMappingRange(inode, first / pageSize, Infinity, false);
  yield* cut(inode, from, end, false);
  let error = 0;
  if (from < first) error = yield* zeroPartialPage(inode, from, Math.min(first, end));
  if (error === 0 && last < end && last >= first) error = yield* zeroPartialPage(inode, last, end);
  upWrite(sched, inode.invalidateLock);
  return error;
}

/**
 * Makes room for bytes [offset, offset + length) and lets the file grow to their end (fallocate(2), mode 0): shmem gets
 * its pages, a disk file unwritten blocks. 0; -EINVAL; -EPERM (sealed); -ENOMEM, with nothing left behind; -ENOSPC; -EIO.
 */
export function* fallocate(inode: Inode, offset: number, length: number): Task<number> {
  if (!checkExtent(offset, length)) return -EINVAL;
  const { sched } = inode.files;
  yield* downWrite(sched, inode.iRwsem);
  const error = yield* allocate(inode, offset, offset + length);
  upWrite(sched, inode.iRwsem);
  return error;
}

function* allocate(inode: Inode, from: number, to: number): Task<number> {
  const { pageSize } = inode.files.phys;
  const first = Math.floor(from / pageSize);
  const end = Math.ceil(to / pageSize);
  if ((inode.seals & F_SEAL_GROW) !== 0 && to > inode.size) return -EPERM;
  let error = 0;
  if (inode.device === null) error = yield* allocatePages(inode, first, end);
  else for (let index = first; index < end && error === 0; index++) error = Math.min(allocateBlock(inode, index), 0);
  if (error === 0 && to > inode.size) {
    error = yield* grow(inode, to);
    // ext4 looks at the new last page too, which is cached then (measured).
    if (error === 0) error = yield* zeroFileTail(inode);
  }
  return error;
}

/** Gives shmem a page at every index of [first, end); they are zeroed when they are read. 0, or -ENOMEM. */
function* allocatePages(inode: Inode, first: number, end: number): Task<number> {
  const { files } = inode;
  const { pageSize } = files.phys;
  const added: number[] = [];
  let error = 0;
  for (let index = first; index < end && error === 0; index++) {
    const cached = yield* filemapLockFolio(inode, index);
    const pfn = cached < 0 ? filemapAddFolio(inode, index) : cached;
    if (pfn < 0) {
      error = pfn;
      continue;
    }
    if (cached < 0) added.push(index);
    folioMarkDirty(files, pfn);
    folioUnlock(files, pfn);
    putPage(files.phys, pfn);
  }
  if (error !== 0)
    for (const index of added) {
      yield* truncateInodePages(inode, index * pageSize, (index + 1) * pageSize);
    }
  return error;
}

function checkExtent(offset: number, length: number): boolean {
  checkInteger('offset', offset, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  checkInteger('length', length, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - Math.max(offset, 0));
  return offset >= 0 && length > 0;
}
