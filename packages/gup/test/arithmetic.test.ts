/** B.7 and E.1 through the family, and giving back. */
import { describe, expect, it } from 'vitest';
import { zapPageRange } from '@mmkit/aspace';
import { FOLL_WRITE } from '@mmkit/base';
import { FAULT_FLAG_WRITE } from '@mmkit/fault';
import { unpinUserPagesDirtyLock } from '@mmkit/gup/sched';
import {
  allocPages,
  checkPhys,
  countFrames,
  folioMaybeDmaPinned,
  freePages,
  getPage,
  GFP_KERNEL,
  PG_DIRTY,
  PG_LOCKED,
  testFlag,
} from '@mmkit/phys';
import { folioTrylock, folioUnlock } from '@mmkit/filemap';
import { spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import fc from 'fast-check';
import { AT, builds, codeOf, PAGE, schedBuilds, space } from './builds.ts';
import type { Space } from './builds.ts';

describe.each(builds)('%s: counts', (_, build) => {
  const { gup } = build;

  /** A process with 4 pages of its own. */
  function process(): { s: Space; pfns: number[] } {
    const s = space(build);
    s.map(AT, 4);
    return { s, pfns: s.touch(AT, 4) };
  }

  it('B.7: a pin of a small folio adds 1024, a reference 1, in each of the five calls', () => {
    const { s, pfns } = process();
    const pages = new Uint32Array(1);
    const added = (call: () => number): number => {
      const before = s.refs(pfns[0]!);
      expect(call()).toBe(1);
      return s.refs(pfns[0]!) - before;
    };
    expect(added(() => gup.getUserPagesUnlocked(s.mm, AT, 1, pages, 0))).toBe(1);
    expect(added(() => gup.getUserPagesFast(s.mm, AT, 1, 0, pages))).toBe(1);
    expect(added(() => gup.pinUserPagesFast(s.mm, AT, 1, 0, pages))).toBe(1024);
    s.locked(() => {
      expect(added(() => gup.getUserPages(s.mm, AT, 1, 0, pages))).toBe(1);
      expect(added(() => gup.pinUserPages(s.mm, AT, 1, FOLL_WRITE, pages))).toBe(1024);
    });
  });

  it('E.1: mapped once, 3 pins and 2 references: 3075', () => {
    const { s, pfns } = process();
    const pages = new Uint32Array(1);
    for (let i = 0; i < 3; i++) gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages);
    for (let i = 0; i < 2; i++) gup.getUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages);
    expect([s.refs(pfns[0]!), s.maps(pfns[0]!)]).toEqual([3075, 1]);
  });

  it('B.7: nr_foll_pin_acquired and _released count pages, and are equal when nothing is pinned', () => {
    const { s } = process();
    const pages = new Uint32Array(4);
    gup.pinUserPagesFast(s.mm, AT, 4, 0, pages);
    s.locked(() => gup.pinUserPages(s.mm, AT, 4, 0, pages));
    expect([s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([8, 0]);
    gup.unpinUserPages(s.memory, pages, 4);
    gup.unpinUserPagesDirtyLock(s.memory, pages, 4, false);
    expect([s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([8, 8]);
  });

  it('a reference does not count as a pin', () => {
    const { s } = process();
    gup.getUserPagesFast(s.mm, AT, 4, 0, new Uint32Array(4));
    expect(s.phys.nrFollPinAcquired).toBe(0);
  });

  it('E.1: pinned, then unmapped: 1024 references, no mapping; the last unpin frees it', () => {
    const { s, pfns } = process();
    const pages = new Uint32Array(4);
    gup.pinUserPagesFast(s.mm, AT, 4, FOLL_WRITE, pages);
    zapPageRange(s.mm, AT, AT + 4 * PAGE);
    expect(pfns.map((pfn) => [s.refs(pfn), s.maps(pfn)])).toEqual([
      [1024, 0],
      [1024, 0],
      [1024, 0],
      [1024, 0],
    ]);
    const free = s.phys.freeFrames;
    gup.unpinUserPages(s.memory, pages, 4);
    expect(s.phys.freeFrames).toBe(free + 4);
    expect(s.phys.nrFollPinReleased).toBe(4);
    checkPhys(s.phys);
  });

  it('E.1: folio_maybe_dma_pinned: 1023 plain references say no, 1024 say yes', () => {
    const { s, pfns } = process();
    const pages = new Uint32Array(1);
    for (let i = 0; i < 1022; i++) gup.getUserPagesFast(s.mm, AT, 1, 0, pages);
    expect([s.refs(pfns[0]!), folioMaybeDmaPinned(s.phys, pfns[0]!)]).toEqual([1023, false]);
    gup.getUserPagesFast(s.mm, AT, 1, 0, pages);
    expect(folioMaybeDmaPinned(s.phys, pfns[0]!)).toBe(true);
  });

  it('random pins and references, given back in any order: as a naive model counts, nothing leaks', () => {
    const step = fc.record({
      pin: fc.boolean(),
      fast: fc.boolean(),
      first: fc.integer({ min: 0, max: 3 }),
      nr: fc.integer({ min: 1, max: 4 }),
      write: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.infiniteStream(fc.nat(100)), (steps, picks) => {
        const { s, pfns } = process();
        const expected = [1, 1, 1, 1];
        const held: { pin: boolean; pages: Uint32Array; got: number; first: number }[] = [];
        const compare = (): void => expect(pfns.map((pfn) => s.refs(pfn))).toEqual(expected);
        for (const { pin, fast, first, nr, write } of steps) {
          const pages = new Uint32Array(nr);
          const flags = write ? FOLL_WRITE : 0;
          const at = AT + first * PAGE;
          const name = `${pin ? 'pin' : 'get'}UserPages${fast ? 'Fast' : ''}` as const;
          const call = (): number => gup[name](s.mm, at, nr, flags, pages);
          const got = fast ? call() : s.locked(call);
          expect(got).toBe(Math.min(nr, 4 - first));
          for (let i = 0; i < got; i++) expected[first + i]! += pin ? 1024 : 1;
          held.push({ pin, pages, got, first });
          compare();
        }
        while (held.length > 0) {
          const [{ pin, pages, got, first }] = held.splice(picks.next().value % held.length, 1) as [(typeof held)[0]];
          if (pin) gup.unpinUserPages(s.memory, pages, got);
          else gup.putUserPages(s.memory, pages, got);
          for (let i = 0; i < got; i++) expected[first + i]! -= pin ? 1024 : 1;
          compare();
        }
        expect(s.phys.nrFollPinAcquired).toBe(s.phys.nrFollPinReleased);
        expect(countFrames(s.phys).pins).toBe(0);
        checkPhys(s.phys);
      }),
      { numRuns: 60 },
    );
  });
});

describe.each(builds)('%s: giving back', (_, build) => {
  const { gup } = build;

  function pinned(n: number): { s: Space; pages: Uint32Array } {
    const s = space(build);
    s.map(AT, 4);
    s.touch(AT, 4);
    const pages = new Uint32Array(4);
    expect(gup.pinUserPagesFast(s.mm, AT, n, FOLL_WRITE, pages)).toBe(n);
    for (let i = n; i < 4; i++) pages[i] = s.entry(AT + i * PAGE).pfn;
    return { s, pages };
  }

  it.each(['unpinUserPages', 'unpinUserPagesDirtyLock'] as const)(
    '%s of a page that is not pinned: PIN_BELOW_ZERO; it is as it was, those before it are unpinned',
    (name) => {
      const { s, pages } = pinned(2);
      expect(codeOf(() => gup[name](s.memory, pages, 4, true as never))).toBe('PIN_BELOW_ZERO');
      expect([...pages].map((pfn) => s.refs(pfn))).toEqual([1, 1, 1, 1]);
      expect([...pages].map((pfn) => testFlag(s.phys, pfn, PG_DIRTY)).slice(2)).toEqual([false, false]);
      expect([s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([2, 2]);
      checkPhys(s.phys);
    },
  );

  it.each(['unpinUserPages', 'unpinUserPagesDirtyLock'] as const)(
    '%s of a free frame: PIN_BELOW_ZERO, nothing changed',
    (name) => {
      const { s } = pinned(1);
      const free = allocPages(s.phys, GFP_KERNEL, 0);
      freePages(s.phys, free, 0);
      expect(codeOf(() => gup[name](s.memory, Uint32Array.of(free), 1, true as never))).toBe('PIN_BELOW_ZERO');
      checkPhys(s.phys);
    },
  );

  it('putUserPages of a free frame: PUT_BELOW_ZERO', () => {
    const { s } = pinned(1);
    const free = allocPages(s.phys, GFP_KERNEL, 0);
    freePages(s.phys, free, 0);
    expect(codeOf(() => gup.putUserPages(s.memory, Uint32Array.of(free), 1))).toBe('PUT_BELOW_ZERO');
    checkPhys(s.phys);
  });

  it('a number that is no frame: RangeError, and the pages before it are counted as given back', () => {
    for (const wrong of [128, 2 ** 29, 0xffff_ffff]) {
      const { s, pages } = pinned(2);
      pages[2] = wrong;
      expect(codeOf(() => gup.unpinUserPages(s.memory, pages, 3))).toBeInstanceOf(RangeError);
      expect([s.phys.nrFollPinAcquired, s.phys.nrFollPinReleased]).toEqual([2, 2]);
    }
  });

  it('a number that is a frame only when it is cut to 32 bits: RangeError', () => {
    const { s, pages } = pinned(1);
    const pfn = pages[0]!;
    expect(codeOf(() => gup.unpinUserPages(s.memory, Uint32Array.of(2 ** 30 + pfn), 1))).toBeInstanceOf(RangeError);
    expect(s.refs(pfn)).toBe(1025);
  });

  it('B.7: unpinning the zero page changes nothing, however many references it has; putting it does', () => {
    const { s } = pinned(1);
    const zero = s.phys.zeroPfn;
    getPage(s.phys, zero, 5000);
    gup.unpinUserPages(s.memory, Uint32Array.of(zero), 1);
    gup.unpinUserPagesDirtyLock(s.memory, Uint32Array.of(zero), 1, true);
    expect([s.refs(zero), s.phys.nrFollPinReleased]).toEqual([5001, 0]);
    gup.putUserPages(s.memory, Uint32Array.of(zero), 1);
    expect(s.refs(zero)).toBe(5000);
    checkPhys(s.phys);
  });

  it('only the first nr', () => {
    const { s, pages } = pinned(4);
    gup.unpinUserPages(s.memory, pages, 3);
    expect([...pages].map((pfn) => s.refs(pfn))).toEqual([1, 1, 1, 1025]);
  });

  it('unpin_user_pages_dirty_lock marks dirty if it is told to', () => {
    for (const dirty of [true, false]) {
      const { s, pages } = pinned(4);
      gup.unpinUserPagesDirtyLock(s.memory, pages, 4, dirty);
      for (const pfn of pages) expect([s.refs(pfn), testFlag(s.phys, pfn, PG_DIRTY)]).toEqual([1, dirty]);
      expect(s.phys.nrFollPinReleased).toBe(4);
    }
  });

  it('unpin_user_pages_dirty_lock marks an orphan before it frees it, and never the zero page', () => {
    const { s, pages } = pinned(4);
    zapPageRange(s.mm, AT, AT + 4 * PAGE);
    gup.unpinUserPagesDirtyLock(s.memory, pages, 4, true);
    for (const pfn of pages) expect(s.refs(pfn)).toBe(0);
    gup.unpinUserPagesDirtyLock(s.memory, Uint32Array.of(s.phys.zeroPfn), 1, true);
    checkPhys(s.phys);
  });

  it('set_page_dirty_lock of a page that is dirty takes no lock', () => {
    const { s, pages } = pinned(1);
    gup.setPageDirtyLock(s.memory, pages[0]!);
    folioTrylock(s.memory, pages[0]!);
    gup.setPageDirtyLock(s.memory, pages[0]!);
    expect(testFlag(s.phys, pages[0]!, PG_LOCKED)).toBe(true);
  });
});

describe.each(schedBuilds)('%s: the page lock', (_, build) => {
  it('unpin_user_pages_dirty_lock waits for it, pins held', () => {
    const s = space(build);
    s.map(AT, 1);
    const [pfn] = s.touch(AT, 1, FAULT_FLAG_WRITE);
    const pages = new Uint32Array(1);
    build.gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages);
    folioTrylock(s.memory, pfn!);
    const task = spawn(s.sched, 'unpin', unpinUserPagesDirtyLock(s.memory, pages, 1, true));
    while (task.state !== TASK_WAITING) stepTask(s.sched, task);
    expect(s.refs(pfn!)).toBe(1025);
    folioUnlock(s.memory, pfn!);
    stepTask(s.sched, task);
    expect(TASK_DONE).toBe(task.state);
    expect([s.refs(pfn!), testFlag(s.phys, pfn!, PG_DIRTY)]).toEqual([1, true]);
  });
});
