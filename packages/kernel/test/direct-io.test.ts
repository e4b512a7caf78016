import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EFAULT, EINVAL, EIO, ENOMEM, FOLL_WRITE } from '@mmkit/base';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { AsyncBackend, BlockDevice, BlockDeviceOptions } from '@mmkit/filemap';
import type { Machine, Process } from '@mmkit/kernel';
import { PROT_NONE, PROT_READ } from '@mmkit/mm';
import { allocPages, clearFlag, countFrames, freePages, GFP_USER, pageRefCount, PG_DIRTY, testFlag } from '@mmkit/phys';
import { runPending } from '@mmkit/task';
import { ANON, builds, Cpu, endAll, PAGE, pattern, setUp, thrown } from './builds.ts';

const SIZE = 64 * PAGE;
const GONE = { used: 0, pins: 0 };

function addDevice(machine: Machine, bytes: Uint8Array, options: BlockDeviceOptions = {}): BlockDevice {
  return createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(bytes), options);
}

describe.each(builds)('%s build: direct I/O', (_name, api) => {
  interface Bench {
    machine: Machine;
    process: Process;
    address: number;
    disk: Uint8Array;
    device: BlockDevice;
    cpu: Cpu;
  }

  function bench(options: BlockDeviceOptions = {}, pages = 256): Bench {
    const { machine, process, address } = setUp(api, { buffer: 64, pages });
    const disk = pattern(SIZE, 3);
    return { machine, process, address, disk, device: addDevice(machine, disk, options), cpu: new Cpu(api, machine) };
  }

  it('B.18: a read brings the device\'s bytes into the process by pinned pages, and nothing stays pinned', () => {
    const { machine, process, address, disk, device, cpu } = bench();
    expect(api.directRead(machine, process, device, 0, address, SIZE)).toEqual({ result: SIZE, pagesPinned: 64 });
    expect(cpu.bytes(process, address, SIZE)).toEqual(disk);
    expect([machine.memory.phys.nrFollPinAcquired, machine.memory.phys.nrFollPinReleased]).toEqual([64, 64]);
    api.checkMachine(machine);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('B.18: a write takes the process\'s bytes to the device; pages pinned for reading only', () => {
    const { machine, process, address, disk, device, cpu } = bench();
    const bytes = pattern(8 * PAGE, 77);
    api.store(machine, process, address, bytes, 0, bytes.length);
    clearFlag(machine.memory.phys, cpu.pfn(process, address), PG_DIRTY);
    expect(api.directWrite(machine, process, device, 4 * PAGE, address, bytes.length).result).toBe(bytes.length);
    expect(disk.slice(4 * PAGE, 12 * PAGE)).toEqual(bytes);
    expect(disk.slice(0, 4 * PAGE)).toEqual(pattern(SIZE, 3).slice(0, 4 * PAGE));
    expect(testFlag(machine.memory.phys, cpu.pfn(process, address), PG_DIRTY)).toBe(false);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('what is not in memory is faulted in by the slow path; what is there is pinned by the fast one', () => {
    const { machine, process, address, device } = bench();
    const { stat } = machine.memory;
    api.directRead(machine, process, device, 0, address, 8 * PAGE);
    expect([stat.gupFast, stat.gupSlow]).toEqual([0, 8]);
    api.directRead(machine, process, device, 0, address, 16 * PAGE);
    expect([stat.gupFast, stat.gupSlow]).toEqual([8, 16]);
  });

  it('D.3: a write from an untouched read-only buffer uses the zero page: ok, no pin counted', () => {
    const { machine, process, disk, device } = bench();
    const address = api.mmap(process.mm, 0, 4 * PAGE, PROT_READ, ANON);
    expect(api.directWrite(machine, process, device, 0, address, 4 * PAGE)).toEqual({ result: 4 * PAGE, pagesPinned: 4 });
    expect(disk.slice(0, 4 * PAGE)).toEqual(new Uint8Array(4 * PAGE));
    expect(machine.memory.phys.nrFollPinAcquired).toBe(0);
    api.checkMachine(machine);
  });

  it('open(2): offset, length and address are multiples of the logical block, else -EINVAL with nothing pinned', () => {
    const { machine, process, address, device } = bench({ logicalBlockSize: 1024 });
    const acquired = machine.memory.phys.nrFollPinAcquired;
    for (const [offset, at, length] of [[512, 0, 1024], [0, 512, 1024], [0, 0, 1536], [0, 0, 1], [1, 0, 1024]] as const) {
      for (const direct of [api.directRead, api.directWrite]) {
        const { result } = direct(machine, process, device, offset, address + at, length);
        expect(result).toBe(-EINVAL);
      }
    }
    expect([machine.memory.phys.nrFollPinAcquired, machine.memory.stat.pgfault]).toEqual([acquired, 0]);
    expect(api.directRead(machine, process, device, 1024, address + 1024, 3072).result).toBe(3072);
  });

  it('6.18: order of checks: range of the buffer, nothing to do, alignment', () => {
    const { machine, process, address, device } = bench();
    const end = 2 ** 47 - PAGE;
    expect(api.directRead(machine, process, device, 1, end, 0).result).toBe(0);
    expect(api.directRead(machine, process, device, 1, end + 1, 0).result).toBe(-EFAULT);
    expect(api.directRead(machine, process, device, 1, end, 512).result).toBe(-EFAULT);
    expect(api.directRead(machine, process, device, 1, 0, 0).result).toBe(0);
    expect(api.directWrite(machine, process, device, 1, 0, 0).result).toBe(0);
    expect(api.directRead(machine, process, device, SIZE, address, PAGE).result).toBe(0);
    expect(api.directRead(machine, process, device, SIZE + 1, 0, 1).result).toBe(0);
    expect(api.directRead(machine, process, device, 1, 0, 512).result).toBe(-EINVAL);
    expect(api.directRead(machine, process, device, 0, 0, 512).result).toBe(-EFAULT);
  });

  it('a read that crosses the end of the device is short, and pins no page for what is not there', () => {
    const { machine, process, address, device, disk, cpu } = bench();
    cpu.poke(process, address + 2 * PAGE, 9);
    expect(api.directRead(machine, process, device, SIZE - 2 * PAGE, address, 16 * PAGE)).toEqual({
      result: 2 * PAGE,
      pagesPinned: 2,
    });
    expect(cpu.bytes(process, address, 2 * PAGE)).toEqual(disk.slice(-2 * PAGE));
    expect(cpu.peek(process, address + 2 * PAGE)).toBe(9);
  });

  it('a device that ends inside a block: the last block is read short', () => {
    const { machine, process, address } = setUp(api, { buffer: 64 });
    const device = addDevice(machine, pattern(3 * PAGE + 100, 4));
    const options = { bioPages: 2 };
    expect(api.directRead(machine, process, device, 0, address, 8 * PAGE, options).result).toBe(3 * PAGE + 100);
    expect(new Cpu(api, machine).bytes(process, address, 3 * PAGE + 100)).toEqual(pattern(3 * PAGE + 100, 4));
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('bioPages limits the pages of a bio, queueDepth the bios in flight', () => {
    const seen: number[][] = [];
    const { machine, process, address, disk, device, cpu } = bench({
      fail: (_op, offset, length) => {
        seen.push([offset, length, device.inFlight]);
        return 0;
      },
    });
    api.directRead(machine, process, device, 0, address + 512, 8 * PAGE, { bioPages: 3, queueDepth: 2 });
    expect(seen.map(([offset, length]) => [offset, length])).toEqual([
      [0, 3 * PAGE - 512],
      [3 * PAGE - 512, 3 * PAGE],
      [6 * PAGE - 512, 2 * PAGE + 512],
    ]);
    expect(Math.max(...seen.map(([, , inFlight]) => inFlight!))).toBe(2);
    expect(cpu.bytes(process, address + 512, 8 * PAGE)).toEqual(disk.slice(0, 8 * PAGE));
  });

  it('a bio\'s pages are unpinned as it ends, whatever the others do', () => {
    const { machine, process, address, device } = bench();
    const { phys } = machine.memory;
    const io = api.submitDirectRead(machine, process, device, 0, address, 8 * PAGE, { bioPages: 2 });
    expect([io.inFlight, countFrames(phys).pins]).toEqual([4, 8]);
    for (let ended = 1; ended <= 4; ended++) {
      runPending(machine.sched);
      expect([io.inFlight, countFrames(phys).pins]).toEqual([4 - ended, 8 - 2 * ended]);
    }
    expect(api.finishDirectIo(io).result).toBe(8 * PAGE);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('bios may end in any order: the last one first', () => {
    const { machine, process, address } = setUp(api, { buffer: 64 });
    const disk = pattern(SIZE, 6);
    const held: (() => void)[] = [];
    const backend: AsyncBackend = {
      size: SIZE,
      submit(_op, offset, bytes, done) {
        held.unshift(() => {
          bytes.set(disk.subarray(offset, offset + bytes.length));
          done(bytes.length);
        });
        if (held.length === 4) for (const end of held.splice(0)) end();
      },
    };
    const device = createBlockDevice(machine.sched, machine.memory.phys, backend);
    const options = { bioPages: 4 };
    expect(api.directRead(machine, process, device, 0, address, 16 * PAGE, options).result).toBe(16 * PAGE);
    expect(new Cpu(api, machine).bytes(process, address, 16 * PAGE)).toEqual(disk.slice(0, 16 * PAGE));
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('the first short bio bounds the result, though later ones moved bytes', () => {
    const { machine, process, address } = setUp(api, { buffer: 64 });
    const backend: AsyncBackend = {
      size: SIZE,
      submit: (_op, offset, bytes, done) => done(offset % (4 * PAGE) === 0 && offset > 0 ? 700 : bytes.length),
    };
    const device = createBlockDevice(machine.sched, machine.memory.phys, backend);
    const options = { bioPages: 2 };
    expect(api.directRead(machine, process, device, 0, address, 16 * PAGE, options).result).toBe(4 * PAGE + 700);
  });

  it('B.18: pages are dirty before the read is submitted; those cleaned meanwhile are dirtied again', () => {
    const { machine, process, address, device, cpu } = bench();
    const { phys } = machine.memory;
    const io = api.submitDirectRead(machine, process, device, 0, address, 4 * PAGE, { bioPages: 2 });
    const pfns = [0, 1, 2, 3].map((page) => cpu.pfn(process, address + page * PAGE));
    expect(pfns.map((pfn) => testFlag(phys, pfn, PG_DIRTY))).toEqual([true, true, true, true]);
    clearFlag(phys, pfns[3]!, PG_DIRTY);
    runPending(machine.sched);
    runPending(machine.sched);
    // The bio with the clean page waits, pinned, for a task; the other one is done with.
    expect([io.inFlight, pfns.map((pfn) => pageRefCount(phys, pfn))]).toEqual([0, [1, 1, 1025, 1025]]);
    expect(api.finishDirectIo(io).result).toBe(4 * PAGE);
    expect(pfns.map((pfn) => testFlag(phys, pfn, PG_DIRTY))).toEqual([true, true, true, true]);
    expect(api.finishDirectIo(io).result).toBe(4 * PAGE);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it.each([
    ['read', 0],
    ['write', 1],
  ])('G.24: a %s whose buffer has a hole: -EFAULT and no count; the pages before may hold data', (_what, op) => {
    const { machine, process, address, disk, device, cpu } = bench();
    const bytes = pattern(8 * PAGE, 50);
    api.store(machine, process, address, bytes, 0, bytes.length);
    api.munmap(process.mm, address + 8 * PAGE, PAGE);
    const direct = op === 0 ? api.directRead : api.directWrite;
    expect(direct(machine, process, device, 0, address, 16 * PAGE)).toEqual({ result: -EFAULT, pagesPinned: 8 });
    if (op === 0) expect(cpu.bytes(process, address, 8 * PAGE)).toEqual(disk.slice(0, 8 * PAGE));
    else expect(disk.slice(0, 8 * PAGE)).toEqual(bytes);
    const { phys } = machine.memory;
    expect([phys.nrFollPinAcquired, phys.nrFollPinReleased]).toEqual([8, 8]);
    api.checkMachine(machine);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('D.3: read into a PROT_READ buffer, write from PROT_NONE: -EFAULT, 0 pins', () => {
    const { machine, process, device } = bench();
    const readOnly = api.mmap(process.mm, 0, PAGE, PROT_READ, ANON);
    const none = api.mmap(process.mm, 0, PAGE, PROT_NONE, ANON);
    expect(api.directRead(machine, process, device, 0, readOnly, PAGE)).toEqual({ result: -EFAULT, pagesPinned: 0 });
    expect(api.directWrite(machine, process, device, 0, none, PAGE)).toEqual({ result: -EFAULT, pagesPinned: 0 });
    expect(machine.memory.phys.nrFollPinAcquired).toBe(0);
    expect(process.exitSignal).toBeNull();
  });

  it('a short pin that cuts a block of several pages gives the cut part back', () => {
    const { machine, process, device } = bench({ logicalBlockSize: 4 * PAGE });
    const base = api.mmap(process.mm, 0, 32 * PAGE, 3, ANON);
    const address = base + ((4 * PAGE - (base % (4 * PAGE))) % (4 * PAGE));
    api.munmap(process.mm, address + 6 * PAGE, PAGE);
    expect(api.directRead(machine, process, device, 0, address, 8 * PAGE)).toEqual({ result: -EFAULT, pagesPinned: 4 });
    expect([machine.memory.phys.nrFollPinAcquired, countFrames(machine.memory.phys).pins]).toEqual([8, 0]);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('an I/O error in the middle: -EIO after all bios in flight have ended, every pin dropped', () => {
    const { machine, process, address, device, disk, cpu } = bench({
      fail: (_op, offset) => (offset === 8 * PAGE ? -EIO : 0),
    });
    const { result, pagesPinned } = api.directRead(machine, process, device, 0, address, 32 * PAGE, { bioPages: 4 });
    expect([result, pagesPinned, device.inFlight]).toEqual([-EIO, 32, 0]);
    expect(cpu.bytes(process, address, 8 * PAGE)).toEqual(disk.slice(0, 8 * PAGE));
    expect(cpu.bytes(process, address + 12 * PAGE, 4 * PAGE)).toEqual(disk.slice(12 * PAGE, 16 * PAGE));
    expect(cpu.bytes(process, address + 8 * PAGE, 4 * PAGE)).toEqual(new Uint8Array(4 * PAGE));
    api.checkMachine(machine);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('an error that is known stops the submission of further bios', () => {
    const { machine, process, address, device } = bench({ fail: () => -EIO });
    const options = { bioPages: 4, queueDepth: 1 };
    expect(api.directRead(machine, process, device, 0, address, 32 * PAGE, options)).toEqual({
      result: -EIO,
      pagesPinned: 4,
    });
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('out of memory while pinning: -ENOMEM, nothing leaks', () => {
    const { machine, process, address, device } = bench({}, 40);
    expect(api.directRead(machine, process, device, 0, address, 64 * PAGE, { bioPages: 8 }).result).toBe(-ENOMEM);
    api.checkMachine(machine);
    expect(countFrames(machine.memory.phys).pins).toBe(0);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('every allocation failing in turn: -ENOMEM or -EFAULT, never a leak', () => {
    for (let spare = 0; spare < 14; spare++) {
      const { machine, process, address, device } = bench({}, 64);
      const { phys } = machine.memory;
      const hog: number[] = [];
      while (phys.freeFrames > spare) hog.push(allocPages(phys, GFP_USER, 0));
      const { result } = api.directRead(machine, process, device, 0, address, 8 * PAGE, { bioPages: 2 });
      // Three levels of tables and eight pages.
      expect(result).toBe(spare < 11 ? -ENOMEM : 8 * PAGE);
      api.checkMachine(machine);
      for (const pfn of hog) freePages(phys, pfn, 0);
      expect(endAll(api, machine)).toEqual(GONE);
    }
  });

  it('a pin that is not given back shows: one leaked pin, one frame in use', () => {
    const { machine, process, address, device } = bench();
    api.directRead(machine, process, device, 0, address, 4 * PAGE);
    api.pinUserPagesFast(process.mm, address, 1, FOLL_WRITE, new Uint32Array(1));
    expect(endAll(api, machine)).toEqual({ used: 1, pins: 1 });
  });

  it('bad JavaScript values throw RangeError, a device of another machine WRONG_MACHINE; nothing is pinned', () => {
    const { machine, process, address, device } = bench({ logicalBlockSize: 4 * PAGE });
    const read = (offset: number, at: number, length: number, options = {}) =>
      thrown(() => api.directRead(machine, process, device, offset, at, length, options));
    expect(read(-1, address, PAGE)).toBe('RangeError');
    expect(read(0.5, address, PAGE)).toBe('RangeError');
    expect(read(0, -1, PAGE)).toBe('RangeError');
    expect(read(0, address, Number.NaN)).toBe('RangeError');
    expect(read(1, address, Number.MAX_SAFE_INTEGER)).toBe('RangeError');
    expect(read(0, address, PAGE, { bioPages: 3 })).toBe('RangeError');
    expect(read(0, address, PAGE, { queueDepth: 0 })).toBe('RangeError');
    const other = setUp(api);
    expect(thrown(() => api.directWrite(other.machine, other.process, device, 0, address, PAGE))).toBe('WRONG_MACHINE');
    api.exitProcess(machine, process);
    expect(read(0, address, PAGE)).toBe('PROCESS_GONE');
    expect(machine.memory.phys.nrFollPinAcquired).toBe(0);
  });

  it('property: any aligned read and write-back moves exactly the bytes a plain copy would', () => {
    const blocks = fc.record({
      offset: fc.nat(40),
      at: fc.nat(40),
      count: fc.nat(60),
      bioPages: fc.integer({ min: 1, max: 5 }),
      queueDepth: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), blocks), { minLength: 1, maxLength: 6 }), (calls) => {
        const { machine, process, address } = setUp(api, { buffer: 16 });
        const disk = pattern(40 * 512, 1);
        const model = { disk: disk.slice(), memory: pattern(16 * PAGE, 2) };
        api.store(machine, process, address, model.memory, 0, model.memory.length);
        const device = addDevice(machine, disk);
        for (const [write, { offset, at, count, bioPages, queueDepth }] of calls) {
          const from = offset * 512;
          const length = write ? Math.min(count, 40 - offset) * 512 : count * 512;
          const direct = write ? api.directWrite : api.directRead;
          const { result } = direct(machine, process, device, from, address + at * 512, length, { bioPages, queueDepth });
          if (write) model.disk.set(model.memory.subarray(at * 512, at * 512 + length), from);
          else model.memory.set(model.disk.subarray(from, from + length), at * 512);
          expect(result).toBe(write ? length : Math.min(length, Math.max(0, 40 * 512 - from)));
        }
        expect(disk).toEqual(model.disk);
        expect(new Cpu(api, machine).bytes(process, address, 16 * PAGE)).toEqual(model.memory);
        api.checkMachine(machine);
        expect(endAll(api, machine)).toEqual(GONE);
      }),
      { numRuns: 30 },
    );
  });
});
