/** Loads and stores of a process in mappings of files: what it sees, what the file gets, which signal it is sent. */
import { describe, expect, it } from 'vitest';
import { EFAULT, EINTR } from '@mmkit/base';
import { BlockDevice, createBlockDevice, createMemoryBackend, OpenFile } from '@mmkit/filemap';
import { BUS_ADRERR, Machine, Process, SIGBUS } from '@mmkit/kernel';
import { MAP_PRIVATE, MAP_SHARED, PROT_READ } from '@mmkit/mm';
import { killTask, runAll, spawn, stepTask, TASK_READY } from '@mmkit/task';
import * as coloured from '@mmkit/kernel/sched';
import { ANON, builds, Cpu, endAll, PAGE, RW } from './builds.ts';
import type { Api } from './builds.ts';

const DISK_PAGES = 16;

/** A machine with a disk whose page k is filled with byte k + 1, and a process. */
class World {
  readonly api: Api;
  readonly machine: Machine;
  readonly process: Process;
  readonly cpu: Cpu;
  readonly bytes: Uint8Array;
  readonly device: BlockDevice;
  /** What the next bios are to end with. */
  readonly fail: number[] = [];

  constructor(api: Api) {
    this.api = api;
    this.machine = api.createMachine({ ramBytes: 256 * PAGE, cpus: 1 });
    this.process = api.createProcess(this.machine)!;
    this.cpu = new Cpu(api, this.machine);
    this.bytes = new Uint8Array(DISK_PAGES * PAGE);
    for (let page = 0; page < DISK_PAGES; page++) this.bytes.fill(page + 1, page * PAGE, (page + 1) * PAGE);
    const { sched, memory } = this.machine;
    const fail = (): number => this.fail.shift() ?? 0;
    this.device = createBlockDevice(sched, memory.phys, createMemoryBackend(this.bytes), { fail });
  }

  disk(pages = 8): OpenFile {
    return this.api.createDiskFile(this.machine, this.device, { size: pages * PAGE, offset: 0 });
  }

  map(file: OpenFile, flags: number, prot = RW, process = this.process): number {
    return this.api.mmap(process.mm, 0, 8 * PAGE, prot, flags, file, 0);
  }

  peek(address: number): number {
    return this.cpu.peek(this.process, address);
  }

  poke(address: number, byte: number): number {
    return this.cpu.poke(this.process, address, byte);
  }
}

