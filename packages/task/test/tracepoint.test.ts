/** Tracepoints: the ring, and what it is exported as. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  addEvent,
  createSched,
  createTracepoints,
  formatChromeTrace,
  formatFtrace,
  PHASE_BEGIN,
  PHASE_END,
  PHASE_INSTANT,
  readTracepoints,
  RECORD_WORDS,
  runAll,
  spawn,
  traceBegin,
  traceEnd,
  tracepoint,
} from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';
import { scheduleTimeout } from '@mmkit/task/sched';
import { builds } from './builds.ts';

const FAULT = 16;
const PIN = 17;
const nameOf = (event: number): string | null => (event === FAULT ? 'fault' : event === PIN ? 'pin' : null);

interface ChromeEvent {
  name: string;
  ph: string;
  ts: number;
  pid: number;
  tid: number;
}

function chrome(sched: Sched): ChromeEvent[] {
  return (JSON.parse(formatChromeTrace(sched, nameOf)) as { traceEvents: ChromeEvent[] }).traceEvents;
}

function traced(capacity: number, cpus = 1): Sched {
  const sched = createSched({ cpus });
  sched.tracepoints = createTracepoints(capacity);
  return sched;
}

describe.each(builds)('%s', (_build, task) => {
  it('an event that fires is recorded with its id, at its time', () => {
    const sched = traced(8);
    addEvent(sched, 5, 'e', () => {});
    addEvent(sched, 2 ** 33, 'late', () => {});
    task.runPending(sched);
    task.runPending(sched);
    expect(readTracepoints(sched.tracepoints!).map((one) => [one.time, one.args[0]])).toEqual([
      [5, 0],
      [2 ** 33, 1],
    ]);
  });

  it('nothing is recorded when off', () => {
    const sched = createSched();
    task.tracepoint(sched, FAULT);
    task.traceBegin(sched, FAULT);
    task.traceEnd(sched, FAULT);
    expect([formatChromeTrace(sched), formatFtrace(sched)]).toEqual(['{"traceEvents":[]}', '']);
  });
});

it('a record is eight words: time, CPU, task, event and phase, three arguments; the newest stay', () => {
  const sched = traced(2);
  sched.now = 2 ** 40 + 7;
  tracepoint(sched, PIN);
  traceBegin(sched, FAULT, 1, -2, 3);
  traceEnd(sched, 2 ** 28 - 1);
  const [head, args] = [{ time: 2 ** 40 + 7, cpu: 0, task: 0 }, [0, 0, 0]];
  expect(readTracepoints(sched.tracepoints!)).toEqual([
    { ...head, event: FAULT, phase: PHASE_BEGIN, args: [1, -2, 3] },
    { ...head, event: 2 ** 28 - 1, phase: PHASE_END, args },
  ]);
  tracepoint(sched, PIN);
  expect(readTracepoints(sched.tracepoints!)[1]!.phase).toBe(PHASE_INSTANT);
  expect([...sched.tracepoints!.words.subarray(RECORD_WORDS)]).toEqual([7, 256, 0, 0, PIN, 0, 0, 0]);
});

it.each([0, 1.5, 2 ** 24 + 1])('a capacity of %s is a RangeError', (capacity) => {
  expect(() => createTracepoints(capacity)).toThrow(/^capacity: /);
});

it('ftrace-like text: task-id [cpu] seconds.micros: event: args', () => {
  const sched = traced(8, 2);
  const body = function* (): Task<void> {
    traceBegin(sched, FAULT, 1);
    yield* scheduleTimeout(sched, 1_000_081_900);
    tracepoint(sched, 99, 1, 2, 3);
    traceEnd(sched, FAULT);
  };
  spawn(sched, 'a', body(), 1);
  runAll(sched);
  expect(formatFtrace(sched, nameOf)).toBe(
    [
      'a-1 [001] 0.000000: fault: begin 1 0 0',
      'a-1 [001] 0.000000: sleep: 0 0 0',
      'boot-0 [000] 1.000081: event fired: 0 0 0',
      'a-1 [001] 1.000081: event 99: 1 2 3',
      'a-1 [001] 1.000081: fault: end 0 0 0',
      '',
    ].join('\n'),
  );
});

it('Chrome: slices of a task on its CPU, in µs', () => {
  const sched = traced(8, 2);
  const body = function* (): Task<void> {
    traceBegin(sched, FAULT);
    yield* scheduleTimeout(sched, 1500);
    traceEnd(sched, FAULT);
  };
  spawn(sched, 'a', body(), 1);
  runAll(sched);
  const slices = chrome(sched).filter((one) => one.name === 'fault');
  expect(slices.map(({ ph, ts, pid, tid }) => [ph, ts, pid, tid])).toEqual([
    ['B', 0, 1, 1],
    ['E', 1.5, 1, 1],
  ]);
  expect(chrome(sched)[0]).toEqual({ name: 'thread_name', ph: 'M', pid: 1, tid: 1, args: { name: 'a' } });
});

it('Chrome: an end ends the slices inside it too; an end without a begin is left out; what is open ends at the last', () => {
  const sched = traced(8);
  traceEnd(sched, PIN);
  traceBegin(sched, FAULT);
  traceBegin(sched, PIN);
  sched.now = 1000;
  traceEnd(sched, FAULT);
  traceBegin(sched, PIN);
  sched.now = 2000;
  tracepoint(sched, FAULT);
  expect(
    chrome(sched)
      .slice(1)
      .map(({ name, ph, ts }) => `${name} ${ph} ${ts}`),
  ).toEqual(['fault B 0', 'pin B 0', 'pin E 1', 'fault E 1', 'pin B 1', 'fault i 2', 'pin E 2']);
});

it('slices nest strictly in every task, whatever was begun, ended and overwritten', () => {
  const op = fc.tuple(fc.nat(2), fc.constantFrom(traceBegin, traceEnd, tracepoint), fc.integer({ min: 16, max: 18 }));
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (ops, capacity) => {
      const sched = traced(capacity, 2);
      for (let i = 0; i < 2; i++) spawn(sched, `t${i}`, (function* (): Task<void> {})());
      for (const [task, call, event] of ops) {
        sched.current = sched.tasks[task]!;
        sched.now++;
        call(sched, event);
      }
      const open = new Map<number, string[]>();
      let last = 0;
      let begun = 0;
      for (const { name, ph, ts, tid } of chrome(sched)) {
        if (ph === 'M') continue;
        expect(ts).toBeGreaterThanOrEqual(last);
        last = ts;
        const stack = open.get(tid) ?? [];
        open.set(tid, stack);
        if (ph === 'B') begun += stack.push(name) > 0 ? 1 : 0;
        if (ph === 'E') expect(stack.pop()).toBe(name);
      }
      for (const stack of open.values()) expect(stack).toEqual([]);
      const kept = readTracepoints(sched.tracepoints!);
      expect(begun).toBe(kept.filter((one) => one.phase === PHASE_BEGIN).length);
    }),
  );
});
