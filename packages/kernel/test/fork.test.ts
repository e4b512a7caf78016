import { describe, expect, it } from 'vitest';
import { EFAULT, EINTR, ENOMEM } from '@mmkit/base';
import { createProcess } from '@mmkit/kernel';
import { forkProcess as forkTask } from '@mmkit/kernel/sched';
import { MADV_DOFORK, MADV_DONTFORK } from '@mmkit/mm';
import { allocPages, freePages, GFP_USER, PG_ANON_EXCLUSIVE, testFlag } from '@mmkit/phys';
import { downWriteTrylock, upWrite } from '@mmkit/rwsem';
import { killTask, runAll, spawn } from '@mmkit/task';
import { builds, Cpu, endAll, PAGE, schedBuilds, setUp, thrown } from './builds.ts';
import { pinsOf } from './pins.ts';

describe.each(builds)('%s build: fork and copy-on-write', (_name, api) => {
  const { fork, pin, state } = pinsOf(api);

  it('N.10: both see the old bytes, in one frame; what the parent then writes the child does not see', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const child = fork(machine, process);
    expect([child.pid, child.parent]).toEqual([process.pid + 1, process]);
    expect(cpu.pfn(child, address)).toBe(cpu.pfn(process, address));
    cpu.poke(process, address, 2);
    expect([cpu.peek(child, address), cpu.peek(process, address)]).toEqual([1, 2]);
    api.checkMachine(machine);
  });

  it('N.10: what the child writes the parent does not see', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const child = fork(machine, process);
    cpu.poke(child, address, 3);
    expect([cpu.peek(child, address), cpu.peek(process, address)]).toEqual([3, 1]);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('N.10: a VMA never written to copies no entry; the zero page of one that was is shared', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.peek(process, address);
    expect(cpu.pfn(fork(machine, process), address)).toBe(-EFAULT);
    cpu.poke(process, address + PAGE, 1);
    const child = fork(machine, process);
    expect(cpu.pfn(child, address)).toBe(machine.memory.phys.zeroPfn);
    cpu.poke(child, address, 9);
    expect(cpu.peek(process, address)).toBe(0);
    api.checkMachine(machine);
  });

  it('E.1: mapped once 1/1, by parent and child 2/2, after the copy 1/1 each', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const old = cpu.pfn(process, address);
    expect(state(machine, old)).toEqual([1, 1]);
    fork(machine, process);
    expect(state(machine, old)).toEqual([2, 2]);
    expect(testFlag(machine.memory.phys, old, PG_ANON_EXCLUSIVE)).toBe(false);
    cpu.poke(process, address, 2);
    expect([state(machine, old), state(machine, cpu.pfn(process, address))]).toEqual([
      [1, 1],
      [1, 1],
    ]);
  });

  it('D.2: a write while the child lives copies; after the child has exited the page is reused', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    cpu.poke(process, address + PAGE, 1);
    const [first, second] = [cpu.pfn(process, address), cpu.pfn(process, address + PAGE)];
    const child = fork(machine, process);
    cpu.poke(process, address, 2);
    expect(cpu.pfn(process, address)).not.toBe(first);
    api.exitProcess(machine, child);
    cpu.poke(process, address + PAGE, 2);
    expect(cpu.pfn(process, address + PAGE)).toBe(second);
    api.checkMachine(machine);
  });

  it('D.5: a MADV_DONTFORK page is not in the child (SIGSEGV), and the parent keeps its frame on a write', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address + PAGE, 1);
    const pfn = cpu.pfn(process, address + PAGE);
    expect(api.madvise(process.mm, address + PAGE, PAGE, MADV_DONTFORK)).toBe(0);
    const child = fork(machine, process);
    expect(cpu.peek(child, address + PAGE)).toBe(-EFAULT);
    expect(cpu.peek(child, address)).toBe(0);
    cpu.poke(process, address + PAGE, 2);
    expect(cpu.pfn(process, address + PAGE)).toBe(pfn);
    expect(api.madvise(process.mm, address + PAGE, PAGE, MADV_DOFORK)).toBe(0);
    expect(cpu.peek(fork(machine, process), address + PAGE)).toBe(2);
    api.checkMachine(machine);
  });

  it('fork out of memory at any point: -ENOMEM, no child, the parent as it was, nothing leaks', () => {
    const { machine, process, address } = setUp(api, { pages: 128 });
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    for (let page = 0; page < 4; page++) cpu.poke(process, address + page * PAGE, page + 1);
    const pages = pin(machine, process, address);
    const hog: number[] = [];
    while (phys.freeFrames > 0) hog.push(allocPages(phys, GFP_USER, 0));
    let failures = 0;
    for (;;) {
      const free = phys.freeFrames;
      const { error, process: child } = api.forkProcess(machine, process);
      api.checkMachine(machine);
      for (let page = 0; page < 4; page++) expect(cpu.peek(process, address + page * PAGE)).toBe(page + 1);
      if (child !== null) break;
      expect([error, phys.freeFrames]).toEqual([-ENOMEM, free]);
      failures++;
      freePages(phys, hog.pop()!, 0);
    }
    // Root, three levels of tables, the copy of the pinned page.
    expect(failures).toBe(5);
    api.unpinUserPages(machine.memory, pages, 1);
    for (const pfn of hog) freePages(phys, pfn, 0);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });
});

it.each(schedBuilds)('%s build: fork killed while it waits for mmap_lock: -EINTR, nothing leaks', (_name, api) => {
  const machine = api.createMachine({ ramBytes: 64 * PAGE });
  const process = createProcess(machine)!;
  const { sched } = machine;
  downWriteTrylock(sched, process.mm.mmapLock);
  const task = spawn(sched, 'forker', forkTask(machine, process));
  expect(thrown(() => runAll(sched))).toBe('DEADLOCK');
  killTask(task);
  runAll(sched);
  expect([task.result, machine.processes.size]).toEqual([{ error: -EINTR, process: null }, 1]);
  upWrite(sched, process.mm.mmapLock);
  expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
});
