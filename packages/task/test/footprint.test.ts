import { describe, expect, it } from 'vitest';
import { createSched, Footprint, Mutex, mutexUnlock, noteRead, noteWrite, reads, spawn, stepTask } from '@mmkit/task';
import { WHOLE, writes } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';

describe('footprints: what a step touches', () => {
  it('nothing is recorded, and the point comes back, unless an explorer asks', () => {
    const sched = createSched();
    expect(reads(sched, 7, {})).toBe(7);
    expect(writes(sched, reads(sched, 8, {}), {}, 1)).toBe(8);
    noteRead(sched, {});
    noteWrite(sched, {});
    expect(sched.footprint).toBeNull();
  });

  it('objects are numbered as they are first named; + 1 for a write; nested declarations are all kept', () => {
    const sched = createSched();
    const [a, b] = [{}, new Int32Array(4)];
    const footprint = (sched.footprint = new Footprint());
    expect(reads(sched, writes(sched, 7, a), b, 3)).toBe(7);
    expect(footprint.declared).toEqual([1, WHOLE, 2, 3]);
    noteRead(sched, b);
    noteWrite(sched, a, 2);
    expect(footprint.noted).toEqual([2, WHOLE, 1, 2]);
  });

  it('a mutex is declared by the point before it is taken, and noted where it is given back', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const footprint = (sched.footprint = new Footprint());
    function* body() {
      yield* mutexLock(sched, mutex);
      mutexUnlock(sched, mutex);
    }
    footprint.objects.set(mutex, 0);
    const task = spawn(sched, 't', body());
    footprint.noted.length = 0;
    stepTask(sched, task);
    expect([footprint.declared, footprint.noted]).toEqual([[1, WHOLE], []]);
    stepTask(sched, task);
    expect(footprint.noted).toEqual([1, WHOLE]);
  });
});
