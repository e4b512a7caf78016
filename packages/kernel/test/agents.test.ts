/** What acts beside the processes: a device that moves bytes, the flusher, a CPU's own walks. */
import { describe, expect, it } from 'vitest';
import { FOLL_WRITE, P_DEVICE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { MM_ROOT } from '@mmkit/aspace';
import { createBlockDevice, createMemoryBackend, folioMarkDirty } from '@mmkit/filemap';
import type { OpenFile } from '@mmkit/filemap';
import { filemapReadFolio } from '@mmkit/filemap/sched';
import { unpinUserPages } from '@mmkit/gup';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import * as api from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import { MAP_FIXED, MAP_SHARED, mmap, mprotect, munmap } from '@mmkit/mm/sched';
import { PROT_READ } from '@mmkit/mm';
import {
  createDecoded,
  createEntry,
  E_YOUNG,
  leafIndex,
  leafTable,
  readEntry,
  tlbLookup,
  writeEntry,
} from '@mmkit/pgtable';
import {
  countFrames,
  drainPages,
  getPage,
  pageRefCount,
  PG_DIRTY,
  putPage,
  readBytes,
  setupWatermarks,
  testFlag,
} from '@mmkit/phys';
import { createLockdep, runAll, runTask, spawn, spawnAgent, stepTask, TASK_DONE } from '@mmkit/task';
import { scheduleTimeout } from '@mmkit/task/sched';
import { ANON, builds, formats, PAGE, pattern, runRandomly, RW, testedFormat, thrown } from './builds.ts';

const PAGES = 2;
const LENGTH = PAGES * PAGE;

interface Bench {
  machine: Machine;
  process: Process;
  address: number;
}

/** A process with two anonymous pages of 1s. */
function bench(): Bench {
  const machine = api.createMachine({
    ramBytes: 256 * PAGE,
    cpus: 2,
    format: testedFormat(),
    lockdep: createLockdep(),
  });
  const process = api.createProcess(machine)!;
  const address = runTask(machine.sched, mmap(process.mm, 0, LENGTH, RW, ANON));
  runTask(machine.sched, api.store(machine, process, address, new Uint8Array(LENGTH).fill(1), 0, LENGTH));
  return { machine, process, address };
}

/** The same, and a file of two pages of 1s on a device, mapped shared. */
function fileBench(): Bench & { file: OpenFile; disk: Uint8Array } {
  const b = bench();
  const { machine, process } = b;
  const disk = new Uint8Array(LENGTH).fill(1);
  const device = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(disk));
  const file = api.createDiskFile(machine, device, { size: LENGTH, offset: 0 });
  const address = runTask(machine.sched, mmap(process.mm, 0, LENGTH, RW, MAP_SHARED, file, 0));
  return { ...b, address, file, disk };
}

function pinned({ machine, process, address }: Bench): Uint32Array {
  const pages = new Uint32Array(PAGES);
  expect(runTask(machine.sched, pinUserPagesFast(process.mm, address, PAGES, FOLL_WRITE, pages))).toBe(PAGES);
  return pages;
}

function loaded({ machine, process, address }: Bench): Uint8Array {
  const bytes = new Uint8Array(LENGTH);
  expect(runTask(machine.sched, api.load(machine, process, address, bytes, 0, LENGTH))).toBe(0);
  return bytes;
}

