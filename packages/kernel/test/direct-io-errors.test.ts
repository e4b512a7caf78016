import { describe, expect, it } from 'vitest';
import { EFAULT, EIO, ENOMEM, FOLL_WRITE } from '@mmkit/base';
import type { BlockDeviceOptions } from '@mmkit/filemap';
import { PROT_NONE, PROT_READ } from '@mmkit/mm';
import { allocPages, countFrames, freePages, GFP_USER } from '@mmkit/phys';
import { ANON, builds, endAll, PAGE, pattern, setUp, thrown } from './builds.ts';
import { bench as benchOf, GONE } from './device.ts';
import type { Bench } from './device.ts';

describe.each(builds)('%s build: direct I/O that fails', (_name, api) => {
  const bench = (options: BlockDeviceOptions = {}, pages?: number): Bench => benchOf(api, options, pages);

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

  it('every allocation failing in turn: -ENOMEM, never a leak', () => {
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
});
