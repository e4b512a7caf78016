/**
 * The random calls of model.test.ts, as many as one likes: `node --conditions=@mmkit/source long-run.ts [calls]
 * [seed]`, ten million with seed 1 unless told. Prints count and time; throws at the first call that does not do what
 * the table of owners says, naming machine and call.
 */
import { ALL_GFPS, MACHINES, OPS } from './naive-calls.ts';
import type { Step } from './naive-calls.ts';
import { compareAll, giveAllBack, interval, Naive, runStep } from './naive.ts';

const total = Number(process.argv[2] ?? 10_000_000);
let state = Number(process.argv[3] ?? 1) >>> 0;

/** An integer from 0 to n − 1 (mulberry32). */
function random(n: number): number {
  state = (state + 0x6d2b_79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * n);
}

function randomStep(): Step {
  const kind = random(9);
  return {
    op: OPS[random(OPS.length)]!,
    pick: random(1_000_000),
    order: kind < 4 ? 0 : random(kind < 8 ? 6 : 12),
    refs: random(2) === 0 ? 1 : 1 + random(4),
    gfp: ALL_GFPS[random(ALL_GFPS.length)]!,
  };
}

const start = process.hrtime.bigint();
let calls = 0;
let given = 0;
let failed = 0;
for (let round = 0; calls < total; round++) {
  const machine = round % MACHINES.length;
  const model = new Naive(MACHINES[machine]!);
  const length = Math.min(random(20_000), total - calls);
  for (let i = 0; i < length; i++) {
    const before = state;
    const step = randomStep();
    try {
      runStep(model, step);
      if (model.calls % (8 * interval(model)) === 0) compareAll(model);
    } catch (error) {
      console.log(`machine ${machine}, call ${i} of round ${round}, state of the generator ${before}`, step);
      throw error;
    }
  }
  compareAll(model);
  giveAllBack(model);
  calls += model.calls;
  given += model.given;
  failed += model.failed;
}
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
console.log(`${calls} calls, ${given} blocks given out, ${failed} allocations failed: ${seconds.toFixed(1)} s`);
