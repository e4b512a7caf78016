/** A.1–A.4, A.7, A.9–A.11, A.13: the steps of the documented call and of those around it, row by row, by kernel. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18, mmapIsLocked, mmapReadUnlock, zapPageRange } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EEXIST, EFAULT } from '@mmkit/base';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_MAJOR,
  VM_FAULT_RETRY,
  VM_FAULT_SIGSEGV,
} from '@mmkit/fault';
import {
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_MIGRATION,
  FOLL_NOWAIT,
  FOLL_NUMA,
  FOLL_POPULATE,
  FOLL_REMOTE,
  FOLL_SPLIT,
  FOLL_TOUCH,
  FOLL_TRIED,
  FOLL_WRITE,
} from '@mmkit/gup/classic';
import type { LockState } from '@mmkit/gup/classic';
import { E_DIRTY, E_SPECIAL, E_USER, E_WRITE, E_YOUNG } from '@mmkit/pgtable';
import { PG_DIRTY, PG_REFERENCED, testFlag } from '@mmkit/phys';
import { VM_IO, VM_MAYREAD, VM_MAYWRITE, VM_MIXEDMAP, VM_PFNMAP, VM_READ } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, RW, space } from './builds.ts';
import type { Build, Hooks, Space } from './builds.ts';
import { Disk } from './files.ts';

const ERA: readonly Policy[] = [linux3_14, linux4_8];
const ALL: readonly Policy[] = [...ERA, linux6_18];

describe.each(builds)('%s: the documented call', (name, build: Build) => {
  const { classic } = build;
  const machine = (policy: Policy, hooks: Hooks = {}): Space => space(build, hooks, { policy });
  const get = (
    s: Space,
    nr: number,
    flags: number,
    pages: Uint32Array | null = (flags & FOLL_GET) !== 0 ? new Uint32Array(nr) : null,
    vmas: (Vma | null)[] | null = null,
    nonblocking: LockState | null = null,
  ): number => s.locked(() => classic.__get_user_pages(null, s.mm, AT, nr, flags, pages, vmas, nonblocking));

  it('A.1: *nonblocking is never set to 1', () => {
    const s = machine(linux3_14);
    s.map(AT, 1);
    const nonblocking: LockState = { value: 0 };
    expect([get(s, 1, FOLL_GET, new Uint32Array(1), null, nonblocking), nonblocking.value]).toEqual([1, 0]);
  });

  it.each(ERA)('A.2, $name: SPLIT, NUMA and MIGRATION change nothing for pages like ours', (policy) => {
    const s = machine(policy);
    s.map(AT, 2);
    s.touch(AT, 1);
    expect(get(s, 2, FOLL_GET | FOLL_SPLIT | FOLL_NUMA | FOLL_MIGRATION | FOLL_HWPOISON)).toBe(2);
  });

  it('A.3: slots of pages and vmas from the returned number on are left alone', () => {
    const s = machine(linux3_14);
    const vma = s.map(AT, 1);
    const pages = new Uint32Array(3).fill(0xdead);
    const vmas: (Vma | null)[] = [null, null, null];
    expect(get(s, 3, FOLL_GET, pages, vmas)).toBe(1);
    expect(pages.slice(1)).toEqual(Uint32Array.of(0xdead, 0xdead));
    expect(vmas[0]).toBe(vma);
    expect(vmas.slice(1)).toEqual([null, null]);
  });

  it('A.3 #8: a signal that comes during a fault: in 3.14 that page is still taken, from 3.16 on it is not', () => {
    for (const policy of ALL) {
      const s = machine(policy, {
        after: (mm, result) => {
          mm.memory.sched.current.killed = true;
          return result;
        },
      });
      s.map(AT, 3);
      const pages = new Uint32Array(3);
      const got = get(s, 3, FOLL_GET | FOLL_WRITE, pages);
      s.sched.current.killed = false;
      if (policy === linux3_14) expect([got, s.refs(pages[0]!)]).toEqual([1, 2]);
      else expect([got < 0, s.refs(s.entry(AT).pfn)]).toEqual([true, 1]);
    }
  });

  it('A.3 #12, A.7: an entry without a page: 3.14 -EFAULT; 4.8 only with FOLL_GET, else counted and marked', () => {
    for (const [policy, withGet, without] of [
      [linux3_14, -EFAULT, -EFAULT],
      [linux4_8, -EFAULT, 1],
      [linux6_18, -EEXIST, 1],
    ] as const) {
      const s = machine(policy);
      s.map(AT, 1, RW | VM_MIXEDMAP);
      s.set(AT, 0x1234, E_USER | E_SPECIAL | E_WRITE);
      if (policy !== linux6_18) {
        expect(get(s, 1, FOLL_GET | FOLL_TOUCH)).toBe(withGet);
        expect(s.entry(AT).flags & E_YOUNG).toBe(0);
      }
      expect(get(s, 1, FOLL_GET)).toBe(withGet);
      expect(get(s, 1, 0)).toBe(without);
      expect(s.entry(AT).flags & E_YOUNG).toBe(0);
      expect(get(s, 1, FOLL_TOUCH | FOLL_WRITE)).toBe(without);
      expect(s.entry(AT).flags & (E_YOUNG | E_DIRTY)).toBe(without === 1 ? E_YOUNG | E_DIRTY : 0);
    }
  });

  it.each([
    ['nothing', 0, false, 0],
    ['WRITE', FOLL_WRITE, false, FAULT_FLAG_WRITE],
    ['REMOTE (4.6)', FOLL_REMOTE, false, FAULT_FLAG_REMOTE],
    ['nonblocking: no signal ends its wait', 0, true, FAULT_FLAG_ALLOW_RETRY],
    ['NOWAIT', FOLL_NOWAIT, false, FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT],
    ['NOWAIT and nonblocking', FOLL_NOWAIT, true, FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT],
    ['TRIED', FOLL_TRIED | FOLL_WRITE, false, FAULT_FLAG_TRIED | FAULT_FLAG_WRITE],
  ])('A.4 #2: the fault is told: %s', (_, flags, nonblocking, expected) => {
    let told = -1;
    const before = (_mm: unknown, _address: number, fault: number): null => ((told = fault), null);
    const s = machine(linux4_8, { before });
    s.map(AT, 1);
    expect(get(s, 1, flags | FOLL_GET, new Uint32Array(1), null, nonblocking ? { value: 1 } : null)).toBe(1);
    expect(told).toBe(expected);
  });

  it('A.4 #4: SIGSEGV (3.19) is -EFAULT', () => {
    const s = machine(linux4_8, { before: () => VM_FAULT_SIGSEGV });
    s.map(AT, 1);
    expect(get(s, 1, FOLL_GET)).toBe(-EFAULT);
  });

  it('A.4 #8: a fault that did its work need not help: the page is gone again, and faulted in again', () => {
    let faults = 0;
    const s = machine(linux3_14, {
      after: (mm, result) => {
        if (++faults < 3) zapPageRange(mm, AT, AT + PAGE);
        return result;
      },
    });
    s.map(AT, 1);
    const tsk = { min_flt: 0, maj_flt: 0 };
    const pages = new Uint32Array(1);
    const call = (): number => classic.__get_user_pages(tsk, s.mm, AT, 1, FOLL_GET | FOLL_WRITE, pages, null, null);
    expect([s.locked(call), faults, tsk.min_flt]).toEqual([1, 3, 3]);
    expect(pages[0]).toBe(s.entry(AT).pfn);
  });

  it.each(ERA)(
    'A.7, $name: TOUCH marks accessed, for a write dirty unless entry or page are; never the entry young',
    (policy) => {
      for (const [flags, entry, dirty] of [
        [FOLL_TOUCH, 0, false],
        [FOLL_TOUCH | FOLL_WRITE, 0, true],
        [FOLL_TOUCH | FOLL_WRITE, E_DIRTY, false],
        [FOLL_WRITE, 0, false],
      ] as const) {
        const s = machine(policy);
        s.map(AT, 1);
        const [pfn] = s.touch(AT, 1);
        s.set(AT, pfn!, E_USER | E_WRITE | entry);
        expect(get(s, 1, flags)).toBe(1);
        expect([testFlag(s.phys, pfn!, PG_REFERENCED), testFlag(s.phys, pfn!, PG_DIRTY)]).toEqual([
          (flags & FOLL_TOUCH) !== 0,
          dirty,
        ]);
        expect(s.entry(AT).flags).toBe(E_USER | E_WRITE | entry);
      }
    },
  );

  it('A.7: get_dump_page: the zero page is a hole, a page of a file that nobody touched is not', () => {
    const s = machine(linux3_14);
    s.map(AT, 1);
    s.touch(AT, 1, 0);
    expect(s.locked(() => classic.get_dump_page(s.mm, AT))).toBe(-1);
    const disk = new Disk(name, s);
    disk.map(disk.file(), AT + 16 * PAGE, VM_READ | VM_MAYREAD | VM_MAYWRITE);
    const pfn = s.locked(() => classic.get_dump_page(s.mm, AT + 16 * PAGE));
    expect([disk.byte(pfn), s.refs(pfn)]).toEqual([1, 3]);
  });

  it('A.9, C.1: a forced write whose copy is dropped before the lookup: 3.14 gives the page of the file', () => {
    for (const policy of ALL) {
      for (const readBack of [false, true]) {
        let faults = 0;
        const s = machine(policy, {
          after: (mm, result) => {
            if (++faults !== 2) return result;
            // madvise(MADV_DONTNEED) of another thread, and perhaps a load after it.
            zapPageRange(mm, AT, AT + PAGE);
            if (readBack) s.touch(AT, 1, 0);
            return result;
          },
        });
        const disk = new Disk(name, s);
        const inode = disk.shmem();
        disk.map(inode, AT, VM_READ | VM_MAYREAD | VM_MAYWRITE);
        s.touch(AT, 1, 0);
        faults = 1;
        const pages = new Uint32Array(1);
        expect(get(s, 1, FOLL_GET | FOLL_WRITE | FOLL_FORCE, pages)).toBe(1);
        expect(pages[0] === inode.pages.get(0)).toBe(policy === linux3_14);
      }
    }
  });
});

describe.each(builds)('%s: around the documented call', (_, build: Build) => {
  const { classic } = build;

  /** A machine where the first page not there waits once for the disk, without mmap_sem where the fault may drop it. */
  function waiting(policy: Policy): Space & { flags: number[] } {
    const flags: number[] = [];
    const before = (mm: Space['mm'], _address: number, fault: number): number | null => {
      flags.push(fault);
      if ((fault & FAULT_FLAG_ALLOW_RETRY) === 0 || flags.length > 1) return null;
      mmapReadUnlock(mm);
      return VM_FAULT_RETRY | VM_FAULT_MAJOR;
    };
    const s = Object.assign(space(build, { before }, { policy }), { flags });
    s.map(AT, 4);
    return s;
  }

  it('A.13: what the fast walk leaves over: up to 3.19 mmap_sem is held, from 4.0 on dropped for waits', () => {
    for (const [policy, first] of [
      [linux3_14, FAULT_FLAG_WRITE],
      [linux4_8, FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY],
    ] as const) {
      const s = waiting(policy);
      s.touch(AT, 1);
      const pages = new Uint32Array(3);
      expect(classic.get_user_pages_fast(s.mm, AT, 3, true, pages)).toBe(3);
      expect([s.flags[0], s.memory.stat.gupFast, mmapIsLocked(s.mm)]).toEqual([first, 1, false]);
      expect(Array.from(pages, (pfn) => s.refs(pfn))).toEqual([2, 2, 2]);
      expect(classic.get_user_pages_fast(s.mm, AT + 9 * PAGE, 1, true, pages)).toBe(-EFAULT);
      expect(mmapIsLocked(s.mm)).toBe(false);
    }
  });

  it('A.13: a range that ends beyond user memory goes the slow way: the pages before it', () => {
    const s = space(build, {}, { policy: linux4_8 });
    const last = s.memory.format.taskSize - PAGE;
    s.map(last, 1);
    s.touch(last, 1);
    expect(classic.get_user_pages_fast(s.mm, last, 2, true, new Uint32Array(2))).toBe(1);
    expect(s.memory.stat.gupFast).toBe(0);
  });

  it.each([VM_IO, VM_PFNMAP])(
    'A.13: no VMA is asked: only a special entry keeps the fast walk out of such memory (%i)',
    (flag) => {
      const s = space(build, {}, { policy: linux4_8 });
      const vma = s.map(AT, 2);
      s.touch(AT, 1);
      vma.flags |= flag;
      s.set(AT + PAGE, 0x1234, E_USER | E_SPECIAL | E_WRITE);
      expect(classic.__get_user_pages_fast(s.mm, AT, 2, true, new Uint32Array(2))).toBe(1);
      expect(classic.get_user_pages_fast(s.mm, AT + PAGE, 1, true, new Uint32Array(1))).toBe(-EFAULT);
    },
  );

  it('A.11: __get_user_pages_unlocked marks pages accessed only with FOLL_TOUCH; get_user_pages_unlocked does', () => {
    for (const [flags, touched] of [
      [0, false],
      [FOLL_TOUCH, true],
    ] as const) {
      const s = space(build, {}, { policy: linux4_8 });
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      const pages = new Uint32Array(1);
      expect(classic.__get_user_pages_unlocked(null, s.mm, AT, 1, true, false, pages, flags)).toBe(1);
      expect([pages[0], s.refs(pfn!), testFlag(s.phys, pfn!, PG_REFERENCED)]).toEqual([pfn, 2, touched]);
      classic.get_user_pages_unlocked(null, s.mm, AT, 1, true, false, pages);
      expect(testFlag(s.phys, pfn!, PG_REFERENCED)).toBe(true);
    }
  });

  it('A.11: __get_user_pages_unlocked drops mmap_sem for waits, and has given it back at the end', () => {
    const s = waiting(linux4_8);
    const pages = new Uint32Array(3);
    expect(classic.__get_user_pages_unlocked(null, s.mm, AT, 3, true, false, pages, FOLL_POPULATE)).toBe(3);
    expect(s.flags.slice(0, 2)).toEqual([
      FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY,
      FAULT_FLAG_WRITE | FAULT_FLAG_TRIED,
    ]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('A.11: its flags: those of waits, of references and unknown ones: FLAGS; bad values RangeError', () => {
    const s = space(build, {}, { policy: linux4_8 });
    s.map(AT, 1);
    const call = (flags: number): unknown =>
      codeOf(() => classic.__get_user_pages_unlocked(null, s.mm, AT, 1, true, false, null, flags));
    for (const flags of [FOLL_NOWAIT, FOLL_TRIED, FOLL_GET, 0x4000]) expect(call(flags)).toBe('FLAGS');
    expect(call(0.5)).toBeInstanceOf(RangeError);
    expect([s.memory.stat.pgfault, mmapIsLocked(s.mm)]).toEqual([0, false]);
  });
});
