/** Giving contiguous ranges back; contig.co.ts takes them. */
import { checkInteger } from '@mmkit/base';
import { checkFrame } from './frame.ts';
import type { Phys } from './frame.ts';
import { checkFreePage, freeLastReference } from './page-alloc.ts';

/**
 * Frees `nr` single frames from `start` on, each with the one reference `allocContigRange` gave (`free_contig_range`).
 * InvariantError, with nothing changed: what `freePages` refuses for any of them. RangeError: no such range.
 */
export function freeContigRange(phys: Phys, start: number, nr: number): void {
  checkFrame(phys, start);
  checkInteger('nr', nr, 1, phys.frames - start);
  for (let pfn = start; pfn < start + nr; pfn++) checkFreePage(phys, pfn);
  for (let pfn = start; pfn < start + nr; pfn++) freeLastReference(phys, pfn);
}
