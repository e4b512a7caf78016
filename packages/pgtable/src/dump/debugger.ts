/** The MMU as a debugger uses it: every entry counts as for the hardware, but nobody is refused and nothing is marked. */
import type { Mmu } from '../mmu.ts';

/**
 * `mmu` with no access refused for its rights and no accessed or dirty bit set: for `translate` on memory that shall stay
 * as it is. What is not present, reserved or, without hardware management, never used still faults.
 */
export function debuggerMmu<T extends Mmu>(mmu: T): T {
  const unmarked = { accessedLo: 0, accessedTableLo: 0, dirtySetLo: 0, dirtyClearLo: 0 };
  return { ...mmu, ...unmarked, refused: 0, permits: () => 0 };
}
