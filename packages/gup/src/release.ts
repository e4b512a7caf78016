/** Giving pages back (Linux: unpin_user_pages, put_page). Never waits, shared by both builds. */
import { checkInteger, checkPages, FOLL_GET, FOLL_PIN } from '@mmkit/base';
import type { Memory } from '@mmkit/aspace';
import { GUP_PIN_COUNTING_BIAS, gupPutFolio, HOT_FLAGS, HOT_REFCOUNT, PG_HEAD, Phys, unpinFolio } from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';
import { TP_UNPIN, tracepoint } from '@mmkit/task';

/**
 * Drops one pin of each of the first `nr` pages; the last one frees an orphan. InvariantError when a page is not
 * pinned: the pages before it are unpinned then. `scope`: who pinned them, for a ledger of pins.
 */
export function unpinUserPages(memory: Memory, pages: Uint32Array, nr: number, scope: PinScope | null = null): void {
  releasePages(memory, pages, nr, FOLL_PIN, scope);
  const { sched } = memory;
  if (sched.tracepoints !== null && nr > 0) tracepoint(sched, TP_UNPIN, nr, pages[0]!);
}

/** Drops one reference (put_page) of each of the first `nr` pages. */
export function putUserPages(memory: Memory, pages: Uint32Array, nr: number): void {
  releasePages(memory, pages, nr, FOLL_GET, null);
}

function releasePages(memory: Memory, pages: Uint32Array, nr: number, flags: number, scope: PinScope | null): void {
  checkInteger('nr', nr, 0, 0x7fffffff);
  checkPages('pages', pages, nr);
  const { phys } = memory;
  const pin = (flags & FOLL_PIN) !== 0;
  if (pin && phys.pinLedger !== null) {
    for (let i = 0; i < nr; i++) unpinFolio(phys, pages[i]!, 1, scope);
    return;
  }
  for (let i = 0; i < nr; i++) {
    const from = i;
    i = releaseSure(phys, pages, i, nr, pin ? GUP_PIN_COUNTING_BIAS : 1);
    if (pin) phys.nrFollPinReleased += i - from;
    if (i === nr) return;
    gupPutFolio(phys, pages[i]!, 1, flags);
  }
}

/**
 * The hot loop: takes `unit` off the count of each page from slot `i` on, and returns the slot of the first one that
 * needs a closer look: its last reference goes, it is the zero page or of a large folio, or an error. A call in here would halve its speed.
 */
function releaseSure(phys: Phys, pages: Uint32Array, i: number, nr: number, unit: number): number {
  const { hot, zeroPfn, frames } = phys;
  for (; i < nr; i++) {
    const pfn = pages[i]!;
    const at = pfn << 2;
    const left = hot[at + HOT_REFCOUNT]! - unit;
    if (left <= 0 || pfn >= frames || pfn === zeroPfn || (hot[at + HOT_FLAGS]! & PG_HEAD) !== 0) break;
    hot[at + HOT_REFCOUNT] = left;
  }
  return i;
}
