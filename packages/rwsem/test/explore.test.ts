/**
 * Every interleaving of small scenarios, by replay: a schedule is a list of choices; each run makes the machine anew,
 * follows a prefix and takes the first choice after it. (`@mmkit/explore` is on this floor and cannot be used here.)
 */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { HANDOFF, READER_BIAS, readerCount, WAITERS, WAIT_TIMEOUT, WRITER_LOCKED } from '@mmkit/rwsem';
import { fireEvent, isRunnable, killTask, TASK_DONE } from '@mmkit/task';
import type { SimTask } from '@mmkit/task';
import { HELD, Stage } from './actors.ts';

/** A cast, and things that happen by themselves, once each, at any moment. */
interface Scenario {
  readonly tasks: readonly SimTask[];
  readonly happenings: readonly (() => void)[];
}
type Make = (stage: Stage) => Scenario;

/** Never a reader beside a writer, and the count says exactly what is. */
function check({ sem, sched }: Stage, writers: readonly SimTask[]): void {
  const inside = sched.tasks.filter((task) => task.point === HELD && task.state !== TASK_DONE);
  const writing = inside.filter((task) => writers.includes(task) && sem.owner === task);
  if (writing.length > 0 && inside.length > 1) throw new Error('a writer is not alone');
  const flags = sem.count & (READER_BIAS - 1);
  const readers = (sem.count - flags) / READER_BIAS;
  const granted = readers - sem.trying;
  const reading = inside.length - writing.length;
  if (granted < reading) throw new Error(`${reading} readers inside, ${granted} counted`);
  if (sem.owner !== null && granted > 0) throw new Error('readers counted beside a writer');
  if (((flags & WRITER_LOCKED) !== 0) !== (sem.owner !== null)) throw new Error('WRITER_LOCKED without an owner');
  if (((flags & WAITERS) !== 0) !== sem.waiters.length > 0) throw new Error('WAITERS and the queue disagree');
  if ((flags & HANDOFF) !== 0 && sem.waiters.length === 0) throw new Error('a handoff to nobody');
  if (sem.queue.waiters.some((task) => !sem.waiters.some((waiter) => waiter.task === task))) {
    throw new Error('somebody sleeps who is not in the queue');
  }
}

/**
 * Remembers the queue before a step; what it returns, called after the step, throws when anybody came in before a first
 * waiter that has asked for a handoff.
 */
function watchHandoff({ sem }: Stage): () => void {
  const [first] = sem.waiters;
  if (first === undefined || !first.handoffSet || (sem.count & HANDOFF) === 0) return () => {};
  const holders = (): number => readerCount(sem) + (sem.owner === null ? 0 : 1);
  const before = holders();
  return () => {
    if (sem.waiters[0] === first && holders() > before) {
      throw new Error('somebody came in before the first waiter, in spite of the handoff');
    }
  };
}

/** Runs one schedule; `pick(n)` chooses one of n moves. Throws when a rule is broken or somebody never ends. */
function runOne(make: Make, pick: (n: number) => number, spinOnOwner: boolean = false): Stage {
  const stage = new Stage({ spinOnOwner });
  const { tasks, happenings } = make(stage);
  const rest = [...happenings];
  for (;;) {
    const awake = tasks.filter(isRunnable);
    // Nothing that happens later may be needed to end a wait.
    if (awake.length === 0) break;
    const checkHandoff = watchHandoff(stage);
    const [event] = stage.sched.events;
    const timers = event === undefined ? 0 : 1;
    const move = pick(awake.length + timers + rest.length);
    if (move < awake.length) stage.step(awake[move]!);
    else if (event !== undefined && move === awake.length) fireEvent(stage.sched, event);
    else rest.splice(move - awake.length - timers, 1)[0]!();
    check(stage, tasks);
    checkHandoff();
  }
  const asleep = tasks.filter((task) => task.state !== TASK_DONE).map((task) => task.name);
  if (asleep.length > 0) throw new Error(`lost wake-up: ${asleep.join()}`);
  if (stage.sched.events.length > 0) throw new Error('a timer of nobody');
  if (stage.sem.count !== 0) throw new Error(`count ${stage.sem.count} at the end`);
  return stage;
}

