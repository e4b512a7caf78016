/** A.2, A.4 #1, A.7, A.14: FOLL_MLOCK and FOLL_POPULATE, and the populating of the era that is made of them. */
import { describe, expect, it } from 'vitest';
import {
  linkFileVma,
  linux3_14,
  linux4_8,
  linux6_18,
  mmapIsLocked,
  mmapReadUnlock,
  mmapWriteTrylock,
} from '@mmkit/aspace';
import { mmapWriteUnlock } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT, ENOMEM, ERESTARTSYS } from '@mmkit/base';
import { FAULT_FLAG_ALLOW_RETRY, VM_FAULT_OOM, VM_FAULT_RETRY } from '@mmkit/fault';
import { FOLL_GET, FOLL_MLOCK, FOLL_MLOCK_3_14, FOLL_POPULATE, FOLL_TOUCH, FOLL_WRITE } from '@mmkit/gup/classic';
import { E_WRITE, ENTRY_LEAF } from '@mmkit/pgtable';
import { clearFlag, PG_DIRTY, PG_LOCKED, PG_MLOCKED, PG_REFERENCED, setFlag, testFlag } from '@mmkit/phys';
import {
  eraseVma,
  VM_EXEC,
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ,
  VM_WRITE,
} from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, RW, space } from './builds.ts';
import type { Build, Hooks, Space } from './builds.ts';
import { Disk, SHARED } from './files.ts';

const ERA: readonly Policy[] = [linux3_14, linux4_8];
const MAY = VM_MAYREAD | VM_MAYWRITE;

describe.each(builds)('%s: FOLL_MLOCK', (name, build: Build) => {
  /** A locked VMA of 3 pages, all there, none mlocked. */
  const set = (policy: Policy, hooks: Hooks = {}): { s: Space; vma: Vma; pfns: number[] } => {
    const s = space(build, hooks, { policy });
    const vma = s.map(AT, 3);
    const pfns = s.touch(AT, 3);
    vma.flags |= VM_LOCKED;
    return { s, vma, pfns };
  };
  const mlocked = (s: Space, pfn: number): boolean => testFlag(s.phys, pfn, PG_MLOCKED);
  const call = (s: Space, nr: number, flags: number, vmas: (Vma | null)[] | null = null): number =>
    s.locked(() => build.classic.__get_user_pages(null, s.mm, AT, nr, flags, null, vmas, null));
  /** FOLL_MLOCK's value. */
  const mlockOf = (policy: Policy): number => (policy === linux3_14 ? FOLL_MLOCK_3_14 : FOLL_MLOCK);

  it.each(ERA)(
    'A.7, $name: pages that are there in locked memory are mlocked; no reference stays, and again changes nothing',
    (policy) => {
      const { s, pfns } = set(policy);
      for (let i = 0; i < 2; i++) {
        expect(call(s, 2, mlockOf(policy))).toBe(2);
        expect(pfns.map((pfn) => mlocked(s, pfn))).toEqual([true, true, false]);
        expect(pfns.map((pfn) => s.refs(pfn))).toEqual([1, 1, 1]);
      }
    },
  );

  it.each(ERA)('A.7, $name: not in memory that is not locked, and not the zero page', (policy) => {
    const { s, vma, pfns } = set(policy);
    vma.flags &= ~VM_LOCKED;
    expect(call(s, 3, mlockOf(policy))).toBe(3);
    expect(pfns.some((pfn) => mlocked(s, pfn))).toBe(false);
    const zero = space(build, {}, { policy });
    zero.map(AT, 1, VM_READ | MAY | VM_LOCKED);
    zero.touch(AT, 1, 0);
    expect(call(zero, 1, mlockOf(policy))).toBe(1);
    expect(mlocked(zero, zero.phys.zeroPfn)).toBe(false);
  });

  it.each(ERA)('A.7, $name: a page whose lock is taken is passed over, not waited for, and counted', (policy) => {
    const { s, pfns } = set(policy);
    setFlag(s.phys, pfns[1]!, PG_LOCKED);
    expect(call(s, 3, mlockOf(policy))).toBe(3);
    expect(pfns.map((pfn) => mlocked(s, pfn))).toEqual([true, false, true]);
    clearFlag(s.phys, pfns[1]!, PG_LOCKED);
    expect(call(s, 3, mlockOf(policy))).toBe(3);
    expect(mlocked(s, pfns[1]!)).toBe(true);
  });

  it.each(ERA)('A.7, $name: a page of a file too, which a fault does not mlock', (policy) => {
    const s = space(build, {}, { policy });
    const disk = new Disk(name, s);
    const vma = disk.map(disk.shmem(), AT, SHARED);
    vma.flags |= VM_LOCKED;
    const [pfn] = s.touch(AT, 1);
    expect(mlocked(s, pfn!)).toBe(false);
    expect(call(s, 1, mlockOf(policy))).toBe(1);
    expect(mlocked(s, pfn!)).toBe(true);
    // Its private copy is new anonymous memory, which a fault does mlock.
    const copies = s.map(AT + 16 * PAGE, 1, RW | VM_LOCKED, vma.file);
    copies.pgoff = 1;
    linkFileVma(copies);
    expect(mlocked(s, s.touch(AT + 16 * PAGE, 1)[0]!)).toBe(true);
  });

  it('A.4 #1: in 3.14 FOLL_MLOCK faults in; from 4.4 on, without FOLL_POPULATE, it counts what is not there', () => {
    const old = space(build, {}, { policy: linux3_14 });
    old.map(AT, 3, RW | VM_LOCKED);
    expect(call(old, 3, FOLL_MLOCK_3_14 | FOLL_WRITE)).toBe(3);
    expect([0, 1, 2].every((i) => mlocked(old, old.entry(AT + i * PAGE).pfn))).toBe(true);
    const s = space(build, {}, { policy: linux4_8 });
    const vma = s.map(AT, 3, RW | VM_LOCKED);
    const vmas: (Vma | null)[] = [];
    expect(call(s, 3, FOLL_MLOCK | FOLL_TOUCH, vmas)).toBe(3);
    expect(s.memory.stat.pgfault).toBe(0);
    // A.3 #14: such a page's VMA is told all the same.
    expect(vmas.length).toBe(3);
    for (const of of vmas) expect(of).toBe(vma);
    expect(call(s, 3, FOLL_MLOCK | FOLL_POPULATE)).toBe(3);
    expect(s.memory.stat.pgfault).toBe(3);
    const populated = space(build, {}, { policy: linux4_8 });
    populated.map(AT, 1);
    expect(call(populated, 1, FOLL_POPULATE)).toBe(1);
    expect(populated.memory.stat.pgfault).toBe(1);
  });

  it('A.4 #1: pages between those passed over keep their slots, the others are not written', () => {
    const s = space(build, {}, { policy: linux4_8 });
    s.map(AT, 3, RW | VM_LOCKED);
    const [pfn] = s.touch(AT + PAGE, 1);
    const pages = new Uint32Array(3).fill(0xdead);
    const get = (): number =>
      build.classic.__get_user_pages(null, s.mm, AT, 3, FOLL_GET | FOLL_MLOCK, pages, null, null);
    expect(s.locked(get)).toBe(3);
    expect([...pages]).toEqual([0xdead, pfn, 0xdead]);
  });

  it('A.2: each kernel has its own value, and since 5.18 there is none: FLAGS', () => {
    for (const [policy, known] of [
      [linux3_14, FOLL_MLOCK_3_14],
      [linux4_8, FOLL_POPULATE | FOLL_MLOCK],
      [linux6_18, 0],
    ] as const) {
      const s = space(build, {}, { policy });
      s.map(AT, 1);
      for (const flag of [0x40, 0x1000]) {
        expect(codeOf(() => call(s, 1, flag))).toBe((known & flag) !== 0 ? undefined : 'FLAGS');
      }
    }
  });
});

