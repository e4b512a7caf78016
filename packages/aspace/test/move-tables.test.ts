import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isGuardMarker, Mm, MM_CPUMASK, MM_ROOT, ptlTrylock, ptlUnlock } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { FOLL_PIN } from '@mmkit/base';
import { ACCESS_READ, createTranslation, ENTRY_LEAF, hwWalk, leafTable, tlbInsert, tlbLookup } from '@mmkit/pgtable';
import {
  allocPages,
  checkPhys,
  GFP_KERNEL,
  pageMapCount,
  pageRefCount,
  PG_ANON_EXCLUSIVE,
  testFlag,
  tryGrabFolio,
} from '@mmkit/phys';
import { createRwsem, downReadTrylock, isLocked } from '@mmkit/rwsem';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { addVma, AT, builds, entryAt, formats, machine, mapAnon, PAGE, rawAt, RW, space } from './builds.ts';

const TABLE_SPAN = 0x20_0000;
const TO = 0x4000_0000;

function touch(mm: Mm, cpu: number, address: number): void {
  const found = createTranslation();
  expect(hwWalk(mm.memory.tables, mm.words[MM_ROOT]!, address, ACCESS_READ, found)).toBe(0);
  tlbInsert(mm.memory.tlbs[cpu]!, mm.words[MM_ROOT]!, address, found);
  mm.words[MM_CPUMASK]! |= 1 << cpu;
}

const cached = (mm: Mm, cpu: number, address: number): boolean =>
  tlbLookup(mm.memory.tlbs[cpu]!, mm.words[MM_ROOT]!, address, ACCESS_READ) >= 0;

