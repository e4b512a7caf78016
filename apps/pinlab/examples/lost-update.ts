/** Two tasks add 1 to a counter: without a lock an addition can be lost, under a mutex it cannot. */
import { litmus } from '@mmkit/explore';
import { createSched, Mutex, mutexUnlock, type Task, writes } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';

const ADD = 1000; // a scheduling point of our own

const setup = () => ({ sched: createSched({ cpus: 2 }), lock: new Mutex('lock'), words: new Int32Array(1) });
type State = ReturnType<typeof setup>;

function* add({ sched, lock, words }: State, locked: boolean): Task<void> {
  if (locked) yield* mutexLock(sched, lock);
  yield writes(sched, ADD, words, 0); // another task may run here; the step after it touches this word
  const seen = words[0]!;
  yield writes(sched, ADD, words, 0);
  words[0] = seen + 1;
  if (locked) mutexUnlock(sched, lock);
}

const lost = ({ words }: State) => (words[0] === 2 ? null : `the counter is ${words[0]}`);
const tasks = (locked: boolean) => ({ one: (s: State) => add(s, locked), two: (s: State) => add(s, locked) });

export const withLock = litmus('lost-update-lock', { setup, tasks: tasks(true), forbid: lost });
export const without = litmus('lost-update', { setup, tasks: tasks(false), reach: lost });
