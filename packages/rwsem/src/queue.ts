/**
 * The queue of a semaphore and who is let in from it (Linux: rwsem_add_waiter, rwsem_del_wake_waiter, rwsem_mark_wake,
 * rwsem_cond_wake_waiter, rwsem_try_write_lock). Never waits, so both builds share it; in Linux `wait_lock` is held here.
 */
import { addEvent, cancelEvent, wakeTask } from '@mmkit/task';
import type { PendingEvent, Sched } from '@mmkit/task';
import {
  HANDOFF,
  MAX_READERS_WAKEUP,
  OWNER_READER,
  READER_BIAS,
  WAITERS,
  WAKE_HANDOFF,
  WAKE_READERS,
  WAKE_WRITER,
  wakeStep,
  WRITE_HANDOFF,
  WRITE_TAKE,
  WRITER_LOCKED,
  writeStep,
} from './count.ts';
import { RwSem, setOwner, WAIT_TIMEOUT, Waiter } from './state.ts';

/** Puts the current task at the end of the queue. */
export function addWaiter(sched: Sched, sem: RwSem, isWriter: boolean): Waiter {
  const waiter = new Waiter(sched.current, isWriter, sched.now + WAIT_TIMEOUT);
  sem.waiters.push(waiter);
  setFlag(sem, WAITERS);
  return waiter;
}

/** The waiter gives up. When it was the first, the next one may have been waiting for it alone, and is woken. */
export function leaveQueue(sched: Sched, sem: RwSem, waiter: Waiter): void {
  if (removeWaiter(sched, sem, waiter)) markWake(sched, sem, true);
}

/** Somebody has queued: lets in or wakes whom the lock as it is now does not keep out. */
export function wakeIfFree(sched: Sched, sem: RwSem): void {
  if ((sem.count & WRITER_LOCKED) === 0) markWake(sched, sem, sem.count < READER_BIAS);
}

/** Lets in or wakes those at the head, as `wakeStep` says. The queue is not empty. */
export function markWake(sched: Sched, sem: RwSem, any: boolean): void {
  const first = sem.waiters[0]!;
  switch (wakeStep(first.isWriter, any, sem.count, sched.now > first.timeout)) {
    case WAKE_WRITER:
      first.timer = startTimer(sched, sem, first);
      wakeTask(first.task);
      break;
    case WAKE_READERS:
      grantReaders(sem);
      break;
    case WAKE_HANDOFF:
      askHandoff(sem, first);
  }
}

/** The lock has changed hands: the first spinner looks again. */
export function wakeSpinner({ spinners, spinQueue }: RwSem): void {
  const [task] = spinners;
  if (task !== undefined && task.queue === spinQueue) wakeTask(task);
}

function grantReaders(sem: RwSem): void {
  let woken = 0;
  for (const waiter of sem.waiters.splice(0)) {
    if (waiter.isWriter || woken === MAX_READERS_WAKEUP) {
      sem.waiters.push(waiter);
      continue;
    }
    woken++;
    waiter.granted = true;
    wakeTask(waiter.task);
  }
  sem.count += woken * READER_BIAS;
  sem.ownerFlags |= OWNER_READER;
  clearFlag(sem, HANDOFF);
  if (sem.waiters.length === 0) clearFlag(sem, WAITERS);
}

/** A queued writer's attempt; it leaves the queue when it succeeds. Sets HANDOFF when it has waited too long. */
export function tryWriteLock(sched: Sched, sem: RwSem, waiter: Waiter): boolean {
  const first = sem.waiters[0]!;
  const isFirst = waiter === first;
  const readers = Math.floor(sem.count / READER_BIAS);
  if (isFirst && (sem.count & HANDOFF) !== 0) waiter.handoffSet = true;
  const step = writeStep(sem.count, readers, isFirst, first.handoffSet, sched.now > waiter.timeout);
  if (step === WRITE_HANDOFF) askHandoff(sem, waiter);
  if (step !== WRITE_TAKE) return false;
  clearFlag(sem, HANDOFF);
  removeWaiter(sched, sem, waiter);
  sem.count += WRITER_LOCKED;
  setOwner(sem, waiter.task);
  return true;
}

/** True when the waiter was the first and others remain. */
function removeWaiter(sched: Sched, sem: RwSem, waiter: Waiter): boolean {
  if (waiter.timer !== null) cancelEvent(sched, waiter.timer);
  const at = sem.waiters.indexOf(waiter);
  sem.waiters.splice(at, 1);
  if (sem.waiters.length > 0) return at === 0;
  clearFlag(sem, HANDOFF);
  clearFlag(sem, WAITERS);
  return false;
}

/**
 * The 4 ms end by an event, from when the waiter is woken to compete until it has the lock or gives up: so to an explorer
 * the time-out is a choice before each attempt that may fail. Callers of the plain build are never overtaken.
 */
function startTimer(sched: Sched, sem: RwSem, { task, timeout, timer }: Waiter): PendingEvent | null {
  if (task.body === null || timer !== null) return timer;
  return addEvent(sched, Math.max(0, timeout + 1 - sched.now), `${sem.queue.name}: ${task.name} is late`, () => {});
}

function askHandoff(sem: RwSem, first: Waiter): void {
  first.handoffSet = true;
  setFlag(sem, HANDOFF);
}

// By arithmetic: the count may be beyond 32 bits, where `|=` would cut it.
function setFlag(sem: RwSem, flag: number): void {
  if ((sem.count & flag) === 0) sem.count += flag;
}

function clearFlag(sem: RwSem, flag: number): void {
  if ((sem.count & flag) !== 0) sem.count -= flag;
}
