/** Taking frames of a contiguous memory area (`cma_alloc`); cma.ts has the area and the way back. */
import { checkInteger, EBUSY, ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { bitsOf, clearBits, cmaBits, setBits, testBit } from './cma.ts';
import type { Cma } from './cma.ts';
import { allocContigRange } from './contig.co.ts';
import type { Phys } from './frame.ts';
import { GFP_KERNEL, GFP_NOWARN } from './gfp.ts';
import { MIGRATE_CMA } from './zone.ts';

/** Largest alignment: 2^30 frames. */
const MAX_ALIGN = 30;

/**
 * Takes `count` contiguous frames, aligned to 2^align, of an area: the first PFN. Borrowers are moved away; where that
 * fails (-EBUSY: one is pinned), the next place is tried. -ENOMEM: no place left, or nothing to move borrowers to.
 * `noWarn` is GFP_NOWARN. It may sleep, in the `migrate` port only.
 */
export function* cmaAlloc(
  phys: Phys,
  cma: Cma,
  count: number,
  align: number = 0,
  noWarn: boolean = false,
): Task<number> {
  checkInteger('count', count, 1, phys.frames);
  checkInteger('align', align, 0, MAX_ALIGN);
  const bits = bitsOf(cma, count);
  const step = 2 ** Math.max(align - cma.orderPerBit, 0);
  const gfp = GFP_KERNEL | (noWarn ? GFP_NOWARN : 0);
  for (let from = 0; ; from += step) {
    from = findBits(cma, from, bits, align);
    if (from < 0) return -ENOMEM;
    setBits(cma, from, bits);
    const pfn = cma.start + (from << cma.orderPerBit);
    let error = -EBUSY;
    try {
      error = yield* allocContigRange(phys, pfn, pfn + count, MIGRATE_CMA, gfp);
    } finally {
      if (error !== 0) clearBits(cma, from, bits);
    }
    if (error === 0) return pfn;
    if (error !== -EBUSY) return error;
  }
}

/** The first `bits` clear bits in a row from `from` on whose frames are aligned; −1: none. */
function findBits(cma: Cma, from: number, bits: number, align: number): number {
  const last = cmaBits(cma) - bits;
  for (let at = from; at <= last; at++) {
    if ((cma.start + at * 2 ** cma.orderPerBit) % 2 ** align !== 0) continue;
    let set = at + bits - 1;
    while (set >= at && !testBit(cma, set)) set--;
    if (set < at) return at;
    at = set;
  }
  return -1;
}
