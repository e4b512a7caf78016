/**
 * Contiguous ranges of any length and place (`alloc_contig_range`, `alloc_contig_pages`, N.12): isolated, emptied
 * through the `migrate` port, taken as single frames. contig.ts gives them back.
 *
 * Differs from Linux: no large folio is made of the range (GFP_COMP is refused), signals do not interrupt, and no mutex
 * keeps callers apart: who meets a pageblock that another is emptying gets -EBUSY.
 */
import { checkInteger, EINVAL, ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { checkRange, zoneOfRange } from './block-walk.ts';
import type { Phys } from './frame.ts';
import { gfpZone } from './gfp-zone.ts';
import {
  GFP_DIRECT_RECLAIM,
  GFP_DMA,
  GFP_DMA32,
  GFP_FS,
  GFP_HARDWALL,
  GFP_HIGHMEM,
  GFP_IO,
  GFP_KSWAPD_RECLAIM,
  GFP_MOVABLE,
  GFP_NOWARN,
  GFP_RECLAIMABLE,
  GFP_RETRY_MAYFAIL,
  GFP_THISNODE,
  GFP_WRITE,
  GFP_ZERO,
} from './gfp.ts';
import {
  countPageblocks,
  PB_ISOLATE_MODE_CMA_ALLOC,
  PB_ISOLATE_MODE_OTHER,
  startIsolatePageRange,
  takeIsolated,
  testPagesIsolated,
  undoIsolatePageRange,
} from './isolate.ts';
import { lruAddDrainAll } from './lru-batch.ts';
import { migrateRange } from './migrate-range.co.ts';
import { prepNewPage } from './page-alloc.ts';
import { drainPages } from './pcp.ts';
import { MIGRATE_CMA, MIGRATE_MOVABLE } from './zone.ts';

/** Flags that say where from, which the range says already, and how hard to try. */
const ALLOWED_GFP =
  GFP_DMA |
  GFP_HIGHMEM |
  GFP_DMA32 |
  GFP_MOVABLE |
  GFP_RECLAIMABLE |
  GFP_WRITE |
  GFP_HARDWALL |
  GFP_THISNODE |
  GFP_IO |
  GFP_FS |
  GFP_DIRECT_RECLAIM |
  GFP_KSWAPD_RECLAIM |
  GFP_RETRY_MAYFAIL |
  GFP_NOWARN |
  GFP_ZERO;

/**
 * Takes exactly the frames [start, end), each with reference count 1; what uses them is moved away. `type`:
 * MIGRATE_MOVABLE, or MIGRATE_CMA for the owner of a CMA area. Watermarks are not looked at. 0, or:
 *
 * - -EINVAL, nothing changed: not in one zone; GFP_COMP, GFP_NOFAIL, GFP_NORETRY and other flags that make no sense
 *   here.
 * - -EBUSY, nothing changed: a pageblock is isolated, or CMA and `type` is not; frames do not exist or cannot move.
 * - -EBUSY, -ENOMEM: frames could not be moved, pinned ones never can; those moved before stay moved, free blocks may
 *   stand elsewhere in their lists.
 *
 * RangeError for numbers that are no range of this machine, or another type. It may sleep, in the `migrate` port only.
 */
export function* allocContigRange(phys: Phys, start: number, end: number, type: number, gfp: number): Task<number> {
  checkRange(phys, start, end);
  checkInteger('gfp', gfp, 0, 0x7fff_ffff);
  if (type !== MIGRATE_MOVABLE && type !== MIGRATE_CMA) {
    throw new RangeError(`type: expected MIGRATE_MOVABLE or MIGRATE_CMA, got ${String(type)}`);
  }
  const zone = zoneOfRange(phys, start, end);
  if (zone === null || (gfp & ~ALLOWED_GFP) !== 0) return -EINVAL;
  const mode = type === MIGRATE_CMA ? PB_ISOLATE_MODE_CMA_ALLOC : PB_ISOLATE_MODE_OTHER;
  const types = new Uint8Array(countPageblocks(phys, start, end));
  const refused = startIsolatePageRange(phys, start, end, mode, types);
  if (refused !== 0) return refused;
  // Whatever the port throws, no pageblock stays isolated.
  try {
    lruAddDrainAll(phys);
    drainPages(phys);
    let error = yield* migrateRange(phys, start, end);
    if (error === 0) error = testPagesIsolated(phys, start, end, mode);
    if (error === 0) {
      takeIsolated(phys, zone, start, end);
      for (let pfn = start; pfn < end; pfn++) prepNewPage(phys, pfn, 0, gfp);
    }
    return error;
  } finally {
    undoIsolatePageRange(phys, start, end, types);
  }
}

/**
 * Takes `nr` contiguous frames wherever they can be had, in the zones `gfp` allows near the current CPU
 * (`alloc_contig_pages`): the first PFN, a multiple of `nr`; -ENOMEM: nowhere; -EINVAL as above. The rest as above.
 */
export function* allocContigPages(phys: Phys, nr: number, gfp: number): Task<number> {
  checkInteger('nr', nr, 1, phys.frames);
  for (const zone of phys.nodes[phys.cpu.node]!.zonelist) {
    if (zone.kind > gfpZone(gfp)) continue;
    if ((gfp & GFP_THISNODE) !== 0 && zone.node !== phys.cpu.node) continue;
    for (let pfn = Math.ceil(zone.start / nr) * nr; pfn + nr <= zone.end; pfn += nr) {
      const error = yield* allocContigRange(phys, pfn, pfn + nr, MIGRATE_MOVABLE, gfp);
      if (error === 0) return pfn;
      if (error === -EINVAL) return error;
    }
  }
  return -ENOMEM;
}
