/** Calling a port, a function somebody else gives, sched build: it returns a task. */
import type { Task } from '@mmkit/base';

/** The result of a port's call. */
export function* awaitPort<T>(result: T | Task<T>): Task<T> {
  return yield* result as Task<T>;
}
