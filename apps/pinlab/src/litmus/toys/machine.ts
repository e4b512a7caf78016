/**
 * The machine of the toys: each page holds one word, so that a page table is one entry. gup-fast's protocol (reference
 * B.11, B.15) with nothing around it; every point says what its step touches, so that the reduced search can leave out
 * schedules that differ in the order of unrelated steps only.
 *
 * An entry is `frame << 3 | flags`, 0 when nothing is there; a pin counts 1024, as in Linux.
 */
import { P_GUP_GRAB, P_GUP_READ, P_GUP_RECHECK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { createSched, localIrqRestore, noteWrite, reads, writes } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { localIrqSave } from '@mmkit/task/sched';

/** Entry bit: a page or a table is there. */
export const PRESENT = 1;
/** Entry bit: the page may be written. */
export const WRITABLE = 2;
/** What a pin adds to a reference count (Linux: GUP_PIN_COUNTING_BIAS). */
export const PIN = 1024;

/** The frame that is the upper table (Linux: pmd). */
export const UPPER = 0;
/** The frame that is the lower table (Linux: a page of PTEs). */
export const TABLE = 1;
/** The frame of the process's page. */
export const PAGE = 2;
/** A frame for a copy of it. */
export const COPY = 3;

const FRAMES = 8;

export class ToyMachine {
  readonly sched: Sched;
  /** What each frame holds. */
  readonly memory: Int32Array;
  /** Reference counts by frame. */
  readonly refs: Int32Array;
  /** The frame that gup-fast returned pinned, or 0. Written by the task that pins. */
  pinned: number;

  constructor(cpus: number) {
    this.sched = createSched({ cpus });
    this.memory = new Int32Array(FRAMES);
    this.refs = new Int32Array(FRAMES);
    this.pinned = 0;
    this.memory[UPPER] = entry(TABLE, PRESENT);
    this.memory[TABLE] = entry(PAGE, PRESENT | WRITABLE);
    this.refs[TABLE] = 1;
    this.refs[PAGE] = 1;
  }
}

/** Makes an entry. */
export function entry(frame: number, flags: number): number {
  return (frame << 3) | flags;
}

/** The frame of an entry. */
export function frameOf(word: number): number {
  return word >>> 3;
}

/**
 * gup-fast of the one page with FOLL_PIN; `machine.pinned` and the result say what it got, 0: nothing. `recheck`: the
 * lower entry is read again after the grab (B.11 step 7), as Linux does.
 */
export function* gupFast(machine: ToyMachine, recheck: boolean): Task<number> {
  const { sched } = machine;
  yield* localIrqSave(sched);
  const frame = yield* walk(machine, recheck);
  localIrqRestore(sched);
  machine.pinned = frame;
  return frame;
}

function* walk(machine: ToyMachine, recheck: boolean): Task<number> {
  const { sched, memory, refs } = machine;
  yield reads(sched, P_GUP_READ, memory, UPPER);
  const upper = memory[UPPER]!;
  if ((upper & PRESENT) === 0) return 0;
  const table = frameOf(upper);
  yield reads(sched, P_GUP_READ, memory, table);
  const word = memory[table]!;
  if ((word & PRESENT) === 0) return 0;
  const frame = frameOf(word);
  yield writes(sched, P_GUP_GRAB, refs, frame);
  if (refs[frame] === 0) return 0;
  refs[frame] = refs[frame]! + PIN;
  yield reads(sched, P_GUP_RECHECK, memory, UPPER);
  if (memory[UPPER] !== upper) return putPin(machine, frame);
  if (recheck) {
    yield reads(sched, P_GUP_RECHECK, memory, table);
    if (memory[table] !== word) return putPin(machine, frame);
  }
  return frame;
}

/** Gives a pin back in the step that is under way; 0. */
export function putPin(machine: ToyMachine, frame: number): number {
  noteWrite(machine.sched, machine.refs, frame);
  machine.refs[frame] = machine.refs[frame]! - PIN;
  return 0;
}
