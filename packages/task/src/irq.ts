/**
 * Preemption off and on, leaving IRQ-off regions and RCU read sections, call_rcu: never waits, shared by both builds.
 * Entering the others: cpu.co.ts. A region with interrupts or preemption off is an RCU read section too.
 */
import { InvariantError } from '@mmkit/base';
import { addEvent } from './event.ts';
import { noteRead, noteWrite } from './footprint.ts';
import { Cpu, RcuCallback, Sched, SimTask } from './state.ts';
import { wakeAll } from './wake.ts';

/** Interrupts on again on this CPU (Linux: local_irq_restore); IPIs that waited get through. 'IRQ_NOT_OFF' when they are on. */
export function localIrqRestore(sched: Sched): void {
  const task = sched.current;
  const cpu = task.cpu;
  if (cpu.irqOwner !== task || cpu.irqDepth === 0) {
    throw new InvariantError('IRQ_NOT_OFF', `${task.name} did not turn interrupts off`);
  }
  noteWrite(sched, cpu);
  if (--cpu.irqDepth === 0) {
    freeCpu(cpu, task);
    wakeAll(cpu.irqOn);
  }
  leaveRcu(sched, task);
}

/** No other task runs on this CPU until `preemptEnable` (Linux: preempt_disable); interrupts stay on. Nests. */
export function preemptDisable(sched: Sched): void {
  const task = sched.current;
  noteWrite(sched, task.cpu);
  task.cpu.irqOwner = task;
  task.preemptDepth++;
  task.rcuDepth++;
}

/** Others may run on this CPU again (Linux: preempt_enable). InvariantError 'PREEMPT_NOT_OFF' when they may already. */
export function preemptEnable(sched: Sched): void {
  const task = sched.current;
  if (task.preemptDepth === 0) throw new InvariantError('PREEMPT_NOT_OFF', `${task.name} did not turn preemption off`);
  noteWrite(sched, task.cpu);
  task.preemptDepth--;
  freeCpu(task.cpu, task);
  leaveRcu(sched, task);
}

/** Ends an RCU read section (Linux: rcu_read_unlock). InvariantError 'RCU_NOT_HELD' when there is none. */
export function rcuReadUnlock(sched: Sched): void {
  const task = sched.current;
  if (task.rcuDepth === 0) throw new InvariantError('RCU_NOT_HELD', `${task.name} is in no RCU read section`);
  leaveRcu(sched, task);
}

/**
 * Has `fn` called, by an event, once every read section open now has ended (Linux: call_rcu). It runs in interrupt
 * context: it must not wait.
 */
export function callRcu(sched: Sched, fn: () => void): void {
  noteWrite(sched, sched.rcuWait);
  const callback = new RcuCallback(new Set(sched.tasks.filter((task) => task.rcuDepth > 0)), fn);
  if (callback.readers.size === 0) addEvent(sched, 0, 'RCU callback', fn);
  else sched.rcuCallbacks.push(callback);
}

function freeCpu(cpu: Cpu, task: SimTask): void {
  if (cpu.irqDepth === 0 && task.preemptDepth === 0) cpu.irqOwner = null;
}

function leaveRcu(sched: Sched, task: SimTask): void {
  if (--task.rcuDepth > 0) return;
  task.rcuLeft++;
  // Ends of sections change places with one another, unless somebody waits for them.
  if (sched.rcuWait.waiters.length === 0 && sched.rcuCallbacks.length === 0) {
    noteRead(sched, sched.rcuWait);
    return;
  }
  noteWrite(sched, sched.rcuWait);
  wakeAll(sched.rcuWait);
  for (const callback of sched.rcuCallbacks.slice()) {
    if (!callback.readers.delete(task) || callback.readers.size > 0) continue;
    sched.rcuCallbacks.splice(sched.rcuCallbacks.indexOf(callback), 1);
    addEvent(sched, 0, 'RCU callback', callback.fn);
  }
}
