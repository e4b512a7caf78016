import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { addEvent, createSched, InvariantError, Mutex, mutexUnlock, spawn, type Task } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import { explore, formatSchedule, formatTimeline, parseSchedule, replay, type Scenario } from '@mmkit/explore';

const HERE = 1000;

/** Tasks of the given numbers of points that do nothing. */
function idle(points: number[], done: () => void = () => {}): Scenario {
  return () => {
    const sched = createSched({ cpus: Math.max(points.length, 1) });
    function* steps(n: number): Task<void> {
      for (let i = 0; i < n; i++) yield HERE;
    }
    points.forEach((n, i) => spawn(sched, `t${i}`, steps(n)));
    return { sched, check: () => (done(), null) };
  };
}

/** Number of ways to interleave sequences of these lengths. */
function interleavings(lengths: number[]): number {
  let result = 1;
  let total = 0;
  for (const n of lengths) for (let i = 1; i <= n; i++) result = (result * ++total) / i;
  return Math.round(result);
}

function lostUpdate(): ReturnType<Scenario> {
  const sched = createSched({ cpus: 2 });
  let counter = 0;
  function* addOne(): Task<void> {
    const value = counter;
    yield HERE;
    counter = value + 1;
  }
  spawn(sched, 'one', addOne());
  spawn(sched, 'two', addOne());
  return { sched, check: () => (counter === 2 ? null : `counter is ${counter}`) };
}

