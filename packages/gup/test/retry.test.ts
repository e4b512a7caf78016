/** B.4 and B.9: faults that drop mmap_lock, with a handler that does as Linux's does where there is I/O to wait for. */
import { describe, expect, it } from 'vitest';
import { linux6_18, mmapIsLocked, mmapReadUnlock, mmapWriteUnlock } from '@mmkit/aspace';
import type { FaultHandler } from '@mmkit/aspace';
import {
  EFAULT,
  EHWPOISON,
  ENOMEM,
  FOLL_FORCE,
  FOLL_HWPOISON,
  FOLL_INTERRUPTIBLE,
  FOLL_NOWAIT,
  FOLL_WRITE,
} from '@mmkit/base';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_INTERRUPTIBLE,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_HWPOISON,
  VM_FAULT_HWPOISON_LARGE,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from '@mmkit/fault';
import { handleMmFault } from '@mmkit/fault/sched';
import { getUserPagesUnlocked } from '@mmkit/gup/sched';
import { mmapWriteLock } from '@mmkit/aspace/sched';
import { checkPhys } from '@mmkit/phys';
import { eraseVma, vmaLookup } from '@mmkit/vma';
import { AT, builds, codeOf, everySchedule, newMm, PAGE, schedBuilds, Space, space } from './builds.ts';
import type { Build, Hooks } from './builds.ts';

const UNLOCKED = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;

/** A machine whose faults at the pages `pages` (numbers from AT) are retried `times` times, the lock dropped. */
function waiting(build: Build, pages: number[], times = 1): { s: Space; seen: [number, number][] } {
  const seen: [number, number][] = [];
  const tries = new Map<number, number>();
  const hooks: Hooks = {
    before(mm, address, flags) {
      const page = (address - AT) / PAGE;
      seen.push([page, flags]);
      const tried = tries.get(page) ?? 0;
      if (!pages.includes(page) || tried === times) return null;
      tries.set(page, tried + 1);
      mmapReadUnlock(mm);
      return VM_FAULT_RETRY;
    },
  };
  const s = space(build, hooks);
  s.map(AT, 8);
  return { s, seen };
}

describe.each(builds)('%s: VM_FAULT_RETRY', (_, build) => {
  const { gup } = build;

  it('where mmap_lock may be dropped the fault may be retried, killably; the second try says so', () => {
    const { s, seen } = waiting(build, [0]);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 1, new Uint32Array(1), FOLL_WRITE)).toBe(1);
    expect(seen).toEqual([
      [0, FAULT_FLAG_WRITE | UNLOCKED],
      [0, FAULT_FLAG_WRITE | UNLOCKED | FAULT_FLAG_TRIED],
    ]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('the third page of five waits: five; only that page is tried alone', () => {
    const { s, seen } = waiting(build, [2]);
    const pages = new Uint32Array(5);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 5, pages, FOLL_WRITE)).toBe(5);
    expect(seen.map(([page, flags]) => [page, (flags & FAULT_FLAG_TRIED) !== 0])).toEqual([
      [0, false],
      [1, false],
      [2, false],
      [2, true],
      [3, false],
      [4, false],
    ]);
    expect([...pages]).toEqual([0, 1, 2, 3, 4].map((i) => s.entry(AT + i * PAGE).pfn));
    for (const pfn of pages) expect(s.refs(pfn)).toBe(2);
    checkPhys(s.phys);
  });

  it('a page may have to wait again and again, and others after it', () => {
    const { s, seen } = waiting(build, [0, 1, 3], 3);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 4, new Uint32Array(4), FOLL_WRITE)).toBe(4);
    expect(seen.map(([page]) => page)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 3, 3, 3]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('the slow part of a fast call waits likewise', () => {
    const { s, seen } = waiting(build, [1]);
    s.touch(AT, 1);
    expect(gup.pinUserPagesFast(s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2))).toBe(2);
    expect(seen.map(([page]) => page)).toEqual([1, 1]);
    expect([s.memory.stat.gupFast, s.memory.stat.gupSlow]).toEqual([1, 1]);
  });

  it('G.6: with pages null it is retried too', () => {
    const { s } = waiting(build, [1]);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 3, null, FOLL_WRITE)).toBe(3);
    expect(s.entry(AT + 2 * PAGE).kind).not.toBe(0);
  });

  it('the VMA is looked up again: gone meanwhile, the call ends there', () => {
    for (const [first, expected] of [
      [0, -EFAULT],
      [2, 2],
    ] as const) {
      const s = space(build, {
        before(mm, address) {
          if (address < AT + first * PAGE) return null;
          mmapReadUnlock(mm);
          eraseVma(mm.vmas, vmaLookup(mm.vmas, address)!);
          return VM_FAULT_RETRY;
        },
      });
      s.map(AT, 4);
      expect(gup.getUserPagesUnlocked(s.mm, AT, 4, new Uint32Array(4), FOLL_WRITE)).toBe(expected);
      expect(mmapIsLocked(s.mm)).toBe(false);
    }
  });

  it('an error on the second try: the pages before it, or the error', () => {
    for (const [page, expected] of [
      [0, -ENOMEM],
      [1, 1],
    ] as const) {
      let tries = 0;
      const s = space(build, {
        before(mm, address) {
          if (address !== AT + page * PAGE) return null;
          if (tries++ > 0) return VM_FAULT_OOM;
          mmapReadUnlock(mm);
          return VM_FAULT_RETRY;
        },
      });
      s.map(AT, 4);
      expect(gup.getUserPagesUnlocked(s.mm, AT, 4, new Uint32Array(4), FOLL_WRITE)).toBe(expected);
      expect(mmapIsLocked(s.mm)).toBe(false);
    }
  });

  it('B.22 #21: FOLL_INTERRUPTIBLE: any signal may end the wait of the fault, without it a fatal one only', () => {
    const { s, seen } = waiting(build, []);
    gup.getUserPagesUnlocked(s.mm, AT, 1, new Uint32Array(1), FOLL_INTERRUPTIBLE);
    gup.getUserPagesUnlocked(s.mm, AT + PAGE, 1, new Uint32Array(1), 0);
    expect(seen).toEqual([
      [0, UNLOCKED | FAULT_FLAG_INTERRUPTIBLE],
      [1, UNLOCKED],
    ]);
  });
});

