import { describe, expect, it } from 'vitest';
import { EFAULT, EINTR, ENOMEM } from '@mmkit/base';
import { createProcess, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SIGSEGV } from '@mmkit/kernel';
import { load as loadTask } from '@mmkit/kernel/sched';
import { MAP_POPULATE, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import {
  createDecoded,
  createEntry,
  E_DIRTY,
  E_WRITE,
  E_YOUNG,
  leafIndex,
  leafTable,
  readEntry,
  x86_64,
} from '@mmkit/pgtable';
import {
  countFrames,
  frameWordIndex,
  frameWords,
  pageMapCount,
  pageRefCount,
  PG_ANON_EXCLUSIVE,
  testFlag,
} from '@mmkit/phys';
import { killTask, runAll, spawn } from '@mmkit/task';
import { downWriteTrylock, upWrite } from '@mmkit/rwsem';
import { MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import type { Machine, Process } from '@mmkit/kernel';
import { ANON, builds, Cpu, endAll, PAGE, pattern, RW, schedBuilds, setUp, thrown } from './builds.ts';

function leafFlags(machine: Machine, process: Process, address: number): number {
  const { tables, format } = machine.memory;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, leafTable(tables, process.mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  return decoded.flags;
}

describe.each(builds)('%s build: loads and stores', (_name, api) => {
  it('what was stored is loaded, over page boundaries too', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const bytes = pattern(3 * PAGE + 17, 5);
    expect(api.store(machine, process, address + 100, bytes, 0, bytes.length)).toBe(0);
    expect(cpu.bytes(process, address + 100, bytes.length)).toEqual(bytes);
    expect(cpu.bytes(process, address, 100)).toEqual(new Uint8Array(100));
    api.checkMachine(machine);
  });

  it('`at` and length choose a part of the array; length 0 touches nothing', () => {
    const { machine, process, address } = setUp(api);
    expect(api.store(machine, process, address, pattern(10, 1), 4, 3)).toBe(0);
    const into = new Uint8Array(5).fill(9);
    expect(api.load(machine, process, address, into, 1, 3)).toBe(0);
    expect([...into]).toEqual([9, ...pattern(10, 1).slice(4, 7), 9]);
    expect(api.load(machine, process, 0, into, 0, 0)).toBe(0);
    expect(process.exitSignal).toBeNull();
  });

  it('N.3: a read of untouched memory maps the zero page, which is not counted', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    const before = pageRefCount(phys, phys.zeroPfn);
    expect(cpu.peek(process, address)).toBe(0);
    expect(cpu.pfn(process, address)).toBe(phys.zeroPfn);
    expect([pageRefCount(phys, phys.zeroPfn), process.mm.anonPages]).toEqual([before, 0]);
    expect(leafFlags(machine, process, address) & E_WRITE).toBe(0);
  });

  it('N.3: a write after it gives an own, exclusive, writable, dirty page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.peek(process, address);
    expect(cpu.poke(process, address + 1, 7)).toBe(0);
    const pfn = cpu.pfn(process, address);
    expect(pfn).not.toBe(phys.zeroPfn);
    expect([pageRefCount(phys, pfn), pageMapCount(phys, pfn), process.mm.anonPages]).toEqual([1, 1, 1]);
    expect(testFlag(phys, pfn, PG_ANON_EXCLUSIVE)).toBe(true);
    expect(leafFlags(machine, process, address) & (E_WRITE | E_DIRTY | E_YOUNG)).toBe(E_WRITE | E_DIRTY | E_YOUNG);
    expect([...cpu.bytes(process, address, 3)]).toEqual([0, 7, 0]);
    api.checkMachine(machine);
  });

  it('the second access to a page takes no fault and no walk', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const faults = machine.memory.stat.pgfault;
    const tlb = machine.memory.tlbs[0]!;
    const misses = tlb.misses;
    cpu.poke(process, address, 2);
    cpu.peek(process, address);
    expect([machine.memory.stat.pgfault, tlb.misses]).toEqual([faults, misses]);
    expect(process.mm.words[MM_CPUMASK]).toBe(1);
  });

  it('6.18: a write to a read-only page is SIGSEGV SEGV_ACCERR at the address, and changes nothing', () => {
    const { machine, process } = setUp(api);
    const cpu = new Cpu(api, machine);
    const address = api.mmap(process.mm, 0, PAGE, PROT_READ, ANON);
    expect(cpu.poke(process, address + 5, 1)).toBe(-EFAULT);
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code: SEGV_ACCERR, address: address + 5 });
    expect(cpu.peek(process, address)).toBe(0);
    expect(cpu.poke(process, address, 1)).toBe(-EFAULT);
    expect(cpu.pfn(process, address)).toBe(machine.memory.phys.zeroPfn);
  });

  it('6.18: PROT_NONE refuses reads (SEGV_ACCERR), also where MAP_POPULATE was asked for', () => {
    const { machine, process } = setUp(api);
    const cpu = new Cpu(api, machine);
    const address = api.mmap(process.mm, 0, PAGE, PROT_NONE, ANON | MAP_POPULATE);
    expect(cpu.peek(process, address)).toBe(-EFAULT);
    expect(process.exitSignal?.code).toBe(SEGV_ACCERR);
  });

  it.each([
    ['PROT_WRITE', PROT_WRITE],
    ['PROT_EXEC', PROT_EXEC],
  ])('6.18: %s alone allows reads (N.19: a read needs any right)', (_prot, prot) => {
    const { machine, process } = setUp(api);
    const address = api.mmap(process.mm, 0, PAGE, prot, ANON);
    expect(new Cpu(api, machine).peek(process, address)).toBe(0);
  });

  it('6.18: an unmapped address is SIGSEGV SEGV_MAPERR; x86: a non-canonical one SI_KERNEL with address 0', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    expect(cpu.peek(process, address - PAGE)).toBe(-EFAULT);
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code: SEGV_MAPERR, address: address - PAGE });
    expect(cpu.poke(process, 0, 1)).toBe(-EFAULT);
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code: SEGV_MAPERR, address: 0 });
    const { userEnd } = api.format;
    expect(cpu.peek(process, userEnd)).toBe(-EFAULT);
    const [code, at] = api.format === x86_64 ? [SI_KERNEL, 0] : [SEGV_MAPERR, userEnd];
    expect(process.exitSignal).toEqual({ signal: SIGSEGV, code, address: at });
    expect(cpu.peek(process, userEnd - PAGE)).toBe(-EFAULT);
    expect(process.exitSignal?.code).toBe(SEGV_MAPERR);
  });

  it('an access that fails on a later page has done the pages before', () => {
    const { machine, process, address } = setUp(api, { buffer: 2 });
    const cpu = new Cpu(api, machine);
    api.munmap(process.mm, address + PAGE, PAGE);
    expect(api.store(machine, process, address, pattern(2 * PAGE, 3), 0, 2 * PAGE)).toBe(-EFAULT);
    expect(process.exitSignal?.address).toBe(address + PAGE);
    expect(cpu.bytes(process, address, PAGE)).toEqual(pattern(PAGE, 3));
  });

  it('out of memory: -ENOMEM, no signal, nothing half done', () => {
    const { machine, process, address } = setUp(api, { pages: 24, buffer: 64 });
    const cpu = new Cpu(api, machine);
    let page = 0;
    while (cpu.poke(process, address + page * PAGE, 1) === 0) page++;
    expect(cpu.poke(process, address + page * PAGE, 1)).toBe(-ENOMEM);
    expect(process.exitSignal).toBeNull();
    expect(countFrames(machine.memory.phys).free).toBe(0);
    api.checkMachine(machine);
    expect(cpu.peek(process, address + page * PAGE)).toBe(0);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('a corrupted page table throws BAD_PAGE_TABLE', () => {
    const { machine, process, address } = setUp(api);
    const { phys } = machine.memory;
    const root = process.mm.words[MM_ROOT]!;
    // The root entry of the address now points beyond RAM.
    const at = frameWordIndex(phys, root) + Math.floor(address / 2 ** 39) * 2;
    frameWords(phys, root)[at] = 0x067;
    frameWords(phys, root)[at + 1] = 0xff;
    expect(thrown(() => new Cpu(api, machine).peek(process, address))).toBe('BAD_PAGE_TABLE');
  });

  it('bad JavaScript values throw RangeError, a dead process PROCESS_GONE', () => {
    const { machine, process, address } = setUp(api);
    const bytes = new Uint8Array(4);
    expect(thrown(() => api.load(machine, process, -1, bytes, 0, 1))).toBe('RangeError');
    expect(thrown(() => api.load(machine, process, 0.5, bytes, 0, 1))).toBe('RangeError');
    expect(thrown(() => api.load(machine, process, address, bytes, 0, 5))).toBe('RangeError');
    expect(thrown(() => api.store(machine, process, address, bytes, 4, 1))).toBe('RangeError');
    expect(thrown(() => api.peekBytes(machine, process, address, bytes, 1, 4))).toBe('RangeError');
    expect(thrown(() => api.translate(machine, process, Number.NaN))).toBe('RangeError');
    api.exitProcess(machine, process);
    expect(thrown(() => api.load(machine, process, address, bytes, 0, 1))).toBe('PROCESS_GONE');
    expect(thrown(() => api.translate(machine, process, address))).toBe('PROCESS_GONE');
    expect(thrown(() => api.peekBytes(machine, process, address, bytes, 0, 1))).toBe('PROCESS_GONE');
    expect(thrown(() => api.forkProcess(machine, process))).toBe('PROCESS_GONE');
    expect(thrown(() => api.exitProcess(machine, process))).toBe('PROCESS_GONE');
  });
});

