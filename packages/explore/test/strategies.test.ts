import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createSched, spawn, type Task } from '@mmkit/task';
import {
  type Checkpoint,
  explore,
  mergeResults,
  replay,
  type Scenario,
  shrinkSchedule,
  splitWork,
} from '@mmkit/explore';
import { program, scenarioOf } from './programs.ts';

const HERE = 1000;
const ALL = ['plain', 'reduced'] as const;

/** Two tasks add 1 to a counter, each after `idle` points that do nothing. */
function lostUpdate(idle: number): Scenario {
  return () => {
    const sched = createSched({ cpus: 2 });
    let counter = 0;
    function* addOne(): Task<void> {
      for (let i = 0; i < idle; i++) yield HERE;
      const value = counter;
      yield HERE;
      counter = value + 1;
    }
    spawn(sched, 'one', addOne());
    spawn(sched, 'two', addOne());
    return { sched, check: () => (counter === 2 ? null : `counter is ${counter}`) };
  };
}

describe('preemption-bounded', () => {
  it('each bound adds the schedules with just so many; all bounds together are all; never called exhaustive', () => {
    const all = explore(lostUpdate(2));
    let before = 0;
    for (let bound = 0; bound <= 8; bound++) {
      const some = explore(lostUpdate(2), { strategy: { kind: 'preemptions', bound } });
      expect(some).toMatchObject({ exhaustive: false, strategy: 'preemptions', checkpoint: null });
      expect(some.schedules).toBeGreaterThanOrEqual(before);
      before = some.schedules;
    }
    expect(before).toBe(all.schedules);
    expect(explore(lostUpdate(2), { strategy: { kind: 'preemptions', bound: 0 } })).toMatchObject({
      schedules: 2,
      failures: 0,
    });
    expect(explore(lostUpdate(2), { strategy: { kind: 'preemptions', bound: 1 } }).failures).toBeGreaterThan(0);
  });
});

describe('by chance', () => {
  it.each([{ kind: 'random', seed: 1 } as const, { kind: 'pct', depth: 2, seed: 1 } as const])(
    '$kind: the same seed gives the same runs, 1,000 unless told, never exhaustive; finds the lost update',
    (strategy) => {
      const result = explore(lostUpdate(2), { strategy });
      expect(result).toMatchObject({ schedules: 1000, exhaustive: false, strategy: strategy.kind });
      expect(result.failures).toBeGreaterThan(0);
      expect(explore(lostUpdate(2), { strategy })).toEqual(result);
      expect(explore(lostUpdate(2), { strategy: { ...strategy, seed: 2 } }).steps).toBeGreaterThan(0);
      expect(replay(lostUpdate(2), result.first!.schedule).message).toBe('counter is 1');
    },
  );

  it('refuses seeds, depths and bounds that are none', () => {
    const bad = [
      { kind: 'random', seed: -1 },
      { kind: 'pct', depth: 0, seed: 1 },
      { kind: 'preemptions', bound: 0.5 },
    ] as const;
    for (const strategy of bad) expect(() => explore(lostUpdate(0), { strategy })).toThrow(RangeError);
  });
});

describe('a given schedule', () => {
  it('runs once; one that is not possible is refused', () => {
    const run = (schedule: string) => explore(lostUpdate(0), { strategy: { kind: 'schedule', schedule } });
    expect(run('abab')).toMatchObject({ schedules: 1, failures: 1, exhaustive: false, checkpoint: null });
    expect(run('a2b2')).toMatchObject({ schedules: 1, failures: 0 });
    expect(() => run('a3')).toThrow(/'a' is not possible at step 3/);
  });
});

describe('hidden nondeterminism', () => {
  it.each([
    { kind: 'plain' } as const,
    { kind: 'reduced' } as const,
    { kind: 'preemptions', bound: 2 } as const,
    { kind: 'random', seed: 1 } as const,
    { kind: 'pct', depth: 2, seed: 1 } as const,
    { kind: 'schedule', schedule: 'ab' } as const,
  ])('$kind: other points or names than the time before', (strategy) => {
    for (const what of ['point', 'name']) {
      let worlds = 0;
      const scenario: Scenario = () => {
        const sched = createSched({ cpus: 2 });
        worlds++;
        function* body(): Task<void> {
          yield what === 'point' ? worlds : HERE;
        }
        spawn(sched, what === 'name' ? `t${worlds}` : 'a', body());
        spawn(sched, 'b', body());
        return { sched, check: () => null };
      };
      const code = expect.objectContaining({ code: 'NONDETERMINISM' });
      expect(() => explore(scenario, { strategy })).toThrow(code);
    }
  });
});

describe('checkpoints', () => {
  it.each(ALL)('%s: stopped and resumed, through JSON, gives what one run gives', (kind) => {
    fc.assert(
      fc.property(program, fc.integer({ min: 1, max: 40 }), (p, maxSchedules) => {
        const scenario = scenarioOf(p);
        const once = explore(scenario, { strategy: { kind }, maxSchedules: 300 });
        if (!once.exhaustive) return;
        let part = explore(scenario, { strategy: { kind }, maxSchedules });
        while (part.checkpoint !== null) {
          const resume = JSON.parse(JSON.stringify(part.checkpoint)) as Checkpoint;
          part = explore(scenario, { resume, maxSchedules });
        }
        expect(part).toEqual(once);
      }),
      { numRuns: 60 },
    );
  });
});

describe('split over workers', () => {
  it.each(ALL)('%s: the pieces add up to one run', (kind) => {
    fc.assert(
      fc.property(program, fc.integer({ min: 1, max: 12 }), (p, n) => {
        const scenario = scenarioOf(p);
        const once = explore(scenario, { strategy: { kind }, maxSchedules: 300 });
        if (!once.exhaustive) return;
        const pieces = splitWork(scenario, n, { strategy: kind });
        const merged = mergeResults(pieces.map((resume) => explore(scenario, { resume })));
        expect(merged.messages).toEqual(once.messages);
        expect(merged.exhaustive).toBe(true);
        // Equivalent schedules of two pieces are run by both.
        if (kind === 'plain') expect(merged).toMatchObject({ schedules: once.schedules, failures: once.failures });
        else expect(merged.schedules).toBeGreaterThanOrEqual(once.schedules);
      }),
      { numRuns: 100 },
    );
    expect(splitWork(lostUpdate(3), 8, { strategy: kind }).length).toBeGreaterThanOrEqual(8);
  });
});

describe('shrinkSchedule', () => {
  it('the fewest preemptions, then the fewest steps, the same message', () => {
    const shrunk = shrinkSchedule(lostUpdate(3), 'abababababab'.slice(0, 10));
    expect(shrunk).toMatchObject({ message: 'counter is 1', preemptions: 1, fewest: true });
    expect(replay(lostUpdate(3), shrunk.schedule).message).toBe('counter is 1');
    expect(shrinkSchedule(lostUpdate(3), 'ababababab', { maxSchedules: 2 }).fewest).toBe(false);
    expect(() => shrinkSchedule(lostUpdate(0), 'a2b2')).toThrow(/does not fail/);
  });
});
