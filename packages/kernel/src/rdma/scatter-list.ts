import type { PinScope } from '@mmkit/phys';

/**
 * The frames of a memory region as runs of consecutive PFNs (Linux: the scatterlist of struct ib_umem, coalesced as
 * sg_alloc_append_table_from_pages does). Written while the region is made, by its task only; read-only from then on.
 *
 * Run i is pages `firsts[i]` to `firsts[i + 1]` − 1 of the region (the last one ends at `pages`), in frames
 * `pfns[i]`, `pfns[i]` + 1, …
 */
export class ScatterList {
  /** Index in the region of each run's first page, rising from 0. */
  readonly firsts: number[];
  /** PFN of each run's first page. */
  readonly pfns: number[];
  /** Pages in all. */
  pages: number;
  /** Who holds their pins; null: no ledger is kept. */
  readonly scope: PinScope | null;

  constructor(scope: PinScope | null = null) {
    this.firsts = [];
    this.pfns = [];
    this.pages = 0;
    this.scope = scope;
  }
}

/** Appends the first `count` of `pfns`; one that follows the last frame makes the last run longer. */
export function appendFrames(list: ScatterList, pfns: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const pfn = pfns[i]!;
    const last = list.firsts.length - 1;
    if (last < 0 || list.pfns[last]! + (list.pages - list.firsts[last]!) !== pfn) {
      list.firsts.push(list.pages);
      list.pfns.push(pfn);
    }
    list.pages++;
  }
}

/** The frame of page `page` (0 to `pages` − 1). */
export function frameAt(list: ScatterList, page: number): number {
  const { firsts, pfns } = list;
  let low = 0;
  let high = firsts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (firsts[middle]! <= page) low = middle;
    else high = middle - 1;
  }
  return pfns[low]! + (page - firsts[low]!);
}
