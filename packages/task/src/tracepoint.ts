/**
 * Tracepoints (Linux: trace_*): what happened when, on which CPU, in which task. Nothing while `sched.tracepoints` is
 * null. The ring of steps and its hash, `sched.trace`, is another: it says whether two runs were the same.
 *
 * Layout of `words`: RECORD_WORDS int32 words a record; record n lies in slot n mod capacity.
 *
 * | word | meaning |
 * |------|---------|
 * | 0, 1 | virtual time, ns, low and high half |
 * | 2 | CPU |
 * | 3 | task id |
 * | 4 | bits 0–27 event, 28–29 phase |
 * | 5–7 | three arguments |
 */
import { highWord, lowWord } from '@mmkit/base';
import { Sched } from './state.ts';

/** Words one record takes. */
export const RECORD_WORDS = 8;
/** Phase of an event that is a moment. */
export const PHASE_INSTANT = 0;
/** Phase: a slice of the task's time begins. */
export const PHASE_BEGIN = 1;
/** Phase: it ends. */
export const PHASE_END = 2;

const PHASE_SHIFT = 28;
const EVENT_MASK = (1 << PHASE_SHIFT) - 1;

export class Tracepoints {
  /** The records, RECORD_WORDS words each. */
  readonly words: Int32Array;
  /** How many records it holds. */
  readonly capacity: number;
  /** How many were ever written. */
  count: number;

  constructor(capacity: number) {
    this.words = new Int32Array(capacity * RECORD_WORDS);
    this.capacity = capacity;
    this.count = 0;
  }
}

/** A record, read. */
export interface TraceRecord {
  /** Virtual time, ns. */
  readonly time: number;
  readonly cpu: number;
  readonly task: number;
  readonly event: number;
  /** PHASE_INSTANT, PHASE_BEGIN or PHASE_END. */
  readonly phase: number;
  readonly args: readonly [number, number, number];
}

/** Makes a ring for `capacity` records (1 to 2^24); put it into `sched.tracepoints`. */
export function createTracepoints(capacity: number): Tracepoints {
  if (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > 1 << 24) {
    throw new RangeError(`capacity: expected an integer from 1 to ${1 << 24}, got ${String(capacity)}`);
  }
  return new Tracepoints(capacity);
}

/** Records `event` (0 to 2^28 − 1) of the current task, now; arguments are taken as int32. Nothing when it is off. */
export function tracepoint(sched: Sched, event: number, a: number = 0, b: number = 0, c: number = 0): void {
  if (sched.tracepoints !== null) write(sched, sched.tracepoints, event, PHASE_INSTANT, a, b, c);
}

/** Begins a slice of the current task, to be ended by `traceEnd` of the same event; slices nest. */
export function traceBegin(sched: Sched, event: number, a: number = 0, b: number = 0, c: number = 0): void {
  if (sched.tracepoints !== null) write(sched, sched.tracepoints, event, PHASE_BEGIN, a, b, c);
}

/** Ends the innermost slice of `event`, and those inside it. */
export function traceEnd(sched: Sched, event: number, a: number = 0, b: number = 0, c: number = 0): void {
  if (sched.tracepoints !== null) write(sched, sched.tracepoints, event, PHASE_END, a, b, c);
}

/** The records the ring still has, oldest first. */
export function readTracepoints(ring: Tracepoints): TraceRecord[] {
  const { words, capacity, count } = ring;
  const records: TraceRecord[] = [];
  for (let n = Math.max(0, count - capacity); n < count; n++) {
    const at = (n % capacity) * RECORD_WORDS;
    records.push({
      time: words[at + 1]! * 2 ** 32 + (words[at]! >>> 0),
      cpu: words[at + 2]!,
      task: words[at + 3]!,
      event: words[at + 4]! & EVENT_MASK,
      phase: words[at + 4]! >>> PHASE_SHIFT,
      args: [words[at + 5]!, words[at + 6]!, words[at + 7]!],
    });
  }
  return records;
}

function write(sched: Sched, ring: Tracepoints, event: number, phase: number, a: number, b: number, c: number): void {
  const { words } = ring;
  const at = (ring.count++ % ring.capacity) * RECORD_WORDS;
  words[at] = lowWord(sched.now);
  words[at + 1] = highWord(sched.now);
  words[at + 2] = sched.current.cpu.id;
  words[at + 3] = sched.current.id;
  words[at + 4] = (event & EVENT_MASK) | (phase << PHASE_SHIFT);
  words[at + 5] = a;
  words[at + 6] = b;
  words[at + 7] = c;
}
