/** Tasks that take a semaphore, hold it over one point, and give it back; stepped by hand. */
import type { Task } from '@mmkit/base';
import { createRwsem, downgradeWrite, upRead, upWrite } from '@mmkit/rwsem';
import type { RwSem } from '@mmkit/rwsem';
import { downRead, downReadKillable, downWrite, downWriteKillable } from '@mmkit/rwsem/sched';
import { addEvent, createSched, fireEvent, isRunnable, spawn, stepTask, TASK_DONE } from '@mmkit/task';
import type { Sched, SimTask } from '@mmkit/task';

/** The point at which an actor holds the semaphore. */
export const HELD = 100;

export class Stage {
  readonly sched: Sched = createSched();
  readonly sem: RwSem;

  constructor(options: { spinOnOwner?: boolean } = {}) {
    this.sem = createRwsem('sem', undefined, options);
  }

  /** A reader; its result is what taking the semaphore gave. */
  reader(name: string): SimTask {
    const { sched, sem } = this;
    return spawn(
      sched,
      name,
      (function* (): Task<number> {
        const error = yield* downReadKillable(sched, sem);
        if (error !== 0) return error;
        yield HELD;
        upRead(sched, sem);
        return 0;
      })(),
    );
  }

  /** A writer; its result is what taking the semaphore gave. */
  writer(name: string): SimTask {
    const { sched, sem } = this;
    return spawn(
      sched,
      name,
      (function* (): Task<number> {
        const error = yield* downWriteKillable(sched, sem);
        if (error !== 0) return error;
        yield HELD;
        upWrite(sched, sem);
        return 0;
      })(),
    );
  }

  /** A reader or writer that no signal stops. */
  stubborn(name: string, isWriter: boolean): SimTask {
    const { sched, sem } = this;
    return spawn(
      sched,
      name,
      (function* (): Task<void> {
        yield* (isWriter ? downWrite : downRead)(sched, sem);
        yield HELD;
        (isWriter ? upWrite : upRead)(sched, sem);
      })(),
    );
  }

  /** A writer that becomes a reader. */
  downgrader(name: string): SimTask {
    const { sched, sem } = this;
    return spawn(
      sched,
      name,
      (function* (): Task<void> {
        yield* downWrite(sched, sem);
        yield HELD;
        downgradeWrite(sched, sem);
        yield HELD;
        upRead(sched, sem);
      })(),
    );
  }

  /** One step of each. */
  step(...tasks: SimTask[]): void {
    for (const task of tasks) stepTask(this.sched, task);
  }

  /** Steps each until it holds the semaphore, sleeps or is done. */
  go(...tasks: SimTask[]): void {
    for (const task of tasks) {
      do stepTask(this.sched, task);
      while (isRunnable(task) && task.point !== HELD);
    }
  }

  /** Lets virtual time pass. */
  pass(ns: number): void {
    fireEvent(
      this.sched,
      addEvent(this.sched, ns, 'time passes', () => {}),
    );
  }

  /** Names of those who hold it. */
  holders(): string[] {
    return this.sched.tasks.filter((task) => task.point === HELD && task.state !== TASK_DONE).map((task) => task.name);
  }

  /** Names of those in the queue. */
  queued(): string[] {
    return this.sem.waiters.map((waiter) => waiter.task.name);
  }
}
