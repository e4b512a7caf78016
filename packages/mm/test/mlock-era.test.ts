/** A.4 #1, A.7, A.14: mlock up to 5.17, where the lookups of populating mlock pages (FOLL_MLOCK). */
import { describe, expect, it } from 'vitest';
import { createMemory, linux3_14, linux4_8, Mm } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EAGAIN, ENOMEM } from '@mmkit/base';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_GROWSDOWN, MAP_SHARED, MCL_CURRENT, MLOCK_ONFAULT, PROT_NONE } from '@mmkit/mm';
import { clearFlag, PG_LOCKED, PG_MLOCKED, setFlag, testFlag } from '@mmkit/phys';
import { createSched } from '@mmkit/task';
import { VM_LOCKED, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, RW, touch, vmas } from './builds.ts';
import type { Api } from './builds.ts';

const ERA: readonly Policy[] = [linux3_14, linux4_8];

describe.each(builds)('%s build: mlock of the era', (_name, api: Api) => {
  const setUp = (policy: Policy, frames = 64): Mm =>
    api.createMm({ memory: createMemory({ sched: createSched(), frames, format: api.format, policy }) })!;
  const mlocked = (mm: Mm, page: number): boolean => {
    const pfn = pfnAt(mm, BASE + page * PAGE);
    return pfn >= 0 && testFlag(mm.memory.phys, pfn, PG_MLOCKED);
  };

  it.each(ERA)('A.14, $name: what is there and what comes in is mlocked; munlock takes it back', (policy) => {
    const mm = setUp(policy);
    mapPages(api, mm, 0, 3);
    touch(api, mm, BASE);
    expect(api.mlock(mm, BASE, 2 * PAGE)).toBe(0);
    expect([mlocked(mm, 0), mlocked(mm, 1), mlocked(mm, 2), mm.lockedVm]).toEqual([true, true, false, 2]);
    expect(api.munlock(mm, BASE, 3 * PAGE)).toBe(0);
    expect([mlocked(mm, 0), mlocked(mm, 1), mm.lockedVm]).toEqual([false, false, 0]);
    expect(api.mlockall(mm, MCL_CURRENT)).toBe(0);
    expect([0, 1, 2].map((page) => mlocked(mm, page))).toEqual([true, true, true]);
    api.exitMm(mm);
    expect(framesUsed(mm)).toBe(0);
  });

  it.each(ERA)('A.7, $name: a page whose lock somebody holds is not mlocked, and mlock does not fail', (policy) => {
    const mm = setUp(policy);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const pfn = pfnAt(mm, BASE);
    setFlag(mm.memory.phys, pfn, PG_LOCKED);
    expect([api.mlock(mm, BASE, PAGE), mlocked(mm, 0)]).toEqual([0, false]);
    clearFlag(mm.memory.phys, pfn, PG_LOCKED);
    // Another mlock of locked memory only looks its pages up again.
    expect([api.mlock(mm, BASE, PAGE), mlocked(mm, 0)]).toEqual([0, true]);
  });

  it.each(ERA)(
    'A.7, $name: shared memory that comes in later is not mlocked by the fault, anonymous memory is',
    (policy) => {
      const mm = setUp(policy);
      api.mmap(mm, BASE, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
      mapPages(api, mm, 4, 1);
      for (const page of [0, 4]) vmaLookup(mm.vmas, BASE + page * PAGE)!.flags |= VM_LOCKED;
      touch(api, mm, BASE);
      touch(api, mm, BASE + 4 * PAGE);
      expect([mlocked(mm, 0), mlocked(mm, 4)]).toEqual([false, true]);
      expect([api.mlock(mm, BASE, 2 * PAGE), mlocked(mm, 0), mlocked(mm, 1)]).toEqual([0, true, true]);
    },
  );

  it('A.14: MLOCK_ONFAULT (4.4): what is there is mlocked, nothing is faulted in, what comes in later is', () => {
    const mm = setUp(linux4_8);
    mapPages(api, mm, 0, 2);
    touch(api, mm, BASE);
    expect(api.mlock2(mm, BASE, 2 * PAGE, MLOCK_ONFAULT)).toBe(0);
    expect([mlocked(mm, 0), pfnAt(mm, BASE + PAGE)]).toEqual([true, -1]);
    touch(api, mm, BASE + PAGE);
    expect(mlocked(mm, 1)).toBe(true);
  });

  it.each(ERA)('A.14, $name: ENOMEM for PROT_NONE, on fault too in 4.8; EAGAIN out of memory', (policy) => {
    const mm = setUp(policy, 24);
    api.mmap(mm, BASE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect(api.mlock(mm, BASE, PAGE)).toBe(-ENOMEM);
    if (policy === linux4_8) expect(api.mlock2(mm, BASE, PAGE, MLOCK_ONFAULT)).toBe(-ENOMEM);
    mapPages(api, mm, 4, 64);
    expect(api.mlock(mm, BASE + 4 * PAGE, 64 * PAGE)).toBe(-EAGAIN);
  });

  it.each(ERA)(
    'A.4 #1, $name: mlock of a stack leaves its guard page alone, and the stack as long as it was',
    (policy) => {
      const mm = setUp(policy);
      api.mmap(mm, BASE, 3 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN);
      expect(api.mlock(mm, BASE, 3 * PAGE)).toBe(0);
      expect([mlocked(mm, 0), mlocked(mm, 1), mlocked(mm, 2), vmas(mm), mm.lockedVm]).toEqual([
        false,
        true,
        true,
        ['0-3'],
        3,
      ]);
    },
  );
});
