/**
 * `alloc_pages` and its kin: what may enter direct reclaim, through the `relieve` port.
 *
 * Differs from Linux: kswapd is not woken (whoever plays it compares `zone.free` with the watermarks), and no process
 * is killed: out of memory is the value -ENOMEM.
 */
import { checkInteger, checkPages, ENOMEM, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Phys } from './frame.ts';
import { GFP_DIRECT_RECLAIM, GFP_NOFAIL, GFP_NORETRY, GFP_RETRY_MAYFAIL } from './gfp.ts';
import { refusedAtOnce, takeFast, tryAlloc } from './page-alloc.ts';
import { awaitPort } from './port.sched.ts';
import { PAGE_ALLOC_COSTLY_ORDER } from './zone.ts';

/** Rounds of reclaim that free something without the allocation succeeding (`MAX_RECLAIM_RETRIES`). */
const MAX_RECLAIM_RETRIES = 16;

/**
 * Takes a block of 2^order frames (`alloc_pages`) near the current CPU and returns its first PFN: aligned to the block,
 * reference count 1, no flags, no owner; contents as they were, or zero with GFP_ZERO; a large folio with GFP_COMP.
 * Returns -ENOMEM when there is none, and for an order above MAX_PAGE_ORDER. With GFP_DIRECT_RECLAIM the `relieve` port
 * is called before that, so it may sleep. InvariantError NOFAIL: nothing left, and GFP_NOFAIL asked for it.
 * `site` names the caller to `failAllocations`.
 */
export function* allocPages(phys: Phys, gfp: number, order: number, site: string = ''): Task<number> {
  if ((order & PAGE_ALLOC_COSTLY_ORDER) === order && phys.failures === null) {
    const pfn = takeFast(phys, gfp, order);
    if (pfn !== 0) return pfn;
  }
  return yield* allocPagesNodemask(phys, gfp, order, phys.cpu.node, -1, site);
}

/** The same, near `node` rather than the current CPU (`alloc_pages_node`). RangeError when there is no such node. */
export function* allocPagesNode(phys: Phys, gfp: number, order: number, node: number, site: string = ''): Task<number> {
  return yield* allocPagesNodemask(phys, gfp, order, node, -1, site);
}

/** The same, only from nodes whose bit is set in `nodemask`, those nearest to `node` first (`__alloc_pages`). */
export function* allocPagesNodemask(
  phys: Phys,
  gfp: number,
  order: number,
  node: number,
  nodemask: number,
  site: string = '',
): Task<number> {
  checkInteger('node', node, 0, phys.nodes.length - 1);
  if (refusedAtOnce(phys, gfp, order, site)) return -ENOMEM;
  const pfn = tryAlloc(phys, gfp, order, node, nodemask);
  if (pfn !== 0) return pfn;
  const relieved = yield* relieveAndTry(phys, gfp, order, node, nodemask);
  if (relieved !== 0) return relieved;
  if ((gfp & GFP_NOFAIL) !== 0) throw new InvariantError('NOFAIL', `no block of order ${order}, and it must not fail`);
  return -ENOMEM;
}

/** Reclaims as long as that helps and the flags ask for it (`__alloc_pages_slowpath`); 0: in vain. */
function* relieveAndTry(phys: Phys, gfp: number, order: number, node: number, nodemask: number): Task<number> {
  if ((gfp & GFP_DIRECT_RECLAIM) === 0 || phys.relieve === null) return 0;
  const costly = order > PAGE_ALLOC_COSTLY_ORDER && (gfp & GFP_RETRY_MAYFAIL) === 0;
  let rounds = (gfp & GFP_NORETRY) !== 0 || costly ? 1 : MAX_RECLAIM_RETRIES;
  if ((gfp & GFP_NOFAIL) !== 0) rounds = Infinity;
  for (let round = 0; round < rounds; round++) {
    const freed = yield* awaitPort(phys.relieve(phys, gfp, order));
    const pfn = tryAlloc(phys, gfp, order, node, nodemask);
    if (pfn !== 0) return pfn;
    if (freed === 0) return 0;
  }
  return 0;
}

/**
 * Takes up to `count` single frames into `pages` (`alloc_pages_bulk`): how many there are now. Stops at the first that
 * cannot be had; the slots after it are untouched.
 */
export function* allocPagesBulk(phys: Phys, gfp: number, count: number, pages: Uint32Array): Task<number> {
  checkInteger('count', count, 0, 0x7fff_ffff);
  checkPages('pages', pages, count);
  for (let i = 0; i < count; i++) {
    const pfn = yield* allocPages(phys, gfp, 0);
    if (pfn < 0) return i;
    pages[i] = pfn;
  }
  return count;
}