describe.each(builds)('%s build: mappings of files', (_, api) => {
  it('a load reads the file in; a store to a private mapping stays there', () => {
    const w = new World(api);
    const file = w.disk();
    const at = w.map(file, MAP_PRIVATE);
    expect([0, 3, 7].map((page) => w.peek(at + page * PAGE))).toEqual([1, 4, 8]);
    expect(w.poke(at + 3 * PAGE, 0xee)).toBe(0);
    expect([w.peek(at + 3 * PAGE), file.inode.nrDirty]).toEqual([0xee, 0]);
    expect(api.fsync(file)).toBe(0);
    expect(w.bytes[3 * PAGE]).toBe(4);
    expect(endAll(api, w.machine).pins).toBe(0);
  });

  it('a store to a shared mapping is in the file: for a read, for another process, and on the disk after fsync', () => {
    const w = new World(api);
    const file = w.disk();
    const at = w.map(file, MAP_SHARED);
    const other = api.createProcess(w.machine)!;
    const there = w.map(file, MAP_SHARED, PROT_READ, other);
    expect([w.peek(at), w.poke(at, 0xaa)]).toEqual([1, 0]);
    expect(w.cpu.peek(other, there)).toBe(0xaa);
    const buffer = api.mmap(other.mm, 0, PAGE, RW, ANON);
    expect([api.readFile(w.machine, other, file, 0, buffer, 1), file.inode.nrDirty]).toEqual([1, 1]);
    expect(w.cpu.peek(other, buffer)).toBe(0xaa);
    expect([w.bytes[0], api.fsync(file), w.bytes[0], file.inode.nrDirty]).toEqual([1, 0, 0xaa, 0]);
    // Clean and write-protected: the next store must not be lost either.
    expect([w.poke(at, 0xbb), file.inode.nrDirty, api.fsync(file), w.bytes[0]]).toEqual([0, 1, 0, 0xbb]);
    endAll(api, w.machine);
  });

  it('FACTS 29: beyond the end of the file SIGBUS, BUS_ADRERR, at the address of the access', () => {
    const w = new World(api);
    const file = w.disk(2);
    for (const flags of [MAP_PRIVATE, MAP_SHARED]) {
      const at = w.map(file, flags);
      expect(w.peek(at + PAGE)).toBe(2);
      expect(w.peek(at + 2 * PAGE + 5)).toBe(-EFAULT);
      expect(w.process.exitSignal).toEqual({ signal: SIGBUS, code: BUS_ADRERR, address: at + 2 * PAGE + 5 });
      expect(w.poke(at + 7 * PAGE, 1)).toBe(-EFAULT);
    }
    endAll(api, w.machine);
  });

  it('a read error is SIGBUS too, and does not last', () => {
    const w = new World(api);
    const at = w.map(w.disk(), MAP_SHARED);
    w.fail.push(-5, -5, -5);
    expect(w.peek(at)).toBe(-EFAULT);
    expect(w.process.exitSignal).toEqual({ signal: SIGBUS, code: BUS_ADRERR, address: at });
    expect(w.peek(at)).toBe(1);
    endAll(api, w.machine);
  });

  it('N.13: after a truncation SIGBUS, after growth zeros, and private copies are gone', () => {
    const w = new World(api);
    const file = w.disk(4);
    const at = w.map(file, MAP_PRIVATE);
    for (const page of [1, 2]) w.poke(at + page * PAGE, 0xcc);
    expect(api.ftruncate(file, PAGE)).toBe(0);
    expect([w.peek(at + PAGE), w.peek(at + 2 * PAGE), w.peek(at)]).toEqual([-EFAULT, -EFAULT, 1]);
    api.ftruncate(file, 4 * PAGE);
    expect([w.peek(at + PAGE), w.peek(at + 2 * PAGE)]).toEqual([0, 0]);
    endAll(api, w.machine);
  });

  it('N.10: fork: private copies are shared until written, shared mappings stay shared', () => {
    const w = new World(api);
    const file = w.disk();
    const shared = w.map(file, MAP_SHARED);
    const own = w.map(file, MAP_PRIVATE);
    w.poke(own, 0x11);
    w.peek(own + PAGE);
    const { process: child } = api.forkProcess(w.machine, w.process);
    expect([w.cpu.peek(child!, own), w.cpu.peek(child!, own + PAGE)]).toEqual([0x11, 2]);
    expect([w.poke(own, 0x22), w.cpu.peek(child!, own), w.cpu.poke(child!, shared, 0x33), w.peek(shared)]).toEqual([
      0, 0x11, 0, 0x33,
    ]);
    api.checkMachine(w.machine);
    endAll(api, w.machine);
  });

  it('shmem: zeros at first, stores cost no second fault, and exit leaves the contents to the file', () => {
    const w = new World(api);
    const file = api.createMemfd(w.machine, 8 * PAGE);
    const at = w.map(file, MAP_SHARED);
    expect(w.peek(at)).toBe(0);
    const faults = w.machine.memory.stat.pgfault;
    expect(w.poke(at, 0x44)).toBe(0);
    expect(w.machine.memory.stat.pgfault).toBe(faults);
    const other = api.createProcess(w.machine)!;
    api.exitProcess(w.machine, w.process);
    expect(w.cpu.peek(other, w.map(file, MAP_SHARED, PROT_READ, other))).toBe(0x44);
    api.checkMachine(w.machine);
    endAll(api, w.machine);
  });
});

it('sched: a task killed while its page is read gives up, without a signal of its own; the read goes on', () => {
  const w = new World(builds.find(([name]) => name.startsWith('sched'))![1]);
  const at = w.map(w.disk(), MAP_SHARED);
  const { sched } = w.machine;
  const task = spawn(sched, 'load', coloured.load(w.machine, w.process, at, new Uint8Array(1), 0, 1));
  const settle = (): void => {
    while (task.state === TASK_READY) stepTask(sched, task);
  };
  settle();
  killTask(task);
  settle();
  expect([task.result, w.process.exitSignal, w.device.inFlight]).toEqual([-EINTR, null, 1]);
  runAll(sched);
  endAll(w.api, w.machine);
});
