/**
 * What the reduction leaves out can show nothing new: on machines of the real packages the reduced search ends in exactly
 * the states every schedule ends in, where there are few enough, and in each that schedules by chance end in.
 */
import { describe, expect, it } from 'vitest';
import { explore, type Scenario } from '@mmkit/explore';
import { watchPhys } from '@mmkit/phys';
import { isRunnable, noteRead, runPending, type Sched, startFootprint, stepTask } from '@mmkit/task';
import { type Memory, MM_ROOT } from '@mmkit/aspace';
import { pointName } from '@mmkit/base';
import { FORMATS, machineOf, smallMachines } from './small-machines.ts';

/** Of every schedule at most so many are run; then as many by chance as below. */
const PLAIN = Number(process.env['FOOTPRINT_SCHEDULES'] ?? 600);
const RANDOM = Number(process.env['FOOTPRINT_RANDOM'] ?? 100);

const reduced = { strategy: { kind: 'reduced' } } as const;

describe.each(FORMATS)('%s: the reduced search ends in the same states', (_name, format) => {
  it.each(Object.entries(smallMachines(format)))('%s', { timeout: 120_000 + PLAIN }, (_what, scenario) => {
    const some = explore(scenario, reduced);
    expect(some.exhaustive).toBe(true);
    const every = explore(scenario, { maxSchedules: PLAIN });
    if (every.exhaustive) {
      expect(some.messages).toEqual(every.messages);
      return;
    }
    const seen = new Set(some.messages);
    const chance = explore(scenario, { strategy: { kind: 'random', seed: 5 }, maxSchedules: RANDOM });
    expect([...every.messages, ...chance.messages].filter((state) => !seen.has(state))).toEqual([]);
    // What is left out is nearly all.
    expect(some.schedules).toBeLessThan(4000);
  });
});

/**
 * Runs a world by chance, with stand-ins for the words of its first address space: those a step touches without having
 * declared or noted it, as 'point: word'. The root never changes.
 */
function undeclared(scenario: Scenario, seed: number): string[] {
  const world = scenario();
  const { sched } = world;
  const { mm } = machineOf(world).processes.values().next().value!;
  const footprint = startFootprint(sched);
  const declared = new Map<number, readonly number[]>();
  const touched: [index: number, write: boolean][] = [];
  const { words } = mm;
  const stand = new Proxy(words, {
    get: (target, key) => (touched.push([Number(key), false]), target[Number(key)]),
    set: (target, key, value: number) => (touched.push([Number(key), true]), (target[Number(key)] = value), true),
  });
  Object.defineProperty(mm, 'words', { value: stand });
  const found = new Set<string>();
  for (let state = seed; ; ) {
    const ready = sched.tasks.filter(isRunnable);
    if (ready.length === 0 && sched.events.length === 0) return [...found];
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    if (ready.length === 0) {
      runPending(sched);
      continue;
    }
    const task = ready[(state >>> 8) % ready.length]!;
    const at = pointName(task.point);
    footprint.noted.length = footprint.declared.length = touched.length = 0;
    footprint.complete = false;
    stepTask(sched, task);
    const list = declared.get(task.id);
    const known = list === undefined ? null : [...list, ...footprint.noted];
    declared.delete(task.id);
    // A task that was put to sleep, or stopped at a point that declares nothing, may touch anything next.
    if (footprint.complete && task.queue === null) declared.set(task.id, footprint.declared.slice());
    if (known === null) continue;
    const id = footprint.objects.get(stand) ?? -1;
    for (const [index, write] of touched) {
      const has = known.some((access, i) => {
        const word = known[i + 1];
        return i % 2 === 0 && access >> 1 === id && (word === index || word === -1) && (!write || (access & 1) === 1);
      });
      if (index !== MM_ROOT && !has) found.add(`${at}: ${write ? 'writes' : 'reads'} ${index}`);
    }
  }
}

describe.each(FORMATS)('%s: a step declares the words of an address space that it touches', (_name, format) => {
  it.each(Object.entries(smallMachines(format)))('%s', (_what, scenario) => {
    for (let seed = 0; seed < 20; seed++) expect(undeclared(scenario, seed * 7919)).toEqual([]);
  });
});

describe('and would not, if something went unnoted', () => {
  const scenarios = smallMachines(FORMATS[0]![1]);
  const all = (name: string): readonly string[] => explore(scenarios[name]!, reduced).messages;
  /** The states found when what notes accesses is replaced. */
  const found = (name: string, replace: (sched: Sched, memory: Memory) => void): readonly string[] => {
    const scenario: Scenario = () => {
      const world = scenarios[name]!();
      replace(world.sched, machineOf(world).memory);
      return world;
    };
    return explore(scenario, reduced).messages;
  };

  it.each(['pin and fork, no sequence', 'two stores to a new page'])(
    '%s: without any notes states are missed',
    (name) => {
      expect(found(name, (sched) => void (sched.recorders.length = 0)).length).toBeLessThan(all(name).length);
    },
  );

  it.each(['pin and fork, no sequence', 'two stores to a new page'])(
    '%s: where writes to frames and tables count as reads states are missed',
    (name) => {
      const replace = (sched: Sched, { phys }: Memory): void => {
        sched.recorders.splice(0, 1, () => watchPhys(phys, (object, index) => noteRead(sched, object, index)));
      };
      expect(found(name, replace).length).toBeLessThan(all(name).length);
    },
  );
});
