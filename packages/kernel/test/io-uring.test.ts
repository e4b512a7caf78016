import { describe, expect, it } from 'vitest';
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO } from '@mmkit/base';
import { MADV_DONTNEED, PROT_READ } from '@mmkit/mm';
import { countFrames, pageMapCount, PG_ANON_EXCLUSIVE, PG_DIRTY, testFlag } from '@mmkit/phys';
import type { IoUring, Machine, Process } from '@mmkit/kernel';
import { ANON, builds, Cpu, endAll, PAGE, pattern, setUp, thrown } from './builds.ts';

describe.each(builds)('%s build: registered buffers', (_name, api) => {
  /** A machine, a process with `buffer` pages, and a ring. */
  function ringed(buffer = 16): { machine: Machine; process: Process; address: number; ring: IoUring; cpu: Cpu } {
    const world = setUp(api, { buffer });
    return { ...world, ring: api.createIoUring(world.machine), cpu: new Cpu(api, world.machine) };
  }

  function device(ring: IoUring, offset: number, length: number, index = 0): Uint8Array {
    const into = new Uint8Array(length);
    expect(api.fixedBufferRead(ring, index, offset, into, 0, length)).toBe(0);
    return into;
  }

  it('the device writes and reads across pages, from the middle of one, and the process sees it', () => {
    const { machine, process, address, ring, cpu } = ringed();
    expect(api.registerBuffers(ring, process, [{ address: address + 100, length: 2 * PAGE }])).toBe(0);
    const bytes = pattern(2 * PAGE, 3);
    expect(api.fixedBufferWrite(ring, 0, 0, bytes, 0, bytes.length)).toBe(0);
    expect(cpu.bytes(process, address + 100, bytes.length)).toEqual(bytes);
    cpu.poke(process, address + PAGE, 77);
    expect(device(ring, PAGE - 100, 1)).toEqual(Uint8Array.of(77));
    api.checkMachine(machine);
  });

  it('D.1: three pages touched: three pins, no fault when they are writable already; gone with the registration', () => {
    const { machine, process, address, ring, cpu } = ringed();
    for (let i = 0; i < 3; i++) cpu.poke(process, address + i * PAGE, 1);
    const { pgfault } = machine.memory.stat;
    expect(api.registerBuffers(ring, process, [{ address, length: 3 * PAGE }])).toBe(0);
    expect([machine.memory.stat.pgfault, countFrames(machine.memory.phys).pins]).toEqual([pgfault, 3]);
    expect(process.mm.pinnedVm).toBe(3);
    expect(api.unregisterBuffers(ring)).toBe(0);
    expect([countFrames(machine.memory.phys).pins, process.mm.pinnedVm]).toEqual([0, 0]);
    expect(api.unregisterBuffers(ring)).toBe(-ENXIO);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('FACTS 12: the device marks no page dirty', () => {
    const { machine, process, address, ring, cpu } = ringed();
    cpu.poke(process, address, 1);
    expect(api.registerBuffers(ring, process, [{ address, length: 1 }])).toBe(0);
    api.fixedBufferWrite(ring, 0, 0, Uint8Array.of(9), 0, 1);
    api.unregisterBuffers(ring);
    expect(testFlag(machine.memory.phys, cpu.pfn(process, address), PG_DIRTY)).toBe(false);
  });

  it('FACTS 8, 35: after DONTNEED and exit the page is an orphan, still exclusive, and the device reaches it', () => {
    const { machine, process, address, ring, cpu } = ringed();
    cpu.poke(process, address, 5);
    expect(api.registerBuffers(ring, process, [{ address, length: PAGE }])).toBe(0);
    const pfn = ring.buffers![0]!.pfns[0]!;
    expect(api.madvise(process.mm, address, PAGE, MADV_DONTNEED)).toBe(0);
    const { phys } = machine.memory;
    expect([pageMapCount(phys, pfn), testFlag(phys, pfn, PG_ANON_EXCLUSIVE)]).toEqual([0, true]);
    api.fixedBufferWrite(ring, 0, 1, Uint8Array.of(6), 0, 1);
    expect(cpu.peek(process, address + 1)).toBe(0);
    api.exitProcess(machine, process);
    expect([...device(ring, 0, 2)]).toEqual([5, 6]);
    api.unregisterBuffers(ring);
    expect(countFrames(phys)).toMatchObject({ used: 0, pins: 0 });
  });

  it('FACTS 7: a bad page in the middle: -EFAULT, nothing stays pinned, the pages before it are faulted in', () => {
    const { machine, process, address, ring, cpu } = ringed(2);
    expect(api.registerBuffers(ring, process, [{ address, length: 3 * PAGE }])).toBe(-EFAULT);
    expect([ring.buffers, process.mm.pinnedVm, countFrames(machine.memory.phys).pins]).toEqual([null, 0, 0]);
    expect(cpu.pfn(process, address + PAGE)).toBeGreaterThan(0);
  });

  it('the second of two buffers is bad: the first is given back too', () => {
    const { machine, process, address, ring } = ringed(2);
    const iovecs = [
      { address, length: PAGE },
      { address: address + PAGE, length: 2 * PAGE },
    ];
    expect(api.registerBuffers(ring, process, iovecs)).toBe(-EFAULT);
    expect([ring.buffers, process.mm.pinnedVm, countFrames(machine.memory.phys).pins]).toEqual([null, 0, 0]);
  });

  it('each buffer is reached by its index', () => {
    const { process, address, ring, cpu } = ringed();
    cpu.poke(process, address, 1);
    cpu.poke(process, address + PAGE, 2);
    const iovecs = [0, PAGE].map((offset) => ({ address: address + offset, length: 10 }));
    expect(api.registerBuffers(ring, process, iovecs)).toBe(0);
    expect([device(ring, 0, 1, 0)[0], device(ring, 0, 1, 1)[0]]).toEqual([1, 2]);
  });

  it('memory that may not be written is refused, though the device would only read it', () => {
    const { machine, ring, process } = ringed();
    const readOnly = api.mmap(process.mm, 0, PAGE, PROT_READ, ANON);
    expect(api.registerBuffers(ring, process, [{ address: readOnly, length: 1 }])).toBe(-EFAULT);
    expect(countFrames(machine.memory.phys).pins).toBe(0);
  });

  it('errors that change nothing: EBUSY, EINVAL, EFAULT for 0 bytes and above 1 GiB', () => {
    const { process, address, ring } = ringed();
    expect(api.registerBuffers(ring, process, [])).toBe(-EINVAL);
    expect(api.registerBuffers(ring, process, new Array(16385).fill({ address, length: 1 }))).toBe(-EINVAL);
    expect(api.registerBuffers(ring, process, [{ address, length: 0 }])).toBe(-EFAULT);
    expect(api.registerBuffers(ring, process, [{ address, length: 2 ** 30 + 1 }])).toBe(-EFAULT);
    expect(api.registerBuffers(ring, process, [{ address, length: 1 }])).toBe(0);
    const { buffers } = ring;
    expect(api.registerBuffers(ring, process, [{ address, length: 1 }])).toBe(-EBUSY);
    expect([ring.buffers, process.mm.pinnedVm]).toEqual([buffers, 1]);
  });

  it('B.17: RLIMIT_MEMLOCK: -ENOMEM with nothing pinned; CAP_IPC_LOCK is not asked', () => {
    const { machine, process, address, ring } = ringed();
    process.rlimitMemlock = 2 * PAGE;
    expect(api.registerBuffers(ring, process, [{ address, length: 3 * PAGE }])).toBe(-ENOMEM);
    expect([process.mm.pinnedVm, countFrames(machine.memory.phys).pins]).toEqual([0, 0]);
    expect(api.registerBuffers(ring, process, [{ address, length: 2 * PAGE }])).toBe(0);
    const other = api.createIoUring(machine);
    process.capIpcLock = true;
    expect(api.registerBuffers(other, process, [{ address, length: 3 * PAGE }])).toBe(0);
  });

  it('the device cannot leave a buffer: -EFAULT, not a byte moves', () => {
    const { process, address, ring, cpu } = ringed();
    expect(api.fixedBufferWrite(ring, 0, 0, Uint8Array.of(1), 0, 1)).toBe(-EFAULT);
    expect(api.registerBuffers(ring, process, [{ address, length: 10 }])).toBe(0);
    expect(api.fixedBufferWrite(ring, 0, 9, Uint8Array.of(1, 1), 0, 2)).toBe(-EFAULT);
    expect(api.fixedBufferWrite(ring, 1, 0, Uint8Array.of(1), 0, 1)).toBe(-EFAULT);
    expect(cpu.peek(process, address + 9)).toBe(0);
  });

  it('bad JavaScript values, and a process that is gone', () => {
    const { machine, process, address, ring } = ringed();
    expect(thrown(() => api.registerBuffers(ring, process, [{ address: -1, length: 1 }]))).toBe('RangeError');
    expect(thrown(() => api.registerBuffers(ring, process, [{ address, length: 0.5 }]))).toBe('RangeError');
    expect(thrown(() => api.fixedBufferRead(ring, 0, -1, new Uint8Array(1), 0, 1))).toBe('RangeError');
    expect(thrown(() => api.fixedBufferRead(ring, 0, 0, new Uint8Array(1), 1, 1))).toBe('RangeError');
    api.exitProcess(machine, process);
    expect(thrown(() => api.registerBuffers(ring, process, [{ address, length: 1 }]))).toBe('PROCESS_GONE');
  });
});
