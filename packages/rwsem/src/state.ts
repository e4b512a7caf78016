/**
 * A reader-writer semaphore (Linux: struct rw_semaphore without PREEMPT_RT; mmap_lock is one): its words, shared by both
 * builds. Reference N.18.
 *
 * What differs from Linux: writers spin only where that is asked for, because it multiplies schedules; no READFAIL bit (the
 * count cannot overflow); limits of time count virtual time. Between two points a task runs alone, so what Linux does under
 * `wait_lock` is one step and `wait_lock` itself does not exist.
 *
 * Layout of `count`, a number below 2^53 (bits as in Linux):
 *
 * | bits | name | meaning |
 * |------|------|---------|
 * | 0 | WRITER_LOCKED | a writer holds it |
 * | 1 | WAITERS | `waiters` is not empty |
 * | 2 | HANDOFF | nobody but the first waiter may take it |
 * | 3–7 | | always zero |
 * | 8– | readers | readers × READER_BIAS, those who are just trying included |
 */
import { lockClass, PendingEvent, SimTask, WaitQueue } from '@mmkit/task';
import type { LockClass } from '@mmkit/task';
import { WRITER_LOCKED } from './count.ts';

/** How long the first waiter lets others go before it, ns of virtual time (Linux: RWSEM_WAIT_TIMEOUT, HZ / 250). */
export const WAIT_TIMEOUT = 4_000_000;

/** Somebody in the queue (Linux: struct rwsem_waiter). */
export class Waiter {
  /** Who. */
  readonly task: SimTask;
  /** True for a writer. */
  readonly isWriter: boolean;
  /** Virtual time in ns after which it may ask for a handoff. */
  readonly timeout: number;
  /** It has asked for a handoff, or has inherited one. Only the first waiter's counts. */
  handoffSet: boolean;
  /** A reader that has been let in: its bias is in the count and it is in the queue no more. */
  granted: boolean;
  /** Moves virtual time beyond `timeout`, once a writer has been woken; null before, and in the plain build. */
  timer: PendingEvent | null;

  constructor(task: SimTask, isWriter: boolean, timeout: number) {
    this.task = task;
    this.isWriter = isWriter;
    this.timeout = timeout;
    this.handoffSet = false;
    this.granted = false;
    this.timer = null;
  }
}

/** The semaphore. Fields may be read by anybody and written by this package only. */
export class RwSem {
  /** The count word, see the file's head. */
  count: number;
  /** The last writer to get it, or null; see `owner`. It stays, because writing an object to a field costs a fifth of a pair. */
  writer: SimTask | null;
  /** The low bits of Linux's owner word: OWNER_READER, NONSPINNABLE. */
  ownerFlags: number;
  /** Readers whose bias is in the count but who do not hold it yet: between fast and slow path. */
  trying: number;
  /** Who wants it, first come first; a writer stays here while it is awake and tries again. */
  readonly waiters: Waiter[];
  /** Where the waiters sleep. Its name is the semaphore's. */
  readonly queue: WaitQueue;
  /** Its place in the lock order. */
  readonly cls: LockClass;
  /** Writers spin before they queue (spin.co.ts). */
  readonly spinOnOwner: boolean;
  /** Who spins, in turn: the first on the owner, the others for their turn. */
  readonly spinners: SimTask[];
  /** Where they wait. */
  readonly spinQueue: WaitQueue;

  constructor(name: string, cls: LockClass, spinOnOwner: boolean) {
    this.count = 0;
    this.writer = null;
    this.ownerFlags = 0;
    this.trying = 0;
    this.waiters = [];
    const holders = (): readonly SimTask[] => (this.owner === null ? [] : [this.owner]);
    this.queue = new WaitQueue(name, holders);
    this.cls = cls;
    this.spinOnOwner = spinOnOwner;
    this.spinners = [];
    this.spinQueue = new WaitQueue(name, holders);
  }

  /** The writer that holds it, or null. */
  get owner(): SimTask | null {
    return (this.count & WRITER_LOCKED) === 0 ? null : this.writer;
  }
}

/** `task` holds it for writing, as the count says already (Linux: rwsem_set_owner). */
export function setOwner(sem: RwSem, task: SimTask): void {
  if (sem.writer !== task) sem.writer = task;
  sem.ownerFlags = 0;
}

/**
 * Makes a free semaphore (Linux: init_rwsem); `name` appears in reports of deadlocks, `cls` is its place in the lock order
 * (default: a class of that name), `spinOnOwner` makes writers of the sched build spin before they queue.
 */
export function createRwsem(
  name: string = 'rwsem',
  cls: LockClass = lockClass(name),
  { spinOnOwner = false }: { spinOnOwner?: boolean } = {},
): RwSem {
  return new RwSem(name, cls, spinOnOwner);
}
