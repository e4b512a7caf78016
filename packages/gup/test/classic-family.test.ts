/** A.9, A.11–A.13, A.16 #17–20 and #30–34: the functions of the era, and its rules as policies. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18, mmapIsLocked, mmapReadUnlock, zapPageRange } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT } from '@mmkit/base';
import { FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_RETRY_NOWAIT, VM_FAULT_MAJOR, VM_FAULT_RETRY } from '@mmkit/fault';
import { FOLL_FORCE, FOLL_GET, FOLL_NOWAIT, FOLL_TRIED, FOLL_WRITE } from '@mmkit/gup/classic';
import { E_WRITE } from '@mmkit/pgtable';
import { VM_MAYREAD, VM_MAYWRITE, VM_READ } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, space } from './builds.ts';
import type { Build, Space } from './builds.ts';

const READ_ONLY = VM_READ | VM_MAYREAD | VM_MAYWRITE;
const counters = (): { min_flt: number; maj_flt: number } => ({ min_flt: 0, maj_flt: 0 });

/** A machine where page `slow` (a number from AT) needs a wait for I/O, which every fault handler treats as Linux's does. */
function slowPage(build: Build, slow: number, policy: Policy = linux3_14): Space & { waits: number } {
  const state = { there: false };
  const s = space(
    build,
    {
      before(mm, address, flags) {
        if (address !== AT + slow * PAGE || state.there) return null;
        if ((flags & FAULT_FLAG_ALLOW_RETRY) === 0) {
          state.there = true;
          return null;
        }
        s.waits++;
        if ((flags & FAULT_FLAG_RETRY_NOWAIT) !== 0) return VM_FAULT_RETRY | VM_FAULT_MAJOR;
        state.there = true;
        mmapReadUnlock(mm);
        return VM_FAULT_RETRY | VM_FAULT_MAJOR;
      },
    },
    { policy },
  ) as Space & { waits: number };
  s.waits = 0;
  s.map(AT, 4);
  return s;
}

describe.each(builds)('%s: waits of the documented call', (_, build) => {
  const call = (s: Space, nr: number, flags: number, nonblocking: { value: 0 | 1 } | null, tsk = counters()): number =>
    s.locked(() =>
      build.classic.__get_user_pages(tsk, s.mm, AT, nr, flags | FOLL_GET, new Uint32Array(nr), null, nonblocking),
    );

  it('A.16 #17: the first page needs I/O: 0, *nonblocking 0, mmap_sem released', () => {
    const s = slowPage(build, 0);
    const nonblocking = { value: 1 as 0 | 1 };
    s.locked(() => {
      const pages = new Uint32Array(3);
      expect(build.classic.__get_user_pages(null, s.mm, AT, 3, FOLL_GET, pages, null, nonblocking)).toBe(0);
      expect(mmapIsLocked(s.mm)).toBe(false);
    });
    expect(nonblocking.value).toBe(0);
  });

  it('A.16 #18: the third page needs I/O: 2, *nonblocking 0, mmap_sem released; A.10: the retried fault is counted', () => {
    const s = slowPage(build, 2);
    const nonblocking = { value: 1 as 0 | 1 };
    const tsk = counters();
    s.locked(() => {
      const pages = new Uint32Array(3);
      expect(build.classic.__get_user_pages(tsk, s.mm, AT, 3, FOLL_GET, pages, null, nonblocking)).toBe(2);
      expect(mmapIsLocked(s.mm)).toBe(false);
    });
    expect(nonblocking.value).toBe(0);
    expect(tsk).toEqual({ min_flt: 2, maj_flt: 1 });
  });

  it('A.16 #19: FOLL_NOWAIT without nonblocking: 0, mmap_sem held', () => {
    const s = slowPage(build, 0);
    s.locked(() => {
      const pages = new Uint32Array(1);
      expect(build.classic.__get_user_pages(null, s.mm, AT, 1, FOLL_GET | FOLL_NOWAIT, pages, null, null)).toBe(0);
      expect(mmapIsLocked(s.mm)).toBe(true);
    });
    expect(s.waits).toBe(1);
  });

  it.each([linux3_14, linux4_8])(
    'A.16 #20, $name: FOLL_NOWAIT and nonblocking: 0, *nonblocking 0, yet mmap_sem held',
    (policy) => {
      const s = slowPage(build, 0, policy);
      const nonblocking = { value: 1 as 0 | 1 };
      s.locked(() => {
        const pages = new Uint32Array(1);
        expect(
          build.classic.__get_user_pages(null, s.mm, AT, 1, FOLL_GET | FOLL_NOWAIT, pages, null, nonblocking),
        ).toBe(0);
        expect(mmapIsLocked(s.mm)).toBe(true);
      });
      expect(nonblocking.value).toBe(0);
    },
  );

  it('A.4: from 4.17 on *nonblocking stays 1 then', () => {
    const s = slowPage(build, 0, linux6_18);
    const nonblocking = { value: 1 as 0 | 1 };
    expect(call(s, 1, FOLL_NOWAIT, nonblocking)).toBe(0);
    expect(nonblocking.value).toBe(1);
  });

  it('A.4: nonblocking NULL: the fault may not be retried, and waits with mmap_sem held', () => {
    const s = slowPage(build, 0);
    expect(call(s, 3, 0, null)).toBe(3);
    expect(s.waits).toBe(0);
  });

  it('A.4 #2: FOLL_TRIED and nonblocking exclude each other: FLAGS', () => {
    const s = slowPage(build, 0);
    expect(codeOf(() => call(s, 1, FOLL_TRIED, { value: 1 }))).toBe('FLAGS');
  });
});

