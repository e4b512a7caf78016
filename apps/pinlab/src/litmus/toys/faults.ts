/** Faults on one page from several CPUs at once (reference N.3): each has a page ready, one may map it. */
import { P_ACCESS_DATA, P_FAULT_LOCK, P_FAULT_READ } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { mutexUnlock, noteRead, noteWrite, reads, writes } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import { entry, frameOf, PAGE, PRESENT, TABLE, ToyMachine, WRITABLE } from './machine.ts';

/** A store of bit `cpu` to the page by that CPU; its fault, if it takes one, maps frame PAGE + cpu. */
function* store(machine: ToyMachine, cpu: number, compare: boolean): Task<void> {
  const { sched, memory, ptl } = machine;
  yield reads(sched, P_FAULT_READ, memory, TABLE);
  if (memory[TABLE] === 0) {
    yield* mutexLock(sched, ptl);
    yield writes(sched, P_FAULT_LOCK, memory, TABLE);
    if (!compare || memory[TABLE] === 0) memory[TABLE] = entry(PAGE + cpu, PRESENT | WRITABLE);
    mutexUnlock(sched, ptl);
  }
  yield reads(sched, P_ACCESS_DATA, memory, TABLE);
  const frame = frameOf(memory[TABLE]!);
  noteRead(sched, memory, frame);
  noteWrite(sched, memory, frame);
  memory[frame] = memory[frame]! | (1 << cpu);
}

function spec(cpus: number, compare: boolean): LitmusSpec<ToyMachine> {
  const found = (machine: ToyMachine): string | null =>
    machine.memory[frameOf(machine.memory[TABLE]!)] === (1 << cpus) - 1 ? null : 'a store is lost with its page';
  const names = Array.from({ length: cpus }, (_, cpu) => `cpu${cpu}`);
  return {
    question: `toy: ${cpus} faults on one page${compare ? '' : ', the entry not compared under its lock'}: is a store lost?`,
    setup() {
      const machine = new ToyMachine(cpus);
      machine.memory[TABLE] = 0;
      return machine;
    },
    tasks: Object.fromEntries(names.map((name, cpu) => [name, (machine) => store(machine, cpu, compare)])),
    ...(compare ? { forbid: found } : { reach: found }),
  };
}

/** Two and three CPUs, with the comparison and without it. */
export const faultTests: readonly LitmusTest[] = [
  litmus('toy-faults', spec(2, true)),
  litmus('toy-faults-no-compare', spec(2, false)),
  litmus('toy-faults-3', spec(3, true)),
  litmus('toy-faults-3-no-compare', spec(3, false)),
];