describe.each(builds)('%s: VM_FAULT_COMPLETED', (_, build) => {
  it('B.22 #26: the fault is done and the lock gone: taken again, looked up again, no second fault', () => {
    const faults: number[] = [];
    const s = space(build, {
      before(_mm, address) {
        faults.push((address - AT) / PAGE);
        return null;
      },
      after(mm, result) {
        mmapReadUnlock(mm);
        return result | VM_FAULT_COMPLETED;
      },
    });
    s.map(AT, 3);
    const pages = new Uint32Array(3);
    expect(build.gup.getUserPagesUnlocked(s.mm, AT, 3, pages, FOLL_WRITE)).toBe(3);
    expect(faults).toEqual([0, 1, 2]);
    expect([...pages]).toEqual([0, 1, 2].map((i) => s.entry(AT + i * PAGE).pfn));
    expect(mmapIsLocked(s.mm)).toBe(false);
  });
});

describe.each(builds)('%s: where the caller holds mmap_lock', (_, build) => {
  const { gup } = build;

  it.each(['getUserPages', 'pinUserPages'] as const)('%s: the fault may not be retried, and the lock stays', (name) => {
    const { s, seen } = waiting(build, []);
    s.locked(() => {
      expect(gup[name](s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2))).toBe(2);
      expect(mmapIsLocked(s.mm)).toBe(true);
    });
    expect(seen.map(([, flags]) => flags)).toEqual([FAULT_FLAG_WRITE, FAULT_FLAG_WRITE]);
  });

  it('a handler that drops it all the same: LOCK_DROPPED', () => {
    const { s } = waiting(build, [0]);
    expect(codeOf(() => s.locked(() => gup.getUserPages(s.mm, AT, 1, 0, new Uint32Array(1))))).toBe('LOCK_DROPPED');
  });

  it('an unshare fault says so, and does not say write', () => {
    const { s, seen } = waiting(build, []);
    s.touch(AT, 1);
    s.fork();
    expect(s.locked(() => gup.pinUserPages(s.mm, AT, 1, 0, new Uint32Array(1)))).toBe(1);
    expect(seen).toEqual([[0, FAULT_FLAG_UNSHARE]]);
  });
});