describe.each(builds)('%s: the family of the era', (_, build) => {
  const { get_user_pages, get_user_pages_locked, get_user_pages_unlocked } = build.classic;
  const { get_user_pages_fast, __get_user_pages_fast, get_dump_page } = build.classic;

  it('A.11: get_user_pages never drops mmap_sem and never returns 0', () => {
    const s = slowPage(build, 1);
    const pages = new Uint32Array(3);
    expect(s.locked(() => get_user_pages(null, s.mm, AT, 3, true, false, pages, null))).toBe(3);
    expect(s.waits).toBe(0);
    for (const pfn of pages) expect(s.refs(pfn)).toBe(2);
  });

  it('A.11: get_user_pages fills vmas, and with pages NULL only faults in', () => {
    const s = slowPage(build, 1);
    const vmas = [null, null];
    expect(s.locked(() => get_user_pages(null, s.mm, AT, 2, true, false, null, vmas))).toBe(2);
    expect(vmas.every((vma) => vma !== null)).toBe(true);
    expect(s.refs(s.entry(AT).pfn)).toBe(1);
  });

  it('A.16 #33: page 2 of 3 needs I/O: 3, and on return mmap_sem is released, *locked 0', () => {
    const s = slowPage(build, 1);
    const locked = { value: 1 as 0 | 1 };
    const pages = new Uint32Array(3);
    s.locked(() => {
      expect(get_user_pages_locked(null, s.mm, AT, 3, true, false, pages, locked)).toBe(3);
      expect(mmapIsLocked(s.mm)).toBe(false);
    });
    expect([locked.value, s.waits]).toEqual([0, 1]);
    expect(new Set(pages).size).toBe(3);
  });

  it('A.16 #34: no wait: 3, *locked 1, mmap_sem held', () => {
    const s = slowPage(build, 3);
    const locked = { value: 1 as 0 | 1 };
    s.locked(() => {
      expect(get_user_pages_locked(null, s.mm, AT, 3, true, false, new Uint32Array(3), locked)).toBe(3);
      expect(mmapIsLocked(s.mm)).toBe(true);
    });
    expect(locked.value).toBe(1);
  });

  it('A.12 #4: with pages NULL the first wait ends the call', () => {
    const s = slowPage(build, 1);
    const locked = { value: 1 as 0 | 1 };
    s.locked(() => expect(get_user_pages_locked(null, s.mm, AT, 3, true, false, null, locked)).toBe(1));
    expect(locked.value).toBe(0);
  });

  it('A.12: locked other than 1, or mmap_sem not held: LOCKED, LOCK_NOT_HELD', () => {
    const s = slowPage(build, 1);
    const pages = new Uint32Array(1);
    const withLock = (value: 0 | 1): unknown =>
      codeOf(() => get_user_pages_locked(null, s.mm, AT, 1, true, false, pages, { value }));
    expect(s.locked(() => withLock(0))).toBe('LOCKED');
    expect(withLock(1)).toBe('LOCK_NOT_HELD');
  });

  it('A.11: get_user_pages_unlocked takes mmap_sem, and gives it back whether it was dropped or not', () => {
    for (const slow of [1, 3]) {
      const s = slowPage(build, slow);
      const pages = new Uint32Array(3);
      expect(get_user_pages_unlocked(null, s.mm, AT, 3, true, false, pages)).toBe(3);
      expect(mmapIsLocked(s.mm)).toBe(false);
      expect(new Set(pages).size).toBe(3);
    }
  });

  it('A.11: an error after the first page is a short count, at the first it is the error', () => {
    const s = slowPage(build, 9);
    expect(get_user_pages_unlocked(null, s.mm, AT + 3 * PAGE, 3, true, false, new Uint32Array(3))).toBe(1);
    expect(get_user_pages_unlocked(null, s.mm, AT + 4 * PAGE, 3, true, false, new Uint32Array(3))).toBe(-EFAULT);
  });

  it('A.16 #30: fast over 2 pages that are there, one that is not, and a hole: 3, the error hidden', () => {
    const s = space(build, {}, { policy: linux4_8 });
    s.map(AT, 3);
    s.touch(AT, 2);
    const pages = new Uint32Array(4);
    expect(get_user_pages_fast(s.mm, AT, 4, true, pages)).toBe(3);
    expect([s.memory.stat.gupFast, s.memory.stat.pgfault]).toEqual([2, 3]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('A.16 #31: fast with the first page in a hole: -EFAULT', () => {
    const s = space(build, {}, { policy: linux4_8 });
    expect(get_user_pages_fast(s.mm, AT, 1, true, new Uint32Array(1))).toBe(-EFAULT);
  });

  it('A.16 #32: __get_user_pages_fast with the first page absent: 0, no fault; beyond user memory: 0', () => {
    const s = space(build, {}, { policy: linux4_8 });
    s.map(AT, 1);
    const pages = new Uint32Array(2);
    expect(__get_user_pages_fast(s.mm, AT, 1, true, pages)).toBe(0);
    expect(__get_user_pages_fast(s.mm, s.memory.format.userEnd - PAGE, 2, true, pages)).toBe(0);
    expect(s.memory.stat.pgfault).toBe(0);
  });

  it('A.7: get_dump_page gives a page that was written, -1 for a hole', () => {
    const s = space(build, {}, { policy: linux3_14 });
    s.map(AT, 2);
    const [pfn] = s.touch(AT, 1);
    expect(s.locked(() => get_dump_page(s.mm, AT))).toBe(pfn);
    expect(s.locked(() => get_dump_page(s.mm, AT + PAGE))).toBe(-1);
    expect(s.locked(() => get_dump_page(s.mm, AT + 2 * PAGE))).toBe(-1);
  });

  const bad: [string, (s: Space) => unknown][] = [
    ['nr_pages', (s) => get_user_pages(null, s.mm, AT, -1, true, false, null, null)],
    ['nr_pages', (s) => get_user_pages_fast(s.mm, AT, 0, true, new Uint32Array(1))],
    ['start', (s) => get_user_pages_unlocked(null, s.mm, -1, 1, true, false, null)],
    ['pages', (s) => get_user_pages_fast(s.mm, AT, 2, true, new Uint32Array(1))],
    ['addr', (s) => get_dump_page(s.mm, 0.5)],
  ];
  it.each(bad)('a bad %s is a RangeError that names it', (name, run) => {
    const s = space(build);
    expect(() => run(s)).toThrow(RangeError);
    expect(() => run(s)).toThrow(new RegExp(`^${name}: `));
  });
});

describe.each(builds)('%s: forced writes of the era', (_, build) => {
  const forced = (s: Space, tsk = counters()): [number, number] => {
    const pages = new Uint32Array(1);
    const flags = FOLL_WRITE | FOLL_FORCE | FOLL_GET;
    return [s.locked(() => build.classic.__get_user_pages(tsk, s.mm, AT, 1, flags, pages, null, null)), pages[0]!];
  };

  it.each([linux3_14, linux4_8])('A.9, A.16 #8 on untouched anonymous memory, $name: two faults', (policy) => {
    const s = space(build, {}, { policy });
    s.map(AT, 1, READ_ONLY);
    const tsk = counters();
    expect(forced(s, tsk)[0]).toBe(1);
    expect(tsk.min_flt).toBe(2);
    expect(s.entry(AT).flags & E_WRITE).toBe(0);
  });

  it('A.9: since 6.0 one fault makes the page exclusive, and that is enough', () => {
    const s = space(build, {}, { policy: linux6_18 });
    s.map(AT, 1, READ_ONLY);
    const tsk = counters();
    expect(forced(s, tsk)[0]).toBe(1);
    expect(tsk.min_flt).toBe(1);
  });

  it('A.9: what one page was granted does not hold for the next: each takes its own faults', () => {
    const s = space(build, {}, { policy: linux3_14 });
    s.map(AT, 2, READ_ONLY);
    s.touch(AT, 2, 0);
    const pages = new Uint32Array(2);
    const tsk = counters();
    const flags = FOLL_WRITE | FOLL_FORCE | FOLL_GET;
    expect(s.locked(() => build.classic.__get_user_pages(tsk, s.mm, AT, 2, flags, pages, null, null))).toBe(2);
    expect(pages).not.toContain(s.phys.zeroPfn);
    expect(tsk.min_flt).toBe(2);
  });

  it('A.9, C.3: up to 5.8 a page mapped once is written in place whatever references it has; today it is copied', () => {
    for (const policy of [linux3_14, linux4_8, linux6_18]) {
      const s = space(build, {}, { policy });
      s.map(AT, 1);
      const [pfn] = s.touch(AT, 1);
      const child = s.fork();
      const pages = new Uint32Array(1);
      expect(child.locked(() => build.classic.get_user_pages(null, child.mm, AT, 1, false, false, pages, null))).toBe(
        1,
      );
      zapPageRange(child.mm, AT, AT + PAGE);
      s.touch(AT, 1);
      expect(s.entry(AT).pfn === pfn).toBe(policy !== linux6_18);
    }
  });
});
