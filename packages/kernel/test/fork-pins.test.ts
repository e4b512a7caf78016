import { describe, expect, it } from 'vitest';
import { FOLL_WRITE } from '@mmkit/base';
import { MADV_DONTNEED } from '@mmkit/mm';
import { countFrames, folioMaybeDmaPinned, pageRefCount, PG_ANON_EXCLUSIVE, readBytes, testFlag } from '@mmkit/phys';
import { builds, Cpu, endAll, PAGE, setUp } from './builds.ts';
import { pinsOf } from './pins.ts';

describe.each(builds)('%s build: fork and pins', (_name, api) => {
  const { fork, pin, state } = pinsOf(api);

  it('D.2: page 0 pinned, page 1 not, fork: the child has its own page 0 at once and shares page 1', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    cpu.poke(process, address + PAGE, 2);
    const pages = pin(machine, process, address);
    const child = fork(machine, process);
    expect(cpu.pfn(process, address)).toBe(pages[0]);
    expect(cpu.pfn(child, address)).not.toBe(pages[0]);
    expect(cpu.pfn(child, address + PAGE)).toBe(cpu.pfn(process, address + PAGE));
    expect([cpu.peek(child, address), cpu.peek(child, address + PAGE)]).toEqual([1, 2]);
    const shared = cpu.pfn(process, address + PAGE);
    cpu.poke(process, address, 3);
    cpu.poke(process, address + PAGE, 4);
    expect(cpu.pfn(process, address)).toBe(pages[0]);
    expect(cpu.pfn(process, address + PAGE)).not.toBe(shared);
    expect([cpu.peek(child, address), cpu.peek(child, address + PAGE)]).toEqual([1, 2]);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('B.22 #5–7: PIN of an exclusive page 1 → 1025; fork copies for the child; the parent writes the same page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.poke(process, address, 1);
    const acquired = phys.nrFollPinAcquired;
    const pfn = pin(machine, process, address)[0]!;
    expect([state(machine, pfn), phys.nrFollPinAcquired - acquired]).toEqual([[1025, 1], 1]);
    const faults = machine.memory.stat.pgfault;
    const child = fork(machine, process);
    expect([state(machine, pfn), folioMaybeDmaPinned(phys, pfn)]).toEqual([[1025, 1], true]);
    cpu.poke(process, address, 2);
    expect([cpu.pfn(process, address), machine.memory.stat.pgfault]).toEqual([pfn, faults]);
    expect(cpu.peek(child, address)).toBe(1);
    api.checkMachine(machine);
  });

  it("G.25: the child's copy of a pinned page is writable at once: its write takes no fault", () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    pin(machine, process, address);
    const child = fork(machine, process);
    const faults = machine.memory.stat.pgfault;
    expect(cpu.poke(child, address, 5)).toBe(0);
    expect([machine.memory.stat.pgfault, cpu.peek(process, address)]).toEqual([faults, 1]);
  });

  it("B.22 #8: GET instead of PIN: the parent's write copies, the holder of the reference keeps the old page", () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.poke(process, address, 1);
    const pages = new Uint32Array(1);
    expect(api.getUserPagesFast(process.mm, address, 1, FOLL_WRITE, pages)).toBe(1);
    fork(machine, process);
    cpu.poke(process, address, 2);
    expect(cpu.pfn(process, address)).not.toBe(pages[0]);
    const byte = new Uint8Array(1);
    readBytes(phys, pages[0]!, 0, byte, 0, 1);
    expect(byte[0]).toBe(1);
    api.checkMachine(machine);
    api.putUserPages(machine.memory, pages, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('D.2: pin for writing of a fork-shared page copies first; over a zero-page entry it gives a new page', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    cpu.peek(process, address + PAGE);
    const old = cpu.pfn(process, address);
    const child = fork(machine, process);
    const pages = pin(machine, process, address);
    expect([pages[0] === old, cpu.pfn(process, address) === pages[0], cpu.pfn(child, address) === old]).toEqual([
      false,
      true,
      true,
    ]);
    const zero = pin(machine, process, address + PAGE);
    expect(zero[0]).not.toBe(machine.memory.phys.zeroPfn);
    expect(state(machine, zero[0]!)).toEqual([1025, 1]);
  });

  it('B.22 #9: PIN for reading of a fork-shared page unshares it: a new exclusive one, the child keeps the old', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const old = cpu.pfn(process, address);
    const child = fork(machine, process);
    const pages = pin(machine, process, address, 0);
    expect([pages[0] === old, cpu.pfn(child, address) === old]).toEqual([false, true]);
    expect(testFlag(machine.memory.phys, pages[0]!, PG_ANON_EXCLUSIVE)).toBe(true);
    expect(cpu.peek(process, address)).toBe(1);
  });

  it('E.1: 3 pins and 2 references: 3075; pinned, then unmapped: 1024/0, an orphan that the last unpin frees', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    const { phys } = machine.memory;
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    const pfn = pages[0]!;
    pin(machine, process, address);
    pin(machine, process, address);
    api.getUserPagesFast(process.mm, address, 1, 0, pages);
    api.getUserPagesFast(process.mm, address, 1, 0, pages);
    expect(state(machine, pfn)).toEqual([1 + 3 * 1024 + 2, 1]);
    api.putUserPages(machine.memory, pages, 1);
    api.putUserPages(machine.memory, pages, 1);
    api.unpinUserPages(machine.memory, pages, 1);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(api.munmap(process.mm, address, PAGE)).toBe(0);
    expect(state(machine, pfn)).toEqual([1024, 0]);
    expect(testFlag(phys, pfn, PG_ANON_EXCLUSIVE)).toBe(true);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(pageRefCount(phys, pfn)).toBe(0);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it("E.1: the zero page's count does not change by pins", () => {
    const { machine, process, address } = setUp(api);
    const { phys } = machine.memory;
    const before = pageRefCount(phys, phys.zeroPfn);
    expect(pin(machine, process, address, 0)[0]).toBe(phys.zeroPfn);
    expect(pin(machine, process, address, 0)[0]).toBe(phys.zeroPfn);
    expect([pageRefCount(phys, phys.zeroPfn), countFrames(phys).pins]).toEqual([before, 0]);
  });

  it('D.2: MADV_DONTNEED on a pinned page, then a touch: a new page, the pin holds the orphan with its bytes', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    expect(api.madvise(process.mm, address, PAGE, MADV_DONTNEED)).toBe(0);
    expect(cpu.peek(process, address)).toBe(0);
    cpu.poke(process, address, 8);
    expect(cpu.pfn(process, address)).not.toBe(pages[0]);
    const byte = new Uint8Array(1);
    readBytes(machine.memory.phys, pages[0]!, 0, byte, 0, 1);
    expect([byte[0], state(machine, pages[0]!)]).toEqual([1, [1024, 0]]);
    api.checkMachine(machine);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });

  it('B.15 #3: after unpin the page stays exclusive, so the next fork shares it again', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    api.unpinUserPages(machine.memory, pages, 1);
    const child = fork(machine, process);
    expect(cpu.pfn(child, address)).toBe(pages[0]);
  });

  it('B.22 #30: with MMF_HAS_PINNED, 1100 plain references look like a pin: fork copies, nobody is harmed', () => {
    const { machine, process, address } = setUp(api);
    const cpu = new Cpu(api, machine);
    cpu.poke(process, address, 1);
    const pages = pin(machine, process, address);
    api.unpinUserPages(machine.memory, pages, 1);
    const many = new Uint32Array(1);
    for (let i = 0; i < 1100; i++) api.getUserPagesFast(process.mm, address, 1, 0, many);
    const child = fork(machine, process);
    expect(cpu.pfn(child, address)).not.toBe(pages[0]);
    for (let i = 0; i < 1100; i++) api.putUserPages(machine.memory, many, 1);
    expect(endAll(api, machine)).toEqual({ used: 0, pins: 0 });
  });
});