describe.each(builds)('%s: a device by frames', (name, of) => {
  it('moves bytes from any byte of the first frame on, back and forth', () => {
    const machine = of.createMachine({ ramBytes: 64 * PAGE });
    const process = of.createProcess(machine)!;
    const address = of.mmap(process.mm, 0, 3 * PAGE, RW, ANON);
    const pages = new Uint32Array(3);
    of.pinUserPagesFast(process.mm, address, 3, FOLL_WRITE, pages);
    const bytes = pattern(PAGE + 20, name.length);
    of.deviceWrite(machine, pages, PAGE - 10, bytes, 0, PAGE + 20);
    const back = new Uint8Array(PAGE + 30);
    of.deviceRead(machine, pages, PAGE - 10, back, 10, PAGE + 20);
    expect(back.subarray(10)).toEqual(bytes);
    expect(thrown(() => of.deviceWrite(machine, pages, 3 * PAGE - 5, bytes, 0, 6))).toBe('DMA_BOUNDS');
    expect(thrown(() => of.deviceWrite(machine, pages, 0, bytes, 0, PAGE + 21))).toBe('RangeError');
    expect(thrown(() => of.deviceRead(machine, pages, -1, bytes, 0, 1))).toBe('RangeError');
  });

  it('flusher: so many rounds, as long as they take', () => {
    const machine = of.createMachine({ ramBytes: 64 * PAGE });
    of.flusher(machine, of.DIRTY_WRITEBACK_INTERVAL, 3);
    expect(machine.sched.now).toBe(15e9);
  });

  it('kswapd: so many rounds, as long as they take', () => {
    const machine = of.createMachine({ ramBytes: 64 * PAGE });
    of.kswapd(machine, of.KSWAPD_INTERVAL, 2);
    expect(machine.sched.now).toBe(2e8);
  });

  it('speculate: a translation without an access, or none', () => {
    const machine = of.createMachine({ ramBytes: 64 * PAGE });
    const process = of.createProcess(machine)!;
    const address = of.mmap(process.mm, 0, PAGE, RW, ANON);
    expect(of.speculate(machine, process, address)).toBe(false);
    of.store(machine, process, address, Uint8Array.of(1), 0, 1);
    expect([of.speculate(machine, process, address), machine.memory.stat.pgfault]).toEqual([true, 1]);
  });
});