describe.each(builds)('%s: FOLL_NOWAIT', (_, build) => {
  const { gup } = build;

  /** Page `busy` needs I/O: the handler starts it and keeps the lock. */
  function busyAt(busy: number): { s: Space; seen: number[] } {
    const seen: number[] = [];
    const s = space(build, {
      before(_mm, address, flags) {
        seen.push(flags);
        return address === AT + busy * PAGE ? VM_FAULT_RETRY : null;
      },
    });
    s.map(AT, 4);
    return { s, seen };
  }

  it.each(['getUserPages', 'pinUserPages'] as const)(
    '%s: the first page would have to wait: 0, the lock is kept',
    (name) => {
      const { s, seen } = busyAt(0);
      s.locked(() => {
        expect(gup[name](s.mm, AT, 4, FOLL_NOWAIT | FOLL_WRITE, new Uint32Array(4))).toBe(0);
        expect(mmapIsLocked(s.mm)).toBe(true);
      });
      expect(seen).toEqual([FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT]);
      expect(s.warnings).toEqual([]);
    },
  );

  it('a later page: the pages before it', () => {
    const { s } = busyAt(2);
    expect(s.locked(() => gup.getUserPages(s.mm, AT, 4, FOLL_NOWAIT | FOLL_WRITE, new Uint32Array(4)))).toBe(2);
  });

  it('get_user_pages_unlocked: the same, and its own lock is given back', () => {
    for (const page of [0, 2]) {
      const { s } = busyAt(page);
      expect(gup.getUserPagesUnlocked(s.mm, AT, 4, new Uint32Array(4), FOLL_NOWAIT)).toBe(page);
      expect(mmapIsLocked(s.mm)).toBe(false);
    }
  });

  it('nothing to wait for: all pages', () => {
    const { s } = busyAt(9);
    expect(s.locked(() => gup.getUserPages(s.mm, AT, 4, FOLL_NOWAIT, new Uint32Array(4)))).toBe(4);
  });
});

describe.each(builds)('%s: B.4, vm_fault_to_errno', (_, build) => {
  const rows: [string, number, number, number][] = [
    ['OOM', VM_FAULT_OOM, 0, -ENOMEM],
    ['SIGBUS', VM_FAULT_SIGBUS, 0, -EFAULT],
    ['SIGSEGV', VM_FAULT_SIGSEGV, 0, -EFAULT],
    ['HWPOISON', VM_FAULT_HWPOISON, 0, -EFAULT],
    ['HWPOISON, asked for', VM_FAULT_HWPOISON, FOLL_HWPOISON, -EHWPOISON],
    ['HWPOISON_LARGE, asked for', VM_FAULT_HWPOISON_LARGE, FOLL_HWPOISON, -EHWPOISON],
    ['OOM wins', VM_FAULT_OOM | VM_FAULT_HWPOISON, FOLL_HWPOISON, -ENOMEM],
  ];
  it.each(rows)('%s', (_, result, flags, errno) => {
    const s = space(build, { before: (_mm, address) => (address >= AT + 2 * PAGE ? result : null) });
    s.map(AT, 4);
    const get = (start: number): number =>
      s.locked(() => build.gup.getUserPages(s.mm, start, 2, flags, new Uint32Array(2)));
    expect(get(AT + 2 * PAGE)).toBe(errno);
    // G.5: the errno of a later page is lost.
    expect(get(AT + PAGE)).toBe(1);
  });

  it('B.22 #25: a fault after which the page is not there is asked for again, as often as it takes', () => {
    let faults = 0;
    const s = space(build, { before: () => (++faults < 5 ? 0 : null) });
    s.map(AT, 1);
    expect(s.locked(() => build.gup.getUserPages(s.mm, AT, 1, FOLL_WRITE | FOLL_FORCE, new Uint32Array(1)))).toBe(1);
    expect(faults).toBe(5);
  });
});

describe.each(schedBuilds)('%s: others get mmap_lock while the fault waits', (_, build) => {
  it('munmap may win: the page or -EFAULT, nothing leaks, under every schedule', () => {
    const results = new Set<unknown>();
    const { wrong } = everySchedule(() => {
      const faults: FaultHandler = function* (mm, vma, address, flags) {
        if ((flags & FAULT_FLAG_TRIED) !== 0) return yield* handleMmFault(mm, vma, address, flags);
        mmapReadUnlock(mm);
        yield 1;
        return VM_FAULT_RETRY;
      };
      const { memory } = space(build, {}, { policy: linux6_18 });
      const s = new Space(build, newMm(build, { memory, faults }), []);
      const vma = s.map(AT, 1);
      const pages = new Uint32Array(1);
      const { sched, mm } = s;
      function* unmap(): Generator<number, void, void> {
        yield* mmapWriteLock(mm);
        eraseVma(mm.vmas, vma);
        mmapWriteUnlock(mm);
      }
      const check = (): string | null => {
        const result = sched.tasks[1]!.result;
        results.add(result);
        if (mmapIsLocked(mm)) return 'mmap_lock is still held';
        if (result === 1 && s.refs(pages[0]!) !== 2) return 'the reference is not there';
        checkPhys(s.phys);
        return null;
      };
      return { sched, tasks: [getUserPagesUnlocked(mm, AT, 1, pages, FOLL_WRITE), unmap()], check };
    });
    expect(wrong).toEqual([]);
    expect(results).toEqual(new Set([1, -EFAULT]));
  });
});
