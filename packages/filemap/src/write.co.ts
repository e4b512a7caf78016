/**
 * Buffered writing (Linux: generic_perform_write with write_begin and write_end of ext4 and shmem): page by page, locked,
 * read in first where it is written in part and holds data, then dirty. The file grows with each page. The whole write
 * holds i_rwsem for writing.
 *
 * Differs from Linux: no balance_dirty_pages and no stable pages: a page may be written to while it is written back.
 */
import { checkInteger, EPERM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { PG_UPTODATE, putPage, setFlag, writeBytes, zeroFrame } from '@mmkit/phys';
import { upWrite } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import { mapBlock } from './blocks.ts';
import { folioUnlock } from './folio.ts';
import { filemapGrabFolio } from './grab.co.ts';
import { Inode } from './inode.ts';
import { folioMarkDirty, folioTestUptodate } from './page-cache.ts';
import { readLockedFolio } from './read.co.ts';
import { F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_WRITE } from './seals.ts';
import { zeroFileTail } from './zero.co.ts';

/**
 * Before `length` bytes at `pos`, all in one page, are written (write_begin): the page, locked and with a reference, for
 * `filemapWriteEnd`, which must follow; or -EPERM (sealed), -EIO, -ENOMEM. Caller holds i_rwsem for writing.
 */
export function* filemapWriteBegin(inode: Inode, pos: number, length: number): Task<number> {
  const { files, seals } = inode;
  const { phys } = files;
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) return -EPERM;
  if ((seals & F_SEAL_GROW) !== 0 && pos + length > inode.size) return -EPERM;
  const index = Math.floor(pos / phys.pageSize);
  const pfn = yield* filemapGrabFolio(inode, index);
  if (pfn < 0 || length === phys.pageSize || folioTestUptodate(phys, pfn)) return pfn;
  // shmem has no block: its page is zeroed.
  if (mapBlock(inode, index) < 0) zeroFrame(phys, pfn);
  else {
    const error = yield* readLockedFolio(inode, pfn, index);
    if (error !== 0) {
      folioUnlock(files, pfn);
      putPage(phys, pfn);
      return error;
    }
  }
  setFlag(phys, pfn, PG_UPTODATE);
  return pfn;
}

/**
 * Takes the first `copied` of the `length` bytes announced for `pos` from `from[at…]`, makes the page dirty, lets it go
 * and lets the file grow (write_end). Returns the bytes taken: none where a whole page of a disk file was announced, it
 * was not uptodate and `copied` is less. The file reaches up to `pos` in any case, as measured on 6.18.
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
  const inPage = pos % phys.pageSize;
  const hasBlock = mapBlock(inode, (pos - inPage) / phys.pageSize) >= 0;
  const incomplete = copied < length && !folioTestUptodate(phys, pfn);
  const taken = incomplete && device !== null ? 0 : copied;
  // The rest of a page that holds data is still to be read in; of a new one it is zero.
  if (!incomplete || !hasBlock) {
    if (incomplete) zeroFrame(phys, pfn);
    writeBytes(phys, pfn, inPage, from, at, taken);
    setFlag(phys, pfn, PG_UPTODATE);
  }
  // ext4 marks a page dirty for nothing, too: a new one, and one that was not to be written from its first byte on.
  if (taken > 0 || device === null || !hasBlock || inPage > 0) folioMarkDirty(files, pfn);
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
  const { sched, phys } = inode.files;
  yield* downWrite(sched, inode.iRwsem);
  let error = length > 0 ? yield* filemapWriteChecks(inode, pos) : 0;
  let done = 0;
  while (error === 0 && done < length) {
    const here = pos + done;
    const part = Math.min(phys.pageSize - (here % phys.pageSize), length - done);
    const pfn = yield* filemapWriteBegin(inode, here, part);
    if (pfn < 0) error = pfn;
    else done += filemapWriteEnd(inode, pfn, here, part, part, from, at + done);
  }
  upWrite(sched, inode.iRwsem);
  return done > 0 ? done : error;
}

/** What comes before the first page of a write at `pos`: 0, or a negative errno. Caller holds i_rwsem for writing. */
export function* filemapWriteChecks(inode: Inode, pos: number): Task<number> {
  return pos > inode.size ? yield* zeroFileTail(inode) : 0;
}
