/** B.3, B.14: the calls that few use: fast only, pins with the lock taken inside, the page for a dump, safe write faults. */
import { describe, expect, it } from 'vitest';
import { linux6_18, mmapIsLocked } from '@mmkit/aspace';
import { EFAULT, FOLL_WRITE } from '@mmkit/base';
import { VM_FAULT_SIGBUS } from '@mmkit/fault';
import type { LockState } from '@mmkit/gup';
import { E_WRITE } from '@mmkit/pgtable';
import { GUP_PIN_COUNTING_BIAS } from '@mmkit/phys';
import { VM_MAYREAD, VM_MAYWRITE, VM_READ } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, space } from './builds.ts';

const READ_ONLY = VM_READ | VM_MAYREAD | VM_MAYWRITE;

describe.each(builds)('%s', (_, build) => {
  const { gup } = build;

  it('B.3: get_user_pages_fast_only takes what the tables have, faults nothing in, and says 0, not an error', () => {
    const s = space(build);
    s.map(AT, 3);
    const [pfn] = s.touch(AT, 1);
    const { pgfault } = s.memory.stat;
    const pages = new Uint32Array(3);
    expect([gup.getUserPagesFastOnly(s.mm, AT, 3, FOLL_WRITE, pages), pages[0]]).toEqual([1, pfn]);
    expect(gup.getUserPagesFastOnly(s.mm, AT + PAGE, 2, FOLL_WRITE, pages)).toBe(0);
    expect(gup.getUserPagesFastOnly(s.mm, AT + 3 * PAGE, 1, 0, pages)).toBe(0);
    expect([s.memory.stat.pgfault, s.refs(pfn!)]).toEqual([pgfault, 2]);
    expect(gup.getUserPagesFastOnly(s.mm, s.memory.format.taskSize, 1, 0, pages)).toBe(-EFAULT);
  });

  it('B.3: pin_user_pages_unlocked faults in and pins under mmap_lock of its own, and leaves it free', () => {
    const s = space(build);
    s.map(AT, 2);
    const pages = new Uint32Array(3);
    expect(gup.pinUserPagesUnlocked(s.mm, AT, 3, pages, FOLL_WRITE)).toBe(2);
    expect([s.refs(pages[0]!), s.refs(pages[1]!)]).toEqual([GUP_PIN_COUNTING_BIAS + 1, GUP_PIN_COUNTING_BIAS + 1]);
    expect([mmapIsLocked(s.mm), s.phys.nrFollPinAcquired]).toEqual([false, 2]);
    expect(gup.pinUserPagesUnlocked(s.mm, AT + 2 * PAGE, 1, pages, 0)).toBe(-EFAULT);
    gup.unpinUserPages(s.memory, pages, 2);
    expect(s.refs(pages[0]!)).toBe(1);
  });

  it('B.3: get_dump_page: the page, also where it may not be read; null for holes and memory that would be zeros', () => {
    const s = space(build);
    s.map(AT, 2);
    s.map(AT + 2 * PAGE, 1, VM_MAYREAD | VM_MAYWRITE);
    const [pfn] = s.touch(AT, 1);
    const free = s.phys.freeFrames;
    const locked: LockState = { value: 0 };
    expect([gup.getDumpPage(s.mm, AT, locked), s.refs(pfn!)]).toEqual([pfn, 2]);
    for (const page of [1, 2, 3]) expect(gup.getDumpPage(s.mm, AT + page * PAGE, locked)).toBe(null);
    expect([locked.value, mmapIsLocked(s.mm), s.phys.freeFrames]).toEqual([0, false, free]);
    const held: LockState = { value: 1 };
    expect(s.locked(() => [gup.getDumpPage(s.mm, AT, held), held.value, mmapIsLocked(s.mm)])).toEqual([pfn, 1, true]);
    expect(codeOf(() => gup.getDumpPage(s.mm, -1, locked))).toBeInstanceOf(RangeError);
  });

  it('B.14: fault_in_safe_writeable makes pages writable and stores nothing; the rest is what was not to be had', () => {
    const s = space(build, {}, { policy: linux6_18 });
    s.map(AT, 2);
    s.map(AT + 2 * PAGE, 1, READ_ONLY);
    expect(gup.faultInSafeWriteable(s.mm, AT + 5, 2 * PAGE - 5)).toBe(0);
    for (const page of [0, 1]) expect(s.entry(AT + page * PAGE).flags & E_WRITE).toBe(E_WRITE);
    expect(s.memory.stat.pgfault).toBe(2);
    expect(gup.faultInSafeWriteable(s.mm, AT + 5, 2 * PAGE)).toBe(5);
    expect(gup.faultInSafeWriteable(s.mm, AT + 2 * PAGE + 7, 100)).toBe(100);
    expect([gup.faultInSafeWriteable(s.mm, AT, 0), mmapIsLocked(s.mm)]).toEqual([0, false]);
    for (const [address, length] of [
      [-1, 1],
      [AT, -1],
      [AT, 0.5],
    ] as const)
      expect(codeOf(() => gup.faultInSafeWriteable(s.mm, address, length))).toBeInstanceOf(RangeError);
  });

  it('B.14: a fault that fails in the middle ends it there', () => {
    const s = space(build, { before: (_mm, address) => (address === AT + PAGE ? VM_FAULT_SIGBUS : null) });
    s.map(AT, 3);
    expect(gup.faultInSafeWriteable(s.mm, AT + 8, 3 * PAGE - 8)).toBe(2 * PAGE);
  });
});
