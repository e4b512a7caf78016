import { describe, expect, it } from 'vitest';
import { createTraceRing, traceHash } from '@mmkit/base';
import { linux6_18 } from '@mmkit/aspace';
import * as plain from '@mmkit/kernel';
import * as coloured from '@mmkit/kernel/sched';
import { x86_64 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { allocPages, countFrames, GFP_USER } from '@mmkit/phys';
import { runTask } from '@mmkit/task';
import { ANON, builds, Cpu, endAll, PAGE, RW, schedBuilds, setUp, thrown } from './builds.ts';

const MIB = 2 ** 20;

it('both entries export the same names, classes and constants being the same', () => {
  expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
  const shared = Object.entries(plain).filter(
    ([, value]) => typeof value !== 'function' || /^class\b/.test(`${value}`),
  );
  expect(shared.length).toBeGreaterThan(10);
  for (const [name, value] of shared) expect(coloured[name as keyof typeof coloured], name).toBe(value);
});

describe.each(builds)('%s build: machines and processes', (_name, api) => {
  it('ramBytes in pages, one CPU, the rules of 6.18, unless said otherwise', () => {
    const machine = api.createMachine({ ramBytes: 4 * MIB });
    expect([machine.memory.phys.frames, machine.sched.cpus.length]).toEqual([1024, 1]);
    expect([machine.memory.policy, machine.memory.format]).toEqual([linux6_18, api.format]);
    expect([machine.processes.size, machine.nextPid]).toEqual([0, 1]);
    api.checkMachine(machine);
    const policy = { ...linux6_18, name: 'mine', unshare: false };
    const trace = createTraceRing(16);
    const other = api.createMachine({ ramBytes: 16 * PAGE, cpus: 4, policy, trace });
    expect([other.sched.cpus.length, other.memory.tlbs.length]).toEqual([4, 4]);
    expect([other.memory.policy, other.sched.trace]).toEqual([policy, trace]);
  });

  it("the format is the machine's: its name shows that it is not copied", () => {
    const format: Format = { ...api.format, name: 'mine' };
    expect(api.createMachine({ ramBytes: MIB, format }).memory.format).toBe(format);
  });

  it('warn is told what Linux would warn about', () => {
    const said: string[] = [];
    const machine = api.createMachine({ ramBytes: MIB, warn: (what) => said.push(what) });
    const process = api.createProcess(machine)!;
    api.pinUserPagesFast(process.mm, 0, 1, 4, new Uint32Array(1));
    expect(said.length).toBe(1);
  });

  it.each([
    ['too little', { ramBytes: 15 * PAGE }],
    ['no whole page', { ramBytes: MIB + 1 }],
    ['not a number', { ramBytes: Number.NaN }],
    ['too much', { ramBytes: 2 ** 42 }],
    ['no CPU', { ramBytes: MIB, cpus: 0 }],
    ['too many CPUs', { ramBytes: MIB, cpus: 33 }],
  ])('RangeError for bad options: %s', (_what, options) => {
    expect(thrown(() => api.createMachine(options))).toBe('RangeError');
  });

  it('createProcess: pids count from 1 and are not used again; null when there is no page for the top table', () => {
    const { machine, process } = setUp(api);
    const second = api.createProcess(machine)!;
    expect([process.pid, second.pid, process.parent]).toEqual([1, 2, null]);
    api.exitProcess(machine, second);
    expect([machine.processes.has(2), second.exited]).toEqual([false, true]);
    while (machine.memory.phys.freeFrames > 0) allocPages(machine.memory.phys, GFP_USER, 0);
    expect(api.createProcess(machine)).toBeNull();
    expect([machine.processes.size, machine.nextPid]).toEqual([1, 3]);
  });

  it('exit gives back every frame, table pages included, and no translation stays cached', () => {
    const { machine, process, address } = setUp(api, { buffer: 40 });
    const cpu = new Cpu(api, machine);
    for (let page = 0; page < 40; page++) cpu.poke(process, address + page * PAGE, page);
    const far = api.mmap(process.mm, 2 ** 40, PAGE, RW, ANON);
    cpu.poke(process, far, 1);
    api.forkProcess(machine, process);
    expect(countFrames(machine.memory.phys).used).toBeGreaterThan(40);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
    // The top table's frame may now be another process's: it must not see the old one's pages.
    const next = api.createProcess(machine)!;
    expect(cpu.peek(next, far)).toBeLessThan(0);
    api.checkMachine(machine);
  });
});

it('x86-64 unless said otherwise', () => {
  expect(plain.createMachine({ ramBytes: MIB }).memory.format).toBe(x86_64);
});

it.each(schedBuilds)('%s build, determinism: one scenario run twice gives the same trace hash', (_name, api) => {
  const run = (extra: boolean): string => {
    const trace = createTraceRing(64);
    const machine = api.createMachine({ ramBytes: MIB, cpus: 2, trace });
    const process = api.createProcess(machine)!;
    const address = api.mmap(process.mm, 0, 8 * PAGE, RW, ANON);
    const cpu = new Cpu(api, machine);
    for (let page = 0; page < 8; page++) cpu.poke(process, address + page * PAGE, page);
    api.forkProcess(machine, process);
    if (extra) cpu.peek(process, address);
    cpu.poke(process, address, 1);
    runTask(machine.sched, coloured.exitProcess(machine, process));
    return `${traceHash(trace)} ${trace.count}`;
  };
  const first = run(false);
  expect(run(false)).toBe(first);
  expect(run(true)).not.toBe(first);
});
