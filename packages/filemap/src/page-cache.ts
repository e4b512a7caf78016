/**
 * The page cache, the parts that never wait (Linux: struct address_space's i_pages, filemap_get_folio,
 * filemap_add_folio, filemap_remove_folio, folio_mark_dirty). A cached page has one reference of the cache; its folio's owner
 * word says `inode.id << 2 | OWNER_FILE` and its index word where in the file that lies; a page removed has neither, lives on as
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
  folioNrPages,
  GFP_COMP,
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
import { folioTestFlag, markBlocksDirty } from './buffers.ts';
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
 * Puts a new folio into the cache, of up to 2^order pages with `index` its first: locked, not uptodate, with a reference for
 * the caller besides the cache's, one a page. Its order is what `index` is a multiple of at most, and what there is room for
 * between cached pages and in memory. Its contents are undefined. -EEXIST when a page is cached at `index`, -ENOMEM.
 */
export function filemapAddFolio(inode: Inode, index: number, order: number = 0): number {
  if (inode.pages.has(index)) return -EEXIST;
  let fits = order;
  while (index % 2 ** fits !== 0) fits--;
  for (; fits > 0; fits--) {
    const pfn = isVacant(inode, index, 2 ** fits) ? addFolio(inode, index, fits) : -EEXIST;
    if (pfn >= 0) return pfn;
  }
  return addFolio(inode, index, 0);
}

function isVacant(inode: Inode, index: number, pages: number): boolean {
  for (let at = index; at < index + pages; at++) if (inode.pages.has(at)) return false;
  return true;
}

function addFolio(inode: Inode, index: number, order: number): number {
  const { phys } = inode.files;
  const pfn = allocPagesNowait(phys, order > 0 ? GFP_HIGHUSER_MOVABLE | GFP_COMP : GFP_HIGHUSER_MOVABLE, order);
  if (pfn < 0) return pfn;
  getPage(phys, pfn, 2 ** order);
  setFlag(phys, pfn, inode.device === null ? PG_LOCKED | PG_SWAPBACKED : PG_LOCKED);
  folioLocked(inode.files, pfn);
  phys.hot[pfn * HOT_WORDS + HOT_OWNER] = (inode.id << OWNER_SHIFT) | OWNER_FILE;
  phys.cold[pfn * COLD_WORDS + COLD_INDEX] = index;
  for (let i = 0; i < 2 ** order; i++) inode.pages.set(index + i, pfn + i);
  const { sched } = inode.files;
  if (sched.tracepoints !== null) tracepoint(sched, TP_PAGE_ALLOC, pfn, order);
  return pfn;
}

/** True when the page is in this file at this index: to be asked again once its lock is taken. */
export function folioInFile(inode: Inode, pfn: number, index: number): boolean {
  return inode.pages.get(index) === pfn;
}

/**
 * Takes the folio of a page out of the cache (filemap_remove_folio): its owner is nobody, the cache's references are dropped.
 * The caller holds its lock and a reference, has unmapped it, and it is not under writeback. A dirty one is forgotten.
 */
export function deleteFromPageCache(inode: Inode, pfn: number, index: number): void {
  const { phys } = inode.files;
  if (!folioInFile(inode, pfn, index)) throw new InvariantError('NOT_IN_FILE', `frame ${pfn} is not at ${index}`);
  const { head, first, pages } = folioAt(inode, pfn, index);
  folioClearDirty(inode.files, head);
  for (let i = 0; i < pages; i++) inode.pages.delete(first + i);
  inode.buffers.delete(head);
  phys.hot[head * HOT_WORDS + HOT_OWNER] = 0;
  putPage(phys, head, pages);
}

/** The folio of which a page is a part. */
export interface FolioPlace {
  /** PFN of its first page. */
  readonly head: number;
  /** Index of that in the file. */
  readonly first: number;
  readonly pages: number;
}

/** Where the folio lies of which the page at `index` is a part. */
export function folioAt(inode: Inode, pfn: number, index: number): FolioPlace {
  const { phys } = inode.files;
  const head = compoundHead(phys, pfn);
  return { head, first: index - (pfn - head), pages: folioNrPages(phys, head) };
}

/** True when the page belongs to a file (folio->mapping is one); false after it was taken out of the cache. */
export function folioTestFile(phys: Phys, pfn: number): boolean {
  return (phys.hot[compoundHead(phys, pfn) * HOT_WORDS + HOT_OWNER]! & OWNER_KIND_MASK) === OWNER_FILE;
}

/** The file a page belongs to (folio->mapping->host), null when to none. */
export function folioInode(files: FileCache, pfn: number): Inode | null {
  return folioTestFile(files.phys, pfn)
    ? files.inodes[files.phys.hot[compoundHead(files.phys, pfn) * HOT_WORDS + HOT_OWNER]! >>> OWNER_SHIFT]!
    : null;
}

/** True when the contents of the folio that holds a page are valid. */
export function folioTestUptodate(phys: Phys, page: number): boolean {
  return testFlag(phys, compoundHead(phys, page), PG_UPTODATE);
}

/**
 * Marks the folio of any page dirty, all its blocks (folio_mark_dirty): all who do it for pages that may belong to a file call
 * this, so that a disk file knows how many it has to write back. False when it was dirty already.
 */
export function folioMarkDirty(files: FileCache, page: number): boolean {
  const { phys } = files;
  const head = compoundHead(phys, page);
  const inode = folioInode(files, head);
  if (inode !== null) {
    const was = testFlag(phys, head, PG_DIRTY);
    markBlocksDirty(inode, head, folioNrPages(phys, head));
    return !was;
  }
  if (testFlag(phys, head, PG_DIRTY)) return false;
  setFlag(phys, head, PG_DIRTY);
  return true;
}

/** Clears PG_dirty of the folio of a page, not of its blocks: true when it was set. */
export function folioClearDirty(files: FileCache, page: number): boolean {
  const { phys } = files;
  const head = compoundHead(phys, page);
  if (!testFlag(phys, head, PG_DIRTY)) return false;
  clearFlag(phys, head, PG_DIRTY);
  const inode = folioInode(files, head);
  if (inode !== null && inode.device !== null) inode.nrDirty -= folioNrPages(phys, head);
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
    if (mappingCanWriteback(inode) && folioTestFlag(inode.files, pfn, PG_DIRTY)) dirty++;
  }
  return { cached, dirty };
}

/**
 * The folios with a page in [first, end) for which `test`, given their first PFN, is true: of each the lowest such index,
 * ascending.
 */
export function cachedIndexes(inode: Inode, first: number, end: number, test: (head: number) => boolean): number[] {
  const { phys } = inode.files;
  const found: number[] = [];
  for (const index of inode.pages.keys()) if (index >= first && index < end) found.push(index);
  found.sort((a, b) => a - b);
  let last = -1;
  return found.filter((index) => {
    const head = compoundHead(phys, inode.pages.get(index)!);
    const again = head === last;
    last = head;
    return !again && test(head);
  });
}
