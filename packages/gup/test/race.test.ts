/** gup-fast against what it races with, under every schedule; each rule is then switched off and its bug is found. */
import { describe, expect, it } from 'vitest';
import {
  anonVmaPrepare,
  linux6_18,
  MM_ROOT,
  mmapReadTrylock,
  mmapWriteTrylock,
  ZAP_RECLAIM_TABLES,
  zapPageRange as unmapNow,
} from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { copyPageRange, freePageTables, zapPageRange } from '@mmkit/aspace/sched';
import { FOLL_NOFAULT, FOLL_WRITE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { FAULT_FLAG_WRITE } from '@mmkit/fault';
import { handleMmFault } from '@mmkit/fault/sched';
import { getUserPages, pinUserPagesFast } from '@mmkit/gup/sched';
import {
  createDecoded,
  createEntry,
  E_DIRTY,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  leafTable,
  setDecoded,
  writeEntry,
} from '@mmkit/pgtable';
import { allocPages, checkPhys, GFP_KERNEL, PG_TABLE, testFlag } from '@mmkit/phys';
import { killTask } from '@mmkit/task';
import { insertVma, Vma, vmaLookup } from '@mmkit/vma';
import { AT, everySchedule, newMm, PAGE, RW, schedBuilds, space } from './builds.ts';
import type { Build, Found, Space } from './builds.ts';

/** A process on two CPUs with one page of its own. */
function process(build: Build, policy: Policy): { s: Space; pages: Uint32Array; vma: Vma } {
  const s = space(build, {}, { policy, frames: 32 });
  const vma = s.map(AT, 1);
  s.touch(AT, 1);
  mmapWriteTrylock(s.mm);
  return { s, pages: new Uint32Array(1), vma };
}

/**
 * A pin by the fast walk or not at all: mmap_lock is held by somebody for good, and the caller is killed, so that the
 * slow path gives up. Fewer points, and what is asked here the slow path cannot get wrong.
 */
function* fastOnly(s: Space, pages: Uint32Array, flags: number): Task<number> {
  killTask(s.sched.current);
  return yield* pinUserPagesFast(s.mm, AT, 1, flags, pages);
}

/** A pin against a fork: is the pinned page the parent's alone in the end? */
function pinAgainstFork(build: Build, policy: Policy, flags: number, stopAtFirst = false): Found {
  return everySchedule(() => {
    const { s, pages, vma } = process(build, policy);
    const child = newMm(build, { memory: s.memory });
    const copy = new Vma(AT, AT + PAGE, RW, AT / PAGE);
    anonVmaPrepare(s.memory, copy);
    insertVma(child.vmas, copy);
    const check = (): string | null => {
      checkPhys(s.phys);
      if (s.sched.tasks[1]!.result !== 1) return null;
      const [now] = s.touch(AT, 1);
      return now === pages[0] ? null : 'the next store goes to another page than the pin';
    };
    return { sched: s.sched, tasks: [fastOnly(s, pages, flags), copyPageRange(child, s.mm, vma, copy)], check };
  }, stopAtFirst);
}

describe.each(schedBuilds)('%s: pin_user_pages_fast against fork', (_name, build) => {
  it.each([
    ['for writing', FOLL_WRITE],
    ['read-only', 0],
  ])('%s: the parent keeps a pinned page, in every schedule', (_, flags) => {
    const { schedules, wrong } = pinAgainstFork(build, linux6_18, flags);
    expect(wrong).toEqual([]);
    expect(schedules).toBeGreaterThan(1000);
  });

  it('without the write-protect sequence there are schedules in which it does not (B.16)', () => {
    const { schedules, wrong } = pinAgainstFork(build, { ...linux6_18, writeProtectSeq: false }, FOLL_WRITE);
    expect(wrong.length).toBeGreaterThan(0);
    expect(wrong.length).toBeLessThan(schedules);
  });

  it('without the early copy too (B.15 #5)', () => {
    const { wrong } = pinAgainstFork(build, { ...linux6_18, earlyCopy: false }, FOLL_WRITE, true);
    expect(wrong.length).toBe(1);
  });

  it('a read-only pin without unsharing too (B.15 #3)', () => {
    const { wrong } = pinAgainstFork(build, { ...linux6_18, unshare: false }, 0, true);
    expect(wrong.length).toBe(1);
  });
});

/** A fast pin against an unmap whose page is at once somebody else's: does the pin take a stranger's page? */
function pinAgainstUnmap(build: Build, policy: Policy, flags: number, stopAtFirst = false): Found {
  return everySchedule(() => {
    const { s, pages } = process(build, policy);
    let stranger = -1;
    function* unmap(): Task<void> {
      yield* zapPageRange(s.mm, AT, AT + PAGE);
      stranger = allocPages(s.phys, GFP_KERNEL, 0);
    }
    const check = (): string | null => {
      const got = s.sched.tasks[1]!.result as number;
      if (got > 0 && pages[0] === stranger) return 'a page of somebody else is pinned';
      checkPhys(s.phys);
      return null;
    };
    return { sched: s.sched, tasks: [fastOnly(s, pages, flags), unmap()], check };
  }, stopAtFirst);
}

describe.each(schedBuilds)('%s: pin_user_pages_fast against unmap', (_name, build) => {
  it.each([
    ['for writing', FOLL_WRITE],
    ['read-only', 0],
  ])('%s: it never takes a page that was freed and used again', (_, flags) => {
    expect(pinAgainstUnmap(build, linux6_18, flags).wrong).toEqual([]);
  });

  it.each([
    ['for writing', FOLL_WRITE],
    ['read-only', 0],
  ])('%s, without the recheck: it does (B.11 #7)', (_, flags) => {
    expect(pinAgainstUnmap(build, { ...linux6_18, fastRecheck: false }, flags, true).wrong.length).toBe(1);
  });
});

/** The walk reads tables: are they still tables after each of its steps? */
function walkAgainstTableFree(build: Build, policy: Policy, stopAtFirst = false): Found {
  return everySchedule(() => {
    const { s, pages } = process(build, policy);
    unmapNow(s.mm, AT, AT + PAGE);
    const tables: number[] = [];
    for (let pfn = 0; pfn < s.phys.frames; pfn++) if (testFlag(s.phys, pfn, PG_TABLE)) tables.push(pfn);
    let inside = false;
    let bad = false;
    function* walk(): Task<void> {
      const body = fastOnly(s, pages, FOLL_WRITE);
      for (let at = body.next(); at.done !== true; at = body.next()) {
        const { current } = s.sched;
        const intact = (): boolean => tables.every((pfn) => testFlag(s.phys, pfn, PG_TABLE));
        // What is freed before the walk begins it cannot meet.
        inside ||= current.cpu.irqOwner === current && intact();
        yield at.value;
        bad ||= inside && current.cpu.irqOwner === current && !intact();
      }
    }
    const check = (): string | null => (bad ? 'a page table was freed under the walk' : null);
    return { sched: s.sched, tasks: [walk(), freePageTables(s.mm, AT, AT + PAGE, 0, s.memory.format.userEnd)], check };
  }, stopAtFirst);
}

describe.each(schedBuilds)('%s: pin_user_pages_fast against the freeing of page tables', (_name, build) => {
  it('B.11: tables stay as long as interrupts are off', () => {
    expect(walkAgainstTableFree(build, linux6_18).wrong).toEqual([]);
  });

  it('without the wait they do not (C.8)', () => {
    expect(walkAgainstTableFree(build, { ...linux6_18, tableFreeWaits: false }, true).wrong.length).toBe(1);
  });
});

/**
 * A process whose leaf table MADV_DONTNEED empties and unhooks, with mmap_lock held for reading by both, against `other`; of
 * the freed table somebody makes pages full of entries at once.
 */
function tableReclaim(build: Build, mapped: boolean, other: (s: Space) => Task<void>, check: Check): Found {
  return everySchedule(() => {
    const { memory, s } = reclaimable(build, mapped);
    const { tables, phys, format } = memory;
    const span = format.spans[1]!;
    const from = Math.floor(AT / span) * span;
    const strangers: number[] = [];
    function* dontneed(): Task<void> {
      yield* zapPageRange(s.mm, from, from + span, ZAP_RECLAIM_TABLES);
      for (let i = 0; i < 2; i++) strangers.push(allocPages(phys, GFP_KERNEL, 0));
      const decoded = createDecoded();
      const entry = createEntry();
      setDecoded(decoded, ENTRY_LEAF, strangers[0]!, E_USER | E_WRITE | E_YOUNG | E_DIRTY);
      format.encode(decoded, 0, entry);
      for (const pfn of strangers) for (let at = 0; at < tables.entries; at++) writeEntry(tables, pfn, at, entry);
    }
    return { sched: s.sched, tasks: [other(s), dontneed()], check: () => check(s, strangers) };
  });
}

type Check = (s: Space, strangers: readonly number[]) => string | null;

/** A page at AT that is there, or only its table; mmap_lock is held for reading. */
function reclaimable(build: Build, mapped: boolean): { s: Space; memory: Space['memory'] } {
  const s = space(build, {}, { frames: 64 });
  s.map(AT, 1);
  s.touch(AT, 1);
  if (!mapped) unmapNow(s.mm, AT, AT + PAGE);
  mmapReadTrylock(s.mm);
  return { s, memory: s.memory };
}

describe.each(schedBuilds)('%s: MADV_DONTNEED unhooks the table (PT_RECLAIM)', (_name, build) => {
  it('C.8: a write fault puts its page into a table that is hooked, in every schedule', () => {
    function* store(s: Space): Task<void> {
      yield* handleMmFault(s.mm, vmaLookup(s.mm.vmas, AT)!, AT, FAULT_FLAG_WRITE);
    }
    const { schedules, wrong } = tableReclaim(build, false, store, (s) => {
      checkPhys(s.phys);
      const there = leafTable(s.memory.tables, s.mm.words[MM_ROOT]!, AT) >= 0 && s.entry(AT).kind === ENTRY_LEAF;
      return s.mm.anonPages === (there ? 1 : 0) ? null : `${s.mm.anonPages} pages are counted, mapped: ${there}`;
    });
    expect(wrong).toEqual([]);
    expect(schedules).toBeGreaterThan(100);
  });

  it("C.8: the slow walk takes no page out of a table that is somebody else's by now", () => {
    const pages = new Uint32Array(1);
    function* get(s: Space): Task<void> {
      pages[0] = 0;
      yield* getUserPages(s.mm, AT, 1, FOLL_WRITE | FOLL_NOFAULT, pages);
    }
    const { schedules, wrong } = tableReclaim(build, true, get, (s, strangers) => {
      checkPhys(s.phys);
      return strangers.includes(pages[0]!) ? 'a page of somebody else is taken' : null;
    });
    expect(wrong).toEqual([]);
    expect(schedules).toBeGreaterThan(50);
  });
});
