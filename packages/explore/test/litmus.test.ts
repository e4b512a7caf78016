import { describe, expect, it } from 'vitest';
import { createSched, Mutex, type Sched, type Task, writes } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import {
  explore,
  formatVerdict,
  isLitmusTest,
  judgeLitmus,
  litmus,
  type LitmusSpec,
  type LitmusTest,
} from '../src/index.ts';

const POINT = 1000;

class Counter {
  readonly sched: Sched = createSched({ cpus: 2 });
  readonly words: Int32Array = new Int32Array(1);
}

/** Adds 1, in one step or in two. */
function* add({ sched, words }: Counter, atomic: boolean): Task<void> {
  yield writes(sched, POINT, words, 0);
  const seen = words[0]!;
  if (!atomic) yield writes(sched, POINT, words, 0);
  words[0] = seen + 1;
}

function parts(atomic: boolean): Omit<LitmusSpec<Counter>, 'forbid' | 'reach'> {
  return {
    question: 'is an addition lost?',
    setup: () => new Counter(),
    tasks: { one: (counter) => add(counter, atomic), two: (counter) => add(counter, atomic) },
  };
}

const lost = ({ words }: Counter): string | null => (words[0] === 2 ? null : `counter is ${words[0]}`);

const never = litmus('add', { ...parts(true), forbid: lost });
const reachable = litmus('add-torn', { ...parts(false), reach: lost });

/** Two tasks take two locks in opposite orders. */
function deadlock(): LitmusTest {
  function* both(sched: Sched, first: Mutex, second: Mutex): Task<void> {
    yield* mutexLock(sched, first);
    yield* mutexLock(sched, second);
  }
  return litmus('locks', {
    setup: () => ({ sched: createSched({ cpus: 2 }), a: new Mutex('a'), b: new Mutex('b') }),
    tasks: { ab: ({ sched, a, b }) => both(sched, a, b), ba: ({ sched, a, b }) => both(sched, b, a) },
    reach: () => null,
  });
}

describe('litmus: what a test is', () => {
  it('forbid expects never, reach expects reachable; the question is the name unless given', () => {
    expect([never.expect, reachable.expect]).toEqual(['never', 'reachable']);
    expect([never.question, deadlock().question]).toEqual(['is an addition lost?', 'locks']);
  });

  it('is known among other values by what it has', () => {
    expect([never, null, undefined, 1, {}, { name: 'x' }, litmus].map(isLitmusTest)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it('refuses a bad name, no task or too many, and neither or both of forbid and reach', () => {
    const good = { ...parts(true), forbid: lost };
    expect(() => litmus('two words', good)).toThrow(RangeError);
    expect(() => litmus('', good)).toThrow(/^name: expected/);
    expect(() => litmus('none', { ...good, tasks: {} })).toThrow('tasks: expected 1 to 26, got 0');
    const many = Object.fromEntries(Array.from({ length: 27 }, (_, i) => [`t${i}`, (c: Counter) => add(c, true)]));
    expect(() => litmus('many', { ...good, tasks: many })).toThrow('tasks: expected 1 to 26, got 27');
    expect(() => litmus('neither', parts(true) as LitmusSpec<Counter>)).toThrow(
      'neither: expected either forbid or reach',
    );
    const both = { ...good, reach: lost } as unknown as LitmusSpec<Counter>;
    expect(() => litmus('both', both)).toThrow('both: expected either forbid or reach');
  });
});

describe('litmus: the answer', () => {
  it('no, in all N schedules, and under which assumptions', () => {
    const result = explore(never.scenario);
    expect(judgeLitmus(never, result)).toBe('never');
    expect(formatVerdict(never, result, '')).toBe('no, in all 6 schedules (sequential consistency, these points)');
  });

  it('a reduced search says of which schedules it is the answer', () => {
    const result = explore(never.scenario, { strategy: { kind: 'reduced' } });
    expect(formatVerdict(never, result, '')).toBe(
      `no, in all ${result.schedules} schedules that differ in more than the order of independent steps ` +
        '(sequential consistency, these points)',
    );
  });

  it('reachable: names a schedule, the first or the one given', () => {
    const result = explore(reachable.scenario);
    expect(judgeLitmus(reachable, result)).toBe('reachable');
    const counts = `(${result.failures} of ${result.schedules} schedules)`;
    expect(formatVerdict(reachable, result, '')).toBe(`reachable: schedule ${result.first!.schedule} ${counts}`);
    expect(formatVerdict(reachable, result, '', 'ab')).toBe(`reachable: schedule ab ${counts}`);
  });

  it.each([
    [{ kind: 'preemptions', bound: 0 }],
    [{ kind: 'random', seed: 1 }],
    [{ kind: 'pct', depth: 2, seed: 1 }],
    [{ kind: 'schedule', schedule: 'a2' }],
  ] as const)('bounded is never called exhaustive: %o', (strategy) => {
    const result = explore(never.scenario, { strategy, maxSchedules: 5 });
    expect(judgeLitmus(never, result)).toBe('unknown');
    expect(formatVerdict(never, result, 'in these words')).toBe(
      `not found in ${result.schedules} schedules (bounded: in these words)`,
    );
  });

  it('a search that was stopped is bounded', () => {
    expect(judgeLitmus(never, explore(never.scenario, { maxSchedules: 5 }))).toBe('unknown');
  });

  it('a deadlock is no answer to the question', () => {
    const test = deadlock();
    const result = explore(test.scenario);
    expect(judgeLitmus(test, result)).toBe('broken');
    expect(formatVerdict(test, result, '')).toMatch(/^broken: deadlock: .*: schedule \w+ \(\d+ of/);
  });

  it('a test that was not made by litmus: whatever goes wrong is the answer', () => {
    const { name, question, expect: wanted, scenario } = deadlock();
    expect(judgeLitmus({ name, question, expect: wanted, scenario }, explore(scenario))).toBe('reachable');
  });
});
