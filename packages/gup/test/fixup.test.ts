/** A.11, B.14, G.9: fixup_user_fault, by kernel. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18, Mm, mmapIsLocked, mmapReadTrylock, mmapReadUnlock } from '@mmkit/aspace';
import { mmapWriteTrylock, mmapWriteUnlock } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT, EHWPOISON, EINTR, ENOMEM } from '@mmkit/base';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_HWPOISON,
  VM_FAULT_HWPOISON_LARGE,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from '@mmkit/fault';
import { E_DIRTY, E_WRITE, E_YOUNG } from '@mmkit/pgtable';
import { PG_DIRTY, PG_REFERENCED, testFlag } from '@mmkit/phys';
import { eraseVma, VM_GROWSDOWN, VM_IO, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';
import { AT, builds, codeOf, PAGE, RW, space } from './builds.ts';
import type { Build, Space } from './builds.ts';
import { Disk, SHARED } from './files.ts';

const ALL: readonly Policy[] = [linux3_14, linux4_8, linux6_18];
const MAY = VM_MAYREAD | VM_MAYWRITE;
const RETRY = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_TRIED;

describe.each(builds)('%s: fixup_user_fault', (name, build: Build) => {
  interface Unlocked {
    value: boolean;
  }

  /** The call with mmap_lock held for reading, which it still is afterwards. */
  function fixup(s: Space, address: number, flags: number, unlocked: Unlocked | null = null): number {
    expect(mmapReadTrylock(s.mm)).toBe(true);
    const result = build.gup.fixupUserFault(s.mm, address, flags, unlocked);
    expect(mmapIsLocked(s.mm)).toBe(true);
    mmapReadUnlock(s.mm);
    expect(mmapIsLocked(s.mm)).toBe(false);
    return result;
  }

  /** A page of which the first `waits` faults that may drop mmap_lock do; `seen` has the flags of every fault. */
  function waiting(policy: Policy, waits: number): Space & { seen: number[] } {
    const seen: number[] = [];
    const before = (mm: Mm, _address: number, flags: number): number | null => {
      seen.push(flags);
      if ((flags & FAULT_FLAG_ALLOW_RETRY) === 0 || seen.length > waits) return null;
      mmapReadUnlock(mm);
      return VM_FAULT_RETRY | (seen.length === 1 ? VM_FAULT_MAJOR : 0);
    };
    const s = Object.assign(space(build, { before }, { policy }), { seen });
    s.map(AT, 1);
    return s;
  }

  it.each(ALL)('A.11, $name: one fault makes the page accessible; no reference is taken', (policy) => {
    const s = space(build, {}, { policy });
    s.map(AT, 2);
    expect(fixup(s, AT + 5, FAULT_FLAG_WRITE)).toBe(0);
    const { pfn, flags } = s.entry(AT);
    expect([flags & E_WRITE, s.refs(pfn), s.memory.stat.pgfault]).toEqual([E_WRITE, 1, 1]);
    expect(fixup(s, AT + PAGE, 0)).toBe(0);
    expect(s.entry(AT + PAGE).pfn).toBe(s.phys.zeroPfn);
  });

  it('G.9: unlike GUP it marks the entry young, and dirty for a write, and the page itself not', () => {
    const s = space(build);
    s.map(AT, 1);
    const [pfn] = s.touch(AT, 1);
    for (const [flags, marks] of [
      [0, E_YOUNG],
      [FAULT_FLAG_WRITE, E_YOUNG | E_DIRTY],
    ] as const) {
      const { flags: bits } = s.entry(AT);
      s.set(AT, pfn!, bits & ~(E_YOUNG | E_DIRTY));
      expect(fixup(s, AT, flags)).toBe(0);
      expect(s.entry(AT).flags & (E_YOUNG | E_DIRTY)).toBe(marks);
    }
    expect([testFlag(s.phys, pfn!, PG_DIRTY), testFlag(s.phys, pfn!, PG_REFERENCED)]).toEqual([false, false]);
  });

  it.each(ALL)(
    'B.14, $name: the VMA must allow the access itself, nothing is forced: -EFAULT without a fault',
    (policy) => {
      const s = space(build, {}, { policy });
      s.map(AT, 1, VM_READ | MAY);
      s.map(AT + PAGE, 1, VM_WRITE | MAY);
      s.map(AT + 2 * PAGE, 1, MAY);
      expect(fixup(s, AT, FAULT_FLAG_WRITE)).toBe(-EFAULT);
      expect(fixup(s, AT + PAGE, 0)).toBe(-EFAULT);
      expect(fixup(s, AT + 2 * PAGE, 0)).toBe(-EFAULT);
      expect(fixup(s, AT + 3 * PAGE, 0)).toBe(-EFAULT);
      expect(s.memory.stat.pgfault).toBe(0);
      expect(fixup(s, AT, 0)).toBe(0);
      expect(fixup(s, AT + PAGE, FAULT_FLAG_WRITE)).toBe(0);
      // Other kinds of memory are not refused as GUP refuses them.
      s.map(AT + 4 * PAGE, 1, RW | VM_IO);
      expect(fixup(s, AT + 4 * PAGE, 0)).toBe(0);
    },
  );

  it.each([
    [linux3_14, 0, 2],
    [linux4_8, 0, 2],
    [linux6_18, -EFAULT, 0],
  ] as const)('A.11, A.16 #27, $name: below a stack %i; it has grown by %i', (policy, result, grown) => {
    const s = space(build, {}, { policy });
    const stack = s.map(AT, 1, RW | VM_GROWSDOWN);
    expect(fixup(s, AT - PAGE, FAULT_FLAG_WRITE)).toBe(result);
    expect(stack.start).toBe(AT - grown * PAGE);
  });

  it.each(ALL)('A.11, $name: what went wrong; poison is told up to 5.x, since then -EFAULT', (policy) => {
    const poison = policy === linux6_18 ? -EFAULT : -EHWPOISON;
    for (const [fault, errno] of [
      [VM_FAULT_OOM, -ENOMEM],
      [VM_FAULT_SIGBUS, -EFAULT],
      [VM_FAULT_SIGSEGV, -EFAULT],
      [VM_FAULT_HWPOISON, poison],
      [VM_FAULT_HWPOISON_LARGE, poison],
    ] as const) {
      const s = space(build, { before: () => fault }, { policy });
      s.map(AT, 1);
      const unlocked = { value: false };
      expect(fixup(s, AT, 0, unlocked)).toBe(errno);
      expect(unlocked.value).toBe(false);
    }
  });

  it.each(ALL)('A.11, $name: without unlocked the fault may not be retried, and waits with the lock held', (policy) => {
    const s = waiting(policy, 9);
    expect(fixup(s, AT, FAULT_FLAG_WRITE | FAULT_FLAG_USER)).toBe(0);
    expect(s.seen).toEqual([FAULT_FLAG_WRITE | FAULT_FLAG_USER]);
  });

  it('A.11: up to 4.5 there is no unlocked: the lock is kept', () => {
    const s = waiting(linux3_14, 9);
    const unlocked = { value: false };
    expect(fixup(s, AT, 0, unlocked)).toBe(0);
    expect([s.seen, unlocked.value]).toEqual([[0], false]);
  });

  it('A.11: from 4.6 on a fault that waited is tried once more, as a second try, and for the last time', () => {
    const s = waiting(linux4_8, 9);
    const unlocked = { value: false };
    expect(fixup(s, AT, FAULT_FLAG_WRITE, unlocked)).toBe(0);
    expect(s.seen).toEqual([FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_WRITE | FAULT_FLAG_TRIED]);
    expect([unlocked.value, s.entry(AT).flags & E_WRITE]).toEqual([true, E_WRITE]);
  });

  it('B.14: today as often as it takes, killably', () => {
    const s = waiting(linux6_18, 3);
    const unlocked = { value: false };
    expect(fixup(s, AT, 0, unlocked)).toBe(0);
    const first = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
    expect(s.seen).toEqual([first, RETRY, RETRY, RETRY]);
    expect(unlocked.value).toBe(true);
  });

  it.each([linux4_8, linux6_18])('A.11, $name: no wait: unlocked is left alone', (policy) => {
    const s = waiting(policy, 0);
    const unlocked = { value: false };
    expect([fixup(s, AT, 0, unlocked), unlocked.value, s.seen.length]).toEqual([0, false, 1]);
  });

  it('B.14: a fault that is done, the lock gone (COMPLETED): 0, the lock taken again', () => {
    let faults = 0;
    const s = space(build, {
      before(mm) {
        faults++;
        mmapReadUnlock(mm);
        return VM_FAULT_COMPLETED;
      },
    });
    s.map(AT, 1);
    const unlocked = { value: false };
    expect([fixup(s, AT, 0, unlocked), unlocked.value, faults]).toEqual([0, true, 1]);
  });

  it.each([linux4_8, linux6_18])('B.14, $name: the VMA is looked up again after the wait', (policy) => {
    const s: Space = space(
      build,
      {
        before(mm) {
          mmapReadUnlock(mm);
          expect(mmapWriteTrylock(mm)).toBe(true);
          eraseVma(mm.vmas, vma);
          mmapWriteUnlock(mm);
          return VM_FAULT_RETRY;
        },
      },
      { policy },
    );
    const vma = s.map(AT, 1);
    const unlocked = { value: false };
    expect([fixup(s, AT, 0, unlocked), unlocked.value]).toEqual([-EFAULT, true]);
  });

  it('B.14: a fatal signal, where a fault may drop the lock: -EINTR before it; else it is not looked for', () => {
    for (const policy of ALL) {
      const s = space(build, {}, { policy });
      s.map(AT, 1);
      const unlocked = { value: false };
      const today = policy === linux6_18;
      expect(s.killed(() => fixup(s, AT, 0, unlocked))).toBe(today ? -EINTR : 0);
      expect([s.memory.stat.pgfault, unlocked.value]).toEqual([today ? 0 : 1, false]);
      expect(s.killed(() => fixup(s, AT, 0))).toBe(0);
      // A VMA that refuses is seen first.
      expect(s.killed(() => fixup(s, AT + PAGE, 0, unlocked))).toBe(-EFAULT);
    }
  });

  it('B.14: a signal that comes during the wait: -EINTR, with the lock held', () => {
    const dying = space(build, {
      before(mm) {
        mmapReadUnlock(mm);
        mm.memory.sched.current.killed = true;
        return VM_FAULT_RETRY;
      },
    });
    dying.map(AT, 1);
    const unlocked = { value: false };
    expect([fixup(dying, AT, 0, unlocked), unlocked.value]).toEqual([-EINTR, true]);
    dying.sched.current.killed = false;
  });

  it('A.11: tsk is charged once a call, with a major fault when any of its faults was one; not for an error', () => {
    const tsk = { min_flt: 0, maj_flt: 0 };
    const charge = (s: Space, address: number): number =>
      s.locked(() => build.gup.fixupUserFault(s.mm, address, 0, { value: false }, tsk));
    const s = waiting(linux4_8, 1);
    expect([charge(s, AT), tsk]).toEqual([0, { min_flt: 0, maj_flt: 1 }]);
    expect([charge(s, AT), tsk]).toEqual([0, { min_flt: 1, maj_flt: 1 }]);
    const bad = space(build, { before: () => VM_FAULT_SIGBUS }, { policy: linux4_8 });
    bad.map(AT, 1);
    expect([charge(bad, AT), charge(bad, AT + PAGE), tsk]).toEqual([-EFAULT, -EFAULT, { min_flt: 1, maj_flt: 1 }]);
  });

  it.each([linux4_8, linux6_18])('A.11, $name: a page on disk: waited for without the lock, and mapped', (policy) => {
    const s = space(build, {}, { policy });
    const disk = new Disk(name, s);
    disk.map(disk.file(), AT, SHARED);
    const unlocked = { value: false };
    expect([fixup(s, AT, FAULT_FLAG_WRITE, unlocked), unlocked.value]).toEqual([0, true]);
    const { pfn, flags } = s.entry(AT);
    expect([disk.byte(pfn), flags & (E_WRITE | E_DIRTY)]).toEqual([1, E_WRITE | E_DIRTY]);
  });

  it('misuse: LOCK_NOT_HELD, FLAGS, LOCK_DROPPED; bad values are RangeErrors that name the argument', () => {
    const s = waiting(linux6_18, 9);
    const { fixupUserFault } = build.gup;
    expect(codeOf(() => fixupUserFault(s.mm, AT, 0, null))).toBe('LOCK_NOT_HELD');
    for (const flag of [FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_RETRY_NOWAIT]) {
      expect(s.locked(() => codeOf(() => fixupUserFault(s.mm, AT, flag, null)))).toBe('FLAGS');
    }
    expect(() => s.locked(() => fixupUserFault(s.mm, -1, 0, null))).toThrow(/^address: /);
    expect(() => s.locked(() => fixupUserFault(s.mm, AT, 0.5, null))).toThrow(/^faultFlags: /);
    expect(s.seen).toEqual([]);
    const rude = space(build, {
      before(mm) {
        mmapReadUnlock(mm);
        return VM_FAULT_RETRY;
      },
    });
    rude.map(AT, 1);
    expect(rude.locked(() => codeOf(() => fixupUserFault(rude.mm, AT, 0, null)))).toBe('LOCK_DROPPED');
  });
});
