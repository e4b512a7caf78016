/**
 * Buffered writing (Linux: generic_perform_write with write_begin and write_end of ext4 and shmem): folio by folio,
 * locked, a block read in first where it is written in part and holds data, then dirty. The file grows with each folio. The whole write
 * holds i_rwsem for writing.
 *
 * Differs from Linux: no balance_dirty_pages and no stable pages: a page may be written to while it is written back.
 */
import { checkInteger, EPERM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { compoundHead, folioNrPages, putPage, writeBytes, zeroFrame } from '@mmkit/phys';
import { upWrite } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import { mapBlock } from './blocks.ts';
import { blockUptodate, markBlocksDirty, setBlocksUptodate } from './buffers.ts';
import { folioUnlock } from './folio.ts';
import { filemapGrabFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { folioTestUptodate } from './page-cache.ts';
import { readBlock } from './read.co.ts';
import { F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_WRITE } from './seals.ts';
import { zeroFileTail } from './zero.co.ts';

/** Most bytes that one folio of the file holds (mapping_max_folio_size): shmem has small ones only. */
export function mappingMaxFolioSize({ device, files }: Inode): number {
  return device === null ? files.phys.pageSize : files.phys.pageSize * 2 ** files.maxOrder;
}

/** How many of `length` bytes at `pos` lie in the folio of page `pfn`, which has that byte. */
export function lengthInFolio(inode: Inode, pfn: number, pos: number, length: number): number {
  const { phys } = inode.files;
  const end = compoundHead(phys, pfn) + folioNrPages(phys, pfn);
  return Math.min(length, (end - pfn) * phys.pageSize - (pos % phys.pageSize));
}

/**
 * Before up to `length` bytes at `pos` are written (write_begin): the page with the first, its folio locked and with a
 * reference, for `filemapWriteEnd`, which must follow with what `lengthInFolio` says of them; or -EPERM (sealed), -EIO,
 * -ENOMEM. A new folio of a disk file has as many pages as are to be written, rounded down to a power of two, and to what its
 * place allows (`filemapAddFolio`). Caller holds i_rwsem for writing.
 */
export function* filemapWriteBegin(inode: Inode, pos: number, length: number): Task<number> {
  const { files, seals } = inode;
  const { phys } = files;
  const { pageSize } = phys;
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) return -EPERM;
  const largest = mappingMaxFolioSize(inode);
  const most = Math.min(length, largest - (pos % largest));
  if ((seals & F_SEAL_GROW) !== 0 && pos + most > inode.size) return -EPERM;
  const index = Math.floor(pos / pageSize);
  const pfn = yield* filemapGrabFolio(inode, index, most > pageSize ? Math.floor(Math.log2(most / pageSize)) : 0);
  if (pfn < 0 || folioTestUptodate(phys, pfn)) return pfn;
  const end = pos + lengthInFolio(inode, pfn, pos, most);
  // Only the first and the last block can be written in part.
  for (const at of new Set([index, Math.floor((end - 1) / pageSize)])) {
    const page = pfn + at - index;
    const whole = pos <= at * pageSize && end >= (at + 1) * pageSize;
    if (whole || blockUptodate(inode, page)) continue;
    const error = yield* readBlock(inode, page, at);
    if (error === 0) continue;
    folioUnlock(files, pfn);
    putPage(phys, pfn);
    return error;
  }
  return pfn;
}

/**
 * Takes the first `copied` of the `length` bytes announced for `pos`, all in the folio of page `pfn`, from `from[at…]`, makes
 * their blocks dirty, lets the folio go and lets the file grow (write_end). Returns the bytes taken: none where the folio of a
 * disk file was not uptodate and `copied` is less. The file reaches up to `pos` in any case, as measured on 6.18.
 */
export function filemapWriteEnd(
  inode: Inode,
  pfn: number,
  pos: number,
  length: number,
  copied: number,
  from: Uint8Array,
  at: number,
): number {
  const { files, device } = inode;
  const { phys } = files;
  const { pageSize } = phys;
  const incomplete = copied < length && !folioTestUptodate(phys, pfn);
  const taken = incomplete && device !== null ? 0 : copied;
  const index = Math.floor(pos / pageSize);
  const end = Math.ceil((pos + length) / pageSize);
  for (let block = index; block < end; block++) {
    const page = pfn + block - index;
    const start = Math.max(pos, block * pageSize);
    const part = Math.min((block + 1) * pageSize, pos + taken) - start;
    const isNew = mapBlock(inode, block) < 0;
    // What was to be written and was not: the rest of a page that holds data is still to be read in; of a new one it is zero.
    if (isNew && copied < length && !blockUptodate(inode, page)) zeroFrame(phys, page);
    if (part > 0) writeBytes(phys, page, start % pageSize, from, at + start - pos, part);
    // ext4 marks a block dirty for nothing, too: a new one, and one that was not to be written from its first byte on.
    if (part <= 0 && !isNew && start % pageSize === 0) {
      // Read in for this write, it is valid all the same (block_commit_write).
      if (blockUptodate(inode, page)) setBlocksUptodate(inode, page, 1);
      continue;
    }
    if (taken < length) setBlocksUptodate(inode, page, 1);
    markBlocksDirty(inode, page, 1);
  }
  if (taken === length) setBlocksUptodate(inode, pfn, end - index);
  inode.size = Math.max(inode.size, pos + taken);
  folioUnlock(files, pfn);
  putPage(phys, pfn);
  return taken;
}

/**
 * Writes `from[at…]`, `length` bytes, to the file at `pos`: how many; or, when there was none, -EPERM (sealed), -EIO,
 * -ENOMEM. RangeError for bad JavaScript values.
 */
export function* filemapWrite(inode: Inode, pos: number, from: Uint8Array, at: number, length: number): Task<number> {
  checkInteger('length', length, 0, from.length);
  checkInteger('at', at, 0, from.length - length);
  checkInteger('pos', pos, 0, Number.MAX_SAFE_INTEGER - length);
  const { sched } = inode.files;
  yield* downWrite(sched, inode.iRwsem);
  let error = length > 0 ? yield* filemapWriteChecks(inode, pos) : 0;
  let done = 0;
  while (error === 0 && done < length) {
    const here = pos + done;
    const pfn = yield* filemapWriteBegin(inode, here, length - done);
    if (pfn < 0) error = pfn;
    else {
      const part = lengthInFolio(inode, pfn, here, length - done);
      done += filemapWriteEnd(inode, pfn, here, part, part, from, at + done);
    }
  }
  upWrite(sched, inode.iRwsem);
  return done > 0 ? done : error;
}

/** What comes before the first page of a write at `pos`: 0, or a negative errno. Caller holds i_rwsem for writing. */
export function* filemapWriteChecks(inode: Inode, pos: number): Task<number> {
  return pos > inode.size ? yield* zeroFileTail(inode) : 0;
}
