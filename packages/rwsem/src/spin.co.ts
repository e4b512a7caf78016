/**
 * A writer that is not queued waits for the lock awake (Linux: rwsem_optimistic_spin, CONFIG_RWSEM_SPIN_ON_OWNER). Only for
 * a semaphore made with `spinOnOwner`. Spinning is a wait for "the owner has changed, or does not run": a release ends it,
 * and so does an event. For a writer's hold that one is due at once: a driver fires it when nobody runs, so not the owner
 * either; to an explorer it is a choice, as the owner may be preempted at any moment. For readers, who cannot be seen, it
 * is Linux's limit of time, after which the lock is NONSPINNABLE until a writer has had it.
 *
 * One spins on the owner, `sem.spinners[0]`; the others wait for their turn behind it, awake too (Linux: the OSQ lock).
 */
import type { Task } from '@mmkit/base';
import { addEvent, cancelEvent, noteRead, Sched, TASK_WAITING, wakeTask } from '@mmkit/task';
import { spinOn } from '@mmkit/task/sched';
import { NONSPINNABLE, OWNER_READER, READER_BIAS, spinTakes, WRITER_LOCKED } from './count.ts';
import { wakeSpinner } from './queue.ts';
import { RwSem, setOwner } from './state.ts';

/** True when the current task, a writer, has got the lock so; false: it must queue. */
export function* optimisticSpin(sched: Sched, sem: RwSem): Task<boolean> {
  const task = sched.current;
  // Callers of the plain build are never beside a running owner; one that may not sleep is told so by the queue.
  if (task.body === null || task.cpu.irqOwner === task || !canSpin(sched, sem)) return false;
  sem.spinners.push(task);
  let got = false;
  let goesOn = true;
  while (goesOn && sem.spinners[0] !== task) goesOn = yield* spin(sched, sem, 0);
  while (goesOn && !(got = steal(sched, sem)) && canSpin(sched, sem)) {
    const onReaders = sem.owner === null && (sem.ownerFlags & OWNER_READER) !== 0;
    goesOn = yield* spin(sched, sem, onReaders ? readerLimit(sem) : 0);
    if (!goesOn && onReaders) sem.ownerFlags |= NONSPINNABLE;
  }
  sem.spinners.splice(sem.spinners.indexOf(task), 1);
  wakeSpinner(sem);
  return got;
}

/** Linux: rwsem_can_spin_on_owner, and what ends rwsem_spin_on_owner. */
function canSpin(sched: Sched, { owner, ownerFlags }: RwSem): boolean {
  if (owner === null) return ownerFlags !== (OWNER_READER | NONSPINNABLE);
  noteRead(sched, owner);
  return owner.state !== TASK_WAITING;
}

/** Linux: rwsem_try_write_lock_unqueued. */
function steal(sched: Sched, sem: RwSem): boolean {
  if (!spinTakes(sem.count, Math.floor(sem.count / READER_BIAS))) return false;
  sem.count += WRITER_LOCKED;
  setOwner(sem, sched.current);
  return true;
}

/** How long a writer spins on readers, ns (Linux: rwsem_rspin_threshold). */
function readerLimit({ count }: RwSem): number {
  return (20_000 + 1000 * Math.min(30, Math.floor(count / READER_BIAS))) / 2;
}

/** Waits awake until woken: true; false when that took `ns`, or nobody runs. */
function* spin(sched: Sched, sem: RwSem, ns: number): Task<boolean> {
  const task = sched.current;
  const end = addEvent(sched, ns, `${sem.queue.name}: ${task.name} stops spinning`, () => wakeTask(task));
  yield* spinOn(sched, sem.spinQueue);
  return cancelEvent(sched, end);
}
