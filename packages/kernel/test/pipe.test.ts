import { describe, expect, it } from 'vitest';
import { EAGAIN, EFAULT } from '@mmkit/base';
import type { Machine, Pipe, Process } from '@mmkit/kernel';
import { countFrames, pageRefCount } from '@mmkit/phys';
import { builds, Cpu, endAll, PAGE, pattern, setUp, thrown } from './builds.ts';

describe.each(builds)('%s build: pipes', (_name, api) => {
  interface World {
    machine: Machine;
    process: Process;
    address: number;
    pipe: Pipe;
    cpu: Cpu;
  }

  function piped(slots: number, buffer = 16): World {
    const world = setUp(api, { buffer });
    return { ...world, pipe: api.createPipe(world.machine, slots), cpu: new Cpu(api, world.machine) };
  }

  function read(pipe: Pipe, length: number): number[] {
    const into = new Uint8Array(length);
    const got = api.pipeRead(pipe, into, 0, length);
    expect(got).toBeGreaterThan(0);
    return [...into.subarray(0, got)];
  }

  it('what was spliced is read, part by part, across pages, and the references go with it', () => {
    const { machine, process, address, pipe, cpu } = piped(4);
    const bytes = pattern(3 * PAGE, 4);
    api.store(machine, process, address, bytes, 0, bytes.length);
    expect(api.vmsplice(pipe, process, address + 9, 2 * PAGE)).toBe(2 * PAGE);
    expect(pipe.buffers.map(({ offset, length }) => [offset, length])).toEqual([
      [9, PAGE - 9],
      [0, PAGE],
      [0, 9],
    ]);
    expect(pageRefCount(machine.memory.phys, cpu.pfn(process, address))).toBe(2);
    expect(read(pipe, PAGE)).toEqual([...bytes.subarray(9, 9 + PAGE)]);
    expect(pageRefCount(machine.memory.phys, cpu.pfn(process, address))).toBe(1);
    expect(read(pipe, 2 * PAGE)).toEqual([...bytes.subarray(9 + PAGE, 9 + 2 * PAGE)]);
    expect(api.pipeRead(pipe, new Uint8Array(1), 0, 1)).toBe(-EAGAIN);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('FACTS 4: a store after vmsplice is seen by the reader; after fork the writer copies and the pipe keeps its page', () => {
    const { machine, process, address, pipe, cpu } = piped(4);
    cpu.poke(process, address, 1);
    expect(api.vmsplice(pipe, process, address, PAGE)).toBe(PAGE);
    cpu.poke(process, address, 2);
    const { process: child } = api.forkProcess(machine, process);
    cpu.poke(process, address, 3);
    expect([read(pipe, 1)[0], cpu.peek(child!, address)]).toEqual([2, 2]);
  });

  it('FACTS 4: without a write pin nothing is copied: an untouched page gives the zero page, one fault each', () => {
    const { machine, process, address, pipe } = piped(4);
    expect(api.vmsplice(pipe, process, address, 2 * PAGE)).toBe(2 * PAGE);
    const { phys, stat } = machine.memory;
    expect(pipe.buffers.map(({ pfn }) => pfn)).toEqual([phys.zeroPfn, phys.zeroPfn]);
    expect(stat.pgfault).toBe(2);
    api.destroyPipe(pipe);
    expect(pageRefCount(phys, phys.zeroPfn)).toBe(1);
  });

  it('FACTS 37: a full pipe: -EAGAIN and not one fault; 74 pages into 64 slots: 74 faults, 64 pages', () => {
    const { machine, process, address, pipe } = piped(64, 80);
    const { phys, stat } = machine.memory;
    expect(api.vmsplice(pipe, process, address, 74 * PAGE)).toBe(64 * PAGE);
    expect([stat.pgfault, pipe.buffers.length, pageRefCount(phys, phys.zeroPfn)]).toEqual([74, 64, 65]);
    expect(api.vmsplice(pipe, process, address + 75 * PAGE, PAGE)).toBe(-EAGAIN);
    expect(stat.pgfault).toBe(74);
    api.destroyPipe(pipe);
    api.checkMachine(machine);
  });

  it('FACTS 37: pages are taken 16 at a time, before there is a look at the room', () => {
    const { machine, process, address, pipe } = piped(4, 40);
    expect(api.vmsplice(pipe, process, address, 40 * PAGE)).toBe(4 * PAGE);
    expect(machine.memory.stat.pgfault).toBe(16);
  });

  it('a bad page ends it: short, or -EFAULT when nothing went in; memory above what a process has: -EFAULT', () => {
    const { machine, process, address, pipe } = piped(16, 2);
    expect(api.vmsplice(pipe, process, address + PAGE, 3 * PAGE)).toBe(PAGE);
    expect(api.vmsplice(pipe, process, address + 2 * PAGE, PAGE)).toBe(-EFAULT);
    expect(api.vmsplice(pipe, process, machine.memory.format.taskSize - 1, 2)).toBe(-EFAULT);
    expect(api.vmsplice(pipe, process, 0, 0)).toBe(0);
    expect(pipe.buffers.length).toBe(1);
  });

  it('the spliced page outlives its process, and goes with the pipe', () => {
    const { machine, process, address, pipe, cpu } = piped(1);
    cpu.poke(process, address, 8);
    api.vmsplice(pipe, process, address, 1);
    api.exitProcess(machine, process);
    expect(countFrames(machine.memory.phys).used).toBe(1);
    api.destroyPipe(pipe);
    expect(countFrames(machine.memory.phys).used).toBe(0);
  });

  it('bad JavaScript values change nothing', () => {
    const { machine, process, address, pipe } = piped(1);
    expect(thrown(() => api.createPipe(machine, 0))).toBe('RangeError');
    expect(thrown(() => api.vmsplice(pipe, process, -1, 1))).toBe('RangeError');
    expect(thrown(() => api.vmsplice(pipe, process, address, NaN))).toBe('RangeError');
    expect(thrown(() => api.pipeRead(pipe, new Uint8Array(1), 0, 2))).toBe('RangeError');
    expect(api.pipeRead(pipe, new Uint8Array(1), 0, 0)).toBe(0);
    api.exitProcess(machine, process);
    expect(thrown(() => api.vmsplice(pipe, process, address, 1))).toBe('PROCESS_GONE');
    expect([pipe.buffers.length, pipe.lock.owner]).toEqual([0, null]);
  });
});
