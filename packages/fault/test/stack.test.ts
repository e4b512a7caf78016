/** A.3: the guard page inside a stack, up to Linux 4.11; C.5: stacks that grow while others look. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, linux6_18, mmapReadUnlock, mmapWriteUnlock, Mm } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { lockMmAndFindVma, mmapWriteLock } from '@mmkit/aspace/sched';
import { FAULT_FLAG_WRITE, VM_FAULT_SIGBUS } from '@mmkit/fault';
import { handleMmFault } from '@mmkit/fault/sched';
import type { Task } from '@mmkit/base';
import { ENTRY_NONE } from '@mmkit/pgtable';
import { eraseVma, findVma, insertVma, Vma, VM_GROWSDOWN } from '@mmkit/vma';
import { AT, builds, entryAt, everySchedule, formats, PAGE, RW, space } from './builds.ts';

const STACK = RW | VM_GROWSDOWN;
const ERA: readonly Policy[] = [linux3_14, linux4_8];

describe.each(builds)('%s: the guard page of a stack', (_, handle) => {
  it.each(ERA)('A.3, $name: touching it, for reading too, makes the stack grow by one more page', (policy) => {
    for (const flags of [0, FAULT_FLAG_WRITE]) {
      const { mm, vma } = space(STACK, { policy });
      expect(handle(mm, vma, AT + PAGE, flags)).toBe(0);
      expect(vma.start).toBe(AT);
      expect(handle(mm, vma, AT + 5, flags)).toBe(0);
      expect([vma.start, vma.pgoff, entryAt(mm, AT - PAGE).kind]).toEqual([AT - PAGE, AT / PAGE - 1, ENTRY_NONE]);
      expect(entryAt(mm, AT).kind).not.toBe(ENTRY_NONE);
      // It is no guard any more, and it is there.
      expect(handle(mm, vma, AT, flags)).toBe(0);
      expect(vma.start).toBe(AT - PAGE);
    }
  });

  it.each(ERA)(
    'A.3, $name: SIGBUS where it cannot grow, nothing mapped: memory right below, or RLIMIT_STACK',
    (policy) => {
      const below = space(STACK, { policy });
      insertVma(below.mm.vmas, new Vma(AT - PAGE, AT, 0, 0));
      const limited = space(STACK, { policy });
      limited.mm.rlimitStack = 8 * PAGE;
      for (const { mm, vma, memory } of [below, limited]) {
        const free = memory.phys.freeFrames;
        expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(VM_FAULT_SIGBUS);
        expect([vma.start, memory.phys.freeFrames]).toEqual([AT, free]);
        expect(handle(mm, vma, AT + PAGE, FAULT_FLAG_WRITE)).toBe(0);
      }
    },
  );

  it('A.3: where another stack ends right below the lowest page is like any other', () => {
    const { mm, vma } = space(STACK, { policy: linux3_14 });
    insertVma(mm.vmas, new Vma(AT - PAGE, AT, STACK, 0));
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    expect(vma.start).toBe(AT);
  });

  it('A.3: memory that does not grow has no guard page, and since 4.12 no stack has', () => {
    for (const { mm, vma } of [space(RW, { policy: linux3_14 }), space(STACK, { policy: linux6_18 })]) {
      expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
      expect(vma.start).toBe(AT);
    }
  });
});

describe.each(formats)('%s: faults below one stack', () => {
  const grown = (mm: Mm): number => (AT - findVma(mm.vmas, 0)!.start) / PAGE;

  it.each([linux6_18, linux4_8])(
    'C.5, $name: two at once, under every schedule: each gets its page, the stack reaches to the lower one',
    (policy) => {
      const schedules = everySchedule(() => {
        const { mm, memory } = space(STACK, { policy });
        function* fault(page: number): Task<void> {
          const vma = yield* lockMmAndFindVma(mm, AT - page * PAGE);
          if (typeof vma === 'number') throw new Error(`no VMA: ${vma}`);
          expect(yield* handleMmFault(mm, vma, AT - page * PAGE, FAULT_FLAG_WRITE)).toBe(0);
          mmapReadUnlock(mm);
        }
        const check = (): void => {
          for (const page of [1, 3]) expect(entryAt(mm, AT - page * PAGE).kind).not.toBe(ENTRY_NONE);
          expect(grown(mm)).toBe(policy === linux4_8 ? 4 : 3);
        };
        return { sched: memory.sched, tasks: [fault(1), fault(3)], check };
      });
      expect(schedules).toBeGreaterThan(50);
    },
  );

  it('N.8: what lies at the address is looked up again after the wait for the write hold', () => {
    const seen = new Set<string>();
    everySchedule(() => {
      const { mm, vma: stack, memory } = space(STACK);
      let found: Vma | number = 0;
      function* fault(): Task<void> {
        found = yield* lockMmAndFindVma(mm, AT - PAGE);
        if (typeof found !== 'number') mmapReadUnlock(mm);
      }
      function* other(): Task<void> {
        yield* mmapWriteLock(mm);
        eraseVma(mm.vmas, stack);
        insertVma(mm.vmas, new Vma(AT - 2 * PAGE, AT, RW, 0));
        mmapWriteUnlock(mm);
      }
      // A mapping in its place, or the stack that grew before it was taken away.
      const check = (): void => {
        expect(found).toBeInstanceOf(Vma);
        const vma = found as unknown as Vma;
        seen.add(vma === stack ? 'stack' : 'other');
        expect(vma.start).toBe(vma === stack ? AT - PAGE : AT - 2 * PAGE);
      };
      return { sched: memory.sched, tasks: [fault(), other()], check };
    });
    expect([...seen].sort()).toEqual(['other', 'stack']);
  });
});
