/** Completions, what never waits (Linux: struct completion): "it is done", said once for each waiter, or for all. */
import { WaitQueue } from './state.ts';
import { wakeAll, wakeOne } from './wake.ts';

/** Something to be done, that tasks wait for. */
export class Completion {
  /** How many waiters may go on without waiting; Infinity after `completeAll`. */
  done: number;
  /** Who waits, first come first. */
  readonly queue: WaitQueue;

  constructor(name: string) {
    this.done = 0;
    this.queue = new WaitQueue(name);
  }
}

/** Lets one waiter go on, the first, or the next to come (Linux: complete). */
export function complete(completion: Completion): void {
  completion.done++;
  wakeOne(completion.queue);
}

/** Lets everybody go on, now and later, until `reinitCompletion` (Linux: complete_all). */
export function completeAll(completion: Completion): void {
  completion.done = Infinity;
  wakeAll(completion.queue);
}

/** Not done again (Linux: reinit_completion). Nobody may be waiting. */
export function reinitCompletion(completion: Completion): void {
  completion.done = 0;
}

/** Takes one "done" if there is one; false otherwise (Linux: try_wait_for_completion). */
export function tryWaitForCompletion(completion: Completion): boolean {
  if (completion.done === 0) return false;
  completion.done--;
  return true;
}
