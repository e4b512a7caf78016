/** FACTS-2 39 to 43, A.3: MAP_GROWSDOWN and the system calls. */
import { describe, expect, it } from 'vitest';
import { createMemory, linux4_8, lockMmAndFindVma, Mm, mmapIsLocked, mmapReadUnlock } from '@mmkit/aspace';
import { EFAULT, ENOMEM } from '@mmkit/base';
import {
  MADV_POPULATE_WRITE,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_GROWSDOWN,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import { createSched } from '@mmkit/task';
import { VM_GROWSDOWN, VM_LOCKED, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, PAGE, RW, setUp, touch, vmas } from './builds.ts';
import type { Api } from './builds.ts';

const STACK = ANON | MAP_FIXED | MAP_GROWSDOWN;

describe.each(builds)('%s build: stacks', (_name, api: Api) => {
  /** A stack of `count` pages from page `page` on. */
  const stack = (mm: Mm, page: number, count: number, prot = RW): number =>
    api.mmap(mm, BASE + page * PAGE, count * PAGE, prot, STACK);
  /** A fault of the process itself at page `page`: 0, or a negative errno. */
  const access = (mm: Mm, page: number): number => {
    const vma = lockMmAndFindVma(mm, BASE + page * PAGE);
    if (typeof vma === 'number') return vma;
    mmapReadUnlock(mm);
    return 0;
  };
  const flagsAt = (mm: Mm, page: number): number => vmaLookup(mm.vmas, BASE + page * PAGE)!.flags;

  it('FACTS-2 39: only the process makes a stack grow; mlock, madvise and populate do not: ENOMEM, EFAULT', () => {
    const mm = setUp(api);
    stack(mm, 600, 2);
    expect(api.mlock(mm, BASE + 599 * PAGE, PAGE)).toBe(-ENOMEM);
    expect(api.madvise(mm, BASE + 599 * PAGE, PAGE, MADV_POPULATE_WRITE)).toBe(-ENOMEM);
    expect(api.mprotect(mm, BASE + 599 * PAGE, PAGE, PROT_READ)).toBe(-ENOMEM);
    expect(touch(api, mm, BASE + 599 * PAGE)).toBe(-EFAULT);
    expect(vmas(mm)).toEqual(['600-602']);
    expect([access(mm, 599), access(mm, 100), vmas(mm)]).toEqual([0, 0, ['100-602']]);
    expect(mmapIsLocked(mm)).toBe(false);
  });

  it('FACTS-2 41: 256 pages above accessible memory, none above PROT_NONE; mprotect changes which', () => {
    const mm = setUp(api);
    stack(mm, 600, 1);
    api.mmap(mm, BASE + 100 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect(access(mm, 101)).toBe(0);
    api.munmap(mm, BASE + 101 * PAGE, 400 * PAGE);
    api.mprotect(mm, BASE + 100 * PAGE, PAGE, PROT_READ);
    expect([access(mm, 356), access(mm, 357), vmas(mm)]).toEqual([-EFAULT, 0, ['100-101', '357-601']]);
  });

  it('FACTS-2 42: two stacks that touch by growing do not merge', () => {
    const mm = setUp(api);
    stack(mm, 600, 1);
    stack(mm, 500, 2);
    expect([access(mm, 502), vmas(mm)]).toEqual([0, ['500-502', '502-601']]);
  });

  it('FACTS-2 43: of a stack that mprotect or mlock has split only the lowest part grows', () => {
    const mm = setUp(api);
    stack(mm, 600, 4);
    api.mprotect(mm, BASE + 602 * PAGE, 2 * PAGE, PROT_READ);
    expect([access(mm, 598), vmas(mm)]).toEqual([0, ['598-602', '602-604']]);
    api.munmap(mm, BASE + 598 * PAGE, 4 * PAGE);
    expect([access(mm, 600), vmas(mm)]).toEqual([0, ['600-604']]);
  });

  it('FACTS-2 43: PROT_GROWSDOWN takes in what the stack has grown by', () => {
    const mm = setUp(api);
    stack(mm, 600, 4);
    access(mm, 590);
    expect(api.mprotect(mm, BASE + 602 * PAGE, PAGE, PROT_READ | PROT_GROWSDOWN)).toBe(0);
    expect(vmas(mm)).toEqual(['590-603', '603-604']);
  });

  it('FACTS-2 43: fork and mremap keep the flag: both stacks grow, each on its own', () => {
    const mm = setUp(api);
    stack(mm, 600, 1);
    const child = api.dupMm(mm).mm!;
    expect([access(child, 590), vmas(child), vmas(mm)]).toEqual([0, ['590-601'], ['600-601']]);
    const to = BASE + 2000 * PAGE;
    expect(api.mremap(mm, BASE + 600 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to)).toBe(to);
    expect([flagsAt(mm, 2000) & VM_GROWSDOWN, access(mm, 1990), vmas(mm)]).toEqual([VM_GROWSDOWN, 0, ['1990-2001']]);
  });

  it('FACTS-2 43: a locked stack grows locked; munlock gives all of it back', () => {
    const mm = setUp(api);
    stack(mm, 600, 1);
    expect(api.mlock(mm, BASE + 600 * PAGE, PAGE)).toBe(0);
    expect([access(mm, 597), mm.lockedVm, mm.anonPages]).toEqual([0, 4, 1]);
    expect([flagsAt(mm, 597) & VM_LOCKED, api.munlock(mm, BASE + 597 * PAGE, 4 * PAGE), mm.lockedVm]).toEqual([
      VM_LOCKED,
      0,
      0,
    ]);
  });

  it('A.3: up to 4.11 mmap leaves no room below a stack', () => {
    const memory = createMemory({ sched: createSched(), frames: 64, format: api.format, policy: linux4_8 });
    const mm = api.createMm({ memory })!;
    const top = api.mmap(mm, 0, PAGE, RW, ANON);
    api.munmap(mm, top, PAGE);
    api.mmap(mm, top, PAGE, RW, STACK);
    expect(api.mmap(mm, 0, PAGE, RW, ANON)).toBe(top - PAGE);
  });
});
