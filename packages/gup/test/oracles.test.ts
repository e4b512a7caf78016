/** The oracles of B.22 that concern base pages of anonymous memory, by number. #1 to #3 are in legality.test.ts. */
import { describe, expect, it } from 'vitest';
import {
  mmapIsLocked,
  mmapReadUnlock,
  mmapWriteTrylock,
  mmapWriteUnlock,
  MMF_HAS_PINNED,
  MM_FLAGS,
  MM_WRITE_PROTECT_SEQ,
  pageAnonExclusive,
} from '@mmkit/aspace';
import { EAGAIN, EFAULT, EINTR, EOVERFLOW, FOLL_NOFAULT, FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import { VM_FAULT_RETRY } from '@mmkit/fault';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import { E_WRITE } from '@mmkit/pgtable';
import { checkPhys, getPage, putPage, tryGrabFolio } from '@mmkit/phys';
import { killTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import { AT, builds, PAGE, schedBuilds, space } from './builds.ts';
import type { Space } from './builds.ts';

describe.each(builds)('%s', (_, build) => {
  const { gup } = build;

  /** A process with 4 pages, of which the first `n` were written to. */
  function process(n: number): Space {
    const s = space(build);
    s.map(AT, 4);
    s.touch(AT, n);
    return s;
  }

  function pinOne(s: Space, flags: number): number {
    const pages = new Uint32Array(1);
    expect(s.locked(() => gup.pinUserPages(s.mm, AT, 1, flags, pages))).toBe(1);
    return pages[0]!;
  }

  it('B.22 #5: pin 1 exclusive anonymous page for writing: 1; refcount 1 to 1025; acquired +1', () => {
    const s = process(1);
    const pfn = pinOne(s, FOLL_WRITE);
    expect(pfn).toBe(s.entry(AT).pfn);
    expect([s.refs(pfn), s.maps(pfn), s.phys.nrFollPinAcquired]).toEqual([1025, 1, 1]);
  });

  it('B.22 #6: then fork: the child gets a copy; the parent stays writable, its page at 1025', () => {
    const s = process(1);
    const pfn = pinOne(s, FOLL_WRITE);
    const before = s.raw(AT);
    const child = s.fork();
    expect(child.entry(AT).pfn).not.toBe(pfn);
    expect(child.entry(AT).flags & E_WRITE).toBe(E_WRITE);
    expect(s.raw(AT)).toEqual(before);
    expect(s.entry(AT).flags & E_WRITE).toBe(E_WRITE);
    expect([s.refs(pfn), s.maps(pfn)]).toEqual([1025, 1]);
  });

  it('B.22 #7: then the parent writes: same page', () => {
    const s = process(1);
    const pfn = pinOne(s, FOLL_WRITE);
    s.fork();
    expect(s.touch(AT, 1)).toEqual([pfn]);
  });

  it('B.22 #8: GET instead of PIN, fork, the parent writes: it gets a copy, the holder keeps the old page', () => {
    const s = process(1);
    const pages = new Uint32Array(1);
    s.locked(() => gup.getUserPages(s.mm, AT, 1, FOLL_WRITE, pages));
    const child = s.fork();
    const [now] = s.touch(AT, 1);
    expect(now).not.toBe(pages[0]);
    expect(child.entry(AT).pfn).toBe(pages[0]);
    expect(s.refs(pages[0]!)).toBe(2);
  });

  it.each(['pinUserPages', 'pinUserPagesFast'] as const)(
    'B.22 #9: read-only %s of a page shared by fork: a new exclusive page, the child keeps the old',
    (name) => {
      const s = process(1);
      const old = s.entry(AT).pfn;
      const child = s.fork();
      const pages = new Uint32Array(1);
      const call = (): number => gup[name](s.mm, AT, 1, 0, pages);
      expect(name === 'pinUserPages' ? s.locked(call) : call()).toBe(1);
      expect(pages[0]).toBe(s.entry(AT).pfn);
      expect(pages[0]).not.toBe(old);
      expect(s.entry(AT).flags & E_WRITE).toBe(0);
      expect(pageAnonExclusive(s.phys, pages[0]!)).toBe(true);
      expect([child.entry(AT).pfn, s.refs(old), s.maps(old)]).toEqual([old, 1, 1]);
      expect(s.refs(pages[0]!)).toBe(1025);
    },
  );

  it.each(['getUserPages', 'getUserPagesFast'] as const)(
    'B.22 #10: read-only %s of the same: the old shared page',
    (name) => {
      const s = process(1);
      const old = s.entry(AT).pfn;
      s.fork();
      const pages = new Uint32Array(1);
      const call = (): number => gup[name](s.mm, AT, 1, 0, pages);
      expect(name === 'getUserPages' ? s.locked(call) : call()).toBe(1);
      expect([pages[0], s.refs(old), s.maps(old)]).toEqual([old, 3, 2]);
    },
  );

  it('B.22 #13: pin_user_pages_fast in the middle of a fork (sequence odd): the fast walk takes nothing', () => {
    const s = process(2);
    s.mm.words[MM_WRITE_PROTECT_SEQ] = 1;
    expect(gup.pinUserPagesFast(s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2))).toBe(2);
    expect([s.memory.stat.gupFast, s.memory.stat.gupSlow]).toEqual([0, 2]);
  });

  it('B.16: a GET does not look at the sequence', () => {
    const s = process(2);
    s.mm.words[MM_WRITE_PROTECT_SEQ] = 1;
    expect(gup.getUserPagesFast(s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2))).toBe(2);
    expect([s.memory.stat.gupFast, s.memory.stat.gupSlow]).toEqual([2, 0]);
  });

  it('B.22 #18: SIGKILL in the retry loop, 2 pages done: 2', () => {
    let faults = 0;
    const s = space(build, {
      before: (mm) => {
        if (++faults < 3) return null;
        mm.memory.sched.current.killed = true;
        mmapReadUnlock(mm);
        return VM_FAULT_RETRY;
      },
    });
    s.map(AT, 4);
    const pages = new Uint32Array(4);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 4, pages, FOLL_WRITE)).toBe(2);
    s.sched.current.killed = false;
    expect([...pages.subarray(2)]).toEqual([0, 0]);
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('B.9: the same with none done: -EINTR', () => {
    const s = space(build, {
      before: (mm) => {
        mm.memory.sched.current.killed = true;
        mmapReadUnlock(mm);
        return VM_FAULT_RETRY;
      },
    });
    s.map(AT, 4);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 4, new Uint32Array(4), 0)).toBe(-EINTR);
    s.sched.current.killed = false;
    expect(mmapIsLocked(s.mm)).toBe(false);
  });

  it('B.22 #19: get_user_pages_unlocked killed while it waits for mmap_lock: -EAGAIN', () => {
    const s = process(0);
    // Somebody else is the writer.
    const boot = s.sched.current;
    const writer = spawn(s.sched, 'writer', (function* () {})());
    s.sched.current = writer;
    mmapWriteTrylock(s.mm);
    s.sched.current = boot;
    const call = (): number => gup.getUserPagesUnlocked(s.mm, AT, 1, new Uint32Array(1), 0);
    expect(s.killed(call)).toBe(-EAGAIN);
    expect(s.memory.stat.pgfault).toBe(0);
    s.sched.current = writer;
    mmapWriteUnlock(s.mm);
    // It has left the queue.
    expect(mmapWriteTrylock(s.mm)).toBe(true);
  });

  it('B.4: a fatal signal before the first page: -EINTR', () => {
    const s = process(1);
    const pages = new Uint32Array(1);
    expect(s.killed(() => s.locked(() => gup.getUserPages(s.mm, AT, 1, 0, pages)))).toBe(-EINTR);
  });

  it('B.22 #20: FOLL_NOFAULT on an absent page: -EFAULT, or a short count; nothing is faulted in', () => {
    const s = process(2);
    const faults = s.memory.stat.pgfault;
    const calls = {
      getUserPages: (at: number, nr: number) =>
        s.locked(() => gup.getUserPages(s.mm, at, nr, FOLL_NOFAULT, new Uint32Array(nr))),
      pinUserPages: (at: number, nr: number) =>
        s.locked(() => gup.pinUserPages(s.mm, at, nr, FOLL_NOFAULT, new Uint32Array(nr))),
      getUserPagesUnlocked: (at: number, nr: number) =>
        gup.getUserPagesUnlocked(s.mm, at, nr, new Uint32Array(nr), FOLL_NOFAULT),
      getUserPagesFast: (at: number, nr: number) =>
        gup.getUserPagesFast(s.mm, at, nr, FOLL_NOFAULT, new Uint32Array(nr)),
      pinUserPagesFast: (at: number, nr: number) =>
        gup.pinUserPagesFast(s.mm, at, nr, FOLL_NOFAULT, new Uint32Array(nr)),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect([name, call(AT, 4), call(AT + 2 * PAGE, 2)]).toEqual([name, 2, -EFAULT]);
    }
    expect(s.memory.stat.pgfault).toBe(faults);
  });

  it('B.22 #20: FOLL_NOFAULT does not unshare either', () => {
    const s = process(1);
    s.fork();
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_NOFAULT, new Uint32Array(1))).toBe(-EFAULT);
  });

  it('B.22 #23: a fast range that ends above TASK_SIZE_MAX: -EFAULT; one that wraps: -EOVERFLOW', () => {
    const s = process(1);
    const end = s.memory.format.taskSize;
    s.map(end - 2 * PAGE, 2);
    for (const name of ['getUserPagesFast', 'pinUserPagesFast'] as const) {
      const call = (start: number, nr: number): number =>
        gup[name](s.mm, start, nr, 0, new Uint32Array(Math.max(nr, 0)));
      expect(call(end - PAGE, 2)).toBe(-EFAULT);
      expect(call(end - PAGE, 1)).toBe(1);
      expect(call(2 ** 53 - 1, 1)).toBe(-EFAULT);
      expect(call(AT, -1)).toBe(-EOVERFLOW);
      // G.2: with start in the first page nothing wraps.
      expect(call(0xfff, -1)).toBe(-EFAULT);
      expect(call(PAGE, -1)).toBe(-EOVERFLOW);
    }
    expect(s.memory.stat.pgfault).toBe(2);
  });

  it('B.22 #24: unpinning a zero page, which was never counted, changes nothing', () => {
    const s = process(0);
    const pages = new Uint32Array(2);
    expect(s.locked(() => gup.pinUserPages(s.mm, AT, 2, 0, pages))).toBe(2);
    const zero = s.phys.zeroPfn;
    expect([...pages, s.refs(zero)]).toEqual([zero, zero, 1]);
    gup.unpinUserPages(s.memory, pages, 2);
    expect([s.refs(zero), s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([1, 0, 0]);
  });

  it('B.22 #30: an mm that has pinned, and a page with 1100 plain references: fork copies it', () => {
    const s = process(2);
    pinOne(s, FOLL_WRITE);
    const { pfn } = s.entry(AT + PAGE);
    getPage(s.phys, pfn, 1100);
    const child = s.fork();
    expect(child.entry(AT + PAGE).pfn).not.toBe(pfn);
    expect(s.entry(AT + PAGE).flags & E_WRITE).toBe(E_WRITE);
    putPage(s.phys, pfn, 1100);
    checkPhys(s.phys);
  });

  it('G.15: the flag outlives the pins, and the pins of another mm do not set it', () => {
    const s = process(1);
    const pfn = pinOne(s, FOLL_WRITE);
    gup.unpinUserPages(s.memory, Uint32Array.of(pfn), 1);
    expect(s.mm.words[MM_FLAGS]).toBe(MMF_HAS_PINNED);
    const other = process(1);
    tryGrabFolio(other.phys, other.entry(AT).pfn, 1, FOLL_PIN);
    expect(other.fork().entry(AT).pfn).toBe(other.entry(AT).pfn);
  });
});