describe.each(formats)('%s: agents beside tasks', () => {
  it('a device moves a page a step: others see the first changed and the second not', () => {
    const b = bench();
    const { machine } = b;
    const device = spawnAgent(
      machine.sched,
      'device',
      api.deviceWrite(machine, pinned(b), 0, new Uint8Array(LENGTH).fill(9), 0, LENGTH),
    );
    stepTask(machine.sched, device);
    stepTask(machine.sched, device);
    expect(device.point).toBe(P_DEVICE);
    const seen = loaded(b);
    expect([seen[0], seen[PAGE - 1], seen[PAGE]]).toEqual([9, 9, 1]);
  });

  it('C.6: what a device stores by pins reaches the process, whenever it forks and stores: 100 random schedules', () => {
    for (let seed = 0; seed < 100; seed++) {
      const b = bench();
      const { machine, process, address } = b;
      const pages = pinned(b);
      const { sched } = machine;
      spawn(sched, 'device', api.deviceWrite(machine, pages, 1, new Uint8Array(LENGTH - 1).fill(9), 0, LENGTH - 1), 1);
      spawn(sched, 'fork', api.forkProcess(machine, process), 0);
      spawn(sched, 'store', api.store(machine, process, address, Uint8Array.of(3), 0, 1), 1);
      runRandomly(machine, seed * 7919);
      const want = new Uint8Array(LENGTH).fill(9);
      want[0] = 3;
      expect(loaded(b)).toEqual(want);
      unpinUserPages(machine.memory, pages, PAGES);
      api.checkMachine(machine);
    }
  });

  it('N.11: munmap does not reach the device: its pins keep the frames until it is done', () => {
    for (let seed = 0; seed < 50; seed++) {
      const b = bench();
      const { machine, process, address } = b;
      const { phys } = machine.memory;
      const pages = pinned(b);
      spawn(machine.sched, 'device', api.deviceWrite(machine, pages, 0, new Uint8Array(LENGTH).fill(9), 0, LENGTH), 1);
      spawn(machine.sched, 'munmap', munmap(process.mm, address, LENGTH), 0);
      runRandomly(machine, seed * 7919);
      const byte = new Uint8Array(1);
      for (const pfn of pages) readBytes(phys, pfn, PAGE - 1, byte, 0, 1);
      expect(byte[0]).toBe(9);
      const used = countFrames(phys).used;
      unpinUserPages(machine.memory, pages, PAGES);
      expect([countFrames(phys).used, pageRefCount(phys, pages[0]!)]).toEqual([used - PAGES, 0]);
    }
  });

  it('the flusher is an agent: what is stored reaches the disk within a round, again and again; the machine ends without it', () => {
    const b = fileBench();
    const { machine, process, address, disk } = b;
    const { sched } = machine;
    spawnAgent(sched, 'flusher', api.flusher(machine, api.DIRTY_WRITEBACK_INTERVAL, Infinity));
    const user = function* (): Task<void> {
      for (const byte of [5, 6]) {
        yield* api.store(machine, process, address + PAGE, Uint8Array.of(byte), 0, 1);
        yield* scheduleTimeout(sched, 2 * api.DIRTY_WRITEBACK_INTERVAL);
        expect([disk[PAGE], disk[0]]).toEqual([byte, 1]);
        expect(testFlag(machine.memory.phys, b.file.inode.pages.get(1)!, PG_DIRTY)).toBe(false);
      }
    };
    const task = spawn(sched, 'user', user(), 1);
    runAll(sched);
    expect(task.state).toBe(TASK_DONE);
  });

  it('N.13: no store is lost between the flusher and fsync: 60 random schedules', () => {
    for (let seed = 0; seed < 60; seed++) {
      const b = fileBench();
      const { machine, process, address, file, disk } = b;
      const storing = function* (): Task<void> {
        for (const byte of [5, 6, 7]) yield* api.store(machine, process, address, Uint8Array.of(byte), 0, 1);
      };
      spawn(machine.sched, 'store', storing(), 1);
      spawn(machine.sched, 'flusher', api.flusher(machine, 1000, 3), 0);
      runRandomly(machine, seed * 7919);
      expect(runTask(machine.sched, api.fsync(file))).toBe(0);
      expect(disk[0]).toBe(7);
      api.checkMachine(machine);
    }
  });

  it('kswapd: below the low watermark, unused clean pages of files go until the high one; mapped, dirty, pinned stay', () => {
    const b = fileBench();
    const { machine, process, address } = b;
    const { sched, memory } = machine;
    const { phys } = memory;
    const [zone] = phys.zones;
    const pages = 64;
    const device = createBlockDevice(sched, phys, createMemoryBackend(new Uint8Array(pages * PAGE)));
    const file = api.createDiskFile(machine, device, { size: pages * PAGE, offset: 0 });
    for (let i = 0; i < pages; i++) putPage(phys, runTask(sched, filemapReadFolio(file.inode, i)));
    // Mapped, dirty, referenced.
    runTask(sched, mmap(process.mm, address + LENGTH, PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0));
    expect(runTask(sched, api.load(machine, process, address + LENGTH, new Uint8Array(1), 0, 1))).toBe(0);
    folioMarkDirty(memory.files, file.inode.pages.get(1)!);
    getPage(phys, file.inode.pages.get(2)!);
    drainPages(phys);
    const { free } = zone!;
    runTask(sched, api.balanceZones(machine));
    expect(zone!.free).toBe(free);
    phys.minFreeKbytes = (Math.ceil(free * 0.81) * PAGE) / 1024;
    setupWatermarks(phys);
    expect(zone!.low).toBeGreaterThan(free);
    runTask(sched, api.balanceZones(machine));
    const gone = zone!.high - free;
    expect(zone!.free).toBe(zone!.high);
    const left = Array.from({ length: pages }, (_, i) => i).filter((i) => i < 3 || i >= gone + 3);
    expect([...file.inode.pages.keys()]).toEqual(left);
    api.checkMachine(machine);
  });

  it('kswapd takes pages from nobody who uses them: reads, stores and pins see what was stored: 60 random schedules', () => {
    let dropped = 0;
    for (let seed = 0; seed < 60; seed++) {
      const b = fileBench();
      const { machine, process, address, file, disk } = b;
      const { sched, memory } = machine;
      memory.phys.minFreeKbytes = (200 * PAGE) / 1024;
      setupWatermarks(memory.phys);
      const user = function* (): Task<void> {
        for (const byte of [5, 6, 7]) {
          yield* api.store(machine, process, address, Uint8Array.of(byte), 0, 1);
          const pages = new Uint32Array(1);
          expect(yield* pinUserPagesFast(process.mm, address, 1, FOLL_WRITE, pages)).toBe(1);
          expect(yield* api.fsync(file)).toBe(0);
          expect(pages[0]).toBe(file.inode.pages.get(0));
          unpinUserPages(memory, pages, 1);
          yield* munmap(process.mm, address, PAGE);
          yield* mmap(process.mm, address, PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0);
          if (!file.inode.pages.has(0)) dropped++;
          const seen = new Uint8Array(1);
          expect(yield* api.load(machine, process, address, seen, 0, 1)).toBe(0);
          expect(seen[0]).toBe(byte);
        }
      };
      spawn(sched, 'user', user(), 1);
      spawn(sched, 'kswapd', api.kswapd(machine, 1000, 8), 0);
      runRandomly(machine, seed * 7919);
      expect(disk[0]).toBe(7);
      api.checkMachine(machine);
    }
    expect(dropped).toBeGreaterThan(0);
  });

  it('a CPU may forget a translation at any time: the next access walks again', () => {
    const b = bench();
    const { machine, process, address } = b;
    const { sched, memory } = machine;
    const cached = (): boolean => tlbLookup(memory.tlbs[0]!, process.mm.words[MM_ROOT]!, address, 0) >= 0;
    expect(loaded(b)[0]).toBe(1);
    expect(cached()).toBe(true);
    const { pgfault } = memory.stat;
    runTask(sched, api.evictTranslation(machine, process, address));
    expect(cached()).toBe(false);
    expect([loaded(b)[0], memory.stat.pgfault]).toEqual([1, pgfault]);
  });

  it('a walk of its own sets accessed in the entry, and the CPU keeps the translation until it is flushed', () => {
    const b = bench();
    const { machine, process, address } = b;
    const { sched, memory } = machine;
    const { tables, format, tlbs } = memory;
    const root = process.mm.words[MM_ROOT]!;
    const entry = createEntry();
    const decoded = createDecoded();
    const young = (): boolean => {
      readEntry(tables, leafTable(tables, root, address), leafIndex(format, address), entry);
      format.decode(entry.lo, entry.hi, 0, decoded);
      return (decoded.flags & E_YOUNG) !== 0;
    };
    expect(young()).toBe(true);
    decoded.flags &= ~E_YOUNG;
    format.encode(decoded, 0, entry);
    writeEntry(tables, leafTable(tables, root, address), leafIndex(format, address), entry);
    expect(young()).toBe(false);
    const walk = spawnAgent(sched, 'walk', api.speculate(machine, process, address), 1);
    while (walk.state !== TASK_DONE) stepTask(sched, walk);
    expect([walk.result, young(), tlbLookup(tlbs[1]!, root, address, 0) >= 0]).toEqual([true, true, true]);
    runTask(sched, munmap(process.mm, address, PAGE));
    expect(tlbLookup(tlbs[1]!, root, address, 0)).toBeLessThan(0);
  });

  it('N.10, N.11, N.14: walks at any time leave no stale translation behind fork, mprotect, munmap: 100 random schedules', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { machine, process, address } = bench();
      const { sched } = machine;
      const walks = function* (): Task<void> {
        for (let i = 0; i < 12; i++) yield* api.speculate(machine, process, address + (i % PAGES) * PAGE);
      };
      const calls = function* (): Task<void> {
        yield* api.forkProcess(machine, process);
        yield* mprotect(process.mm, address, PAGE, PROT_READ);
        yield* munmap(process.mm, address + PAGE, PAGE);
      };
      spawn(sched, 'walks', walks(), 1);
      spawn(sched, 'calls', calls(), 0);
      runRandomly(machine, seed * 7919);
      api.checkMachine(machine);
      expect(runTask(sched, api.speculate(machine, process, address + PAGE))).toBe(false);
    }
  });
});
