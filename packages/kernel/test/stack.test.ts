/** FACTS-2 39 to 42, A.10, A.16 #27: a process that touches memory below a stack of its own. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18, mmapIsLocked } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT, EIO, FOLL_WRITE } from '@mmkit/base';
import { SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV } from '@mmkit/kernel';
import type { Machine, Process } from '@mmkit/kernel';
import { MAP_FIXED, MAP_GROWSDOWN, PROT_NONE, PROT_READ } from '@mmkit/mm';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { vmasIn } from '@mmkit/vma';
import * as coloured from '@mmkit/kernel/sched';
import { ANON, builds, Cpu, PAGE, RW } from './builds.ts';

const AT = 0x1000_0000;

describe.each(builds)('%s build: stacks', (_name, api) => {
  /** A process with a stack of one page at AT. */
  function setUp(prot = RW, policy: Policy = linux6_18): { machine: Machine; process: Process; cpu: Cpu } {
    const machine = api.createMachine({ ramBytes: 256 * PAGE, policy });
    const process = api.createProcess(machine)!;
    expect(api.mmap(process.mm, AT, PAGE, prot, ANON | MAP_FIXED | MAP_GROWSDOWN)).toBe(AT);
    return { machine, process, cpu: new Cpu(api, machine) };
  }
  /** Pages the stack has grown by. */
  const grown = ({ mm }: Process): number => {
    expect(mmapIsLocked(mm)).toBe(false);
    return (AT - vmasIn(mm.vmas, 0, AT + PAGE).at(-1)!.start) / PAGE;
  };

  it('FACTS-2 39: loads and stores make it grow down to the page they touch', () => {
    const { machine, process, cpu } = setUp();
    expect([cpu.peek(process, AT - PAGE + 5), grown(process)]).toEqual([0, 1]);
    expect([cpu.poke(process, AT - 100 * PAGE, 7), grown(process)]).toEqual([0, 100]);
    expect([cpu.peek(process, AT - 100 * PAGE), process.exitSignal]).toEqual([7, null]);
    api.checkMachine(machine);
  });

  it('FACTS-2 39: so does a copy by the kernel; a refused one raises no signal', () => {
    const { machine, process, cpu } = setUp();
    const file = api.createMemfd(machine, PAGE);
    expect([api.readFile(machine, process, file, 0, AT - PAGE - 1, 3), grown(process)]).toEqual([3, 2]);
    expect(cpu.poke(process, AT - 2 * PAGE, 5)).toBe(0);
    process.mm.rlimitStack = 3 * PAGE;
    expect([api.readFile(machine, process, file, 0, AT - 3 * PAGE, 3), grown(process)]).toEqual([-EFAULT, 2]);
    expect(process.exitSignal).toBe(null);
  });

  it('FACTS-2 39: /proc/PID/mem, for reading and writing; across a page too', () => {
    const { machine, process, cpu } = setUp();
    const bytes = new Uint8Array(PAGE + 2).fill(9);
    expect([api.procMemRead(machine, process, AT - PAGE, bytes, 0, 1), grown(process)]).toEqual([1, 1]);
    expect([bytes[0], bytes[1]]).toEqual([0, 9]);
    expect(api.procMemWrite(machine, process, AT - 3 * PAGE - 1, bytes, 1, PAGE + 1)).toBe(PAGE + 1);
    expect([grown(process), cpu.peek(process, AT - 3 * PAGE - 1), cpu.peek(process, AT - 2 * PAGE - 1)]).toEqual([
      4, 9, 9,
    ]);
    process.mm.rlimitStack = 5 * PAGE;
    expect(api.procMemRead(machine, process, AT - 5 * PAGE, bytes, 0, 1)).toBe(-EIO);
    expect(api.procMemRead(machine, process, AT + PAGE - 1, bytes, 0, 2)).toBe(1);
    expect(grown(process)).toBe(4);
  });

  it('FACTS-2 39: process_vm_readv and pins do not: EFAULT', () => {
    const { machine, process } = setUp();
    const bytes = new Uint8Array(1);
    expect(api.processVmReadv(machine, process, AT - PAGE, bytes, 0, 1)).toBe(-EFAULT);
    expect(api.processVmWritev(machine, process, AT - PAGE, bytes, 0, 1)).toBe(-EFAULT);
    expect(api.pinUserPagesFast(process.mm, AT - PAGE, 1, FOLL_WRITE, new Uint32Array(1))).toBe(-EFAULT);
    expect(grown(process)).toBe(0);
  });

  it('FACTS-2 40: it grows before rights are looked at: SEGV_ACCERR, and it has grown', () => {
    for (const prot of [PROT_READ, PROT_NONE]) {
      const { process, cpu } = setUp(prot);
      expect([cpu.poke(process, AT - PAGE, 1), grown(process)]).toEqual([-EFAULT, 1]);
      expect(process.exitSignal).toMatchObject({ signal: SIGSEGV, code: SEGV_ACCERR, address: AT - PAGE });
    }
  });

  it('FACTS-2 41: where it may not grow: SEGV_MAPERR', () => {
    const { process, cpu } = setUp();
    api.mmap(process.mm, AT - 400 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
    expect([cpu.poke(process, AT - 144 * PAGE, 1), cpu.poke(process, AT - 143 * PAGE, 1)]).toEqual([-EFAULT, 0]);
    expect(process.exitSignal).toMatchObject({ signal: SIGSEGV, code: SEGV_MAPERR, address: AT - 144 * PAGE });
    expect(grown(process)).toBe(143);
  });

  it('A.16 #27, A.3: up to 4.11 by one page more, its guard; SIGBUS where that one cannot be had', () => {
    for (const policy of [linux3_14, linux4_8]) {
      const { machine, process, cpu } = setUp(RW, policy);
      expect([cpu.poke(process, AT - PAGE, 1), grown(process)]).toEqual([0, 2]);
      const bytes = new Uint8Array(1);
      expect([api.procMemRead(machine, process, AT - 4 * PAGE, bytes, 0, 1), grown(process)]).toEqual([1, 5]);
      process.mm.rlimitStack = 8 * PAGE;
      expect([cpu.poke(process, AT - 7 * PAGE, 1), grown(process)]).toEqual([-EFAULT, 7]);
      expect(process.exitSignal).toMatchObject({ signal: SIGBUS });
    }
  });
});

describe.each(builds.filter(([name]) => name.startsWith('sched')))('%s build: fault counters', (_name, api) => {
  it('A.10: a fault of the process is charged to its task, once, up to 5.8 as today', () => {
    for (const policy of [linux3_14, linux4_8, linux6_18]) {
      const machine = api.createMachine({ ramBytes: 256 * PAGE, policy });
      const process = api.createProcess(machine)!;
      api.mmap(process.mm, AT, PAGE, RW, ANON | MAP_FIXED);
      const task = spawn(machine.sched, 'store', coloured.store(machine, process, AT, Uint8Array.of(1), 0, 1));
      const done = (): boolean => task.state === TASK_DONE;
      while (!done()) stepTask(machine.sched, task);
      expect([task.min_flt, task.maj_flt]).toEqual([1, 0]);
    }
  });
});
