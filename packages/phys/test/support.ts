import { InvariantError } from '@mmkit/base';
import { expect } from 'vitest';
import type { Phys } from '../src/index.ts';

/** Everything an allocator call may change, by value. */
export function snapshot(phys: Phys): unknown {
  return {
    hot: phys.hot.slice(),
    cold: phys.cold.slice(),
    freeHeads: phys.freeHeads.slice(),
    freeOrders: phys.freeOrders,
    frontier: phys.frontier,
    pcpHead: phys.pcpHead,
    pcpCount: phys.pcpCount,
    freeFrames: phys.freeFrames,
    acquired: phys.nrFollPinAcquired,
    released: phys.nrFollPinReleased,
    chunks: phys.chunks.map((words) => words?.slice()),
  };
}

/** The code of the InvariantError that `call` throws, 'RangeError' for that one, '' when it returns. */
export function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof RangeError) return 'RangeError';
    if (error instanceof InvariantError) return error.code;
    throw error;
  }
  return '';
}

/** `call` is refused with `code` and changes nothing. */
export function expectRefused(phys: Phys, code: string, call: () => unknown): void {
  const before = snapshot(phys);
  expect(refusal(call)).toBe(code);
  expect(snapshot(phys)).toEqual(before);
}
