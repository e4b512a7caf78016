import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EBUSY, EFAULT, EINVAL, ENOMEM } from '@mmkit/base';
import { linux4_8 } from '@mmkit/aspace';
import {
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_ATOMIC,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  MR_INVALID_KEY,
  MR_NO_ACCESS,
  MR_OK,
  MR_OUT_OF_BOUNDS,
  MR_WRONG_PD,
} from '@mmkit/kernel';
import type { MemoryRegion, ProtectionDomain } from '@mmkit/kernel';
import { MADV_DONTNEED, PROT_READ } from '@mmkit/mm';
import { clearFlag, countFrames, pageRefCount, PG_DIRTY, testFlag } from '@mmkit/phys';
import { ANON, builds, Cpu, endAll, PAGE, pattern, RW, setUp, thrown } from './builds.ts';
import { ALL, node, reg, SIZE } from './rdma-bench.ts';

const GONE = { used: 0, pins: 0 };
const BATCH = PAGE / 8;

/** The PFNs of a region, page by page. */
function framesOf({ frames }: MemoryRegion): number[] {
  const { firsts, pfns, pages } = frames;
  return firsts.flatMap((first, i) => Array.from({ length: (firsts[i + 1] ?? pages) - first }, (_, k) => pfns[i]! + k));
}