describe.each(builds)('%s: A.14, populating in the era', (name, build: Build) => {
  const { mmPopulate } = build.gup;
  const at = (s: Space, page: number) => s.entry(AT + page * PAGE);
  const there = (s: Space, pages: number): boolean[] =>
    Array.from({ length: pages }, (_, i) => at(s, i).kind === ENTRY_LEAF);

  it.each(ERA)(
    '$name: TOUCH, MLOCK; WRITE where private memory may be written: own pages, accessed, mlocked where locked',
    (policy) => {
      const s = space(build, {}, { policy });
      s.map(AT, 1, RW | VM_LOCKED);
      s.map(AT + PAGE, 1);
      expect(mmPopulate(s.mm, AT, 2 * PAGE, false)).toBe(0);
      for (const [page, locked] of [true, false].entries()) {
        const { pfn, flags } = at(s, page);
        expect([flags & E_WRITE, testFlag(s.phys, pfn, PG_MLOCKED)]).toEqual([E_WRITE, locked]);
        expect([testFlag(s.phys, pfn, PG_REFERENCED), s.refs(pfn)]).toEqual([true, 1]);
      }
      expect(mmapIsLocked(s.mm)).toBe(false);
    },
  );

  it.each(ERA)('$name: no WRITE in shared memory, which must not be dirtied before its time', (policy) => {
    const s = space(build, {}, { policy });
    const disk = new Disk(name, s);
    disk.map(disk.shmem(), AT, SHARED).flags |= VM_LOCKED;
    mmPopulate(s.mm, AT, PAGE, false);
    const { pfn } = at(s, 0);
    expect([testFlag(s.phys, pfn, PG_DIRTY), testFlag(s.phys, pfn, PG_MLOCKED)]).toEqual([false, true]);
  });

  it.each(ERA)('$name: FORCE wherever some access is allowed; PROT_NONE fails: -EFAULT', (policy) => {
    const s = space(build, {}, { policy });
    s.map(AT, 1, VM_WRITE | MAY);
    s.map(AT + PAGE, 1, VM_READ | MAY);
    s.map(AT + 2 * PAGE, 1, VM_EXEC | MAY);
    s.map(AT + 3 * PAGE, 1, MAY);
    expect(mmPopulate(s.mm, AT, 3 * PAGE, false)).toBe(0);
    expect(mmPopulate(s.mm, AT, 4 * PAGE, false)).toBe(-EFAULT);
    expect(there(s, 4)).toEqual([true, true, true, false]);
  });

  it('VM_LOCKONFAULT (4.4): what is there is mlocked, the rest counted; PROT_NONE fails, today it does not', () => {
    const s = space(build, {}, { policy: linux4_8 });
    const vma = s.map(AT, 3);
    const [pfn] = s.touch(AT + PAGE, 1);
    vma.flags |= VM_LOCKED | VM_LOCKONFAULT;
    const faults = s.memory.stat.pgfault;
    expect(mmPopulate(s.mm, AT, 3 * PAGE, false)).toBe(0);
    expect([s.memory.stat.pgfault, testFlag(s.phys, pfn!, PG_MLOCKED)]).toEqual([faults, true]);
    for (const [policy, expected] of [
      [linux4_8, -EFAULT],
      [linux6_18, 0],
    ] as const) {
      const none = space(build, {}, { policy });
      none.map(AT, 1, MAY | VM_LOCKED | VM_LOCKONFAULT);
      expect(mmPopulate(none.mm, AT, PAGE, false)).toBe(expected);
    }
  });

  it.each(ERA)('$name: VM_IO and VM_PFNMAP memory is skipped, holes too', (policy) => {
    const s = space(build, {}, { policy });
    s.map(AT, 1, RW | VM_IO);
    s.map(AT + PAGE, 1, RW | VM_PFNMAP);
    s.map(AT + 3 * PAGE, 1);
    expect(mmPopulate(s.mm, AT, 5 * PAGE, false)).toBe(0);
    expect(there(s, 4)).toEqual([false, false, false, true]);
  });

  it.each(ERA)(
    '$name: an error ends its VMA when errors are ignored (mmap), else the call, which returns it (mlock)',
    (policy) => {
      const before = (_mm: unknown, address: number): number | null => (address === AT + PAGE ? VM_FAULT_OOM : null);
      for (const ignore of [true, false]) {
        const s = space(build, { before }, { policy });
        s.map(AT, 3);
        s.map(AT + 3 * PAGE, 1);
        // A short count first; the page that fails is then the first one asked for.
        expect(mmPopulate(s.mm, AT, 4 * PAGE, ignore)).toBe(ignore ? 0 : -ENOMEM);
        expect(there(s, 4)).toEqual([true, false, false, ignore]);
        expect(mmapIsLocked(s.mm)).toBe(false);
      }
    },
  );

  it.each(ERA)(
    '$name: the first page must wait: 0 pages, the lock is taken again, the VMA found again, on from there',
    (policy) => {
      let tries = 0;
      let vma: Vma | null = null;
      const s = space(
        build,
        {
          before(mm, _address, flags) {
            if (++tries % 2 === 0) return null;
            expect(flags & FAULT_FLAG_ALLOW_RETRY).not.toBe(0);
            mmapReadUnlock(mm);
            if (tries === 3) {
              // Meanwhile somebody unmaps all of it but the last page.
              expect(mmapWriteTrylock(mm)).toBe(true);
              eraseVma(mm.vmas, vma!);
              s.map(AT + 2 * PAGE, 1);
              mmapWriteUnlock(mm);
            }
            return VM_FAULT_RETRY;
          },
        },
        { policy },
      );
      vma = s.map(AT, 3);
      expect(mmPopulate(s.mm, AT, 3 * PAGE, false)).toBe(0);
      expect([tries, there(s, 3)]).toEqual([4, [true, false, true]]);
      expect(mmapIsLocked(s.mm)).toBe(false);
    },
  );

  it.each(ERA)('$name: a fatal signal is -ERESTARTSYS', (policy) => {
    const s = space(build, {}, { policy });
    s.map(AT, 1);
    expect(s.killed(() => mmPopulate(s.mm, AT, PAGE, false))).toBe(-ERESTARTSYS);
  });

  it('since 5.18 GUP mlocks nothing: who maps the page did', () => {
    const s = space(build, {}, { policy: linux6_18 });
    const vma = s.map(AT, 2);
    const [pfn] = s.touch(AT, 1);
    vma.flags |= VM_LOCKED;
    mmPopulate(s.mm, AT, 2 * PAGE, false);
    expect(testFlag(s.phys, pfn!, PG_MLOCKED)).toBe(false);
    expect(testFlag(s.phys, at(s, 1).pfn, PG_MLOCKED)).toBe(true);
  });
});
