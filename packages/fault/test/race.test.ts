import { describe, expect, it } from 'vitest';
import { MM_ROOT, pageAnonExclusive, zapPageRange } from '@mmkit/aspace';
import * as aspace from '@mmkit/aspace/sched';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE } from '@mmkit/fault';
import { handleMmFault } from '@mmkit/fault/sched';
import { E_WRITE, freeAllTables } from '@mmkit/pgtable';
import { checkPhys, countFrames } from '@mmkit/phys';
import { AT, builds, counts, entryAt, everySchedule, forked, formats, PAGE, space } from './builds.ts';
import type { Space } from './builds.ts';

const plain = builds[0]![1];

/** Everything unmapped: no frame is left. */
function nothingLeaks(...spaces: Space[]): void {
  const { memory } = spaces[0]!;
  checkPhys(memory.phys);
  for (const { mm } of spaces) {
    zapPageRange(mm, AT, AT + 8 * PAGE);
    expect(mm.anonPages).toBe(0);
    freeAllTables(memory.tables, mm.words[MM_ROOT]!);
  }
  expect(countFrames(memory.phys).used).toBe(0);
}

function fault({ mm, vma }: Space, flags: number): ReturnType<typeof handleMmFault> {
  return handleMmFault(mm, vma, AT, flags);
}

describe.each(formats)('sched %s: faults on the same page, under every schedule', () => {
  it('two first writes: one page; what the slower one had prepared is given back', () => {
    const schedules = everySchedule(() => {
      const s = space();
      const check = (): void => {
        const { pfn, flags } = entryAt(s.mm, AT);
        expect(flags & E_WRITE).toBe(E_WRITE);
        expect(counts(s.memory.phys, pfn)).toEqual([1, 1]);
        expect(s.memory.sched.tasks.slice(1).map((task) => task.result)).toEqual([0, 0]);
        expect(s.mm.anonPages).toBe(1);
        nothingLeaks(s);
      };
      return { sched: s.memory.sched, tasks: [fault(s, FAULT_FLAG_WRITE), fault(s, FAULT_FLAG_WRITE)], check };
    });
    expect(schedules).toBeGreaterThan(20);
  });

  it('a read against a write: the zero page or the own one, and the writer comes again for the first', () => {
    const ends = new Set<boolean>();
    everySchedule(() => {
      const s = space();
      const check = (): void => {
        const zero = entryAt(s.mm, AT).pfn === s.memory.phys.zeroPfn;
        ends.add(zero);
        expect(s.mm.anonPages).toBe(zero ? 0 : 1);
        plain(s.mm, s.vma, AT, FAULT_FLAG_WRITE);
        expect(entryAt(s.mm, AT).flags & E_WRITE).toBe(E_WRITE);
        nothingLeaks(s);
      };
      return { sched: s.memory.sched, tasks: [fault(s, 0), fault(s, FAULT_FLAG_WRITE)], check };
    });
    expect(ends).toEqual(new Set([true, false]));
  });

  it('two threads write to a page shared by fork: one copy', () => {
    everySchedule(() => {
      const parent = space();
      plain(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
      const child = forked(parent);
      const check = (): void => {
        const { pfn } = entryAt(child.mm, AT);
        expect(pfn).not.toBe(entryAt(parent.mm, AT).pfn);
        expect(counts(parent.memory.phys, pfn)).toEqual([1, 1]);
        expect(counts(parent.memory.phys, entryAt(parent.mm, AT).pfn)).toEqual([1, 1]);
        nothingLeaks(parent, child);
      };
      const { sched } = parent.memory;
      return { sched, tasks: [fault(child, FAULT_FLAG_WRITE), fault(child, FAULT_FLAG_WRITE)], check };
    });
  });

  it.each([
    ['writes', FAULT_FLAG_WRITE],
    ['is unshared', FAULT_FLAG_UNSHARE],
  ])('parent writes while the child %s: two pages in the end, each exclusive', (_, flags) => {
    everySchedule(() => {
      const parent = space();
      plain(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
      const child = forked(parent);
      const check = (): void => {
        const { phys } = parent.memory;
        const pfns = [parent, child].map(({ mm }) => entryAt(mm, AT).pfn);
        expect(pfns[0]).not.toBe(pfns[1]);
        for (const pfn of pfns) {
          expect(counts(phys, pfn)).toEqual([1, 1]);
          expect(pageAnonExclusive(phys, pfn)).toBe(true);
        }
        nothingLeaks(parent, child);
      };
      return { sched: parent.memory.sched, tasks: [fault(parent, FAULT_FLAG_WRITE), fault(child, flags)], check };
    });
  });

  it('a copy against MADV_DONTNEED: the page copied from is not freed under it, and nothing leaks', () => {
    everySchedule(() => {
      const parent = space();
      plain(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
      const child = forked(parent);
      const check = (): void => nothingLeaks(parent, child);
      const tasks = [fault(child, FAULT_FLAG_WRITE), aspace.zapPageRange(child.mm, AT, AT + PAGE)];
      return { sched: parent.memory.sched, tasks, check };
    });
  });

  it('a first write against MADV_DONTNEED: a page or none', () => {
    everySchedule(() => {
      const s = space();
      plain(s.mm, s.vma, AT, FAULT_FLAG_WRITE);
      const check = (): void => nothingLeaks(s);
      const tasks = [aspace.zapPageRange(s.mm, AT, AT + PAGE), fault(s, FAULT_FLAG_WRITE)];
      return { sched: s.memory.sched, tasks, check };
    });
  });
});
