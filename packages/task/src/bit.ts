/** Bit locks, the parts that never wait: try and unlock (Linux: folio_trylock, folio_unlock, bit_spin_unlock). */
import { InvariantError } from '@mmkit/base';
import { noteWrite } from './footprint.ts';
import { bitLockKey, LOCK_EXCLUSIVE, lockAcquired, lockRelease } from './lockdep.ts';
import type { LockClass } from './lockdep.ts';
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
  noteWrite(sched, words, index);
  words[index] = word & ~mask;
  if (sched.lockdep !== null) lockRelease(sched, bitLockKey(index, mask));
  wakeTable(sched, index);
}

/**
 * Takes the spinlock `mask` of `words[index]` if it is free; its holder may not sleep until `spinUnlockBit`. `cls` and
 * `subclass` are its place in the lock order; null: it has none.
 */
export function spinTrylockBit(
  sched: Sched,
  words: Int32Array,
  index: number,
  mask: number,
  cls: LockClass | null = null,
  subclass: number = 0,
): boolean {
  noteWrite(sched, words, index);
  if (!tryLockBit(words, index, mask)) return false;
  sched.current.spinDepth++;
  if (sched.lockdep !== null && cls !== null) {
    lockAcquired(sched, bitLockKey(index, mask), cls, LOCK_EXCLUSIVE, subclass);
  }
  return true;
}

/** Gives the spinlock back. InvariantError 'LOCK_NOT_HELD' when it is free, or the current task holds no spinlock. */
export function spinUnlockBit(sched: Sched, words: Int32Array, index: number, mask: number): void {
  const task = sched.current;
  if (task.spinDepth === 0) throw new InvariantError('LOCK_NOT_HELD', `${task.name} holds no spinlock`);
  unlockBit(sched, words, index, mask);
  task.spinDepth--;
}
