import { createRwsem, upRead, upWrite } from '@mmkit/rwsem';
import { downRead, downWrite } from '@mmkit/rwsem/sched';
import { createSched, runAll, spawn, type Task } from '@mmkit/task';

const sched = createSched();
const sem = createRwsem('mmap_lock');
const log: string[] = [];

function* user(name: string, isWriter: boolean, arrives: number): Task<void> {
  for (let i = 0; i < arrives; i++) yield 100; // a point: the others may run
  yield* (isWriter ? downWrite : downRead)(sched, sem);
  log.push(`${name} ${sem.count.toString(16)}`);
  for (let i = 0; i < 10; i++) yield 101;
  (isWriter ? upWrite : upRead)(sched, sem);
}
[user('R1', false, 0), user('W', true, 2), user('R2', false, 6)].forEach((body, i) => spawn(sched, `task ${i}`, body));
runAll(sched);
console.log(log.join(', ')); // the waiting writer keeps the second reader out
if (log.join() !== 'R1 100,W 3,R2 100') throw new Error('not the order of Linux');
