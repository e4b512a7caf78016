import { addEvent, createSched, runAll, spawn, type Task, tryLockBit, unlockBit } from '@mmkit/task';
import { lockBit } from '@mmkit/task/sched';

const LOCKED = 1;
const sched = createSched({ cpus: 2 });
const words = new Int32Array(16); // one lock bit in each word
const log: string[] = [];

function* user(name: string): Task<void> {
  yield* lockBit(sched, words, 3, LOCKED); // waits, while the others run
  log.push(`${name} at ${sched.now} ns`);
  unlockBit(sched, words, 3, LOCKED);
}
tryLockBit(words, 3, LOCKED); // a device has it, and is done after 80 µs of virtual time
addEvent(sched, 80_000, 'I/O done', () => unlockBit(sched, words, 3, LOCKED));
for (const name of ['A', 'B']) spawn(sched, name, user(name));
runAll(sched);
console.log(log.join(', '));
if (log.join() !== 'A at 80000 ns,B at 80000 ns') throw new Error('another order');
