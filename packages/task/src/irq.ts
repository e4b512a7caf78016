/** Leaving IRQ-off regions and RCU read sections: never waits, shared by both builds. Entering: cpu.co.ts. */
import { InvariantError } from '@mmkit/base';
import { Sched, SimTask } from './state.ts';
import { wakeAll } from './wake.ts';

/** Interrupts on again on this CPU (Linux: local_irq_restore); IPIs that waited get through. 'IRQ_NOT_OFF' when they are on. */
export function localIrqRestore(sched: Sched): void {
  const task = sched.current;
  const cpu = task.cpu;
  if (cpu.irqOwner !== task) throw new InvariantError('IRQ_NOT_OFF', `${task.name} did not turn interrupts off`);
  if (--cpu.irqDepth === 0) {
    cpu.irqOwner = null;
    wakeAll(cpu.irqOn);
  }
  leaveRcu(sched, task);
}

/** Ends an RCU read section (Linux: rcu_read_unlock). InvariantError 'RCU_NOT_HELD' when there is none. */
export function rcuReadUnlock(sched: Sched): void {
  const task = sched.current;
  if (task.rcuDepth === 0) throw new InvariantError('RCU_NOT_HELD', `${task.name} is in no RCU read section`);
  leaveRcu(sched, task);
}

function leaveRcu(sched: Sched, task: SimTask): void {
  if (--task.rcuDepth === 0) {
    task.rcuLeft++;
    wakeAll(sched.rcuWait);
  }
}