describe.each(schedBuilds)('%s, step by step', (_, build) => {
  it('B.22 #13: mid-fork the fast walk gives up, and the slow one waits for mmap_lock', () => {
    const s = space(build);
    s.map(AT, 2);
    s.touch(AT, 2);
    mmapWriteTrylock(s.mm);
    s.mm.words[MM_WRITE_PROTECT_SEQ] = 1;
    const task = spawn(s.sched, 'pin', pinUserPagesFast(s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2)));
    while (task.state !== TASK_WAITING) stepTask(s.sched, task);
    expect(s.memory.stat.gupFast).toBe(0);
    s.mm.words[MM_WRITE_PROTECT_SEQ] = 2;
    mmapWriteUnlock(s.mm);
    expect(finish(s, task)).toBe(2);
    expect(s.memory.stat.gupSlow).toBe(2);
  });

  it('B.22 #13: killed while it waits: -EAGAIN', () => {
    const s = space(build);
    s.map(AT, 1);
    mmapWriteTrylock(s.mm);
    const task = spawn(s.sched, 'pin', pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, new Uint32Array(1)));
    while (task.state !== TASK_WAITING) stepTask(s.sched, task);
    killTask(task);
    expect(finish(s, task)).toBe(-EAGAIN);
  });

  it('B.22 #14: the sequence changes during the fast walk: all its pins are undone, the slow path takes them again', () => {
    const s = space(build);
    s.map(AT, 3);
    const pfns = s.touch(AT, 3);
    const pages = new Uint32Array(3);
    const task = spawn(s.sched, 'pin', pinUserPagesFast(s.mm, AT, 3, FOLL_WRITE, pages));
    while (s.refs(pfns[2]!) === 1) stepTask(s.sched, task);
    expect(pfns.map((pfn) => s.refs(pfn))).toEqual([1025, 1025, 1025]);
    s.mm.words[MM_WRITE_PROTECT_SEQ] = 2;
    while (s.refs(pfns[2]!) !== 1) stepTask(s.sched, task);
    expect(pfns.map((pfn) => s.refs(pfn))).toEqual([1, 1, 1]);
    expect(finish(s, task)).toBe(3);
    expect([...pages]).toEqual(pfns);
    expect([s.memory.stat.gupFast, s.memory.stat.gupSlow]).toEqual([0, 3]);
    expect([s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([6, 3]);
    checkPhys(s.phys);
  });

  function finish(s: Space, task: ReturnType<typeof spawn>): unknown {
    for (let steps = 0; task.state !== TASK_DONE; steps++) {
      if (steps === 1000) throw new Error('no end');
      stepTask(s.sched, task);
    }
    return task.result;
  }
});