describe.each(builds)('%s build: registering memory', (_name, api) => {
  /** A machine with a process of `buffer` untouched pages, and a domain for it. */
  function bench(buffer = 16, pages = 256) {
    const { machine, process, address } = setUp(api, { buffer, pages });
    const pd = api.allocPd(api.createRdmaDevice(machine), process);
    return { machine, process, address, pd, phys: machine.memory.phys, cpu: new Cpu(api, machine) };
  }

  it('B.17: pins every page of the range for long and counts them on the owner; the end gives both back', () => {
    const { machine, process, address, pd, phys, cpu } = bench();
    const mr = reg(api, pd, address + 100, 2 * PAGE, ALL);
    expect(mr).toMatchObject({ address: address + 100, length: 2 * PAGE, access: ALL });
    expect(mr.frames.pages).toBe(3);
    expect(process.mm.pinnedVm).toBe(3);
    expect(framesOf(mr)).toEqual([0, 1, 2].map((page) => cpu.pfn(process, address + page * PAGE)));
    expect(framesOf(mr).map((pfn) => pageRefCount(phys, pfn))).toEqual([1025, 1025, 1025]);
    api.checkMachine(machine);
    api.deregMr(mr);
    expect(process.mm.pinnedVm).toBe(0);
    expect(countFrames(phys).pins).toBe(0);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it.each([
    [1, 0, 1],
    [2, PAGE - 1, 2],
    [PAGE, 0, 1],
    [PAGE, 1, 2],
  ])('D.1: %i bytes from byte %i of a page on are %i pages', (length, inPage, pages) => {
    const { process, address, pd } = bench();
    reg(api, pd, address + inPage, length, ALL);
    expect(process.mm.pinnedVm).toBe(pages);
  });

  it('B.18: memory the adapter may write is pinned for writing, other memory is not', () => {
    const { machine, pd } = bench();
    const readOnly = api.mmap(pd.process.mm, 0, PAGE, PROT_READ, ANON);
    expect(api.regMr(pd, readOnly, PAGE, IBV_ACCESS_LOCAL_WRITE)).toEqual({ error: -EFAULT, mr: null });
    expect(api.regMr(pd, readOnly, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC).error).toBe(-EFAULT);
    const mr = reg(api, pd, readOnly, PAGE, IBV_ACCESS_REMOTE_READ);
    api.deregMr(mr);
    api.deregMr(reg(api, pd, readOnly, PAGE, 0));
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('B.18: only pages the adapter may have written are dirty after the end', () => {
    const { machine, process, address, pd, phys, cpu } = bench();
    cpu.poke(process, address, 1);
    const pfn = cpu.pfn(process, address);
    const dirtyAfter = (access: number): boolean => {
      const mr = reg(api, pd, address, 1, access);
      clearFlag(phys, pfn, PG_DIRTY);
      api.deregMr(mr);
      return testFlag(phys, pfn, PG_DIRTY);
    };
    expect([0, IBV_ACCESS_REMOTE_READ, IBV_ACCESS_LOCAL_WRITE, ALL].map(dirtyAfter)).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  const { LOCAL, WRITE, READ, ATOMIC } = {
    LOCAL: IBV_ACCESS_LOCAL_WRITE,
    WRITE: IBV_ACCESS_REMOTE_WRITE,
    READ: IBV_ACCESS_REMOTE_READ,
    ATOMIC: IBV_ACCESS_REMOTE_ATOMIC,
  };
  it.each([
    [0, 0],
    [LOCAL, 0],
    [READ, 0],
    [LOCAL | WRITE, 0],
    [LOCAL | ATOMIC, 0],
    [WRITE, -EINVAL],
    [ATOMIC, -EINVAL],
    [WRITE | READ, -EINVAL],
    [16, -EINVAL],
    [LOCAL | 64, -EINVAL],
  ])('ibv_reg_mr(3): access %i gives %i', (access, error) => {
    const { address, pd, process } = bench();
    expect(api.regMr(pd, address, PAGE, access).error).toBe(error);
    expect(process.mm.pinnedVm).toBe(error === 0 ? 1 : 0);
  });

  it('no bytes, or more pages than can be counted, are -EINVAL; pages that are not there -EFAULT', () => {
    const { machine, process, address, pd } = bench(2);
    process.capIpcLock = true;
    expect(api.regMr(pd, address, 0, ALL).error).toBe(-EINVAL);
    expect(api.regMr(pd, 0, 2 ** 32 * PAGE, ALL).error).toBe(-EINVAL);
    expect(api.regMr(pd, 0x1000, PAGE, ALL).error).toBe(-EFAULT);
    expect(api.regMr(pd, 2 ** 50, PAGE, ALL).error).toBe(-EFAULT);
    expect([process.mm.pinnedVm, countFrames(machine.memory.phys).pins, pd.users]).toEqual([0, 0, 0]);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('D.1: two good pages, then a hole: -EFAULT, and the two are given back clean', () => {
    const { machine, process, address, pd, phys } = bench(2);
    expect(api.regMr(pd, address, 3 * PAGE, ALL)).toEqual({ error: -EFAULT, mr: null });
    expect([phys.nrFollPinAcquired, phys.nrFollPinReleased]).toEqual([2, 2]);
    expect([process.mm.pinnedVm, pd.users]).toEqual([0, 0]);
    expect(testFlag(phys, new Cpu(api, machine).pfn(process, address), PG_DIRTY)).toBe(false);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('out of memory in the middle: -ENOMEM, everything pinned so far is given back', () => {
    const { machine, process, address, pd, phys } = bench(300, 128);
    expect(api.regMr(pd, address, 300 * PAGE, ALL).error).toBe(-ENOMEM);
    expect(phys.nrFollPinAcquired).toBeGreaterThan(50);
    expect([process.mm.pinnedVm, countFrames(phys).pins, pd.users]).toEqual([0, 0, 0]);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('B.17: pages are pinned in batches of a page of pointers, and a hole in a later batch undoes the earlier', () => {
    const { machine, process, address, pd, phys } = bench(2 * BATCH + 1, 2048);
    const mr = reg(api, pd, address, (2 * BATCH + 1) * PAGE, ALL);
    expect(mr.frames.pages).toBe(2 * BATCH + 1);
    expect(process.mm.pinnedVm).toBe(2 * BATCH + 1);
    api.deregMr(mr);
    const before = phys.nrFollPinAcquired;
    expect(api.regMr(pd, address, (2 * BATCH + 2) * PAGE, ALL).error).toBe(-EFAULT);
    expect(phys.nrFollPinAcquired - before).toBe(2 * BATCH + 1);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('frames that follow each other are one entry of the scatter list', () => {
    const { machine, process, address, pd, cpu } = bench(8);
    for (const page of [0, 1, 2, 5, 4, 3, 6, 7]) cpu.poke(process, address + page * PAGE, page);
    const mr = reg(api, pd, address, 8 * PAGE, ALL);
    const pfns = Array.from({ length: 8 }, (_, page) => cpu.pfn(process, address + page * PAGE));
    expect(framesOf(mr)).toEqual(pfns);
    const breaks = pfns.flatMap((pfn, i) => (i > 0 && pfns[i - 1]! + 1 === pfn ? [] : [i]));
    expect(breaks.length).toBeLessThan(8);
    expect(breaks.length).toBeGreaterThan(2);
    expect(mr.frames.firsts).toEqual(breaks);
    api.deregMr(mr);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('property: whatever lies where, the adapter reads and writes what the process does', () => {
    const order = fc.uniqueArray(fc.nat(11), { minLength: 1, maxLength: 12 });
    const range = fc
      .tuple(fc.nat(12 * PAGE - 1), fc.nat(12 * PAGE - 1))
      .map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
    fc.assert(
      fc.property(order, range, range, (touched, [from, to], [a, b]) => {
        const { machine, process, address, pd, cpu } = bench(12);
        for (const page of touched) cpu.poke(process, address + page * PAGE, page);
        const start = address + from!;
        const length = to! - from! + 1;
        const mr = reg(api, pd, start, length, ALL);
        const bytes = pattern(b! - a! + 1, touched.length);
        const inside = address + a! >= start && address + b! < start + length;
        const result = api.rdmaScatter(pd.device, pd, mr.key, address + a!, bytes, IBV_ACCESS_REMOTE_WRITE);
        expect(result).toBe(inside ? MR_OK : MR_OUT_OF_BOUNDS);
        if (inside) expect(cpu.bytes(process, address + a!, bytes.length)).toEqual(bytes);
        const into = new Uint8Array(length);
        expect(api.rdmaGather(pd.device, pd, mr.key, start, into, IBV_ACCESS_REMOTE_READ)).toBe(MR_OK);
        expect(into).toEqual(cpu.bytes(process, start, length));
        api.deregMr(mr);
        expect(endAll(api, machine)).toEqual(GONE);
      }),
      { numRuns: 60 },
    );
  });
});

describe.each(builds)('%s build: RLIMIT_MEMLOCK (B.17)', (_name, api) => {
  function bench(limit: number) {
    const { machine, process, address } = setUp(api, { buffer: 16 });
    const pd = api.allocPd(api.createRdmaDevice(machine), process);
    process.rlimitMemlock = limit;
    return { machine, process, address, pd, phys: machine.memory.phys };
  }

  it('D.1: with a limit of 8 pages 8 are let through, 9 are -ENOMEM and nothing is pinned', () => {
    const { process, address, pd, phys, machine } = bench(8 * PAGE + PAGE - 1);
    expect(api.regMr(pd, address, 9 * PAGE, ALL)).toEqual({ error: -ENOMEM, mr: null });
    expect([phys.nrFollPinAcquired, process.mm.pinnedVm, countFrames(phys).pins]).toEqual([0, 0, 0]);
    const mr = reg(api, pd, address, 8 * PAGE, ALL);
    expect(api.regMr(pd, address, 1, ALL).error).toBe(-ENOMEM);
    expect(process.mm.pinnedVm).toBe(8);
    api.deregMr(mr);
    api.deregMr(reg(api, pd, address, 1, ALL));
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('the same pages registered twice count twice', () => {
    const { process, address, pd } = bench(8 * PAGE);
    reg(api, pd, address, 4 * PAGE, ALL);
    reg(api, pd, address, 4 * PAGE, ALL);
    expect(process.mm.pinnedVm).toBe(8);
    expect(api.regMr(pd, address, 1, ALL).error).toBe(-ENOMEM);
  });

  it('the limit is for all regions of a process together, whatever domain or adapter', () => {
    const { machine, process, address, pd } = bench(8 * PAGE);
    reg(api, pd, address, 6 * PAGE, ALL);
    const other = api.allocPd(api.createRdmaDevice(machine), process);
    expect(api.regMr(other, address, 3 * PAGE, ALL).error).toBe(-ENOMEM);
    reg(api, other, address, 2 * PAGE, ALL);
    expect(process.mm.pinnedVm).toBe(8);
  });

  it('CAP_IPC_LOCK lifts it, but is counted; Infinity is no limit', () => {
    const { process, address, pd } = bench(0);
    process.capIpcLock = true;
    reg(api, pd, address, 9 * PAGE, ALL);
    expect(process.mm.pinnedVm).toBe(9);
    process.capIpcLock = false;
    expect(api.regMr(pd, address, 1, ALL).error).toBe(-ENOMEM);
    process.rlimitMemlock = Infinity;
    reg(api, pd, address, 9 * PAGE, ALL);
    expect(process.mm.pinnedVm).toBe(18);
  });

  it('8 MiB unless set; a child inherits limit and capability, and starts at 0 pages', () => {
    const { machine, process, address } = setUp(api);
    expect([process.rlimitMemlock, process.capIpcLock]).toEqual([8 * 2 ** 20, false]);
    process.rlimitMemlock = 5 * PAGE;
    process.capIpcLock = true;
    reg(api, api.allocPd(api.createRdmaDevice(machine), process), address, 7 * PAGE, ALL);
    const child = api.forkProcess(machine, process).process!;
    expect([child.rlimitMemlock, child.capIpcLock, child.mm.pinnedVm]).toEqual([5 * PAGE, true, 0]);
  });
});

describe.each(builds)('%s build: keys', (_name, api) => {
  it('an access needs the right key, domain, access and bounds, in this order; no bytes need nothing', () => {
    const { device, pd, address, process } = node(api, 1);
    const other = api.allocPd(device, process);
    const mr = reg(api, pd, address + 10, 100, IBV_ACCESS_REMOTE_READ);
    const one = new Uint8Array(1);
    const read = (domain: ProtectionDomain, key: number, at: number, into = one): number =>
      api.rdmaGather(device, domain, key, at, into, IBV_ACCESS_REMOTE_READ);
    expect(read(pd, mr.key, address + 10)).toBe(MR_OK);
    expect(read(pd, mr.key, address + 109)).toBe(MR_OK);
    expect(read(pd, mr.key, address + 110)).toBe(MR_OUT_OF_BOUNDS);
    expect(read(pd, mr.key, address + 9)).toBe(MR_OUT_OF_BOUNDS);
    expect(read(pd, mr.key, address + 10, new Uint8Array(101))).toBe(MR_OUT_OF_BOUNDS);
    expect(read(pd, mr.key, 2 ** 64)).toBe(MR_OUT_OF_BOUNDS);
    expect(read(pd, mr.key, NaN)).toBe(MR_OUT_OF_BOUNDS);
    expect(read(other, mr.key, 0)).toBe(MR_WRONG_PD);
    expect(read(other, mr.key ^ 1, 0)).toBe(MR_INVALID_KEY);
    expect(read(pd, 0, address + 10)).toBe(MR_INVALID_KEY);
    expect(read(pd, 0xffff_ffff, address + 10)).toBe(MR_INVALID_KEY);
    expect(read(other, 0, 0, new Uint8Array(0))).toBe(MR_OK);
    const store = (access: number): number => api.rdmaScatter(device, pd, mr.key, 0, one, access);
    expect(store(IBV_ACCESS_REMOTE_WRITE)).toBe(MR_NO_ACCESS);
    expect(store(IBV_ACCESS_LOCAL_WRITE)).toBe(MR_NO_ACCESS);
  });

  it('a refused access moves no byte', () => {
    const { device, pd, address, process, cpu } = node(api, 1);
    const mr = reg(api, pd, address, PAGE, ALL);
    const bytes = new Uint8Array(PAGE + 1).fill(9);
    expect(api.rdmaScatter(device, pd, mr.key, address, bytes, IBV_ACCESS_REMOTE_WRITE)).toBe(MR_OUT_OF_BOUNDS);
    expect(cpu.bytes(process, address, SIZE)).toEqual(pattern(SIZE, 1));
  });

  it('a key dies with its region, and the next regions in its place have 255 others', () => {
    const { device, pd, address, machine } = node(api, 1);
    const seen = new Set<number>();
    let first = 0;
    for (let i = 0; i < 256; i++) {
      const mr = reg(api, pd, address, 1, ALL);
      first ||= mr.key;
      seen.add(mr.key);
      api.deregMr(mr);
      expect(api.rdmaGather(device, pd, mr.key, address, new Uint8Array(1), 0)).toBe(MR_INVALID_KEY);
    }
    expect(seen.size).toBe(256);
    expect([...seen].every((key) => key >>> 8 === first >>> 8)).toBe(true);
    expect(reg(api, pd, address, 1, ALL).key).toBe(first);
    expect(device.regions.length).toBe(2);
    expect(machine.memory.phys.nrFollPinReleased).toBe(256);
  });

  it('regions that live together have different keys, never 0; another run has the same', () => {
    const keys = (): number[] => {
      const { pd, address } = node(api, 1);
      return Array.from({ length: 20 }, () => reg(api, pd, address, 1, ALL).key);
    };
    const first = keys();
    expect(new Set(first).size).toBe(20);
    expect(first).not.toContain(0);
    expect(first.every((key) => key > 255 && key < 2 ** 32)).toBe(true);
    expect(keys()).toEqual(first);
  });

  it('no key left: -ENOMEM, nothing stays pinned', () => {
    const { device, pd, address, process, machine } = node(api, 1);
    device.regions.length = 2 ** 24;
    expect(api.regMr(pd, address, SIZE, ALL)).toEqual({ error: -ENOMEM, mr: null });
    expect([process.mm.pinnedVm, countFrames(machine.memory.phys).pins]).toEqual([0, 0]);
  });
});

describe.each(builds)('%s build: what becomes of a region', (_name, api) => {
  it('E.3 #9: after exit of the owner the pages and the count live on; the end frees and credits them', () => {
    const { machine, process, pd, address, device } = node(api, 3);
    const mr = reg(api, pd, address, SIZE, ALL);
    const { mm } = process;
    api.exitProcess(machine, process);
    expect([countFrames(machine.memory.phys).pins, mm.pinnedVm]).toEqual([4, 4]);
    api.checkMachine(machine);
    const into = new Uint8Array(SIZE);
    expect(api.rdmaGather(device, pd, mr.key, address, into, IBV_ACCESS_REMOTE_READ)).toBe(MR_OK);
    expect(into).toEqual(pattern(SIZE, 3));
    api.deregMr(mr);
    expect(mm.pinnedVm).toBe(0);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('B.17: deregistered by a task of another process the owner is credited', () => {
    const owner = node(api, 3);
    const other = node(api, 4, owner);
    const mr = reg(api, owner.pd, owner.address, SIZE, ALL);
    reg(api, other.pd, other.address, PAGE, ALL);
    api.deregMr(mr);
    expect([owner.process.mm.pinnedVm, other.process.mm.pinnedVm]).toEqual([0, 1]);
  });

  it('D.2: MADV_DONTNEED and munmap take the pages from the process, not from the region', () => {
    const { machine, process, pd, address, device, cpu } = node(api, 3);
    const mr = reg(api, pd, address, SIZE, ALL);
    api.madvise(process.mm, address, SIZE, MADV_DONTNEED);
    expect(cpu.peek(process, address + 5)).toBe(0);
    expect(api.rdmaScatter(device, pd, mr.key, address, Uint8Array.of(77), IBV_ACCESS_REMOTE_WRITE)).toBe(MR_OK);
    expect(cpu.peek(process, address)).toBe(0);
    expect(api.munmap(process.mm, address, SIZE)).toBe(0);
    const into = new Uint8Array(2);
    expect(api.rdmaGather(device, pd, mr.key, address, into, IBV_ACCESS_REMOTE_READ)).toBe(MR_OK);
    expect([...into]).toEqual([77, pattern(2, 3)[1]]);
    api.checkMachine(machine);
    api.deregMr(mr);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('C.6: after fork the parent and the region share the page, though both write', () => {
    const { machine, process, pd, address, device, cpu } = node(api, 3);
    const mr = reg(api, pd, address, SIZE, ALL);
    const child = api.forkProcess(machine, process).process!;
    cpu.poke(process, address, 5);
    api.rdmaScatter(device, pd, mr.key, address + 1, Uint8Array.of(6), IBV_ACCESS_REMOTE_WRITE);
    expect([...cpu.bytes(process, address, 2)]).toEqual([5, 6]);
    expect(cpu.bytes(child, address, SIZE)).toEqual(pattern(SIZE, 3));
    const into = new Uint8Array(2);
    api.rdmaGather(device, pd, mr.key, address, into, IBV_ACCESS_REMOTE_READ);
    expect([...into]).toEqual([5, 6]);
    api.deregMr(mr);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('B.10, C.6: a read-only region over pages shared with a child gets pages of its own first', () => {
    const { machine, process, pd, address, device, cpu } = node(api, 3);
    const child = api.forkProcess(machine, process).process!;
    const mr = reg(api, pd, address, SIZE, IBV_ACCESS_REMOTE_READ);
    expect(framesOf(mr)).not.toContain(cpu.pfn(child, address));
    cpu.poke(process, address, 5);
    const into = new Uint8Array(1);
    api.rdmaGather(device, pd, mr.key, address, into, IBV_ACCESS_REMOTE_READ);
    expect(into[0]).toBe(5);
    api.deregMr(mr);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('a read-only region over untouched memory sees what the process stores later, not the zero page', () => {
    const { machine, process, address } = setUp(api);
    const device = api.createRdmaDevice(machine);
    const pd = api.allocPd(device, process);
    const mr = reg(api, pd, address, PAGE, IBV_ACCESS_REMOTE_READ);
    new Cpu(api, machine).poke(process, address, 8);
    const into = new Uint8Array(1);
    api.rdmaGather(device, pd, mr.key, address, into, IBV_ACCESS_REMOTE_READ);
    expect(into[0]).toBe(8);
    api.deregMr(mr);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('two regions over the same pages hold a pin each', () => {
    const { machine, pd, address } = node(api, 3);
    const one = reg(api, pd, address, SIZE, ALL);
    const two = reg(api, pd, address, SIZE, ALL);
    api.deregMr(one);
    expect(countFrames(machine.memory.phys).pins).toBe(4);
    api.deregMr(two);
    expect(endAll(api, machine)).toEqual(GONE);
  });
});

describe.each(builds)('%s build: regions of Linux 4.8, by plain references', (_name, api) => {
  function bench() {
    const machine = api.createMachine({ ramBytes: 128 * PAGE, policy: linux4_8 });
    const process = api.createProcess(machine)!;
    const address = api.mmap(process.mm, 0, SIZE, RW, ANON);
    const cpu = new Cpu(api, machine);
    for (let at = 0; at < SIZE; at += PAGE) cpu.poke(process, address + at, 1);
    const pd = api.allocPd(api.createRdmaDevice(machine), process);
    return { machine, process, address, cpu, pd, phys: machine.memory.phys };
  }

  it('B.18: a reference a page, counted and dirtied as pins are', () => {
    const { machine, process, address, cpu, pd, phys } = bench();
    const mr = reg(api, pd, address, SIZE, ALL);
    const pfn = cpu.pfn(process, address);
    expect([pageRefCount(phys, pfn), phys.nrFollPinAcquired, process.mm.pinnedVm]).toEqual([2, 0, 4]);
    clearFlag(phys, pfn, PG_DIRTY);
    api.deregMr(mr);
    expect([pageRefCount(phys, pfn), testFlag(phys, pfn, PG_DIRTY), process.mm.pinnedVm]).toEqual([1, true, 0]);
    const readOnly = reg(api, pd, address, SIZE, IBV_ACCESS_REMOTE_READ);
    clearFlag(phys, pfn, PG_DIRTY);
    api.deregMr(readOnly);
    expect([pageRefCount(phys, pfn), testFlag(phys, pfn, PG_DIRTY)]).toEqual([1, false]);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('two good pages, then a hole: the two are given back', () => {
    const { machine, process, address, pd } = bench();
    expect(api.regMr(pd, address + 2 * PAGE, SIZE, ALL).error).toBe(-EFAULT);
    expect(process.mm.pinnedVm).toBe(0);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('C.6: fork takes the page from the parent when it stores first', () => {
    const { machine, process, address, cpu, pd } = bench();
    const mr = reg(api, pd, address, SIZE, ALL);
    const child = api.forkProcess(machine, process).process!;
    cpu.poke(process, address, 5);
    expect(framesOf(mr)[0]).toBe(cpu.pfn(child, address));
    expect(framesOf(mr)[0]).not.toBe(cpu.pfn(process, address));
    api.deregMr(mr);
    expect(endAll(api, machine)).toEqual(GONE);
  });

  it('a read-only region is asked for as if for writing: shared pages are copied, read-only memory is not refused', () => {
    const { machine, process, address, cpu, pd } = bench();
    const child = api.forkProcess(machine, process).process!;
    const mr = reg(api, pd, address, SIZE, IBV_ACCESS_REMOTE_READ);
    expect(framesOf(mr)[0]).toBe(cpu.pfn(process, address));
    expect(framesOf(mr)[0]).not.toBe(cpu.pfn(child, address));
    api.deregMr(mr);
    const readOnly = api.mmap(process.mm, 0, PAGE, PROT_READ, ANON);
    api.deregMr(reg(api, pd, readOnly, PAGE, IBV_ACCESS_REMOTE_READ));
    expect(api.regMr(pd, readOnly, PAGE, ALL).error).toBe(-EFAULT);
    expect(endAll(api, machine)).toEqual(GONE);
  });
});

describe.each(builds)('%s build: misuse changes nothing', (_name, api) => {
  it('a region is deregistered once', () => {
    const { pd, address, machine } = node(api, 1);
    const mr = reg(api, pd, address, PAGE, ALL);
    api.deregMr(mr);
    const again = reg(api, pd, address, PAGE, ALL);
    expect(thrown(() => api.deregMr(mr))).toBe('MR_GONE');
    expect([pd.process.mm.pinnedVm, countFrames(machine.memory.phys).pins]).toEqual([1, 1]);
    api.deregMr(again);
  });

  it('a domain stays while regions or queue pairs use it: -EBUSY', () => {
    const { pd, qp, address } = node(api, 1);
    const mr = reg(api, pd, address, PAGE, ALL);
    expect(api.deallocPd(pd)).toBe(-EBUSY);
    api.destroyQp(qp);
    expect(api.deallocPd(pd)).toBe(-EBUSY);
    api.deregMr(mr);
    expect(api.deallocPd(pd)).toBe(0);
    expect(thrown(() => api.deallocPd(pd))).toBe('PD_GONE');
    expect(thrown(() => api.regMr(pd, address, PAGE, ALL))).toBe('PD_GONE');
    expect(thrown(() => api.createQp(pd, qp.sendCq, qp.sendCq))).toBe('PD_GONE');
  });

  it('a process that has exited, a process of another machine, values that are none', () => {
    const { machine, process, pd, address, device } = node(api, 1);
    expect(thrown(() => api.allocPd(device, node(api, 2).process))).toBe('WRONG_MACHINE');
    expect(thrown(() => api.regMr(pd, -1, PAGE, ALL))).toBe('RangeError');
    expect(thrown(() => api.regMr(pd, address, 1.5, ALL))).toBe('RangeError');
    expect(thrown(() => api.regMr(pd, address, Number.MAX_SAFE_INTEGER, ALL))).toBe('RangeError');
    expect(thrown(() => api.regMr(pd, address, PAGE, -1))).toBe('RangeError');
    api.exitProcess(machine, process);
    expect(thrown(() => api.regMr(pd, address, PAGE, ALL))).toBe('PROCESS_GONE');
    expect(thrown(() => api.allocPd(device, process))).toBe('PROCESS_GONE');
    expect(pd.users).toBe(1);
  });

  it('checkMachine: pages credited that were never charged', () => {
    const { machine, process } = node(api, 1);
    process.mm.pinnedVm = -1;
    expect(thrown(() => api.checkMachine(machine))).toBe('PINNED_VM');
  });
});
