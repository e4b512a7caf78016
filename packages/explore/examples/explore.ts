import { explore, formatTimeline, replay } from '@mmkit/explore';
import { createSched, spawn, type Task } from '@mmkit/task';

const READ_DONE = 1000; // a scheduling point of our own

/** Two tasks add 1 to a counter without a lock. */
function lostUpdate() {
  const sched = createSched({ cpus: 2 });
  let counter = 0;
  function* addOne(): Task<void> {
    const value = counter;
    yield READ_DONE;
    counter = value + 1;
  }
  spawn(sched, 'one', addOne());
  spawn(sched, 'two', addOne());
  return { sched, check: () => (counter === 2 ? null : `counter is ${counter}`) };
}

const result = explore(lostUpdate);
if (!result.exhaustive || result.schedules !== 6 || result.failures !== 4) throw new Error('expected 4 of 6');
console.log(formatTimeline(replay(lostUpdate, result.first!.schedule)));