/** All schedules, depth first; `see` gets each final state. Returns how many there are. */
function runEvery(make: Make, see: (stage: Stage) => void = () => {}, spinOnOwner: boolean = false): number {
  const path: number[] = [];
  const widths: number[] = [];
  for (let schedules = 1; ; schedules++) {
    let depth = 0;
    see(
      runOne(
        make,
        (n) => {
          if (depth === path.length) path.push(0);
          widths[depth] = n;
          return path[depth++]!;
        },
        spinOnOwner,
      ),
    );
    while (path.length > 0 && path.at(-1)! + 1 === widths[path.length - 1]) path.pop();
    if (path.length === 0) return schedules;
    path[path.length - 1]!++;
  }
}

/** Readers, writers and downgraders, each before its first attempt: the step to there touches nothing. */
const cast =
  (kinds: string): Make =>
  (stage) => {
    const tasks = [...kinds].map((kind, i) => {
      if (kind === 'R') return stage.reader(`R${i}`);
      return kind === 'W' ? stage.writer(`W${i}`) : stage.downgrader(`D${i}`);
    });
    stage.step(...tasks);
    return { tasks, happenings: [] };
  };

describe('N.18: in every schedule, no reader beside a writer, and everybody ends', () => {
  it('two readers and a writer', () => {
    const results = new Set<string>();
    const schedules = runEvery(cast('RRW'), (stage) => results.add(String(stage.sched.tasks.map((t) => t.result))));
    expect([...results]).toEqual([',0,0,0']);
    expect(schedules).toBeGreaterThan(90); // as many as there were if nobody ever waited: 6! / 2!³
  });

  it.each(['RWW', 'RRD', 'RWD', 'RRWW'])('%s', (kinds) => {
    expect(runEvery(cast(kinds))).toBeGreaterThan(90);
  });

  it.each(['RWR', 'RWW', 'WWW', 'RWD'])('%s, writers spinning', (kinds) => {
    expect(runEvery(cast(kinds), () => {}, true)).toBeGreaterThan(90);
  });

  it('the time-out of a writer that was woken in vain is a choice: with it HANDOFF is set, without it not', () => {
    const seen = new Set<boolean>();
    runEvery((stage) => {
      const { tasks } = cast('RRW')(stage);
      const { sem } = stage;
      return { tasks, happenings: [() => seen.add((sem.count & HANDOFF) !== 0)] };
    });
    expect(seen).toEqual(new Set([true, false]));
  });

  it('a reader and two writers, the first writer killed at any moment', () => {
    const results = new Set<unknown>();
    runEvery(
      (stage) => {
        const { tasks } = cast('WRW')(stage);
        return { tasks, happenings: [() => killTask(tasks[0]!)] };
      },
      (stage) => results.add(stage.sched.tasks[1]!.result),
    );
    expect([...results].sort()).toEqual([-4, 0]);
  });

  it('two readers and a writer, the first reader killed at any moment', () => {
    runEvery((stage) => {
      const { tasks } = cast('RWR')(stage);
      return { tasks, happenings: [() => killTask(tasks[0]!)] };
    });
  });

  it('two readers and a writer, more than 4 ms passing at any moment', () => {
    runEvery((stage) => ({ ...cast('RRW')(stage), happenings: [() => stage.pass(WAIT_TIMEOUT + 1)] }));
  });

  it('larger casts with signals and time, random schedules', () => {
    const kinds = fc.string({ unit: fc.constantFrom('R', 'W', 'D'), minLength: 3, maxLength: 8 });
    const picks = fc.infiniteStream(fc.nat({ max: 10_000 }));
    fc.assert(
      fc.property(kinds, fc.array(fc.nat({ max: 7 }), { maxLength: 3 }), picks, (names, killed, stream) => {
        runOne(
          (stage) => {
            const { tasks } = cast(names)(stage);
            const kills = killed.map((i) => () => killTask(tasks[i % tasks.length]!));
            const waits = [1, 2, 3].map(() => () => stage.pass(WAIT_TIMEOUT + 1));
            return { tasks, happenings: [...kills, ...waits] };
          },
          (n) => stream.next().value! % n,
        );
      }),
      { numRuns: 2000, seed: 18 },
    );
  });
});
