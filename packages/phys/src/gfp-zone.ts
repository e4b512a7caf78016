/**
 * From allocation flags to a zone, a migrate type and ALLOC_* flags (`gfp_zone`, `gfp_migratetype`,
 * `gfp_to_alloc_flags`, N.15).
 */
import {
  GFP_DIRECT_RECLAIM,
  GFP_DMA,
  GFP_DMA32,
  GFP_HIGH,
  GFP_HIGHMEM,
  GFP_KSWAPD_RECLAIM,
  GFP_MEMALLOC,
  GFP_MOVABLE,
  GFP_NOMEMALLOC,
} from './gfp.ts';
import {
  ALLOC_CMA,
  ALLOC_HIGHATOMIC,
  ALLOC_KSWAPD,
  ALLOC_MIN_RESERVE,
  ALLOC_NO_WATERMARKS,
  ALLOC_NON_BLOCK,
  ALLOC_WMARK_LOW,
  ALLOC_WMARK_MIN,
} from './watermark.ts';
import { MIGRATE_MOVABLE, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from './zone.ts';

/** The bits that choose zone and type: all below this. */
export const GFP_ZONE_TYPE_MASK = 0x1f;

/** The highest kind of zone a caller with these flags may have (`gfp_zone`). */
export function gfpZone(gfp: number): number {
  if ((gfp & GFP_DMA) !== 0) return ZONE_DMA;
  if ((gfp & GFP_DMA32) !== 0) return ZONE_DMA32;
  const movable = GFP_MOVABLE | GFP_HIGHMEM;
  return (gfp & movable) === movable ? ZONE_MOVABLE : ZONE_NORMAL;
}

/** The migrate type of what a caller with these flags gets (`gfp_migratetype`): both bits together mean unmovable. */
export function gfpMigratetype(gfp: number): number {
  const type = (gfp >> 3) & 3;
  return type === 3 ? 0 : type;
}

/** ALLOC_* flags of the first attempt. */
export function fastAllocFlags(gfp: number): number {
  return ALLOC_WMARK_LOW | commonAllocFlags(gfp);
}

/** ALLOC_* flags once the first attempt failed (`gfp_to_alloc_flags`): the reserves these flags give a right to. */
export function slowAllocFlags(gfp: number, order: number): number {
  let flags = ALLOC_WMARK_MIN | commonAllocFlags(gfp);
  if ((gfp & GFP_HIGH) !== 0) flags |= ALLOC_MIN_RESERVE;
  if ((gfp & GFP_DIRECT_RECLAIM) === 0 && (gfp & GFP_NOMEMALLOC) === 0) {
    flags |= ALLOC_NON_BLOCK;
    if (order > 0 && (gfp & GFP_HIGH) !== 0) flags |= ALLOC_HIGHATOMIC;
  }
  if ((gfp & GFP_MEMALLOC) !== 0 && (gfp & GFP_NOMEMALLOC) === 0) flags |= ALLOC_NO_WATERMARKS;
  return flags;
}

function commonAllocFlags(gfp: number): number {
  return (
    ((gfp & GFP_KSWAPD_RECLAIM) !== 0 ? ALLOC_KSWAPD : 0) | (gfpMigratetype(gfp) === MIGRATE_MOVABLE ? ALLOC_CMA : 0)
  );
}
