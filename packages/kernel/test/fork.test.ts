import { describe, expect, it } from 'vitest';
import { EFAULT, EINTR, ENOMEM, FOLL_WRITE } from '@mmkit/base';
import { createMachine, createProcess } from '@mmkit/kernel';
import { forkProcess as forkTask } from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import { MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED } from '@mmkit/mm';
import {
  allocPages,
  countFrames,
  folioMaybeDmaPinned,
  freePages,
  GFP_USER,
  pageMapCount,
  pageRefCount,
  PG_ANON_EXCLUSIVE,
  readBytes,
  testFlag,
} from '@mmkit/phys';
import { downWriteTrylock, upWrite } from '@mmkit/rwsem';
import { killTask, runAll, spawn } from '@mmkit/task';
import { builds, Cpu, endAll, PAGE, setUp, thrown } from './builds.ts';

describe.each(builds)('%s build: fork and copy-on-write', (_name, api) => {
  function fork(machine: Machine, parent: Process): Process {
    const { error, process } = api.forkProcess(machine, parent);
    expect(error).toBe(0);
    return process!;
  }

  function pin(machine: Machine, process: Process, address: number, flags = FOLL_WRITE): Uint32Array {
    const pages = new Uint32Array(1);
    expect(api.pinUserPagesFast(process.mm, address, 1, flags, pages)).toBe(1);
    api.checkMachine(machine);
    return pages;
  }

  function state(machine: Machine, pfn: number): number[] {
    const { phys } = machine.memory;
    return [pageRefCount(phys, pfn), pageMapCount(phys, pfn)];
  }

  it('N.10: after fork both see the old bytes, in one frame; what the parent then writes the child does not see', () => {
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
    expect([state(machine, old), state(machine, cpu.pfn(process, address))]).toEqual([[1, 1], [1, 1]]);
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

  it('D.2: page 0 pinned, page 1 not, fork: the child has its own page 0 at once and shares page 1', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    cpu.poke(process, address + PAGE, 2);
    const pages = pin(machine, process, address);
    const child = fork(machine, process);
    expect(cpu.pfn(process, address)).toBe(pages[0]);
    expect(cpu.pfn(child, address)).not.toBe(pages[0]);
    expect(cpu.pfn(child, address + PAGE)).toBe(cpu.pfn(process, address + PAGE));
    expect([cpu.peek(child, address), cpu.peek(child, address + PAGE)]).toEqual([1, 2]);
    const shared = cpu.pfn(process, address + PAGE);
    cpu.poke(process, address, 3);
    cpu.poke(process, address + PAGE, 4);
    expect(cpu.pfn(process, address)).toBe(pages[0]);
    expect(cpu.pfn(process, address + PAGE)).not.toBe(shared);
    expect([cpu.peek(child, address), cpu.peek(child, address + PAGE)]).toEqual([1, 2]);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('B.22 #5–7: PIN of an exclusive page 1 → 1025; fork copies for the child; the parent writes the same page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.poke(process, address, 1);
    const acquired = phys.nrFollPinAcquired;
    const pfn = pin(machine, process, address)[0]!;
    expect([state(machine, pfn), phys.nrFollPinAcquired - acquired]).toEqual([[1025, 1], 1]);
    const faults = machine.memory.stat.pgfault;
    const child = fork(machine, process);
    expect([state(machine, pfn), folioMaybeDmaPinned(phys, pfn)]).toEqual([[1025, 1], true]);
    cpu.poke(process, address, 2);
    expect([cpu.pfn(process, address), machine.memory.stat.pgfault]).toEqual([pfn, faults]);
    expect(cpu.peek(child, address)).toBe(1);
    api.checkMachine(machine);
  });

  it('G.25: the child\'s copy of a pinned page is writable at once: its write takes no fault', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    pin(machine, process, address);
    const child = fork(machine, process);
    const faults = machine.memory.stat.pgfault;
    expect(cpu.poke(child, address, 5)).toBe(0);
    expect([machine.memory.stat.pgfault, cpu.peek(process, address)]).toEqual([faults, 1]);
  });

  it('B.22 #8: GET instead of PIN: the parent\'s write copies, the holder of the reference keeps the old page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.poke(process, address, 1);
    const pages = new Uint32Array(1);
    expect(api.getUserPagesFast(process.mm, address, 1, FOLL_WRITE, pages)).toBe(1);
    fork(machine, process);
    cpu.poke(process, address, 2);
    expect(cpu.pfn(process, address)).not.toBe(pages[0]);
    const byte = new Uint8Array(1);
    readBytes(phys, pages[0]!, 0, byte, 0, 1);
    expect(byte[0]).toBe(1);
    api.checkMachine(machine);
    api.putUserPages(machine.memory, pages, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('D.2: pin for writing of a fork-shared page copies before the pin; over a zero-page entry it gives a new page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    cpu.peek(process, address + PAGE);
    const old = cpu.pfn(process, address);
    const child = fork(machine, process);
    const pages = pin(machine, process, address);
    expect([pages[0] === old, cpu.pfn(process, address) === pages[0], cpu.pfn(child, address) === old]).toEqual([false, true, true]);
    const zero = pin(machine, process, address + PAGE);
    expect(zero[0]).not.toBe(machine.memory.phys.zeroPfn);
    expect(state(machine, zero[0]!)).toEqual([1025, 1]);
  });

  it('B.22 #9: PIN for reading of a fork-shared page unshares it: a new exclusive page, the child keeps the old', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const old = cpu.pfn(process, address);
    const child = fork(machine, process);
    const pages = pin(machine, process, address, 0);
    expect([pages[0] === old, cpu.pfn(child, address) === old]).toEqual([false, true]);
    expect(testFlag(machine.memory.phys, pages[0]!, PG_ANON_EXCLUSIVE)).toBe(true);
    expect(cpu.peek(process, address)).toBe(1);
  });

  it('E.1: 3 pins and 2 references: 3075; pinned, then unmapped: 1024/0, an orphan that the last unpin frees', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    const pfn = pages[0]!;
    pin(machine, process, address);
    pin(machine, process, address);
    api.getUserPagesFast(process.mm, address, 1, 0, pages);
    api.getUserPagesFast(process.mm, address, 1, 0, pages);
    expect(state(machine, pfn)).toEqual([1 + 3 * 1024 + 2, 1]);
    api.putUserPages(machine.memory, pages, 1);
    api.putUserPages(machine.memory, pages, 1);
    api.unpinUserPages(machine.memory, pages, 1);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(api.munmap(process.mm, address, PAGE)).toBe(0);
    expect(state(machine, pfn)).toEqual([1024, 0]);
    expect(testFlag(phys, pfn, PG_ANON_EXCLUSIVE)).toBe(true);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(pageRefCount(phys, pfn)).toBe(0);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('E.1: the zero page\'s count does not change by pins', () => {
    const { machine, process, address } = setUp(api);
    const { phys } = machine.memory;
    const before = pageRefCount(phys, phys.zeroPfn);
    expect(pin(machine, process, address, 0)[0]).toBe(phys.zeroPfn);
    expect(pin(machine, process, address, 0)[0]).toBe(phys.zeroPfn);
    expect([pageRefCount(phys, phys.zeroPfn), countFrames(phys).pins]).toEqual([before, 0]);
  });

  it('D.2: MADV_DONTNEED on a pinned page, then a touch: a new zero page, the pin holds the orphan with its bytes', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    expect(api.madvise(process.mm, address, PAGE, MADV_DONTNEED)).toBe(0);
    expect(cpu.peek(process, address)).toBe(0);
    cpu.poke(process, address, 8);
    expect(cpu.pfn(process, address)).not.toBe(pages[0]);
    const byte = new Uint8Array(1);
    readBytes(machine.memory.phys, pages[0]!, 0, byte, 0, 1);
    expect([byte[0], state(machine, pages[0]!)]).toEqual([1, [1024, 0]]);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
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

  it('B.15 #3: after unpin the page stays exclusive, so the next fork shares it again', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    api.unpinUserPages(machine.memory, pages, 1);
    const child = fork(machine, process);
    expect(cpu.pfn(child, address)).toBe(pages[0]);
  });

  it('B.22 #30: with MMF_HAS_PINNED, 1100 plain references look like a pin: fork copies, nobody is harmed', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    api.unpinUserPages(machine.memory, pages, 1);
    const many = new Uint32Array(1);
    for (let i = 0; i < 1100; i++) api.getUserPagesFast(process.mm, address, 1, 0, many);
    const child = fork(machine, process);
    expect(cpu.pfn(child, address)).not.toBe(pages[0]);
    for (let i = 0; i < 1100; i++) api.putUserPages(machine.memory, many, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
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

it('fork killed while it waits for mmap_lock: -EINTR, no child, nothing leaks', () => {
  const machine = createMachine({ ramBytes: 64 * PAGE });
  const process = createProcess(machine)!;
  const { sched } = machine;
  downWriteTrylock(sched, process.mm.mmapLock);
  const task = spawn(sched, 'forker', forkTask(machine, process));
  expect(thrown(() => runAll(sched))).toBe('DEADLOCK');
  killTask(task);
  runAll(sched);
  expect([task.result, machine.processes.size]).toEqual([{ error: -EINTR, process: null }, 1]);
  upWrite(sched, process.mm.mmapLock);
  expect(endAll(builds[1]![1], machine)).toEqual({ used: 0, pins: 0 });
});
