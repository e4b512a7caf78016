/** Giving pages back (Linux: unpin_user_pages, put_page). Never waits, shared by both builds. */
import { checkInteger, checkPages, FOLL_GET, FOLL_PIN } from '@mmkit/base';
import type { Memory } from '@mmkit/aspace';
import { GUP_PIN_COUNTING_BIAS, gupPutFolio, HOT_REFCOUNT } from '@mmkit/phys';

/**
 * Drops one pin of each of the first `nr` pages; the last one frees an orphan. InvariantError when a page is not pinned:
 * the pages before it are unpinned then.
 */
export function unpinUserPages(memory: Memory, pages: Uint32Array, nr: number): void {
  releasePages(memory, pages, nr, FOLL_PIN);
}

/** Drops one reference (put_page) of each of the first `nr` pages. */
export function putUserPages(memory: Memory, pages: Uint32Array, nr: number): void {
  releasePages(memory, pages, nr, FOLL_GET);
}

function releasePages(memory: Memory, pages: Uint32Array, nr: number, flags: number): void {
  checkInteger('nr', nr, 0, 0x7fffffff);
  checkPages('pages', pages, nr);
  const { phys } = memory;
  const { hot, zeroPfn, frames } = phys;
  const pin = (flags & FOLL_PIN) !== 0;
  const unit = pin ? GUP_PIN_COUNTING_BIAS : 1;
  let counted = 0;
  for (let i = 0; i < nr; i++) {
    const pfn = pages[i]!;
    const frame = pfn << 2;
    const left = hot[frame + HOT_REFCOUNT]! - unit;
    if (left > 0 && pfn < frames && pfn !== zeroPfn) {
      hot[frame + HOT_REFCOUNT] = left;
      continue;
    }
    // The last reference, the zero page, or an error.
    if (pin) phys.nrFollPinReleased += i - counted;
    counted = i + 1;
    gupPutFolio(phys, pfn, 1, flags);
  }
  if (pin) phys.nrFollPinReleased += nr - counted;
}