describe.each(builds)('%s build: looking from outside', (_name, api) => {
  it('peekBytes reads through the walker and stops, without a fault, at the first page not there', () => {
    const { machine, process, address } = setUp(api);
    const bytes = pattern(2 * PAGE - 50, 8);
    api.store(machine, process, address + 50, bytes, 0, bytes.length);
    const faults = machine.memory.stat.pgfault;
    const into = new Uint8Array(4 * PAGE);
    expect(api.peekBytes(machine, process, address + 50, into, 3, 3 * PAGE)).toBe(bytes.length);
    expect(into.slice(3, 3 + bytes.length)).toEqual(bytes);
    expect([machine.memory.stat.pgfault, process.exitSignal]).toEqual([faults, null]);
    expect(api.peekBytes(machine, process, api.format.userEnd, into, 0, 1)).toBe(0);
  });

  it('translate goes by the tables alone: no accessed bit, no TLB entry, -EFAULT where there is no page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const child = api.forkProcess(machine, process).process!;
    expect(leafFlags(machine, child, address) & E_YOUNG).toBe(0);
    expect(cpu.pfn(child, address)).toBe(cpu.pfn(process, address));
    expect(leafFlags(machine, child, address) & E_YOUNG).toBe(0);
    expect(child.mm.words[MM_CPUMASK]).toBe(0);
    expect(cpu.pfn(process, address + PAGE)).toBe(-EFAULT);
    expect(cpu.pfn(process, 0)).toBe(-EFAULT);
    expect(cpu.pfn(process, api.format.userEnd)).toBe(-EFAULT);
    const none = api.mmap(process.mm, 0, PAGE, PROT_NONE, ANON);
    expect(cpu.pfn(process, none)).toBe(-EFAULT);
  });
});

