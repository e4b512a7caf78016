import { describe, expect, it } from 'vitest';
import { EAGAIN, EBADF, EEXIST, EINVAL, ENOMEM, EPERM } from '@mmkit/base';
import {
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_SYNC,
  MMAP_MIN_ADDR,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  STACK_GAP,
} from '@mmkit/mm';
import { isLocked } from '@mmkit/rwsem';
import {
  createVmaTree,
  VM_ACCOUNT,
  VM_EXEC,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_SYNC,
  VM_WRITE,
  vmaLookup,
} from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, RW, setUp, thrown, touch, vmas } from './builds.ts';

const FIXED = ANON | MAP_FIXED;
const NOREPLACE = ANON | MAP_FIXED_NOREPLACE;

describe.each(builds)('%s build: mmap', (_name, api) => {
  const { taskSize, userEnd } = api.format;
  const TOP = taskSize - STACK_GAP;

  it('a mapping is a VMA and nothing else: no page, no table', () => {
    const mm = setUp(api);
    const before = framesUsed(mm);
    const address = api.mmap(mm, 0, 3 * PAGE, RW, ANON);
    const vma = vmaLookup(mm.vmas, address)!;
    expect([vma.end, vma.pgoff, vma.file, vma.anonVma]).toEqual([address + 3 * PAGE, address / PAGE, null, null]);
    expect([framesUsed(mm), isLocked(mm.mmapLock)]).toEqual([before, false]);
  });

  it.each([
    ['PROT_NONE', PROT_NONE, 0],
    ['PROT_READ', PROT_READ, VM_READ],
    ['PROT_WRITE', PROT_WRITE, VM_WRITE | VM_ACCOUNT],
    ['PROT_EXEC', PROT_EXEC, VM_EXEC],
    ['all', 7, VM_READ | VM_WRITE | VM_EXEC | VM_ACCOUNT],
  ])(
    'N.16, FACTS 20: %s gives its VM_ bits beside all VM_MAY bits; what may be written is accounted',
    (_what, prot, flags) => {
      const mm = setUp(api);
      const address = api.mmap(mm, 0, PAGE, prot, ANON);
      expect(vmaLookup(mm.vmas, address)!.flags).toBe(flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC);
    },
  );

  it('without a hint: the highest free range below the stack gap, then downwards', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, 0, PAGE, RW, ANON)).toBe(TOP - PAGE);
    expect(api.mmap(mm, 0, 4 * PAGE, RW, ANON)).toBe(TOP - 5 * PAGE);
    expect(api.munmap(mm, TOP - PAGE, PAGE)).toBe(0);
    expect(api.mmap(mm, 0, 2 * PAGE, RW, ANON)).toBe(TOP - 7 * PAGE);
    expect(api.mmap(mm, 0, PAGE, RW, ANON)).toBe(TOP - PAGE);
  });

  it('6.18: a length that is no whole number of pages is rounded up', () => {
    const mm = setUp(api);
    const address = api.mmap(mm, 0, 1, RW, ANON);
    expect(vmaLookup(mm.vmas, address)!.end).toBe(address + PAGE);
  });

  it('6.18: a free hint is taken, an unaligned one rounded down, a taken or partly taken one ignored', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, BASE, PAGE, RW, ANON)).toBe(BASE);
    expect(api.mmap(mm, BASE + 8 * PAGE + 1, PAGE, RW, ANON)).toBe(BASE + 8 * PAGE);
    expect(api.mmap(mm, BASE + 16 * PAGE + 4095, PAGE, RW, ANON)).toBe(BASE + 16 * PAGE);
    expect(api.mmap(mm, BASE, PAGE, RW, ANON)).toBe(TOP - PAGE);
    expect(api.mmap(mm, BASE - PAGE, 2 * PAGE, RW, ANON)).toBe(TOP - 3 * PAGE);
  });

  it('6.18: hint 1 is no hint; a hint below mmap_min_addr means that address', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, 1, PAGE, RW, ANON)).toBe(TOP - PAGE);
    expect(api.mmap(mm, 0x1000, PAGE, RW, ANON)).toBe(MMAP_MIN_ADDR);
    expect(api.mmap(mm, 0x1000, PAGE, RW, ANON)).toBe(TOP - 2 * PAGE);
    expect(api.mmap(mm, 0x12000, PAGE, RW, ANON)).toBe(0x12000);
  });

  it('6.18: the last page of user memory may be hinted at, one beyond is ignored', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, taskSize - PAGE, PAGE, RW, ANON)).toBe(taskSize - PAGE);
    expect(api.mmap(mm, taskSize, PAGE, RW, ANON)).toBe(TOP - PAGE);
    expect(api.mmap(mm, userEnd, PAGE, RW, ANON)).toBe(TOP - 2 * PAGE);
  });

  it.each([
    ['length 0', 0, 0, RW, ANON],
    ['length 0 and a fixed unaligned address', BASE + 1, 0, RW, FIXED],
    ['neither private nor shared', 0, PAGE, RW, MAP_ANONYMOUS],
    ['a fixed unaligned address', BASE + 1, PAGE, RW, FIXED],
    ['NOREPLACE with an unaligned address', BASE + 1, PAGE, RW, NOREPLACE],
    ['a fixed unaligned address below mmap_min_addr', 0xf001, PAGE, RW, FIXED],
  ])('6.18: EINVAL for %s', (_what, address, length, prot, flags) => {
    const mm = setUp(api);
    expect(api.mmap(mm, address, length, prot, flags)).toBe(-EINVAL);
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([[], false]);
  });

  it('6.18: no file and not anonymous is EBADF; neither private nor shared, shared and growing down: EINVAL', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, 0, 0, RW, MAP_PRIVATE)).toBe(-EBADF);
    expect(api.mmap(mm, 0, PAGE, RW, MAP_ANONYMOUS)).toBe(-EINVAL);
    expect(api.mmap(mm, 0, PAGE, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE)).toBe(-EINVAL);
    expect(api.mmap(mm, 0, PAGE, RW, MAP_ANONYMOUS | MAP_SHARED | MAP_GROWSDOWN)).toBe(-EINVAL);
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([[], false]);
  });

  it('huge pages of hugetlbfs: ENOMEM, there is no pool', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, 0, 512 * PAGE, RW, ANON | MAP_HUGETLB)).toBe(-ENOMEM);
    expect(api.mmap(mm, 0, 0, RW, ANON | MAP_HUGETLB)).toBe(-EINVAL);
    expect(vmas(mm)).toEqual([]);
  });

  it('FACTS 20: noreserve memory is not accounted, and says so', () => {
    const mm = setUp(api);
    const address = api.mmap(mm, 0, PAGE, RW, ANON | MAP_NORESERVE);
    expect(vmaLookup(mm.vmas, address)!.flags & (VM_ACCOUNT | VM_NORESERVE)).toBe(VM_NORESERVE);
  });

  it('FACTS 22: whole huge pages without a hint are aligned to one; with a hint, or without the room, they are not', () => {
    const mm = setUp(api);
    const huge = 512 * PAGE;
    const aligned = api.mmap(mm, 0, huge, RW, ANON);
    expect(aligned % huge).toBe(0);
    const other = setUp(api);
    expect(api.mmap(other, 0, huge + PAGE, RW, ANON)).toBe(TOP - huge - PAGE);
    expect(api.mmap(setUp(api), BASE, huge, RW, ANON)).toBe(BASE);
    const hinted = setUp(api);
    mapPages(api, hinted, 0, 1);
    api.mmap(hinted, TOP - 7 * PAGE, 7 * PAGE, PROT_NONE, FIXED);
    expect(api.mmap(hinted, BASE, huge, RW, ANON)).toBe(TOP - 7 * PAGE - huge);
    expect(api.mmap(setUp(api), 0, huge, RW, MAP_SHARED | MAP_ANONYMOUS)).toBe(TOP - huge);
  });

  it('6.18: the aligned area needs a gap that is a whole huge page longer, as measured', () => {
    const huge = 512 * PAGE;
    for (const [gap, aligned] of [
      [2 * huge - PAGE, false],
      [2 * huge, true],
    ] as const) {
      const mm = setUp(api);
      const top = TOP - 7 * PAGE;
      api.mmap(mm, top, 7 * PAGE, PROT_NONE, FIXED);
      api.mmap(mm, MMAP_MIN_ADDR, top - gap - MMAP_MIN_ADDR, PROT_NONE, FIXED);
      const at = api.mmap(mm, 0, huge, RW, ANON);
      expect(at).toBe(aligned ? top - huge - ((top - huge) % huge) : top - huge);
    }
  });

  it('FACTS-2 43: 256 pages stay free below memory that grows down, but for a fixed mapping', () => {
    const mm = setUp(api);
    const stack = TOP - 4 * PAGE;
    api.mmap(mm, stack, 4 * PAGE, RW, FIXED | MAP_GROWSDOWN);
    expect(api.mmap(mm, 0, PAGE, RW, ANON)).toBe(stack - 257 * PAGE);
    expect(api.mmap(mm, stack - 256 * PAGE, PAGE, RW, ANON)).toBe(stack - 258 * PAGE);
    expect(api.mmap(mm, stack - 300 * PAGE, PAGE, RW, ANON)).toBe(stack - 300 * PAGE);
    expect(api.mmap(mm, stack - PAGE, PAGE, RW, NOREPLACE)).toBe(stack - PAGE);
  });

  it('MAP_32BIT: upwards from 1 GiB, below 2 GiB; a hint beyond is ignored', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, 0, PAGE, RW, ANON | MAP_32BIT)).toBe(0x4000_0000);
    expect(api.mmap(mm, BASE, PAGE, RW, ANON | MAP_32BIT)).toBe(0x4000_1000);
    expect(api.mmap(mm, 0x7fff_f000, PAGE, RW, ANON | MAP_32BIT)).toBe(0x7fff_f000);
    expect(api.mmap(mm, 0, 0x4000_0000, RW, ANON | MAP_32BIT)).toBe(-ENOMEM);
  });

  it('6.18: unknown bits of prot are ignored; MAP_STACK means no huge pages; MAP_SYNC stays as a flag', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, PAGE, PROT_READ | 0x18, FIXED | MAP_STACK | MAP_SYNC);
    const flags = VM_READ | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_NOHUGEPAGE | VM_SYNC;
    expect(vmaLookup(mm.vmas, BASE)!.flags).toBe(flags);
  });

  it('shared memory without a file: a file of its own, from offset 0', () => {
    const mm = setUp(api);
    const address = api.mmap(mm, 0, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
    const vma = vmaLookup(mm.vmas, address)!;
    expect([vma.flags & (VM_SHARED | VM_MAYSHARE), vma.pgoff]).toEqual([VM_SHARED | VM_MAYSHARE, 0]);
    expect(vma.file).not.toBeNull();
  });

  it('A.14: MAP_LOCKED locks and faults in; EAGAIN beyond RLIMIT_MEMLOCK, EPERM when nothing may be locked', () => {
    const mm = setUp(api);
    const address = api.mmap(mm, 0, 2 * PAGE, RW, ANON | MAP_LOCKED);
    expect([mm.lockedVm, mm.anonPages, vmaLookup(mm.vmas, address)!.flags & VM_LOCKED]).toEqual([2, 2, VM_LOCKED]);
    mm.rlimitMemlock = 3 * PAGE;
    expect(api.mmap(mm, 0, 2 * PAGE, RW, ANON | MAP_LOCKED)).toBe(-EAGAIN);
    mm.rlimitMemlock = 0;
    expect(api.mmap(mm, 0, PAGE, RW, ANON | MAP_LOCKED)).toBe(-EPERM);
    mm.capIpcLock = true;
    expect(api.mmap(mm, 0, PAGE, RW, ANON | MAP_LOCKED)).toBeGreaterThan(0);
    api.munmap(mm, address, 2 * PAGE);
    expect(mm.lockedVm).toBe(1);
  });

  it.each([
    ['a fixed range beyond the end', taskSize, PAGE, FIXED],
    ['a fixed range across the end', taskSize - PAGE, 2 * PAGE, FIXED],
    ['a fixed range beyond 2^47', userEnd, PAGE, FIXED],
    ['a fixed range beyond the end and unaligned', taskSize + 1, PAGE, FIXED],
    ['NOREPLACE beyond the end', taskSize, PAGE, NOREPLACE],
    ['a fixed length above user memory', BASE, userEnd, FIXED],
    ['length 2^47', 0, userEnd, ANON],
    ['length of all user memory', 0, taskSize, ANON],
    ['the largest length there is', 0, Number.MAX_SAFE_INTEGER, ANON],
  ])('6.18: ENOMEM for %s', (_what, address, length, flags) => {
    const mm = setUp(api);
    expect(api.mmap(mm, address, length, RW, flags)).toBe(-ENOMEM);
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([[], false]);
  });

  it('6.18: fixed on the last page works', () => {
    expect(api.mmap(setUp(api), taskSize - PAGE, PAGE, RW, FIXED)).toBe(taskSize - PAGE);
  });

  it('6.18 (unprivileged): a fixed address below mmap_min_addr is EPERM, also with NOREPLACE; at it is fine', () => {
    const mm = setUp(api);
    expect(api.mmap(mm, 0, PAGE, RW, FIXED)).toBe(-EPERM);
    expect(api.mmap(mm, MMAP_MIN_ADDR - PAGE, 2 * PAGE, RW, FIXED)).toBe(-EPERM);
    expect(api.mmap(mm, 0, PAGE, RW, NOREPLACE)).toBe(-EPERM);
    expect(api.mmap(mm, MMAP_MIN_ADDR, PAGE, RW, FIXED)).toBe(MMAP_MIN_ADDR);
  });

  it('6.18: EEXIST for NOREPLACE over anything mapped, with MAP_FIXED too; beside it is fine', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    touch(api, mm, BASE);
    const pfn = pfnAt(mm, BASE);
    expect(api.mmap(mm, BASE, 4 * PAGE, RW, NOREPLACE)).toBe(-EEXIST);
    expect(api.mmap(mm, BASE + 3 * PAGE, 4 * PAGE, RW, NOREPLACE)).toBe(-EEXIST);
    expect(api.mmap(mm, BASE, PAGE, RW, NOREPLACE | MAP_FIXED)).toBe(-EEXIST);
    expect([vmas(mm), pfnAt(mm, BASE)]).toEqual([['0-4'], pfn]);
    expect(api.mmap(mm, BASE + 4 * PAGE, PAGE, RW, NOREPLACE)).toBe(BASE + 4 * PAGE);
  });

  it('6.18: fixed over a mapping replaces it, contents and all', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 8);
    touch(api, mm, BASE, 8);
    const used = framesUsed(mm);
    expect(mapPages(api, mm, 2, 3)).toBe(BASE + 2 * PAGE);
    expect([vmas(mm), framesUsed(mm), mm.anonPages]).toEqual([['0-8'], used - 3, 5]);
    expect([pfnAt(mm, BASE + 2 * PAGE), pfnAt(mm, BASE + PAGE) > 0, pfnAt(mm, BASE + 5 * PAGE) > 0]).toEqual([
      -1,
      true,
      true,
    ]);
  });

  it('6.18: the map count is looked at before anything is done, so there may be one VMA more than the limit', () => {
    const mm = setUp(api, 64, createVmaTree({ maxMapCount: 3 }));
    for (const page of [0, 2, 4, 6]) expect(mapPages(api, mm, page, 1)).toBe(BASE + page * PAGE);
    expect(mapPages(api, mm, 8, 1)).toBe(-ENOMEM);
    expect(mapPages(api, mm, 6, 1)).toBe(-ENOMEM);
    expect(vmas(mm)).toEqual(['0-1', '2-3', '4-5', '6-7']);
  });

  it('6.18: fixed in the middle of a VMA is ENOMEM at the limit, fine one below; over its head always', () => {
    const make = (): ReturnType<typeof setUp> => {
      const mm = setUp(api, 64, createVmaTree({ maxMapCount: 3 }));
      for (const page of [0, 10, 20]) mapPages(api, mm, page, 8);
      return mm;
    };
    const full = make();
    expect(mapPages(api, full, 3, 1)).toBe(-ENOMEM);
    expect(vmas(full)).toEqual(['0-8', '10-18', '20-28']);
    expect(mapPages(api, full, 0, 1)).toBe(BASE);
    expect(vmas(full)).toEqual(['0-8', '10-18', '20-28']);
    const room = make();
    api.munmap(room, BASE + 20 * PAGE, 8 * PAGE);
    expect(mapPages(api, room, 3, 1)).toBe(BASE + 3 * PAGE);
    expect(vmas(room)).toEqual(['0-8', '10-18']);
  });

  it('MAP_POPULATE faults the pages in: own ones where they may be written, the zero page where only read', () => {
    const mm = setUp(api);
    const { zeroPfn } = mm.memory.phys;
    api.mmap(mm, BASE, 3 * PAGE, RW, FIXED | MAP_POPULATE);
    expect([mm.anonPages, mm.memory.stat.pgfault, isLocked(mm.mmapLock)]).toEqual([3, 3, false]);
    api.mmap(mm, BASE + 8 * PAGE, 2 * PAGE, PROT_READ, FIXED | MAP_POPULATE);
    expect([pfnAt(mm, BASE + 8 * PAGE), pfnAt(mm, BASE + 9 * PAGE), mm.anonPages]).toEqual([zeroPfn, zeroPfn, 3]);
  });

  it('6.18: MAP_POPULATE that cannot is no error: PROT_NONE, out of memory', () => {
    const mm = setUp(api, 24);
    expect(api.mmap(mm, BASE, PAGE, PROT_NONE, FIXED | MAP_POPULATE)).toBe(BASE);
    expect(pfnAt(mm, BASE)).toBe(-1);
    expect(api.mmap(mm, BASE + 8 * PAGE, 64 * PAGE, RW, FIXED | MAP_POPULATE)).toBe(BASE + 8 * PAGE);
    expect(mm.memory.phys.freeFrames).toBe(0);
    expect(isLocked(mm.mmapLock)).toBe(false);
    api.exitMm(mm);
    expect(framesUsed(mm)).toBe(0);
  });

  it('bad JavaScript values throw RangeError and change nothing', () => {
    const mm = setUp(api);
    expect(thrown(() => api.mmap(mm, -1, PAGE, RW, ANON))).toBe('RangeError');
    expect(thrown(() => api.mmap(mm, 0, 1.5, RW, ANON))).toBe('RangeError');
    expect(thrown(() => api.mmap(mm, 0, PAGE, -1, ANON))).toBe('RangeError');
    expect(thrown(() => api.mmap(mm, 0, PAGE, RW, -1))).toBe('RangeError');
    expect(thrown(() => api.munmap(mm, Number.NaN, PAGE))).toBe('RangeError');
    expect(thrown(() => api.munmap(mm, 0, -PAGE))).toBe('RangeError');
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([[], false]);
  });
});
