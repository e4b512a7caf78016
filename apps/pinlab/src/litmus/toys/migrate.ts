/**
 * Migration against a device that writes through its pin and gives it back, with gup-fast asking for the page meanwhile
 * (reference N.12): the references are counted and frozen before the page is copied, never after.
 */
import { P_DEVICE, P_MIGRATE_COPY, P_MIGRATE_FREEZE, P_MIGRATE_MAP, P_MIGRATE_UNMAP, P_UNPIN } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { noteWrite, reads, writes } from '@mmkit/task';
import { COPY, entry, frameOf, gupFast, PAGE, PIN, putPin, TABLE, ToyMachine } from './machine.ts';

/** What the device writes. */
const DATA = 7;

function* device(machine: ToyMachine): Task<void> {
  const { sched, memory, refs } = machine;
  yield writes(sched, P_DEVICE, memory, PAGE);
  memory[PAGE] = DATA;
  yield writes(sched, P_UNPIN, refs, PAGE);
  putPin(machine, PAGE);
}

/** gup-fast, which gives the page back at once. */
function* pinAgain(machine: ToyMachine): Task<void> {
  const frame = yield* gupFast(machine, true);
  if (frame === 0) return;
  yield writes(machine.sched, P_UNPIN, machine.refs, frame);
  putPin(machine, frame);
}

function* migrate(machine: ToyMachine, freezeFirst: boolean): Task<void> {
  const { sched, memory, refs } = machine;
  yield writes(sched, P_MIGRATE_UNMAP, memory, TABLE);
  const old = memory[TABLE]!;
  memory[TABLE] = 0;
  if (!freezeFirst) yield* copy(machine);
  yield writes(sched, P_MIGRATE_FREEZE, refs, PAGE);
  const frozen = refs[PAGE] === 1;
  if (frozen) refs[PAGE] = 0;
  if (frozen && freezeFirst) yield* copy(machine);
  yield writes(sched, P_MIGRATE_MAP, memory, TABLE);
  if (!frozen) {
    memory[TABLE] = old;
    return;
  }
  noteWrite(sched, refs, COPY);
  refs[COPY] = 1;
  memory[TABLE] = entry(COPY, old & 7);
}

function* copy(machine: ToyMachine): Task<void> {
  const { sched, memory } = machine;
  yield reads(sched, P_MIGRATE_COPY, memory, PAGE);
  noteWrite(sched, memory, COPY);
  memory[COPY] = memory[PAGE]!;
}

function spec(freezeFirst: boolean): LitmusSpec<ToyMachine> {
  const found = (machine: ToyMachine): string | null =>
    machine.memory[frameOf(machine.memory[TABLE]!)] === DATA ? null : 'what the device wrote is lost';
  return {
    question: `toy: unpin against migration, which counts references ${freezeFirst ? 'before' : 'after'} it copies: is data lost?`,
    setup() {
      const machine = new ToyMachine(3);
      machine.refs[PAGE] = 1 + PIN;
      return machine;
    },
    tasks: { device, migrate: (machine) => migrate(machine, freezeFirst), pin: pinAgain },
    ...(freezeFirst ? { forbid: found } : { reach: found }),
  };
}

/** The references counted before the copy, and after it. */
export const migrateTests: readonly LitmusTest[] = [
  litmus('toy-migrate', spec(true)),
  litmus('toy-migrate-copy-first', spec(false)),
];
