/** A.14, D.4, FACTS 19: the mlock family. */
import { describe, expect, it } from 'vitest';
import { EAGAIN, EINVAL, ENOMEM, EPERM } from '@mmkit/base';
import type { Mm } from '@mmkit/aspace';
import {
  MAP_FIXED,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import { checkPhys, pageRefCount, PG_MLOCKED, PG_UNEVICTABLE, testFlag } from '@mmkit/phys';
import { VM_LOCKED, VM_LOCKONFAULT, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, setUp, thrown, touch, vmas } from './builds.ts';

describe.each(builds)('%s build: mlock', (_name, api) => {
  const locked = (mm: Mm, page: number): number =>
    vmaLookup(mm.vmas, BASE + page * PAGE)!.flags & (VM_LOCKED | VM_LOCKONFAULT);
  const mlocked = (mm: Mm, pfn: number): boolean => {
    const { phys } = mm.memory;
    expect(testFlag(phys, pfn, PG_MLOCKED)).toBe(testFlag(phys, pfn, PG_UNEVICTABLE));
    return testFlag(phys, pfn, PG_MLOCKED);
  };

  it('FACTS 19: faults writable private memory in for writing, other for reading; pages are marked', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
    expect(api.mlock(mm, BASE + 1, 3 * PAGE - 1)).toBe(0);
    expect([mm.anonPages, mm.lockedVm, pfnAt(mm, BASE + 2 * PAGE)]).toEqual([2, 3, mm.memory.phys.zeroPfn]);
    expect([mlocked(mm, pfnAt(mm, BASE)), mlocked(mm, mm.memory.phys.zeroPfn)]).toEqual([true, false]);
    expect(api.munlock(mm, BASE, 3 * PAGE)).toBe(0);
    expect([mm.lockedVm, mlocked(mm, pfnAt(mm, BASE))]).toEqual([0, false]);
  });

  it('MLOCK_ONFAULT: nothing is faulted in, what comes in later is marked', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    expect(api.mlock2(mm, BASE, 2 * PAGE, MLOCK_ONFAULT)).toBe(0);
    expect([mm.anonPages, locked(mm, 0), mm.lockedVm]).toEqual([0, VM_LOCKED | VM_LOCKONFAULT, 2]);
    touch(api, mm, BASE);
    expect(mlocked(mm, pfnAt(mm, BASE))).toBe(true);
    expect(api.mlock2(mm, BASE, PAGE, 2)).toBe(-EINVAL);
  });

  it('FACTS 19: a page shared by fork stays marked while a locked mapping remains; the child is not locked', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    api.mlock(mm, BASE, PAGE);
    const old = pfnAt(mm, BASE);
    const child = api.dupMm(mm).mm!;
    expect([locked(child, 0), child.lockedVm, mlocked(mm, old)]).toEqual([0, 0, true]);
    touch(api, mm, BASE);
    expect(pfnAt(mm, BASE)).not.toBe(old);
    expect([mlocked(mm, old), mlocked(mm, pfnAt(mm, BASE))]).toEqual([false, true]);
  });

  it('FACTS 32: a page that DONTUNMAP leaves marked in memory not locked any more is freed like any other', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    api.mlock(mm, BASE, 2 * PAGE);
    const pfn = pfnAt(mm, BASE + PAGE);
    expect(api.mremap(mm, BASE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0)).toBeGreaterThan(0);
    expect([locked(mm, 1), mlocked(mm, pfn)]).toEqual([0, true]);
    expect(api.munmap(mm, BASE + PAGE, PAGE)).toBe(0);
    expect(pageRefCount(mm.memory.phys, pfn)).toBe(0);
    checkPhys(mm.memory.phys);
  });

  it('two processes lock one page: it is marked until both are done', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    api.mmap(mm, BASE + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
    touch(api, mm, BASE);
    const child = api.dupMm(mm).mm!;
    const pfn = pfnAt(mm, BASE);
    for (const of of [mm, child]) expect(api.mprotect(of, BASE, PAGE, PROT_READ)).toBe(0);
    for (const of of [mm, child]) expect(api.mlock(of, BASE, PAGE)).toBe(0);
    expect([pfnAt(mm, BASE), pfnAt(child, BASE)]).toEqual([pfn, pfn]);
    api.munlock(mm, BASE, PAGE);
    expect(mlocked(mm, pfn)).toBe(true);
    api.exitMm(child);
    expect(mlocked(mm, pfn)).toBe(false);
  });

  it('D.4: ENOMEM for PROT_NONE, with the flag set, and for a hole, with what lies before it locked', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect([api.mlock(mm, BASE, PAGE), locked(mm, 0)]).toEqual([-ENOMEM, VM_LOCKED]);
    mapPages(api, mm, 4, 1);
    expect([api.mlock(mm, BASE + 4 * PAGE, 2 * PAGE), locked(mm, 4)]).toEqual([-ENOMEM, VM_LOCKED]);
    expect(api.munlock(mm, BASE + 8 * PAGE, PAGE)).toBe(-ENOMEM);
  });

  it('A.14: EAGAIN when memory runs out while pages are faulted in; the VMA is locked all the same', () => {
    const mm = setUp(api, 24);
    mapPages(api, mm, 0, 64);
    expect([api.mlock(mm, BASE, 64 * PAGE), locked(mm, 0), mm.lockedVm]).toEqual([-EAGAIN, VM_LOCKED, 64]);
    api.exitMm(mm);
    expect(framesUsed(mm)).toBe(0);
  });

  it('RLIMIT_MEMLOCK: ENOMEM beyond it, EPERM when it is 0, neither with CAP_IPC_LOCK; what is locked is not counted twice', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    mm.rlimitMemlock = 2 * PAGE;
    expect([api.mlock(mm, BASE, 3 * PAGE), vmas(mm), mm.lockedVm]).toEqual([-ENOMEM, ['0-4'], 0]);
    expect(api.mlock(mm, BASE, 2 * PAGE)).toBe(0);
    expect(api.mlock(mm, BASE, 2 * PAGE)).toBe(0);
    expect(api.mlock(mm, BASE, 3 * PAGE)).toBe(-ENOMEM);
    mm.rlimitMemlock = 0;
    expect(api.mlock(mm, BASE, PAGE)).toBe(-EPERM);
    mm.capIpcLock = true;
    expect([api.mlock(mm, BASE, 4 * PAGE), mm.lockedVm]).toEqual([0, 4]);
  });

  it('mlockall: what is mapped, what will be, or both; munlockall takes both back', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    expect(api.mlockall(mm, MCL_CURRENT)).toBe(0);
    mapPages(api, mm, 2, 1);
    expect([locked(mm, 0), locked(mm, 2), mm.anonPages]).toEqual([VM_LOCKED, 0, 1]);
    expect(api.mlockall(mm, MCL_FUTURE | MCL_ONFAULT)).toBe(0);
    mapPages(api, mm, 4, 1);
    expect([locked(mm, 2), locked(mm, 4), mm.anonPages]).toEqual([0, VM_LOCKED | VM_LOCKONFAULT, 1]);
    expect(api.munlockall(mm)).toBe(0);
    mapPages(api, mm, 6, 1);
    expect([locked(mm, 0), locked(mm, 4), locked(mm, 6), mm.lockedVm]).toEqual([0, 0, 0, 0]);
    for (const flags of [0, MCL_ONFAULT, 8]) expect(api.mlockall(mm, flags)).toBe(-EINVAL);
    mm.rlimitMemlock = PAGE;
    expect(api.mlockall(mm, MCL_CURRENT)).toBe(-ENOMEM);
    mm.rlimitMemlock = 0;
    expect(api.mlockall(mm, MCL_CURRENT)).toBe(-EPERM);
  });

  it('bad JavaScript values are RangeErrors', () => {
    const mm = setUp(api);
    expect(thrown(() => api.mlock(mm, -1, PAGE))).toBe('RangeError');
    expect(thrown(() => api.munlock(mm, BASE, 0.5))).toBe('RangeError');
    expect(thrown(() => api.mlock2(mm, BASE, PAGE, -1))).toBe('RangeError');
    expect(thrown(() => api.mlockall(mm, 1.5))).toBe('RangeError');
  });
});
