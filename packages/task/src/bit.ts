/** Bit locks, the parts that never wait: try and unlock (Linux: folio_trylock, folio_unlock). */
import { InvariantError } from '@mmkit/base';
import { Sched } from './state.ts';
import { wakeTable } from './wake.ts';

/** Sets bit `mask` of `words[index]` if it is clear; false when it was set. */
export function tryLockBit(words: Int32Array, index: number, mask: number): boolean {
  const word = words[index]!;
  if ((word & mask) !== 0) return false;
  words[index] = word | mask;
  return true;
}

/** Clears the bit and wakes who waits for it. InvariantError 'LOCK_NOT_HELD' when it is clear. */
export function unlockBit(sched: Sched, words: Int32Array, index: number, mask: number): void {
  const word = words[index]!;
  if ((word & mask) === 0) throw new InvariantError('LOCK_NOT_HELD', `bit ${mask} of word ${index} is not locked`);
  words[index] = word & ~mask;
  wakeTable(sched, index);
}
