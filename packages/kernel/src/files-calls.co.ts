/**
 * System calls on open files that need no memory of a process (Linux: ftruncate, fallocate, fsync, posix_fadvise): what
 * they refuse, then the file system's part in `filemap`. Seals: `addSeals` there; cachestat(2): `cacheStat`.
 */
import { checkInteger, EBADF, EINVAL, EOPNOTSUPP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mappingCanWriteback, OpenFile, WB_SYNC_NONE } from '@mmkit/filemap';
import {
  fallocate as allocateExtent,
  filemapFdatawrite,
  filemapWriteAndWait,
  forcePageCacheReadahead,
  invalidateMappingPages,
  punchHole,
  truncateSetSize,
} from '@mmkit/filemap/sched';

/** fallocate: the size of the file stays. */
export const FALLOC_FL_KEEP_SIZE = 0x1;
/** fallocate: make a hole; only with FALLOC_FL_KEEP_SIZE. */
export const FALLOC_FL_PUNCH_HOLE = 0x2;

/** posix_fadvise: the pages will be needed soon. */
export const POSIX_FADV_WILLNEED = 3;
/** posix_fadvise: the pages are not needed any more. */
export const POSIX_FADV_DONTNEED = 4;
/** The last advice there is: POSIX_FADV_NOREUSE. */
const LAST_ADVICE = 5;

/** Sets the file's size (ftruncate(2)): 0; -EINVAL also when it is not open for writing; else as of `truncateSetSize`. */
export function* ftruncate(file: OpenFile, size: number): Task<number> {
  if (!file.writable) return -EINVAL;
  return yield* truncateSetSize(file.inode, size);
}

/**
 * Makes room or a hole (fallocate(2)): `mode` is 0, or FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE; -EOPNOTSUPP for others;
 * -EBADF when the file is not open for writing; else as of `fallocate` and `punchHole` of `filemap`.
 */
export function* fallocate(file: OpenFile, mode: number, offset: number, length: number): Task<number> {
  const { inode } = file;
  if (mode !== 0 && mode !== (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) return -EOPNOTSUPP;
  if (!file.writable) return -EBADF;
  return mode === 0 ? yield* allocateExtent(inode, offset, length) : yield* punchHole(inode, offset, length);
}

/** Writes the file back and waits (fsync(2)): 0, or the error of a writeback since the last call: -EIO, -ENOSPC. */
export function* fsync(file: OpenFile): Task<number> {
  return yield* filemapWriteAndWait(file.inode, 0, Infinity);
}

/**
 * Advice on [offset, offset + length), length 0: to the end (posix_fadvise(2)). POSIX_FADV_WILLNEED starts to read what is
 * not cached; POSIX_FADV_DONTNEED starts to write dirty pages back, without waiting, and drops those whole pages of the
 * range that are clean and unused; shmem ignores both. Other advice does nothing here. 0, or -EINVAL.
 */
export function* fadvise(file: OpenFile, offset: number, length: number, advice: number): Task<number> {
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('length', length, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - offset);
  const { inode } = file;
  if (length < 0 || !(advice >= 0 && advice <= LAST_ADVICE)) return -EINVAL;
  if (!mappingCanWriteback(inode)) return 0;
  const { pageSize } = inode.files.phys;
  const end = length === 0 ? Infinity : offset + length;
  if (advice === POSIX_FADV_WILLNEED) {
    yield* forcePageCacheReadahead(inode, Math.floor(offset / pageSize), Math.ceil(end / pageSize));
  }
  if (advice !== POSIX_FADV_DONTNEED) return 0;
  yield* filemapFdatawrite(inode, offset, end, WB_SYNC_NONE);
  // A page that is only begun is still of use, but for the last one of the file.
  const pages = end / pageSize;
  yield* invalidateMappingPages(
    inode,
    Math.ceil(offset / pageSize),
    end === inode.size ? Math.ceil(pages) : Math.floor(pages),
  );
  return 0;
}
