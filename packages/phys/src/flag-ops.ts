/**
 * Testing and changing page flags (`folio_test_dirty`, `folio_set_dirty`, …) and reading a block's order. Nothing here
 * is atomic: calls run one at a time. The flags themselves and who may change them: page-flags.ts.
 */
import { checkFrame, HOT_FLAGS } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT } from './page-flags.ts';

/** The flags a caller may set and clear: all but the allocator's. */
const CALLER_FLAGS = 0x21fffff;

/** True when `flag` (one PG_* bit, or any of several) is set. */
export function testFlag(phys: Phys, pfn: number, flag: number): boolean {
  checkFrame(phys, pfn);
  return (phys.hot[(pfn << 2) + HOT_FLAGS]! & flag) !== 0;
}

/** Sets `flag`: one or several of PG_LOCKED … PG_MLOCKED, PG_TABLE. */
export function setFlag(phys: Phys, pfn: number, flag: number): void {
  checkFrame(phys, pfn);
  checkFlag(flag);
  phys.hot[(pfn << 2) + HOT_FLAGS]! |= flag;
}

/** Clears `flag`: one or several of PG_LOCKED … PG_MLOCKED, PG_TABLE. */
export function clearFlag(phys: Phys, pfn: number, flag: number): void {
  checkFrame(phys, pfn);
  checkFlag(flag);
  phys.hot[(pfn << 2) + HOT_FLAGS]! &= ~flag;
}

/** The order of the block whose head is `pfn`; 0 for tails and single frames. */
export function pageOrder(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return phys.hot[(pfn << 2) + HOT_FLAGS]! >>> ORDER_SHIFT;
}

function checkFlag(flag: number): void {
  if ((flag & CALLER_FLAGS) !== flag) {
    throw new RangeError(`flag: expected PG_LOCKED to PG_MLOCKED or PG_TABLE, got ${String(flag)}`);
  }
}
