/**
 * Sequence counts over a word: odd while a writer is inside (Linux: seqcount_t; mm->write_protect_seq, B.16). Writers
 * exclude each other by a lock of their own. Given `sched`, each call declares the word to an explorer (footprint.ts).
 */
import { InvariantError, P_SEQ } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { reads, writes } from './footprint.ts';
import type { Sched } from './state.ts';

/** The reader's first look: the sequence, odd when a writer is inside (raw_seqcount_try_begin would fail). */
export function* readSeqBegin(words: Int32Array, index: number, sched?: Sched): Task<number> {
  if (sched === undefined) yield P_SEQ;
  else yield reads(sched, P_SEQ, words, index);
  return words[index]!;
}

/** True when the sequence has changed since `sequence` was read: what was read in between may be mixed. */
export function* readSeqRetry(words: Int32Array, index: number, sequence: number, sched?: Sched): Task<boolean> {
  if (sched === undefined) yield P_SEQ;
  else yield reads(sched, P_SEQ, words, index);
  return words[index] !== sequence;
}

/** The writer goes in. InvariantError 'SEQ_NESTED' when one is inside. */
export function* writeSeqBegin(words: Int32Array, index: number, sched?: Sched): Task<void> {
  if (sched === undefined) yield P_SEQ;
  else yield writes(sched, P_SEQ, words, index);
  if ((words[index]! & 1) !== 0) throw new InvariantError('SEQ_NESTED', 'a second writer entered a sequence count');
  words[index] = words[index]! + 1;
}

/** The writer leaves. InvariantError 'SEQ_NOT_HELD' when none is inside. */
export function* writeSeqEnd(words: Int32Array, index: number, sched?: Sched): Task<void> {
  if (sched === undefined) yield P_SEQ;
  else yield writes(sched, P_SEQ, words, index);
  if ((words[index]! & 1) === 0) throw new InvariantError('SEQ_NOT_HELD', 'no writer is inside the sequence count');
  words[index] = words[index]! + 1;
}