describe('explore: every schedule', () => {
  it('runs each interleaving exactly once', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 3 }), (points) => {
        let runs = 0;
        const result = explore(idle(points, () => runs++));
        const expected = interleavings(points.map((n) => n + 1));
        expect(result).toMatchObject({
          schedules: expected,
          failures: 0,
          first: null,
          exhaustive: true,
          checkpoint: null,
        });
        expect(runs).toBe(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('counts the failing ones and names the first', () => {
    const result = explore(lostUpdate);
    expect(result).toMatchObject({ schedules: 6, failures: 4, exhaustive: true });
    expect(result.first).toEqual({ schedule: 'abab', message: 'counter is 1' });
  });

  it('stops at the first failure when asked, and then is not exhaustive', () => {
    expect(explore(lostUpdate, { stopAtFirst: true })).toMatchObject({ schedules: 2, failures: 1, exhaustive: false });
  });

  it('a bounded run is not exhaustive, even when the bound is met without a failure', () => {
    expect(explore(idle([2, 2]), { maxSchedules: 19 })).toMatchObject({ schedules: 19, exhaustive: false });
    expect(explore(idle([2, 2]), { maxSchedules: 20 }).schedules).toBe(20);
  });

  it('a scenario without tasks has one schedule', () => {
    expect(explore(idle([]))).toMatchObject({ schedules: 1, exhaustive: true });
  });

  it('pending events fire in every order and at every moment', () => {
    const orders = new Set<string>();
    const result = explore(() => {
      const sched = createSched();
      let order = '';
      addEvent(sched, 10, 'A', () => (order += 'A'));
      addEvent(sched, 20, 'B', () => (order += 'B'));
      function* task(): Task<void> {
        order += 't';
      }
      spawn(sched, 'task', task());
      return { sched, check: () => (orders.add(order), null) };
    });
    expect(result.schedules).toBe(6);
    expect([...orders].sort()).toEqual(['ABt', 'AtB', 'BAt', 'BtA', 'tAB', 'tBA']);
  });

  it('a deadlock is a failure that says who waits for what', () => {
    const result = explore(() => {
      const sched = createSched({ cpus: 2 });
      const left = new Mutex('left');
      const right = new Mutex('right');
      function* both(first: Mutex, second: Mutex): Task<void> {
        yield* mutexLock(sched, first);
        yield* mutexLock(sched, second);
        mutexUnlock(sched, second);
        mutexUnlock(sched, first);
      }
      spawn(sched, 'lr', both(left, right));
      spawn(sched, 'rl', both(right, left));
      return { sched, check: () => null };
    });
    expect(result.failures).toBeGreaterThan(0);
    expect(result.failures).toBeLessThan(result.schedules);
    expect(result.first!.message).toMatch(/^deadlock: .*lr waits for right.*rl waits for left/);
  });

  it('a livelock is a failure', () => {
    const result = explore(
      () => {
        const sched = createSched();
        function* forever(): Task<void> {
          for (;;) yield HERE;
        }
        spawn(sched, 'forever', forever());
        return { sched, check: () => null };
      },
      { maxSteps: 50 },
    );
    expect(result).toMatchObject({ schedules: 1, failures: 1 });
    expect(result.first!.message).toMatch(/livelock/);
  });

  it('a task that throws, or a check that throws, fails the schedule with its message', () => {
    const thrower =
      (where: 'task' | 'check'): Scenario =>
      () => {
        const sched = createSched();
        function* task(): Task<void> {
          yield HERE;
          if (where === 'task') throw new InvariantError('BROKEN', 'on purpose');
        }
        spawn(sched, 'task', task());
        return {
          sched,
          check() {
            if (where === 'check') throw new Error('bad state');
            return null;
          },
        };
      };
    expect(explore(thrower('task')).first).toEqual({ schedule: 'a2', message: 'BROKEN: on purpose' });
    expect(explore(thrower('check')).first).toEqual({ schedule: 'a2', message: 'bad state' });
  });

  it('a world that does not repeat itself is caught, not judged', () => {
    let run = 0;
    const scenario: Scenario = () => {
      const sched = createSched({ cpus: 2 });
      const points = run++ === 0 ? 2 : 0;
      function* task(n: number): Task<void> {
        for (let i = 0; i < n; i++) yield HERE;
      }
      spawn(sched, 'a', task(points));
      spawn(sched, 'b', task(1));
      return { sched, check: () => null };
    };
    expect(() => explore(scenario)).toThrow(expect.objectContaining({ code: 'NONDETERMINISM' }));
  });
});

describe('schedules as strings', () => {
  it('format and parse are inverse', () => {
    const letters = fc.array(fc.constantFrom(...'abcyzABCZ'), { maxLength: 60 });
    fc.assert(
      fc.property(letters, (list) => {
        const choices = list.map((letter) => letter.charCodeAt(0));
        expect(parseSchedule(formatSchedule(choices))).toEqual(choices);
      }),
    );
    expect(formatSchedule(parseSchedule('a3bAa'))).toBe('a3bAa');
  });

  it.each(['1', 'a-b', 'a0', 'é', 'a b', 'a999999'])('refuses %j', (text) => {
    expect(() => parseSchedule(text)).toThrow(RangeError);
  });

  it('names at most 26 tasks', () => {
    expect(() => explore(idle(new Array(27).fill(0)), { maxSchedules: 1 })).toThrow(/26 tasks/);
  });
});

describe('replay', () => {
  it('gives the same verdict as exploring did', () => {
    const { first } = explore(lostUpdate);
    const again = replay(lostUpdate, first!.schedule);
    expect(again).toMatchObject({ message: first!.message, schedule: first!.schedule });
    expect(again.steps.map((step) => step.who)).toEqual(['one', 'two', 'one', 'two']);
    expect(again.steps[2]).toMatchObject({ step: 3, cpu: 0, did: 'point 1000', then: 'done' });
  });

  it('completes a schedule that ends early', () => {
    expect(replay(lostUpdate, '').schedule).toBe('a2b2');
    expect(replay(lostUpdate, 'b').message).toBe('counter is 1');
    expect(replay(lostUpdate, 'b2').message).toBeNull();
  });

  it('refuses a step that is not possible, and steps after the end', () => {
    expect(() => replay(lostUpdate, 'c')).toThrow(/'c' is not possible at step 1/);
    expect(() => replay(lostUpdate, 'a3')).toThrow(/'a' is not possible at step 3/);
    expect(() => replay(lostUpdate, 'a2b2a')).toThrow(/nothing can move after step 4/);
  });

  it('prints a column a task', () => {
    expect(formatTimeline(replay(lostUpdate, 'abab'))).toBe(
      [
        'step  one           two',
        '   1  start',
        '   2                start',
        '   3  point 1000  (done)',
        '   4                point 1000  (done)',
        'WRONG: counter is 1',
      ].join('\n'),
    );
  });
});
