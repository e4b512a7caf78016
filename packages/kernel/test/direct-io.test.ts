import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EFAULT, EINVAL } from '@mmkit/base';
import { createBlockDevice } from '@mmkit/filemap';
import type { AsyncBackend, BlockDeviceOptions } from '@mmkit/filemap';
import { PROT_READ } from '@mmkit/mm';
import { clearFlag, countFrames, pageRefCount, PG_DIRTY, testFlag } from '@mmkit/phys';
import { runPending } from '@mmkit/task';
import { ANON, builds, Cpu, endAll, PAGE, pattern, setUp } from './builds.ts';
import { addDevice, bench as benchOf, GONE, SIZE } from './device.ts';
import type { Bench } from './device.ts';

describe.each(builds)('%s build: direct I/O', (_name, api) => {
  const bench = (options: BlockDeviceOptions = {}, pages?: number): Bench => benchOf(api, options, pages);

  it("B.18: a read brings the device's bytes into the process by pinned pages, and nothing stays pinned", () => {
    const { machine, process, address, disk, device, cpu } = bench();
    expect(api.directRead(machine, process, device, 0, address, SIZE)).toEqual({ result: SIZE, pagesPinned: 64 });
    expect(cpu.bytes(process, address, SIZE)).toEqual(disk);
    expect([machine.memory.phys.nrFollPinAcquired, machine.memory.phys.nrFollPinReleased]).toEqual([64, 64]);
    api.checkMachine(machine);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it("B.18: a write takes the process's bytes to the device; pages pinned for reading only", () => {
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
    expect(api.directWrite(machine, process, device, 0, address, 4 * PAGE)).toEqual({
      result: 4 * PAGE,
      pagesPinned: 4,
    });
    expect(disk.slice(0, 4 * PAGE)).toEqual(new Uint8Array(4 * PAGE));
    expect(machine.memory.phys.nrFollPinAcquired).toBe(0);
    api.checkMachine(machine);
  });

  it('open(2): offset, length and address are multiples of the logical block, else -EINVAL with nothing pinned', () => {
    const { machine, process, address, device } = bench({ logicalBlockSize: 1024 });
    const acquired = machine.memory.phys.nrFollPinAcquired;
    for (const [offset, at, length] of [
      [512, 0, 1024],
      [0, 512, 1024],
      [0, 0, 1536],
      [0, 0, 1],
      [1, 0, 1024],
    ] as const) {
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
    const end = api.format.taskSize;
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

  it("a bio's pages are unpinned as it ends, whatever the others do", () => {
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
          const { result } = direct(machine, process, device, from, address + at * 512, length, {
            bioPages,
            queueDepth,
          });
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
