/**
 * The trace ring: what happened, as int32 words, with a running hash over everything ever written. Two runs with the
 * same inputs have the same hash on every machine; a difference is a bug (determinism, DESIGN).
 *
 * Layout of `words`: EVENT_WORDS words an event, the newest overwrites the oldest:
 *
 * | word | meaning |
 * |------|---------|
 * | 0 | event number (a scheduling point or the caller's own) |
 * | 1 | task id |
 * | 2 | a |
 * | 3 | b |
 */

/** Words one event takes in the ring. */
export const EVENT_WORDS = 4;

const FNV_OFFSET = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;

export class TraceRing {
  /** The events, EVENT_WORDS words each; the slot of event n is n mod capacity. */
  readonly words: Int32Array;
  /** How many events the ring holds. */
  readonly capacity: number;
  /** How many events were ever written. */
  count: number;
  /** FNV-1a over all words ever written, int32. */
  hash: number;

  constructor(capacity: number) {
    this.words = new Int32Array(capacity * EVENT_WORDS);
    this.capacity = capacity;
    this.count = 0;
    this.hash = FNV_OFFSET;
  }
}

/** Makes a ring for `capacity` events (1 to 2^24). */
export function createTraceRing(capacity: number): TraceRing {
  if (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > 1 << 24) {
    throw new RangeError(`capacity: expected an integer from 1 to ${1 << 24}, got ${String(capacity)}`);
  }
  return new TraceRing(capacity);
}

/** Writes one event; every argument is taken as an int32. */
export function traceEvent(ring: TraceRing, event: number, task: number, a: number, b: number): void {
  const words = ring.words;
  const at = (ring.count % ring.capacity) * EVENT_WORDS;
  words[at] = event;
  words[at + 1] = task;
  words[at + 2] = a;
  words[at + 3] = b;
  ring.count++;
  let hash = ring.hash;
  for (let i = at; i < at + EVENT_WORDS; i++) {
    const word = words[i]!;
    hash = Math.imul(hash ^ (word & 0xff), FNV_PRIME);
    hash = Math.imul(hash ^ ((word >>> 8) & 0xff), FNV_PRIME);
    hash = Math.imul(hash ^ ((word >>> 16) & 0xff), FNV_PRIME);
    hash = Math.imul(hash ^ (word >>> 24), FNV_PRIME);
  }
  ring.hash = hash;
}

/** The hash as eight hexadecimal digits. */
export function traceHash(ring: TraceRing): string {
  return (ring.hash >>> 0).toString(16).padStart(8, '0');
}
