import { describe, expect, it } from 'vitest';
import { createSched, Footprint, Mutex, mutexUnlock, noteRead, noteWrite, reads, spawn, stepTask } from '@mmkit/task';
import { noted, startFootprint, WHOLE, writes } from '@mmkit/task';
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

  it('a point says that the next step declares or notes all it touches: reads, writes, or noted with nothing more', () => {
    const sched = createSched();
    expect(noted(sched, 9)).toBe(9);
    const footprint = startFootprint(sched);
    expect(footprint.complete).toBe(false);
    expect(noted(sched, 9)).toBe(9);
    expect([footprint.complete, footprint.declared]).toEqual([true, []]);
    footprint.complete = false;
    reads(sched, 9, {});
    expect(footprint.complete).toBe(true);
  });

  it('startFootprint numbers CPUs and tasks, and calls the recorders, each of which may note', () => {
    const sched = createSched({ cpus: 2 });
    const words = {};
    sched.recorders.push(() => noteRead(sched, words));
    const footprint = startFootprint(sched);
    expect(sched.footprint).toBe(footprint);
    expect([...footprint.objects.keys()]).toEqual([...sched.cpus, ...sched.tasks, words]);
  });

  it('the same access twice running is noted once', () => {
    const sched = createSched();
    const footprint = startFootprint(sched);
    const a = {};
    for (let i = 0; i < 3; i++) noteRead(sched, a, 5);
    noteWrite(sched, a, 5);
    noteRead(sched, a, 5);
    const id = footprint.objects.get(a)! * 2;
    expect(footprint.noted).toEqual([id, 5, id + 1, 5, id, 5]);
  });
});
