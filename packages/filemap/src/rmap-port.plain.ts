/** Calling the port to the page tables, plain build. */
import { Inode } from './inode.ts';

/** Unmaps pages [first, end) of the file everywhere (unmap_mapping_range); see `Rmap.unmapRange`. */
export function unmapMappingRange(inode: Inode, first: number, end: number, evenCows: boolean): void {
  inode.rmap.unmapRange(inode, first, end, evenCows);
}

/** Write-protects and cleans every mapping of a page (folio_mkclean): true when one was dirty. */
export function folioMkclean(inode: Inode, pfn: number, index: number): boolean {
  return inode.rmap.clean(inode, pfn, index) as boolean;
}
