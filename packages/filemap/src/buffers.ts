/**
 * The blocks of a disk file's folios, each as long as a page (Linux: struct buffer_head). A folio is uptodate once all its
 * blocks were found to be, and dirty while one may be: of a large folio that was written to in part some hold what the device
 * has not, and some nothing. Only of large folios, and of small ones whose block was read but not the folio, something is
 * kept here; for all others PG_UPTODATE and PG_DIRTY say it.
 *
 * Caller holds the folio lock; PG_DIRTY may also come from a mapping.
 */
import { compoundHead, folioNrPages, PG_DIRTY, PG_UPTODATE, setFlag, testFlag } from '@mmkit/phys';
import type { FileCache, Inode } from './inode.ts';

/** The block's contents are valid (BH_Uptodate). */
const UPTODATE = 1;
/** They are to be written back (BH_Dirty). */
const DIRTY = 2;

/** Sets `bit` of `count` blocks from page `page` on. */
function setBlocks(inode: Inode, page: number, count: number, bit: number): Uint8Array {
  const { phys } = inode.files;
  const head = compoundHead(phys, page);
  let blocks = inode.buffers.get(head);
  if (blocks === undefined) inode.buffers.set(head, (blocks = new Uint8Array(folioNrPages(phys, head))));
  for (let i = page - head; i < page - head + count; i++) blocks[i]! |= bit;
  return blocks;
}

function testBlock(inode: Inode, page: number, bit: number): boolean {
  const head = compoundHead(inode.files.phys, page);
  return ((inode.buffers.get(head)?.[page - head] ?? 0) & bit) !== 0;
}

/** True when the contents of page `page` are valid (buffer_uptodate). */
export function blockUptodate(inode: Inode, page: number): boolean {
  return folioTestFlag(inode.files, page, PG_UPTODATE) || testBlock(inode, page, UPTODATE);
}

/** The block at `page` was read by itself: the folio is not called uptodate for it yet (ext4_read_bh). */
export function setBlockUptodate(inode: Inode, page: number): void {
  setBlocks(inode, page, 1, UPTODATE);
}

/** The contents of `count` pages from `page` on are valid; the folio's are when those of all its pages are. */
export function setBlocksUptodate(inode: Inode, page: number, count: number): void {
  const { phys } = inode.files;
  const head = compoundHead(phys, page);
  const all = count === folioNrPages(phys, head);
  if (!all && !setBlocks(inode, page, count, UPTODATE).every((block) => (block & UPTODATE) !== 0)) return;
  setFlag(phys, head, PG_UPTODATE);
}

/** `count` pages from `page` on, of a folio that is a file's, are dirty, and so is their folio (mark_buffer_dirty). */
export function markBlocksDirty(inode: Inode, page: number, count: number): void {
  const { phys } = inode.files;
  if (folioNrPages(phys, page) > 1) setBlocks(inode, page, count, DIRTY);
  const head = compoundHead(phys, page);
  if (testFlag(phys, head, PG_DIRTY)) return;
  setFlag(phys, head, PG_DIRTY);
  if (inode.device !== null) inode.nrDirty += folioNrPages(phys, head);
}

/** The block at `page`, whose folio was dirty, is not any more: true when it was, so that it has to be written. */
export function clearBlockDirty(inode: Inode, page: number): boolean {
  const { phys } = inode.files;
  if (folioNrPages(phys, page) === 1) return true;
  const dirty = testBlock(inode, page, DIRTY);
  const head = compoundHead(phys, page);
  if (dirty) inode.buffers.get(head)![page - head]! &= ~DIRTY;
  return dirty;
}

/** True when a block of the folio is dirty, so that what is kept of its blocks cannot be given up (try_to_free_buffers). */
export function hasDirtyBlocks(inode: Inode, head: number): boolean {
  return inode.buffers.get(head)?.some((block) => (block & DIRTY) !== 0) ?? false;
}

/** True when `length` bytes from byte `inPage` of page `page` on, within its folio, can be read though not all of it can. */
export function isPartiallyUptodate(inode: Inode, page: number, inPage: number, length: number): boolean {
  const { phys } = inode.files;
  if (folioNrPages(phys, page) === 1) return false;
  const pages = Math.ceil((inPage + length) / phys.pageSize);
  for (let at = page; at < page + pages; at++) if (!testBlock(inode, at, UPTODATE)) return false;
  return true;
}

/** A flag of the folio that holds a page. */
export function folioTestFlag(files: FileCache, page: number, flag: number): boolean {
  return testFlag(files.phys, compoundHead(files.phys, page), flag);
}
