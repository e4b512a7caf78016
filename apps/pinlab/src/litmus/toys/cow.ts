/**
 * A read-only pin against copy-on-write reuse, after a fork whose child exits meanwhile (reference B.15 rule 3, N.4): a
 * page that is not exclusive may still be moved away from its process by the next store, so nobody may pin it.
 */
import { P_WP_MAP, P_WP_REUSE, P_ZAP_FREE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { mutexUnlock, noteRead, noteWrite, reads, writes } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import {
  COPY,
  entry,
  FAST_6_18,
  frameOf,
  gupFast,
  PAGE,
  PIN,
  PRESENT,
  TABLE,
  ToyMachine,
  WRITABLE,
} from './machine.ts';

/** The write fault (do_wp_page): reuses a page that is exclusive or has no other reference, else maps a copy. */
function* store(machine: ToyMachine): Task<void> {
  const { sched, memory, refs, ptl } = machine;
  yield* mutexLock(sched, ptl);
  yield reads(sched, P_WP_REUSE, memory, TABLE);
  const frame = frameOf(memory[TABLE]!);
  noteRead(sched, machine.exclusive, frame);
  noteRead(sched, refs, frame);
  const reuse = machine.exclusive[frame] === 1 || refs[frame] === 1;
  yield writes(sched, P_WP_MAP, memory, TABLE);
  if (reuse) mapExclusive(machine, frame, WRITABLE);
  else copyPage(machine, frame, WRITABLE);
  mutexUnlock(sched, ptl);
}

/** The pin: gup-fast, and when that gets nothing the slow path, which asks the fault handler to unshare the page. */
function* pinReadOnly(machine: ToyMachine, askExclusive: boolean): Task<void> {
  const { sched, memory, refs, ptl } = machine;
  if ((yield* gupFast(machine, { ...FAST_6_18, askExclusive })) !== 0) return;
  yield* mutexLock(sched, ptl);
  noteRead(sched, memory, TABLE);
  const frame = frameOf(memory[TABLE]!);
  noteRead(sched, refs, frame);
  noteRead(sched, machine.exclusive, frame);
  const flags = memory[TABLE]! & WRITABLE;
  if (machine.exclusive[frame] === 1 || refs[frame] === 1) mapExclusive(machine, frame, flags);
  else copyPage(machine, frame, flags);
  machine.pinned = frameOf(memory[TABLE]!);
  noteWrite(sched, refs, machine.pinned);
  refs[machine.pinned] = refs[machine.pinned]! + PIN;
  mutexUnlock(sched, ptl);
}

function mapExclusive(machine: ToyMachine, frame: number, flags: number): void {
  noteWrite(machine.sched, machine.exclusive, frame);
  noteWrite(machine.sched, machine.memory, TABLE);
  machine.exclusive[frame] = 1;
  machine.memory[TABLE] = entry(frame, PRESENT | flags);
}

function copyPage(machine: ToyMachine, frame: number, flags: number): void {
  noteWrite(machine.sched, machine.refs, frame);
  noteWrite(machine.sched, machine.refs, COPY);
  machine.refs[frame] = machine.refs[frame]! - 1;
  machine.refs[COPY] = 1;
  mapExclusive(machine, COPY, flags);
}

/** The child exits: its reference goes. */
function* exit(machine: ToyMachine): Task<void> {
  yield writes(machine.sched, P_ZAP_FREE, machine.refs, PAGE);
  machine.refs[PAGE] = machine.refs[PAGE]! - 1;
}

function spec(askExclusive: boolean): LitmusSpec<ToyMachine> {
  const found = (machine: ToyMachine): string | null =>
    machine.pinned === frameOf(machine.memory[TABLE]!) ? null : 'the process has moved to a copy of the pinned page';
  return {
    question: `toy: read-only pin against copy-on-write${askExclusive ? '' : ' without PageAnonExclusive'}: does a store lose the page?`,
    setup() {
      const machine = new ToyMachine(3);
      machine.memory[TABLE] = entry(PAGE, PRESENT);
      machine.refs[PAGE] = 2;
      machine.exclusive[PAGE] = 0;
      return machine;
    },
    tasks: { pin: (machine) => pinReadOnly(machine, askExclusive), store, exit },
    ...(askExclusive ? { forbid: found } : { reach: found }),
  };
}

/** With PageAnonExclusive asked, and without it (before 5.19). */
export const cowTests: readonly LitmusTest[] = [
  litmus('toy-cow', spec(true)),
  litmus('toy-cow-no-exclusive', spec(false)),
];
