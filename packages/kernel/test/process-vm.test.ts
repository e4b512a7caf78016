import { describe, expect, it } from 'vitest';
import { EFAULT, EIO } from '@mmkit/base';
import type { Machine, Process } from '@mmkit/kernel';
import { createMachine, createProcess, processVmReadv, processVmWritev, store } from '@mmkit/kernel/sched';
import { MADV_DONTNEED, PROT_NONE, PROT_READ } from '@mmkit/mm';
import { mmap } from '@mmkit/mm/sched';
import { countFrames, PG_DIRTY, testFlag } from '@mmkit/phys';
import { createLockdep, runAll, runTask, spawn } from '@mmkit/task';
import { ANON, builds, Cpu, endAll, formats, PAGE, pattern, RW, setUp, testedFormat, thrown } from './builds.ts';

describe.each(builds)("%s build: another process's memory", (_name, api) => {
  interface World {
    machine: Machine;
    process: Process;
    address: number;
    cpu: Cpu;
  }

  function world(buffer = 16): World {
    const made = setUp(api, { buffer });
    return { ...made, cpu: new Cpu(api, made.machine) };
  }

  const dirty = (w: World, address: number): boolean =>
    testFlag(w.machine.memory.phys, w.cpu.pfn(w.process, address), PG_DIRTY);

  describe.each([
    ['process_vm_readv, process_vm_writev', api.processVmReadv, api.processVmWritev, -EFAULT],
    ['/proc/PID/mem', api.procMemRead, api.procMemWrite, -EIO],
  ] as const)('%s', (_way, read, write, bad) => {
    it('what is written across pages is read, and there for the process; no pin stays', () => {
      const w = world();
      const bytes = pattern(2 * PAGE, 6);
      expect(write(w.machine, w.process, w.address + 50, bytes, 0, bytes.length)).toBe(bytes.length);
      expect(w.cpu.bytes(w.process, w.address + 50, bytes.length)).toEqual(bytes);
      const into = new Uint8Array(bytes.length + 2);
      expect(read(w.machine, w.process, w.address + 50, into, 1, bytes.length)).toBe(bytes.length);
      expect(into.subarray(1, 1 + bytes.length)).toEqual(bytes);
      expect(countFrames(w.machine.memory.phys).pins).toBe(0);
      expect(endAll(api, w.machine)).toEqual({ used: 0, pins: 0 });
    });

    it('FACTS 12: a write marks the pages dirty, a read does not', () => {
      const w = world();
      w.cpu.poke(w.process, w.address, 1);
      read(w.machine, w.process, w.address, new Uint8Array(1), 0, 1);
      expect(dirty(w, w.address)).toBe(false);
      write(w.machine, w.process, w.address, Uint8Array.of(2), 0, 1);
      expect(dirty(w, w.address)).toBe(true);
    });

    it('D.3: short where the mapping ends, an error when not one byte can be had; length 0 is 0', () => {
      const w = world(2);
      expect(read(w.machine, w.process, w.address, new Uint8Array(3 * PAGE), 0, 3 * PAGE)).toBe(2 * PAGE);
      expect(write(w.machine, w.process, w.address + 2 * PAGE - 4, new Uint8Array(8), 0, 8)).toBe(4);
      expect(read(w.machine, w.process, w.address + 2 * PAGE, new Uint8Array(1), 0, 1)).toBe(bad);
      expect(read(w.machine, w.process, w.address + 2 * PAGE, new Uint8Array(1), 0, 0)).toBe(0);
    });

    it('bad JavaScript values, a process that is gone', () => {
      const w = world();
      expect(thrown(() => read(w.machine, w.process, -1, new Uint8Array(1), 0, 1))).toBe('RangeError');
      expect(thrown(() => write(w.machine, w.process, w.address, new Uint8Array(1), 1, 1))).toBe('RangeError');
      api.exitProcess(w.machine, w.process);
      expect(thrown(() => read(w.machine, w.process, w.address, new Uint8Array(1), 0, 1))).toBe('PROCESS_GONE');
    });
  });

  it('FACTS 14, 15: read-only memory: writev -EFAULT; /proc/PID/mem writes a private copy that stays read-only', () => {
    const w = world();
    const address = api.mmap(w.process.mm, 0, PAGE, PROT_READ, ANON);
    expect(api.processVmWritev(w.machine, w.process, address, Uint8Array.of(1), 0, 1)).toBe(-EFAULT);
    expect(api.procMemWrite(w.machine, w.process, address, Uint8Array.of(1), 0, 1)).toBe(1);
    expect([w.cpu.peek(w.process, address), w.cpu.poke(w.process, address, 2)]).toEqual([1, -EFAULT]);
    const { pgfault } = w.machine.memory.stat;
    expect(api.procMemWrite(w.machine, w.process, address, Uint8Array.of(3), 0, 1)).toBe(1);
    expect(w.machine.memory.stat.pgfault).toBe(pgfault);
    api.checkMachine(w.machine);
  });

  it('FACTS 14: PROT_NONE memory: readv -EFAULT; /proc/PID/mem reads and writes it', () => {
    const w = world();
    const address = api.mmap(w.process.mm, 0, PAGE, PROT_NONE, ANON);
    const into = new Uint8Array(1);
    expect(api.processVmReadv(w.machine, w.process, address, into, 0, 1)).toBe(-EFAULT);
    expect(api.procMemWrite(w.machine, w.process, address, Uint8Array.of(7), 0, 1)).toBe(1);
    expect([api.procMemRead(w.machine, w.process, address, into, 0, 1), into[0]]).toEqual([1, 7]);
    expect(api.madvise(w.process.mm, address, PAGE, MADV_DONTNEED)).toBe(0);
    api.checkMachine(w.machine);
  });
});

describe.each(formats)("%s: A.10: since 5.9 a fault is the current task's, whoever's memory it is", () => {
  it('an access and GUP count alike; what ends in a signal or an error does not count', () => {
    const machine = createMachine({ ramBytes: 256 * PAGE, format: testedFormat(), lockdep: createLockdep() });
    const process = createProcess(machine)!;
    const address = runTask(machine.sched, mmap(process.mm, 0, 4 * PAGE, RW, ANON));
    const bytes = new Uint8Array(3 * PAGE);
    const tasks = [
      spawn(machine.sched, 'access', store(machine, process, address + 3 * PAGE, bytes, 0, PAGE + 1)),
      spawn(machine.sched, 'remote', processVmWritev(machine, process, address, bytes, 0, 3 * PAGE)),
      spawn(machine.sched, 'bad', processVmReadv(machine, process, address + 4 * PAGE, bytes, 0, 1)),
    ];
    runAll(machine.sched);
    expect(tasks.map((task) => [task.result, task.min_flt, task.maj_flt])).toEqual([
      [-EFAULT, 1, 0],
      [3 * PAGE, 3, 0],
      [-EFAULT, 0, 0],
    ]);
  });
});
