/**
 * The semaphore on shared memory: its words, and a thread's view of them. Reference N.18; the rules are those of the form
 * in one process (count.ts), the waiting is in shared-wait.ts.
 *
 * Layout, int32 words; everything is changed by Atomics unless it says whose it is:
 *
 * | word | name | meaning | changed |
 * |------|------|---------|---------|
 * | 0 | COUNT | bit 0 WRITER_LOCKED, 1 WAITERS, 2 HANDOFF, 8–30 readers, 31 READ_FAIL | by anybody |
 * | 1 | OWNER | bit 0 OWNER_READER, bit 1 NONSPINNABLE, 2– the writer's slot + 1 | by who holds the lock, plainly: a hint to all others |
 * | 16 | WAIT_LOCK | 0, or slot + 1 of who changes the queue; CONTENDED: somebody sleeps for it | shared-wait.ts |
 * | 17 | NEXT_TICKET | place in the queue of the next waiter | under WAIT_LOCK |
 * | 18 | SPINNER | slot + 1 of the one writer that spins, 0 = none | by compareExchange |
 * | 19 | DEAD | slot + 1 of the worker that died holding it, 0 = none | once |
 * | 32 + 16 × slot | | one slot a thread, a cache line each | |
 *
 * A slot: 0 SLOT_STATE; 1 HOLDS, 2 × read holds, + 1 for the write hold, changed by the thread itself before it takes the
 * lock and after it has given it back, so that who dies in between is thought to hold it; 2 WAIT
 * (under WAIT_LOCK); 3 TICKET; 4 WAKE, counts up at each wake-up and is what the thread sleeps on; 5 LATE, what its wait
 * has come to; 6 TRIES, attempts that failed (its own).
 *
 * The queue has no links: its order is that of the tickets. So a thread that dies while it changes the queue leaves
 * nothing torn.
 */
import { checkInteger, InvariantError } from '@mmkit/base';

/** Word: the count. */
export const COUNT = 0;
/** Word: who has it. */
export const OWNER = 1;
/** Word: lock of the queue. */
export const WAIT_LOCK = 16;
/** Word: ticket of the next waiter. */
export const NEXT_TICKET = 17;
/** Word: who spins. */
export const SPINNER = 18;
/** Word: who died holding it. */
export const DEAD = 19;
/** First word of slot 0. */
export const FIRST_SLOT = 32;
/** Words of a slot. */
export const SLOT_WORDS = 16;
/** Word of a slot: SLOT_FREE or SLOT_USED. */
export const SLOT_STATE = 0;
/** Word of a slot: 2 × read holds, + 1 for the write hold. */
export const HOLDS = 1;
/** Word of a slot: WAIT_NONE, WAIT_READER, WAIT_WRITER or WAIT_GRANTED. */
export const WAIT = 2;
/** Word of a slot: its place in the queue. */
export const TICKET = 3;
/** Word of a slot: wake-ups. */
export const WAKE = 4;
/** Word of a slot: IS_LATE, HANDOFF_SET. */
export const LATE = 5;
/** Word of a slot: failed attempts. */
export const TRIES = 6;

/** `SLOT_STATE`: nobody's. */
export const SLOT_FREE = 0;
/** `SLOT_STATE`: a thread's. */
export const SLOT_USED = 1;
/** `WAIT`: not in the queue. */
export const WAIT_NONE = 0;
/** `WAIT`: queued for reading. */
export const WAIT_READER = 1;
/** `WAIT`: queued for writing. */
export const WAIT_WRITER = 2;
/** `WAIT`: a reader that has been let in; its bias is in the count. */
export const WAIT_GRANTED = 3;
/** `LATE`: it has waited longer than Linux's 4 ms. */
export const IS_LATE = 1;
/** `LATE`: it has asked for a handoff, or has inherited one. */
export const HANDOFF_SET = 2;
/** `COUNT`: no reader may come in: too many, or a worker died (Linux: RWSEM_FLAG_READFAIL, there bit 63). */
export const READ_FAIL = -0x8000_0000;
/** `COUNT`: the readers' bits. */
export const READER_MASK = 0x7fff_ff00;
/** `WAIT_LOCK`: somebody sleeps for it. */
export const CONTENDED = 0x80;
/** Slots at most. */
export const MAX_SLOTS = 64;

/** A thread's view of a semaphore. */
export class SharedRwSem {
  /** The semaphore. */
  readonly words: Int32Array;
  /** Which slot is this thread's. */
  readonly slot: number;
  /** Its first word. */
  readonly at: number;
  /** The words of its slot. */
  readonly mine: Int32Array;
  /** Whether the thread may block; a browser's main thread may not. */
  readonly canBlock: boolean;
  /** First words of the slots whose WAKE was counted up under WAIT_LOCK, to be notified once it is given back. */
  readonly woken: number[];

  constructor(words: Int32Array, slot: number, canBlock: boolean) {
    this.words = words;
    this.slot = slot;
    this.at = FIRST_SLOT + slot * SLOT_WORDS;
    this.mine = words.subarray(this.at, this.at + SLOT_WORDS);
    this.canBlock = canBlock;
    this.woken = [];
  }
}

/** What a browser says of the page; elsewhere there is no such name. */
declare const crossOriginIsolated: boolean | undefined;

/**
 * Makes a free semaphore for up to `slots` threads (1 to MAX_SLOTS, default that): its words, to be sent to each of them.
 * InvariantError 'NO_SHARED_MEMORY' where threads cannot share memory.
 */
export function createSharedRwsem(slots: number = MAX_SLOTS): Int32Array {
  checkInteger('slots', slots, 1, MAX_SLOTS);
  const isolated = typeof crossOriginIsolated === 'undefined' || crossOriginIsolated;
  if (typeof SharedArrayBuffer === 'undefined' || !isolated) {
    throw new InvariantError(
      'NO_SHARED_MEMORY',
      'threads cannot share memory here: a page must be served with the headers Cross-Origin-Opener-Policy: same-origin' +
        ' and Cross-Origin-Embedder-Policy: require-corp',
    );
  }
  return new Int32Array(new SharedArrayBuffer((FIRST_SLOT + slots * SLOT_WORDS) * 4));
}

/** RangeError unless there is such a slot. */
export function checkSlot(words: Int32Array, slot: number): void {
  checkInteger('slot', slot, 0, (words.length - FIRST_SLOT) / SLOT_WORDS - 1);
}
