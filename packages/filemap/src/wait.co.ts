/**
 * Waiting for block I/O (Linux: io_schedule in submit_bio_wait; not killable). No point before the test: `done` goes
 * from false to true once, so a waiter who looks later sees nothing else.
 */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { waitOn } from '@mmkit/task/sched';
import type { Bio } from './bio.ts';
import type { BlockDevice } from './blockdev.ts';

/**
 * Waits until `bio`, submitted to `dev`, is done and returns its status. InvariantError BIO_NOT_SUBMITTED when it was
 * not; the plain build throws DEADLOCK over an asynchronous backend, whose callbacks it cannot wait for.
 */
export function* waitBio(dev: BlockDevice, bio: Bio): Task<number> {
  if (bio.device !== dev) throw new InvariantError('BIO_NOT_SUBMITTED', 'the bio was not submitted to this device');
  while (!bio.done) yield* waitOn(dev.sched, bio.queue);
  return bio.status;
}

/** Waits until no bio is in flight; DEADLOCK as for waitBio. */
export function* waitIdle(dev: BlockDevice): Task<void> {
  while (dev.inFlight > 0) yield* waitOn(dev.sched, dev.idle);
}
