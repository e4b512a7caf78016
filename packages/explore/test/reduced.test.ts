import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createSched, killTask, noted, noteWrite, reads, type Sched, signalPending, signalTask } from '@mmkit/task';
import { type SimTask, spawn, type Task, writes } from '@mmkit/task';
import { explore, replay, type Scenario } from '@mmkit/explore';
import { program, scenarioOf } from './programs.ts';

const HERE = 1000;

describe('reduced', () => {
  it('finds exactly the final states, failures and deadlocks that every schedule has', { timeout: 120_000 }, () => {
    let compared = 0;
    fc.assert(
      fc.property(program, (p) => {
        const scenario = scenarioOf(p);
        const every = explore(scenario, { maxSchedules: 1000 });
        if (!every.exhaustive) return;
        compared++;
        const some = explore(scenario, { strategy: { kind: 'reduced' } });
        expect(some.messages).toEqual(every.messages);
        expect(some.exhaustive).toBe(true);
        expect(some.schedules).toBeGreaterThan(0);
        // Every schedule ends at its first failure; reduced goes on, to see what depends on what.
        if (!every.messages.some((message) => message.includes('sees'))) {
          expect(some.schedules).toBeLessThanOrEqual(every.schedules);
        }
        expect(replay(scenario, some.first!.schedule).message).toBe(some.first!.message);
      }),
      { numRuns: Number(process.env['EXPLORE_PROGRAMS'] ?? 300) },
    );
    expect(compared).toBeGreaterThan(15);
  });

  /** Tasks of `points` steps each; what a step touches is declared by `declare(task)`. */
  const steps =
    (
      tasks: number,
      points: number,
      declare: (sched: ReturnType<typeof createSched>, task: number) => number,
    ): Scenario =>
    () => {
      const sched = createSched({ cpus: tasks });
      function* body(task: number): Task<void> {
        for (let i = 0; i < points; i++) yield declare(sched, task);
      }
      for (let i = 0; i < tasks; i++) spawn(sched, `t${i}`, body(i));
      return { sched, check: () => null };
    };
  const shared = {};

  it('independent steps: one schedule; reads too; writes: every order of them; undeclared: the same', () => {
    const reduced = { strategy: { kind: 'reduced' } } as const;
    const own = explore(
      steps(3, 4, (sched, task) => writes(sched, HERE, shared, task)),
      reduced,
    );
    expect(own).toMatchObject({ schedules: 1, exhaustive: true, strategy: 'reduced', checkpoint: null });
    expect(
      explore(
        steps(3, 4, (sched) => reads(sched, HERE, shared)),
        reduced,
      ).schedules,
    ).toBe(1);
    expect(
      explore(
        steps(2, 4, (sched) => writes(sched, HERE, shared)),
        reduced,
      ).schedules,
    ).toBe(70);
    expect(
      explore(
        steps(2, 4, () => HERE),
        reduced,
      ).schedules,
    ).toBe(70);
    const whole = explore(
      steps(2, 2, (sched, task) => writes(sched, HERE, shared, task === 0 ? 3 : undefined)),
      reduced,
    );
    expect(whole.schedules).toBe(6);
  });

  it('what is noted inside a step counts, new objects too', () => {
    const scenario: Scenario = () => {
      const sched = createSched({ cpus: 2 });
      const hidden = {};
      let order = '';
      function* body(name: string): Task<void> {
        yield writes(sched, HERE, {}, 0);
        noteWrite(sched, hidden);
        order += name;
      }
      spawn(sched, 'a', body('a'));
      spawn(sched, 'b', body('b'));
      return { sched, check: () => order };
    };
    expect(explore(scenario, { strategy: { kind: 'reduced' } }).messages).toEqual(['ab', 'ba']);
  });

  it('signals are seen, whoever looks at them; so is whether a task sleeps', () => {
    const scenario =
      (signal: (task: SimTask) => void): Scenario =>
      () => {
        const sched = createSched({ cpus: 2 });
        let seen = '';
        function* looks(): Task<void> {
          yield noted(sched, HERE);
          seen = `${sched.current.killed} ${signalPending(sched.current)}`;
        }
        function* kills(): Task<void> {
          yield noted(sched, HERE);
          signal(target);
        }
        const target = spawn(sched, 'looks', looks());
        spawn(sched, 'kills', kills());
        return { sched, check: () => seen };
      };
    const reduced = { strategy: { kind: 'reduced' } } as const;
    expect(explore(scenario(killTask), reduced).messages).toEqual(['false false', 'true true']);
    expect(explore(scenario(signalTask), reduced).messages).toEqual(['false false', 'false true']);
  });

  it('whole objects clash with each word of them, words with themselves only, two reads never', () => {
    type Touch = (sched: Sched, o: object) => number;
    const pair =
      (one: Touch, two: Touch): Scenario =>
      () => {
        const sched = createSched({ cpus: 2 });
        const objects = [{}, {}, {}];
        function* body(touch: Touch): Task<void> {
          // Others around it, so that words are found among others.
          yield reads(sched, reads(sched, touch(sched, objects[1]!), objects[0]!, 4), objects[2]!);
        }
        spawn(sched, 'one', body(one));
        spawn(sched, 'two', body(two));
        return { sched, check: () => null };
      };
    const orders = (one: Touch, two: Touch): number =>
      explore(pair(one, two), { strategy: { kind: 'reduced' } }).schedules;
    const write =
      (index?: number): Touch =>
      (sched, o) =>
        writes(sched, HERE, o, index);
    const read =
      (index?: number): Touch =>
      (sched, o) =>
        reads(sched, HERE, o, index);
    const readFourWriteNine: Touch = (sched, o) => reads(sched, writes(sched, HERE, o, 9), o, 4);
    expect(orders(write(1), write(2))).toBe(1);
    expect(orders(write(1), write(1))).toBe(2);
    expect(orders(read(), read(1))).toBe(1);
    expect(orders(read(), write(1))).toBe(2);
    expect(orders(write(), read(1))).toBe(2);
    expect(orders(readFourWriteNine, read())).toBe(2);
    expect(orders(readFourWriteNine, read(4))).toBe(1);
    expect(orders(readFourWriteNine, write(4))).toBe(2);
    expect(orders(read(9), readFourWriteNine)).toBe(2);
  });

  it('a first step that is the whole task counts as touching anything', () => {
    const scenario: Scenario = () => {
      const sched = createSched({ cpus: 2 });
      let order = '';
      function* body(name: string): Task<void> {
        order += name;
      }
      spawn(sched, 'a', body('a'));
      spawn(sched, 'b', body('b'));
      return { sched, check: () => order };
    };
    expect(explore(scenario, { strategy: { kind: 'reduced' } }).messages).toEqual(['ab', 'ba']);
  });

  it('a livelock is a failure, and nothing is proved', () => {
    const forever: Scenario = () => {
      const sched = createSched();
      function* body(): Task<void> {
        for (;;) yield HERE;
      }
      spawn(sched, 'forever', body());
      return { sched, check: () => null };
    };
    const result = explore(forever, { strategy: { kind: 'reduced' }, maxSteps: 20 });
    expect(result).toMatchObject({ schedules: 1, failures: 1, exhaustive: false, checkpoint: null });
  });
});
