/**
 * Zeroing a part of one page of a file in the cache, where the block behind it stays (Linux: ext4_block_zero_page_range,
 * shmem_get_partial_folio, truncate_inode_partial_folio): at the new end of a truncated file, at the old end of one that
 * grows, at both ends of a hole. Caller holds i_rwsem for writing.
 */
import type { Task } from '@mmkit/base';
import { putPage, writeBytes } from '@mmkit/phys';
import { mapBlock } from './blocks.ts';
import { blockUptodate, markBlocksDirty } from './buffers.ts';
import { folioUnlock } from './folio.ts';
import { folioWaitWriteback } from './folio-lock.co.ts';
import { filemapGrabFolio, filemapLockFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { readBlock } from './read.co.ts';

/**
 * Zeroes bytes [from, to) of the file, all in one page. Where a block holds data it is read in and made dirty, which does not
 * make the folio uptodate; the page of a disk file is cached afterwards in any case, as in ext4. 0, -EIO or -ENOMEM.
 */
export function* zeroPartialPage(inode: Inode, from: number, to: number): Task<number> {
  const { files } = inode;
  const { phys } = files;
  const inPage = from % phys.pageSize;
  const index = (from - inPage) / phys.pageSize;
  const shmem = inode.device === null;
  const pfn = shmem ? yield* filemapLockFolio(inode, index) : yield* filemapGrabFolio(inode, index);
  if (pfn < 0) return shmem ? 0 : pfn;
  // Else what is on its way to the device would be taken for what is there.
  yield* folioWaitWriteback(files, pfn);
  const hasData = shmem || mapBlock(inode, index) >= 0;
  let error = 0;
  if (hasData && !blockUptodate(inode, pfn)) error = yield* readBlock(inode, pfn, index);
  if (error === 0 && blockUptodate(inode, pfn)) {
    writeBytes(phys, pfn, inPage, new Uint8Array(to - from), 0, to - from);
    if (hasData) markBlocksDirty(inode, pfn, 1);
  }
  folioUnlock(files, pfn);
  putPage(phys, pfn);
  return error;
}

/**
 * Before a disk file grows: zeroes what its last page holds beyond the end, where a mapping may have stored something. 0,
 * -EIO or -ENOMEM. Not done for shmem, as in Linux: there it becomes part of the file.
 */
export function* zeroFileTail(inode: Inode): Task<number> {
  const { pageSize } = inode.files.phys;
  const { size } = inode;
  if (inode.device === null || size % pageSize === 0) return 0;
  return yield* zeroPartialPage(inode, size, size - (size % pageSize) + pageSize);
}
