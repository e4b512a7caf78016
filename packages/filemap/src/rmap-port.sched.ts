/** Calling the port to the page tables, sched build. */
import type { Task } from '@mmkit/base';
import { Inode } from './inode.ts';

/** What the port is in this build. */
interface Tasks {
  unmapRange(inode: Inode, first: number, end: number, evenCows: boolean): Task<void>;
  clean(inode: Inode, pfn: number, index: number): Task<boolean>;
}

/** Unmaps pages [first, end) of the file everywhere (unmap_mapping_range); see `Rmap.unmapRange`. */
export function* unmapMappingRange(inode: Inode, first: number, end: number, evenCows: boolean): Task<void> {
  const rmap = inode.rmap as Tasks;
  yield* rmap.unmapRange(inode, first, end, evenCows);
}

/** Write-protects and cleans every mapping of a page (folio_mkclean): true when one was dirty. */
export function* folioMkclean(inode: Inode, pfn: number, index: number): Task<boolean> {
  const rmap = inode.rmap as Tasks;
  return yield* rmap.clean(inode, pfn, index);
}
