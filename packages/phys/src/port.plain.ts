/** Calling a port, a function somebody else gives, plain build: it returns its result. */
import type { Task } from '@mmkit/base';

/** The result of a port's call. */
export function awaitPort<T>(result: T | Task<T>): T {
  return result as T;
}
