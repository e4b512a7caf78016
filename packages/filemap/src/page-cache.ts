/**
 * The page cache, the parts that never wait (Linux: struct address_space's i_pages, filemap_get_folio,
 * filemap_add_folio, filemap_remove_folio, folio_mark_dirty). A cached page has one reference of the cache, its owner word
 * says `inode.id << 2 | OWNER_FILE` and its index word where in the file it lies; a page removed has neither, lives on as
 * long as somebody holds a reference or a pin, and is another page than the next one at its index (N.13).
 *
 * Each of these is one step: what Linux does under the lock of i_pages.
 */
import { EEXIST, InvariantError } from '@mmkit/base';
import {
  compoundHead,
  allocPagesNowait,
  clearFlag,
  COLD_INDEX,
  COLD_WORDS,
  getPage,
  GFP_HIGHUSER_MOVABLE,
  HOT_OWNER,
  HOT_WORDS,
  OWNER_FILE,
  OWNER_KIND_MASK,
  OWNER_SHIFT,
  PG_DIRTY,
  PG_LOCKED,
  PG_SWAPBACKED,
  PG_UPTODATE,
  Phys,
  putPage,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import { TP_PAGE_ALLOC, tracepoint } from '@mmkit/task';
import { folioLocked } from './folio.ts';
import { FileCache, Inode } from './inode.ts';

/** The cached page at `index` with a reference more, which the caller gives back (putPage); -1: none is cached. */
export function filemapGetFolio(inode: Inode, index: number): number {
  const pfn = inode.pages.get(index);
  if (pfn === undefined) return -1;
  getPage(inode.files.phys, pfn);
  return pfn;
}

/**
 * Puts a new page at `index` into the cache: locked, not uptodate, with a reference for the caller besides the cache's.
 * Its contents are undefined. -EEXIST when one is cached already, -ENOMEM.
 */
export function filemapAddFolio(inode: Inode, index: number): number {
  if (inode.pages.has(index)) return -EEXIST;
  const { phys } = inode.files;
  const pfn = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0);
  if (pfn < 0) return pfn;
  getPage(phys, pfn);
  setFlag(phys, pfn, inode.device === null ? PG_LOCKED | PG_SWAPBACKED : PG_LOCKED);
  folioLocked(inode.files, pfn);
  phys.hot[pfn * HOT_WORDS + HOT_OWNER] = (inode.id << OWNER_SHIFT) | OWNER_FILE;
  phys.cold[pfn * COLD_WORDS + COLD_INDEX] = index;
  inode.pages.set(index, pfn);
  const { sched } = inode.files;
  if (sched.tracepoints !== null) tracepoint(sched, TP_PAGE_ALLOC, pfn, 0);
  return pfn;
}

/** True when the page is in this file at this index: to be asked again once its lock is taken. */
export function folioInFile(inode: Inode, pfn: number, index: number): boolean {
  return inode.pages.get(index) === pfn;
}

/**
 * Takes a page out of the cache (filemap_remove_folio): its owner is nobody, the cache's reference is dropped. The caller
 * holds its lock and a reference, has unmapped it, and it is not under writeback. A dirty page is forgotten.
 */
export function deleteFromPageCache(inode: Inode, pfn: number, index: number): void {
  const { phys } = inode.files;
  if (!folioInFile(inode, pfn, index)) throw new InvariantError('NOT_IN_FILE', `frame ${pfn} is not at ${index}`);
  folioClearDirty(inode.files, pfn);
  inode.pages.delete(index);
  phys.hot[pfn * HOT_WORDS + HOT_OWNER] = 0;
  putPage(phys, pfn);
}

/** True when the page belongs to a file (folio->mapping is one); false after it was taken out of the cache. */
export function folioTestFile(phys: Phys, pfn: number): boolean {
  return (phys.hot[compoundHead(phys, pfn) * HOT_WORDS + HOT_OWNER]! & OWNER_KIND_MASK) === OWNER_FILE;
}

/** The file a page belongs to (folio->mapping->host), null when to none. */
export function folioInode(files: FileCache, pfn: number): Inode | null {
  return folioTestFile(files.phys, pfn)
    ? files.inodes[files.phys.hot[pfn * HOT_WORDS + HOT_OWNER]! >>> OWNER_SHIFT]!
    : null;
}

/** True when the contents are valid. */
export function folioTestUptodate(phys: Phys, pfn: number): boolean {
  return testFlag(phys, pfn, PG_UPTODATE);
}

/**
 * Marks the folio of any page dirty (folio_mark_dirty): all who do it for pages that may belong to a file call this, so that a disk
 * file knows how many it has to write back. False when it was dirty already.
 */
export function folioMarkDirty(files: FileCache, page: number): boolean {
  const pfn = compoundHead(files.phys, page);
  if (testFlag(files.phys, pfn, PG_DIRTY)) return false;
  setFlag(files.phys, pfn, PG_DIRTY);
  const inode = folioInode(files, pfn);
  if (inode !== null && inode.device !== null) inode.nrDirty++;
  return true;
}

/** Clears PG_dirty: true when it was set. Before writing a page back, and when a page is thrown away. */
export function folioClearDirty(files: FileCache, pfn: number): boolean {
  if (!testFlag(files.phys, pfn, PG_DIRTY)) return false;
  clearFlag(files.phys, pfn, PG_DIRTY);
  const inode = folioInode(files, pfn);
  if (inode !== null && inode.device !== null) inode.nrDirty--;
  return true;
}

/** True when the file's pages are written back somewhere, so that what makes one dirty must be known (B.5; not shmem). */
export function mappingCanWriteback(inode: Inode): boolean {
  return inode.device !== null;
}

/** What `cachestat` counts, in pages. */
export interface CacheStat {
  readonly cached: number;
  /** Of those, dirty; always 0 for shmem, as in Linux. */
  readonly dirty: number;
}

/** Counts the cached pages of a file with indexes in [first, end) (cachestat(2)). */
export function cacheStat(inode: Inode, first: number, end: number): CacheStat {
  let cached = 0;
  let dirty = 0;
  for (const [index, pfn] of inode.pages) {
    if (index < first || index >= end) continue;
    cached++;
    if (mappingCanWriteback(inode) && testFlag(inode.files.phys, pfn, PG_DIRTY)) dirty++;
  }
  return { cached, dirty };
}

/** The indexes of the cached pages in [first, end) for which `test` is true, ascending. */
export function cachedIndexes(inode: Inode, first: number, end: number, test: (pfn: number) => boolean): number[] {
  const found: number[] = [];
  for (const [index, pfn] of inode.pages) if (index >= first && index < end && test(pfn)) found.push(index);
  return found.sort((a, b) => a - b);
}
