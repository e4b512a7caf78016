/** Registration step by step (sched build): what it does in which order, and several at once. */
import { describe, expect, it } from 'vitest';
import { ENOMEM, P_HAS_PINNED, P_PINNED_VM, P_RDMA_KEY } from '@mmkit/base';
import { allocPd, createMachine, createProcess, createRdmaDevice, deregMr, regMr } from '@mmkit/kernel/sched';
import type { ProtectionDomain, RegMrResult } from '@mmkit/kernel/sched';
import { mmap } from '@mmkit/mm/sched';
import { createLockdep, runAll, runTask, spawn, stepTask, TASK_DONE } from '@mmkit/task';
import type { SimTask } from '@mmkit/task';
import { ANON, formats, PAGE, RW, testedFormat } from './builds.ts';
import { ALL } from './rdma-bench.ts';

/** A process with `buffer` pages and a limit as high. */
function bench(buffer: number): { pd: ProtectionDomain; register: (pages: number) => SimTask } {
  const machine = createMachine({ ramBytes: (buffer + 128) * PAGE, format: testedFormat(), lockdep: createLockdep() });
  const process = createProcess(machine)!;
  const address = runTask(machine.sched, mmap(process.mm, 0, buffer * PAGE, RW, ANON));
  process.rlimitMemlock = buffer * PAGE;
  const pd = allocPd(createRdmaDevice(machine), process);
  const register = (pages: number): SimTask =>
    spawn(machine.sched, `register ${pages}`, regMr(pd, address, pages * PAGE, ALL));
  return { pd, register };
}

function errorOf(task: SimTask): number {
  return (task.result as RegMrResult).error;
}

describe.each(formats)('%s: B.17: the order of a registration', () => {
  it('counted, pinned in batches of as many pages as a page has pointers, then a key', () => {
    const batch = PAGE / 8;
    const { pd, register } = bench(2 * batch + 1);
    const task = register(2 * batch + 1);
    const points: number[] = [];
    while (task.state !== TASK_DONE) {
      stepTask(pd.device.machine.sched, task);
      points.push(task.point);
    }
    const marks = [P_PINNED_VM, P_HAS_PINNED, P_RDMA_KEY];
    // The first pages are not there: each batch walks once by the fast way and once by the slow one.
    const pinning = Array.from({ length: 6 }, () => P_HAS_PINNED);
    expect(points.filter((point) => marks.includes(point)).slice(0, -1)).toEqual([P_PINNED_VM, ...pinning, P_RDMA_KEY]);
  });
});

describe.each(formats)('%s: B.17: pages are counted before they are pinned', () => {
  it('a registration that will be refused can have another refused that would fit', () => {
    const { pd, register } = bench(8);
    const { sched } = pd.device.machine;
    const tasks = [register(6), register(6), register(2)];
    // Each is stepped to the addition and over it: 6, 12, 14 pages.
    for (const task of tasks) {
      stepTask(sched, task);
      stepTask(sched, task);
    }
    expect(pd.process.mm.pinnedVm).toBe(14);
    runAll(sched);
    expect(tasks.map(errorOf)).toEqual([0, -ENOMEM, -ENOMEM]);
    expect(pd.process.mm.pinnedVm).toBe(6);
  });

  it('one after the other the third fits', () => {
    const { pd, register } = bench(8);
    const { sched } = pd.device.machine;
    const errors = [6, 6, 2].map((pages) => {
      const task = register(pages);
      runAll(sched);
      return errorOf(task);
    });
    expect(errors).toEqual([0, -ENOMEM, 0]);
    expect(pd.process.mm.pinnedVm).toBe(8);
  });

  it('a region still to be uncharged counts', () => {
    const { pd, register } = bench(8);
    const { sched, memory } = pd.device.machine;
    const first = register(8);
    runAll(sched);
    const end = spawn(sched, 'deregister', deregMr((first.result as RegMrResult).mr!));
    while (memory.phys.nrFollPinReleased < 8) stepTask(sched, end);
    const second = register(1);
    stepTask(sched, second);
    stepTask(sched, second);
    expect(pd.process.mm.pinnedVm).toBe(9);
    runAll(sched);
    expect([errorOf(second), pd.process.mm.pinnedVm]).toEqual([-ENOMEM, 0]);
  });
});
