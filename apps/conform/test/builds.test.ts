import { describe, expect, it } from 'vitest';
import { runTask } from '@mmkit/task';
import { traceOf } from '../src/replay.ts';
import { furnishWorld } from '../src/world/furnish.co.ts';
import { runModel } from '../src/world/model.ts';
import { runTrace } from '../src/world/run.co.ts';
import { createWorld } from '../src/world/world.ts';
import { PROFILES, sample } from './data.ts';

describe('both builds', () => {
  it.each(PROFILES)('%s: the sched build gives the same lines as the plain one', (profile) => {
    const traces = sample(profile, 40).map(traceOf);
    for (const trace of traces) {
      const plain = runModel(trace);
      const count = new Set(plain.map((line) => /^\{"i":(\d+),"op"/.exec(line)?.[1])).size - 1;
      const world = createWorld(trace);
      runTask(world.machine.sched, furnishWorld(world));
      const lines: string[] = [];
      runTask(world.machine.sched, runTrace(world, count, lines));
      expect(lines).toEqual(plain);
    }
  });
});
