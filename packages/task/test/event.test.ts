/** Virtual time and callbacks from outside. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createTraceRing } from '@mmkit/base';
import { addEvent, cancelEvent, createSched, drainInbox, fireEvent, interrupt, runPending } from '@mmkit/task';
import { thrown } from './builds.ts';

describe('events', () => {
  it('fire earliest first, equal times in order of creation, and time follows', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5 }), { maxLength: 12 }), (delays) => {
        const sched = createSched();
        const fired: [number, number][] = [];
        delays.forEach((delay, i) => addEvent(sched, delay, `event ${i}`, () => fired.push([sched.now, i])));
        while (runPending(sched));
        const expected = delays
          .map((delay, i): [number, number] => [delay, i])
          .sort(([a, i], [b, j]) => a - b || i - j);
        expect(fired).toEqual(expected);
        expect([sched.events, sched.now]).toEqual([[], Math.max(0, ...delays)]);
      }),
    );
  });

  it('may add further events, due from the moment they are added', () => {
    const sched = createSched();
    const times: number[] = [];
    addEvent(sched, 10, 'first', () => addEvent(sched, 5, 'second', () => times.push(sched.now)));
    addEvent(sched, 12, 'between', () => times.push(sched.now));
    while (runPending(sched));
    expect(times).toEqual([12, 15]);
  });

  it('fired out of turn: time moves on, and does not go back for the earlier ones', () => {
    const sched = createSched();
    const times: [string, number][] = [];
    addEvent(sched, 10, 'early', () => times.push(['early', sched.now]));
    const late = addEvent(sched, 20, 'late', () => times.push(['late', sched.now]));
    fireEvent(sched, late);
    runPending(sched);
    expect(times).toEqual([
      ['late', 20],
      ['early', 20],
    ]);
  });

  it('fired or cancelled already is EVENT_FIRED, and nothing happens', () => {
    const sched = createSched();
    let count = 0;
    const event = addEvent(sched, 10, 'once', () => count++);
    fireEvent(sched, event);
    expect(thrown(() => fireEvent(sched, event))).toBe('EVENT_FIRED');
    const cancelled = addEvent(sched, 10, 'never', () => count++);
    expect([cancelEvent(sched, cancelled), cancelEvent(sched, cancelled)]).toEqual([true, false]);
    expect(thrown(() => fireEvent(sched, cancelled))).toBe('EVENT_FIRED');
    expect([count, sched.now, runPending(sched)]).toEqual([1, 10, false]);
  });

  it.each([-1, NaN])('a delay of %s is a RangeError that names it, and nothing is added', (delay) => {
    const sched = createSched();
    expect(() => addEvent(sched, delay, 'bad', () => {})).toThrow(RangeError);
    expect(() => addEvent(sched, delay, 'bad', () => {})).toThrow(/^delay: /);
    expect([sched.events, sched.nextEvent]).toEqual([[], 0]);
  });

  it('are recorded: −1, boot, the event, its time', () => {
    const trace = createTraceRing(2);
    const sched = createSched({ trace });
    addEvent(sched, 3, 'a', () => {});
    addEvent(sched, 1, 'b', () => {});
    while (runPending(sched));
    expect([...trace.words]).toEqual([-1, 0, 1, 1, -1, 0, 0, 3]);
  });
});

describe('callbacks from outside', () => {
  it('run in the order they came, before any event', () => {
    const sched = createSched();
    const log: string[] = [];
    addEvent(sched, 0, 'event', () => log.push('event'));
    interrupt(sched, () => log.push('one'));
    interrupt(sched, () => log.push('two'));
    expect(log).toEqual([]);
    expect([runPending(sched), log]).toEqual([true, ['one', 'two']]);
    expect([runPending(sched), runPending(sched), log]).toEqual([true, false, ['one', 'two', 'event']]);
  });

  it('that come while others run wait for the next time', () => {
    const sched = createSched();
    const log: string[] = [];
    interrupt(sched, () => {
      log.push('one');
      interrupt(sched, () => log.push('two'));
    });
    expect([drainInbox(sched), [...log]]).toEqual([true, ['one']]);
    expect([drainInbox(sched), [...log]]).toEqual([true, ['one', 'two']]);
    expect(drainInbox(sched)).toBe(false);
  });
});