describe.each(builds)('%s: moveTables', (_name, api) => {
  it('N.14: entries move bit for bit; page, counts, exclusivity and pins follow', () => {
    const mm = space(machine());
    const { phys } = mm.memory;
    const pfn = mapAnon(mm, addVma(mm, AT, 2, RW), AT + PAGE);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    const raw = { ...rawAt(mm, AT + PAGE) };
    expect(api.moveTables(mm, AT, TO, 2 * PAGE, null)).toBe(2 * PAGE);
    expect(rawAt(mm, TO + PAGE)).toMatchObject(raw);
    expect(rawAt(mm, AT + PAGE)).toMatchObject({ lo: 0, hi: 0 });
    expect([pageRefCount(phys, pfn), pageMapCount(phys, pfn), testFlag(phys, pfn, PG_ANON_EXCLUSIVE)]).toEqual([
      1025,
      1,
      true,
    ]);
    expect(mm.anonPages).toBe(1);
  });

  it('FACTS 18: guards move too', () => {
    const mm = space(machine());
    addVma(mm, AT, 2, RW);
    api.guardInstall(mm, AT + PAGE, AT + 2 * PAGE);
    api.moveTables(mm, AT, TO, 2 * PAGE, null);
    expect([AT, AT + PAGE, TO, TO + PAGE].map((at) => isGuardMarker(entryAt(mm, at)))).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });

  it('N.14: the old range is flushed from every TLB', () => {
    const mm = space(machine({ cpus: 2 }));
    mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    touch(mm, 0, AT);
    touch(mm, 1, AT);
    api.moveTables(mm, AT, TO, PAGE, null);
    expect([0, 1].map((cpu) => cached(mm, cpu, AT))).toEqual([false, false]);
  });

  it('over edges of old and new tables, at different offsets in them; what lies beside stays', () => {
    const mm = space(machine({ frames: 128 }));
    const from = 4 * TABLE_SPAN - 3 * PAGE;
    const to = TO + TABLE_SPAN - 2 * PAGE;
    const vma = addVma(mm, from - PAGE, 8, RW);
    const pfns = Array.from({ length: 8 }, (_, i) => mapAnon(mm, vma, from + (i - 1) * PAGE));
    expect(api.moveTables(mm, from, to, 6 * PAGE, null)).toBe(6 * PAGE);
    expect(Array.from({ length: 6 }, (_, i) => entryAt(mm, to + i * PAGE).pfn)).toEqual(pfns.slice(1, 7));
    expect(Array.from({ length: 8 }, (_, i) => entryAt(mm, from + (i - 1) * PAGE).kind === ENTRY_LEAF)).toEqual(
      Array.from({ length: 8 }, (_, i) => i === 0 || i === 7),
    );
  });

  it('within one table, whose lock is taken once', () => {
    const mm = space(machine());
    const pfn = mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    expect(api.moveTables(mm, AT, AT + 8 * PAGE, PAGE, null)).toBe(PAGE);
    expect(entryAt(mm, AT + 8 * PAGE).pfn).toBe(pfn);
    const table = leafTable(mm.memory.tables, mm.words[MM_ROOT]!, AT);
    expect(ptlTrylock(mm.memory, table)).toBe(true);
    ptlUnlock(mm.memory, table);
  });

  it('without a page for a new table it stops: what is behind stays where it was', () => {
    const mm = space(machine({ frames: 64 }));
    const { phys } = mm.memory;
    const to = TO + TABLE_SPAN - PAGE;
    const vma = addVma(mm, AT, 3, RW);
    const pfns = [0, 1, 2].map((i) => mapAnon(mm, vma, AT + i * PAGE));
    // The table of the first target page exists, the next one cannot be had.
    mapAnon(mm, addVma(mm, TO, 1, RW), TO);
    while (allocPages(phys, GFP_KERNEL, 0) >= 0);
    expect(api.moveTables(mm, AT, to, 3 * PAGE, null)).toBe(PAGE);
    expect(entryAt(mm, to).pfn).toBe(pfns[0]);
    expect([1, 2].map((i) => entryAt(mm, AT + i * PAGE).pfn)).toEqual(pfns.slice(1));
    checkPhys(phys);
  });

  it('nothing mapped: nothing to do, and no tables are made', () => {
    const mm = space(machine());
    expect(api.moveTables(mm, AT, TO, 3 * TABLE_SPAN, null)).toBe(3 * TABLE_SPAN);
    expect(leafTable(mm.memory.tables, mm.words[MM_ROOT]!, TO)).toBe(-1);
  });

  it('moves like an array: any range to any other place, and back', () => {
    const page = fc.integer({ min: 0, max: 40 });
    fc.assert(
      fc.property(
        fc.uniqueArray(page, { maxLength: 20 }),
        page,
        fc.integer({ min: 1, max: 30 }),
        page,
        (mapped, at, n, to) => {
          const mm = space(machine({ frames: 128 }));
          const low = 4 * TABLE_SPAN - 20 * PAGE;
          const high = TO + 2 * TABLE_SPAN - 20 * PAGE;
          const vma = addVma(mm, low, 80, RW);
          const model = new Map<number, number>();
          for (const i of mapped) model.set(low + i * PAGE, mapAnon(mm, vma, low + i * PAGE));
          const start = model.size;
          api.moveTables(mm, low + at * PAGE, high + to * PAGE, n * PAGE, null);
          for (const [address, pfn] of new Map(model)) {
            const offset = address - low - at * PAGE;
            if (offset < 0 || offset >= n * PAGE) continue;
            model.delete(address);
            model.set(high + to * PAGE + offset, pfn);
          }
          expect(model.size).toBe(start);
          for (const base of [low, high])
            for (let i = 0; i < 80; i++) {
              const entry = entryAt(mm, base + i * PAGE);
              expect(entry.kind === ENTRY_LEAF ? entry.pfn : undefined).toBe(model.get(base + i * PAGE));
            }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe.each(formats)('sched %s: moveTables holds what it must', () => {
  it('C.10: no other CPU can use the old translation once the locks are free', () => {
    const memory = machine({ cpus: 2 });
    const mm = space(memory);
    mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    touch(mm, 1, AT);
    mapAnon(mm, addVma(mm, TO + PAGE, 1, RW), TO + PAGE);
    const table = leafTable(memory.tables, mm.words[MM_ROOT]!, TO);
    const task = spawn(memory.sched, 'mremap', coloured.moveTables(mm, AT, TO, PAGE, null), 0);
    let moved = 0;
    while (task.state !== TASK_DONE) {
      stepTask(memory.sched, task);
      if (entryAt(mm, TO).kind !== ENTRY_LEAF || !ptlTrylock(memory, table)) continue;
      ptlUnlock(memory, table);
      moved++;
      expect(cached(mm, 1, AT)).toBe(false);
    }
    expect(moved).toBeGreaterThan(0);
  });

  it('N.14: the lock of the file, so that truncation finds the page at one of the places', () => {
    const memory = machine();
    const mm = space(memory);
    mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    const lock = createRwsem('i_mmap_rwsem');
    const task = spawn(memory.sched, 'mremap', coloured.moveTables(mm, AT, TO, PAGE, lock), 0);
    let between = 0;
    while (task.state !== TASK_DONE) {
      stepTask(memory.sched, task);
      const gone = entryAt(mm, AT).kind !== ENTRY_LEAF;
      if (!gone || task.state === TASK_DONE) continue;
      between++;
      expect(downReadTrylock(lock)).toBe(false);
    }
    expect(between).toBeGreaterThan(0);
    expect(isLocked(lock)).toBe(false);
  });
});
