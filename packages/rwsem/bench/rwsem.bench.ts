/**
 * A free semaphore taken and given back, plain build, against the least it could be: a counter. Two semaphores, so that
 * V8 cannot fold one's fields into the code. The package is loaded past the test runner, whose getter call at each use of
 * an imported name costs more than the lock. 1000 pairs a run: microseconds printed are nanoseconds a pair.
 */
import { createRequire } from 'node:module';
import { test } from 'vitest';

const load = createRequire(import.meta.url);
const { createRwsem, downRead, downWrite, upRead, upWrite } = load(
  '../src/index.ts',
) as typeof import('../src/index.ts');
const { createSched } = load('@mmkit/task') as typeof import('@mmkit/task');

const PAIRS = 1000;
const sched = createSched();
const sems = [createRwsem('a'), createRwsem('b')] as const;
const counters: { count: number }[] = [{ count: 0 }, { count: 0 }];

test('1000 × take and give back', async ({ bench }) => {
  await bench.compare(
    bench('downRead, upRead', () => {
      for (let i = 0; i < PAIRS; i++) {
        const sem = sems[i & 1]!;
        downRead(sched, sem);
        upRead(sched, sem);
      }
    }),
    bench('downWrite, upWrite', () => {
      for (let i = 0; i < PAIRS; i++) {
        const sem = sems[i & 1]!;
        downWrite(sched, sem);
        upWrite(sched, sem);
      }
    }),
    bench('a counter, tested and changed', () => {
      for (let i = 0; i < PAIRS; i++) {
        const counter = counters[i & 1]!;
        if (counter.count < 0) throw new Error('taken');
        counter.count++;
        if (counter.count === 0) throw new Error('not taken');
        counter.count--;
      }
    }),
  );
});
