/** createMm, and populating: B.13. */
import { describe, expect, it } from 'vitest';
import { createMemory, Mm, mmapIsLocked, mmapReadUnlock } from '@mmkit/aspace';
import { FOLL_WRITE } from '@mmkit/base';
import { VM_FAULT_OOM, VM_FAULT_RETRY } from '@mmkit/fault';
import { createMm } from '@mmkit/gup';
import { E_SPECIAL, E_WRITE, formatLevels, x86_64 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { allocPages, GFP_KERNEL } from '@mmkit/phys';
import { createRwsem } from '@mmkit/rwsem';
import { createSched } from '@mmkit/task';
import { createVmaTree, VM_IO, VM_LOCKONFAULT, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';
import { insertVma, Vma } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, RW, schedBuilds, space } from './builds.ts';
import { PlainOtherLock } from './other-lock.ts';

/** Three levels of 2048 entries in pages of 16 KiB, otherwise x86-64. */
const big: Format = {
  ...x86_64,
  ...formatLevels(14, 3, 11),
  name: 'pages of 16 KiB',
  userEnd: 2 ** 46,
  taskSize: 2 ** 46 - 2 ** 14,
};

describe.each(builds)('%s: createMm', (_, build) => {
  const { gup } = build;

  it('an empty address space, its lock free', () => {
    const { mm, phys } = space(build);
    expect(mm).toBeInstanceOf(Mm);
    expect([mm.vmas.mapCount, mm.anonPages, phys.freeFrames]).toEqual([0, 0, phys.frames - 3]);
    expect(mmapIsLocked(mm)).toBe(false);
  });

  it('of the parts it is given', () => {
    const memory = createMemory({ sched: createSched(), frames: 32, format: build.format });
    const [lock, vmas, faults] = [createRwsem('mine'), createVmaTree(), () => 0];
    const mm = gup.createMm({ memory, lock, vmas, faults })!;
    expect([mm.mmapLock, mm.vmas, mm.faultHandler]).toEqual([lock, vmas, faults]);
  });

  it('a lock of another making: mmap_lock is it, and no semaphore', () => {
    const memory = createMemory({ sched: createSched(), frames: 32, format: build.format });
    const lock = new PlainOtherLock();
    const mm = gup.createMm({ memory, format: build.format, lock })!;
    expect(mm.lock).toBe(lock);
    expect(codeOf(() => mm.mmapLock)).toBe('FOREIGN_LOCK');
  });

  it('a format that is not that of the memory: RangeError, nothing taken', () => {
    const memory = createMemory({ sched: createSched(), frames: 32, format: build.format });
    const free = memory.phys.freeFrames;
    expect(() => gup.createMm({ memory, format: { ...build.format } })).toThrow(RangeError);
    expect(memory.phys.freeFrames).toBe(free);
  });

  it('no page for the top table: null, nothing taken', () => {
    const memory = createMemory({ sched: createSched(), frames: 16, format: build.format });
    while (allocPages(memory.phys, GFP_KERNEL, 0) >= 0);
    expect(gup.createMm({ memory })).toBe(null);
    expect(memory.phys.freeFrames).toBe(0);
  });

  it('16 KiB: the page size is that of the machine, in the VMA tree and in every address', () => {
    const memory = createMemory({ sched: createSched(), frames: 64, format: big });
    const mm = gup.createMm({ memory })!;
    expect([mm.vmas.pageSize, mm.vmas.taskSize]).toEqual([16384, 2 ** 46 - 2 ** 14]);
    expect(memory.tlbs[0]!.mmu.pageShift).toBe(14);
    insertVma(mm.vmas, new Vma(0x40_0000, 0x40_0000 + 4 * 16384, RW, 0x100));
    const pages = new Uint32Array(4);
    for (const start of [0x40_0000, 0x40_2345]) {
      expect(gup.pinUserPagesFast(mm, start, 4, FOLL_WRITE, pages)).toBe(4);
      gup.unpinUserPages(memory, pages, 4);
    }
    expect(new Set(pages).size).toBe(4);
    expect([memory.stat.gupFast, memory.stat.gupSlow]).toEqual([4, 4]);
    expect(gup.pinUserPagesFast(mm, 2 ** 46 - 2 * 16384, 2, 0, pages)).toBe(-14);
  });
});

describe.each(builds)('%s: B.13, populate', (_, build) => {
  const { gup } = build;

  it('private writable memory gets own pages, writable ones; nothing is pinned or held', () => {
    const s = space(build);
    s.map(AT, 3);
    gup.mmPopulate(s.mm, AT, 3 * PAGE);
    for (let i = 0; i < 3; i++) {
      const { pfn, flags } = s.entry(AT + i * PAGE);
      expect([flags & E_WRITE, s.refs(pfn)]).toEqual([E_WRITE, 1]);
    }
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('read-only memory gets the zero page', () => {
    const s = space(build);
    s.map(AT, 1, VM_READ | VM_MAYREAD | VM_MAYWRITE);
    gup.mmPopulate(s.mm, AT, PAGE);
    expect(s.entry(AT).flags & E_SPECIAL).toBe(E_SPECIAL);
  });

  it('memory that may only be written is forced', () => {
    const s = space(build);
    s.map(AT, 1, VM_WRITE | VM_MAYREAD | VM_MAYWRITE);
    gup.mmPopulate(s.mm, AT, PAGE);
    expect(s.entry(AT).flags & E_WRITE).toBe(E_WRITE);
  });

  it('holes, PROT_NONE, VM_IO and VM_LOCKONFAULT memory are passed over', () => {
    const s = space(build);
    s.map(AT, 1);
    s.map(AT + 2 * PAGE, 1, VM_MAYREAD | VM_MAYWRITE);
    s.map(AT + 3 * PAGE, 1, RW | VM_IO);
    s.map(AT + 4 * PAGE, 1, RW | VM_LOCKONFAULT);
    s.map(AT + 5 * PAGE, 2);
    gup.mmPopulate(s.mm, AT, 6 * PAGE);
    expect([0, 1, 2, 3, 4, 5, 6].map((i) => s.entry(AT + i * PAGE).kind)).toEqual([2, 0, 0, 0, 0, 2, 0]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('a part of a VMA only', () => {
    const s = space(build);
    s.map(AT, 4);
    gup.mmPopulate(s.mm, AT + PAGE, 2 * PAGE);
    expect([0, 1, 2, 3].map((i) => s.entry(AT + i * PAGE).kind)).toEqual([0, 2, 2, 0]);
  });

  it('a fault that drops the lock: taken again, and on from there', () => {
    let tries = 0;
    const s = space(build, {
      before(mm) {
        if (++tries % 2 === 0) return null;
        mmapReadUnlock(mm);
        return VM_FAULT_RETRY;
      },
    });
    s.map(AT, 3);
    gup.mmPopulate(s.mm, AT, 3 * PAGE);
    expect([tries, s.entry(AT + 2 * PAGE).kind]).toEqual([6, 2]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('an error ends its VMA, not the call', () => {
    const s = space(build, { before: (_mm, address) => (address === AT + PAGE ? VM_FAULT_OOM : null) });
    s.map(AT, 3);
    s.map(AT + 3 * PAGE, 1);
    gup.mmPopulate(s.mm, AT, 4 * PAGE);
    expect([0, 1, 2, 3].map((i) => s.entry(AT + i * PAGE).kind)).toEqual([2, 0, 0, 2]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });
});

describe('createMm', () => {
  it('has the fault handler of its own build', () => {
    const memory = createMemory({ sched: createSched(), frames: 32 });
    const handlers = [createMm({ memory })!, schedBuilds[0]![1].gup.createMm({ memory })!].map((mm) => mm.faultHandler);
    expect(handlers.map((handler) => handler.constructor.name)).toEqual(['Function', 'GeneratorFunction']);
  });
});