it.each(schedBuilds)(
  '%s build: a task killed while it waits for mmap_lock in a fault: -EINTR, no signal',
  (_name, sapi) => {
    const machine = sapi.createMachine({ ramBytes: 64 * PAGE });
    const process = createProcess(machine)!;
    const { sched } = machine;
    const address = sapi.mmap(process.mm, 0, PAGE, RW, ANON);
    downWriteTrylock(sched, process.mm.mmapLock);
    const task = spawn(sched, 'reader', loadTask(machine, process, address, new Uint8Array(1), 0, 1));
    expect(thrown(() => runAll(sched))).toBe('DEADLOCK');
    killTask(task);
    runAll(sched);
    expect([task.result, process.exitSignal]).toEqual([-EINTR, null]);
    upWrite(sched, process.mm.mmapLock);
    sapi.checkMachine(machine);
  },
);

describe.each(builds)('%s build: the kernel reaches for user memory', (_name, api) => {
  it('B.14: fault_in_readable reads one byte a page, and says how many bytes it did not get to', () => {
    const { machine, process, address } = setUp(api, { buffer: 3 });
    expect(api.faultInReadable(machine, process, address + 5, 2 * PAGE)).toBe(0);
    expect(machine.memory.stat.pgfault).toBe(3);
    expect(api.faultInReadable(machine, process, address + 5, 3 * PAGE)).toBe(5);
    expect(api.faultInReadable(machine, process, address + 3 * PAGE, 9)).toBe(9);
    expect(api.faultInReadable(machine, process, address, 0)).toBe(0);
    expect(api.faultInReadable(machine, process, machine.memory.format.taskSize - 1, 2)).toBe(2);
    expect(process.exitSignal).toBe(null);
  });

  it('B.14: fault_in_writeable stores a zero byte at the same places', () => {
    const { machine, process, address } = setUp(api, { buffer: 3 });
    const cpu = new Cpu(api, machine);
    expect(api.store(machine, process, address, new Uint8Array(3 * PAGE).fill(7), 0, 3 * PAGE)).toBe(0);
    expect(api.faultInWriteable(machine, process, address + 5, 2 * PAGE)).toBe(0);
    const zeroed = [5, PAGE, 2 * PAGE];
    expect(cpu.bytes(process, address, 3 * PAGE)).toEqual(
      Uint8Array.from({ length: 3 * PAGE }, (_, i) => (zeroed.includes(i) ? 0 : 7)),
    );
    expect(api.mprotect(process.mm, address + PAGE, PAGE, PROT_READ)).toBe(0);
    expect(api.faultInWriteable(machine, process, address, 3 * PAGE)).toBe(2 * PAGE);
    expect(thrown(() => api.faultInWriteable(machine, process, address, -1))).toBe('RangeError');
    expect(process.exitSignal).toBe(null);
  });
});
