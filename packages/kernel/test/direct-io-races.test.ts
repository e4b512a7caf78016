import { describe, expect, it } from 'vitest';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { DirectIo, Machine, Process } from '@mmkit/kernel';
import { MADV_DONTNEED, MAP_FIXED } from '@mmkit/mm';
import { countFrames, pageRefCount, readBytes } from '@mmkit/phys';
import { ANON, builds, Cpu, endAll, PAGE, pattern, RW, setUp } from './builds.ts';

const PAGES = 4;
const GONE = { used: 0, pins: 0 };

/** What a process does to its buffer between submission and completion matters to the process, not to the device. */
describe.each(builds)('%s build: the device touches memory only by the PFNs a pin returned', (_name, api) => {
  interface Bench {
    machine: Machine;
    process: Process;
    address: number;
    disk: Uint8Array;
    cpu: Cpu;
    io: DirectIo;
    pfns: number[];
  }

  /** A read of PAGES pages into a buffer full of 1s, submitted and not completed. */
  function submitted(): Bench {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const disk = pattern(PAGES * PAGE, 9);
    api.store(machine, process, address, new Uint8Array(PAGES * PAGE).fill(1), 0, PAGES * PAGE);
    const device = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(disk));
    const io = api.submitDirectRead(machine, process, device, 0, address, PAGES * PAGE, { bioPages: 2 });
    const pfns = Array.from({ length: PAGES }, (_, page) => cpu.pfn(process, address + page * PAGE));
    return { machine, process, address, disk, cpu, io, pfns };
  }

  /** What lies in the frames. */
  function contents(machine: Machine, pfns: number[]): Uint8Array {
    const bytes = new Uint8Array(pfns.length * PAGE);
    pfns.forEach((pfn, page) => readBytes(machine.memory.phys, pfn, 0, bytes, page * PAGE, PAGE));
    return bytes;
  }

  it('nothing done: the bytes are in the process', () => {
    const { machine, process, address, disk, cpu, io } = submitted();
    expect(cpu.bytes(process, address, PAGES * PAGE)).toEqual(new Uint8Array(PAGES * PAGE).fill(1));
    expect(api.finishDirectIo(io).result).toBe(PAGES * PAGE);
    expect(cpu.bytes(process, address, PAGES * PAGE)).toEqual(disk);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('munmap: the bytes go to the orphaned frames, which the unpin frees', () => {
    const { machine, process, address, disk, io, pfns } = submitted();
    const { phys } = machine.memory;
    expect(api.munmap(process.mm, address, PAGES * PAGE)).toBe(0);
    expect(pfns.map((pfn) => pageRefCount(phys, pfn))).toEqual([1024, 1024, 1024, 1024]);
    api.checkMachine(machine);
    expect(api.finishDirectIo(io).result).toBe(PAGES * PAGE);
    expect(pfns.map((pfn) => pageRefCount(phys, pfn))).toEqual([0, 0, 0, 0]);
    expect(contents(machine, pfns)).toEqual(disk);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('munmap and a new mapping in its place: the new pages stay untouched', () => {
    const { machine, process, address, disk, cpu, io, pfns } = submitted();
    expect(api.mmap(process.mm, address, PAGES * PAGE, RW, ANON | MAP_FIXED)).toBe(address);
    api.store(machine, process, address, new Uint8Array(PAGES * PAGE).fill(2), 0, PAGES * PAGE);
    const fresh = pfns.map((_pfn, page) => cpu.pfn(process, address + page * PAGE));
    expect(fresh.filter((pfn) => pfns.includes(pfn))).toEqual([]);
    expect(api.finishDirectIo(io).result).toBe(PAGES * PAGE);
    expect(cpu.bytes(process, address, PAGES * PAGE)).toEqual(new Uint8Array(PAGES * PAGE).fill(2));
    expect(contents(machine, pfns)).toEqual(disk);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('MADV_DONTNEED (D.2): the next touch gives zeros, the bytes go to the old frames', () => {
    const { machine, process, address, disk, cpu, io, pfns } = submitted();
    expect(api.madvise(process.mm, address, PAGES * PAGE, MADV_DONTNEED)).toBe(0);
    expect(cpu.peek(process, address)).toBe(0);
    expect(api.finishDirectIo(io).result).toBe(PAGES * PAGE);
    expect(cpu.bytes(process, address, PAGES * PAGE)).toEqual(new Uint8Array(PAGES * PAGE));
    expect(contents(machine, pfns)).toEqual(disk);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('fork (B.22 #6): the parent gets the bytes, though it writes too; the child keeps what was there', () => {
    const { machine, process, address, disk, cpu, io, pfns } = submitted();
    const child = api.forkProcess(machine, process).process!;
    expect(cpu.poke(process, address, 5)).toBe(0);
    expect(pfns).toEqual(pfns.map((_pfn, page) => cpu.pfn(process, address + page * PAGE)));
    api.checkMachine(machine);
    expect(api.finishDirectIo(io).result).toBe(PAGES * PAGE);
    expect(cpu.bytes(process, address, PAGES * PAGE)).toEqual(disk);
    expect(cpu.bytes(child, address, PAGES * PAGE)).toEqual(new Uint8Array(PAGES * PAGE).fill(1));
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('exit of the process: the frames live until the device is done, then nothing is left', () => {
    const { machine, process, disk, io, pfns } = submitted();
    api.exitProcess(machine, process);
    expect(countFrames(machine.memory.phys)).toMatchObject({ used: PAGES, pins: PAGES });
    expect(api.finishDirectIo(io).result).toBe(PAGES * PAGE);
    expect(contents(machine, pfns)).toEqual(disk);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('a write after MADV_DONTNEED and new stores takes the bytes of the pinned frames, not the new ones', () => {
    const { machine, process, address } = setUp(api);
    const old = pattern(PAGES * PAGE, 20);
    api.store(machine, process, address, old, 0, old.length);
    const disk = new Uint8Array(PAGES * PAGE);
    const device = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(disk));
    const io = api.submitDirectWrite(machine, process, device, 0, address, old.length);
    api.madvise(process.mm, address, old.length, MADV_DONTNEED);
    api.store(machine, process, address, pattern(old.length, 21), 0, old.length);
    expect(api.finishDirectIo(io).result).toBe(old.length);
    expect(disk).toEqual(old);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('a write sees stores made through the same mapping before its transfer starts', () => {
    const { machine, process, address } = setUp(api);
    const disk = new Uint8Array(PAGE);
    const device = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(disk));
    const io = api.submitDirectWrite(machine, process, device, 0, address, PAGE);
    // Pinned for reading, the untouched page is the zero page: the store gets a page of its own.
    api.store(machine, process, address, Uint8Array.of(4), 0, 1);
    api.finishDirectIo(io);
    expect(disk[0]).toBe(0);
    const again = api.submitDirectWrite(machine, process, device, 0, address, PAGE);
    api.store(machine, process, address, Uint8Array.of(6), 0, 1);
    api.finishDirectIo(again);
    expect(disk[0]).toBe(6);
    expect(endAll(api, machine)).toEqual(GONE);
  });
});
