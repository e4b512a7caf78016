/** N.8, N.16, C.5, FACTS-2 39 to 43, and answers of a running 6.18: stacks that grow. */
import { describe, expect, it } from 'vitest';
import { expandDownwards, linux4_8, linux6_18, Mm, MMAP_MIN_ADDR, mmapReadTrylock } from '@mmkit/aspace';
import { mmapReadUnlock, mmapWriteTrylock, mmapWriteUnlock } from '@mmkit/aspace';
import type { MemoryOptions } from '@mmkit/aspace';
import { lockMmAndFindVma } from '@mmkit/aspace/sched';
import { EFAULT, EINTR, ENOMEM, EPERM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { isLocked, isWriteLocked, readerCount } from '@mmkit/rwsem';
import { killTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import { checkVmaTree, eraseVma, Vma, VM_GROWSDOWN, VM_LOCKED, VM_READ } from '@mmkit/vma';
import { addVma, AT, builds, codeOf, formats, machine, PAGE, RW, space } from './builds.ts';

const STACK = RW | VM_GROWSDOWN;

/** An address space with a stack of one page at AT. */
function withStack(options: Partial<MemoryOptions> & { cpus?: number } = {}, flags = STACK): { mm: Mm; stack: Vma } {
  const mm = space(machine(options));
  return { mm, stack: addVma(mm, AT, 1, flags) };
}

/** What a refused growth may not have changed. */
const state = (mm: Mm, stack: Vma): unknown[] => [stack.start, stack.end, stack.pgoff, mm.lockedVm, mm.vmas.mapCount];

describe.each(formats)('%s: expandDownwards', () => {
  it('moves the start down with its page number; nothing is faulted in, and it has an anon_vma', () => {
    const { mm, stack } = withStack();
    expect(expandDownwards(mm, stack, AT - 3 * PAGE + 5)).toBe(0);
    expect([stack.start, stack.end, stack.pgoff]).toEqual([AT - 3 * PAGE, AT + PAGE, AT / PAGE - 3]);
    expect([mm.anonPages, stack.anonVma === null]).toEqual([0, false]);
    checkVmaTree(mm.vmas);
  });

  it('an address it holds already: 0, nothing changed', () => {
    const { mm, stack } = withStack();
    const before = state(mm, stack);
    expect(expandDownwards(mm, stack, AT + 5)).toBe(0);
    expect([state(mm, stack), stack.anonVma]).toEqual([before, null]);
  });

  it('FACTS-2 41: RLIMIT_STACK bounds the size after growth: whole pages within it', () => {
    const { mm, stack } = withStack();
    expect(mm.rlimitStack).toBe(8 * 2 ** 20);
    mm.rlimitStack = 5 * PAGE + 100;
    const before = state(mm, stack);
    expect(expandDownwards(mm, stack, AT - 5 * PAGE)).toBe(-ENOMEM);
    expect(state(mm, stack)).toEqual(before);
    expect(expandDownwards(mm, stack, AT - 4 * PAGE)).toBe(0);
    mm.rlimitStack = Infinity;
    expect(expandDownwards(mm, stack, AT - 900 * PAGE)).toBe(0);
  });

  it('6.18: refused by a limit it has an anon_vma all the same, refused by a neighbour it has none', () => {
    const { mm, stack } = withStack();
    addVma(mm, AT - 300 * PAGE, 1, VM_READ);
    const before = state(mm, stack);
    expect(expandDownwards(mm, stack, AT - 100 * PAGE)).toBe(-ENOMEM);
    expect([state(mm, stack), stack.anonVma]).toEqual([before, null]);
    mm.rlimitStack = PAGE;
    expect(expandDownwards(mm, stack, AT - PAGE)).toBe(-ENOMEM);
    expect([state(mm, stack), stack.anonVma === null]).toEqual([before, false]);
  });

  it('N.16: -EPERM below MMAP_MIN_ADDR, -EFAULT for what does not grow', () => {
    const mm = space(machine());
    const stack = addVma(mm, MMAP_MIN_ADDR + PAGE, 1, STACK);
    expect(expandDownwards(mm, stack, MMAP_MIN_ADDR)).toBe(0);
    expect(expandDownwards(mm, stack, MMAP_MIN_ADDR - 1)).toBe(-EPERM);
    expect(expandDownwards(mm, addVma(mm, AT, 1, RW), AT - PAGE)).toBe(-EFAULT);
  });

  it('6.18: a stack that was moved keeps its page numbers, and stops where they would fall below 0', () => {
    const mm = space(machine());
    const stack = addVma(mm, AT, 1, STACK);
    eraseVma(mm.vmas, stack);
    const moved = addVma(mm, AT, 1, STACK);
    moved.pgoff = 0x20;
    expect([expandDownwards(mm, moved, AT - 33 * PAGE), moved.pgoff]).toEqual([-ENOMEM, 0x20]);
    expect([expandDownwards(mm, moved, AT - 32 * PAGE), moved.pgoff]).toEqual([0, 0]);
  });

  it('6.18: RLIMIT_AS bounds all VMAs together: 3 pages free in it, 3 it grows by; a part of a page does not count', () => {
    const { mm, stack } = withStack();
    mm.rlimitAs = 5 * PAGE - 1;
    const before = state(mm, stack);
    expect(expandDownwards(mm, stack, AT - 4 * PAGE)).toBe(-ENOMEM);
    expect([state(mm, stack), stack.anonVma === null]).toEqual([before, false]);
    expect([expandDownwards(mm, stack, AT - 3 * PAGE), mm.vmas.totalPages]).toEqual([0, 4]);
  });

  it('6.18: a locked stack grows locked, within RLIMIT_MEMLOCK', () => {
    const { mm, stack } = withStack({}, STACK | VM_LOCKED);
    mm.lockedVm = 1;
    mm.rlimitMemlock = 3 * PAGE;
    expect([expandDownwards(mm, stack, AT - 2 * PAGE), mm.lockedVm]).toEqual([0, 3]);
    const before = state(mm, stack);
    expect(expandDownwards(mm, stack, AT - 3 * PAGE)).toBe(-ENOMEM);
    expect(state(mm, stack)).toEqual(before);
    mm.capIpcLock = true;
    expect([expandDownwards(mm, stack, AT - 3 * PAGE), mm.lockedVm]).toEqual([0, 4]);
  });
});

describe.each(builds)('%s: lockMmAndFindVma', (_, api) => {
  it('the VMA of the address, with mmap_lock held for reading', () => {
    const { mm, stack } = withStack();
    expect(api.lockMmAndFindVma(mm, AT + 5)).toBe(stack);
    expect([readerCount(mm.mmapLock), stack.start]).toEqual([1, AT]);
  });

  it('N.8, FACTS-2 42: a stack above the address grows, however far; mmap_lock is then held for reading', () => {
    const { mm, stack } = withStack();
    expect(api.lockMmAndFindVma(mm, AT - 700 * PAGE)).toBe(stack);
    expect([readerCount(mm.mmapLock), isWriteLocked(mm.mmapLock)]).toEqual([1, false]);
    expect(stack.start).toBe(AT - 700 * PAGE);
  });

  it('-EFAULT where nothing is, above what does not grow, and where a stack may not; mmap_lock is free', () => {
    const { mm, stack } = withStack();
    mm.rlimitStack = PAGE;
    addVma(mm, AT + 100 * PAGE, 1, RW);
    for (const page of [-1, 50, 200]) {
      expect(api.lockMmAndFindVma(mm, AT + page * PAGE)).toBe(-EFAULT);
      expect(isLocked(mm.mmapLock)).toBe(false);
    }
    expect([stack.start, mm.vmas.mapCount]).toEqual([AT, 2]);
  });

  it('C.5: up to 6.4 a stack grows under the read hold, beside other readers; since then only alone', () => {
    for (const policy of [{ ...linux6_18, stackGrowth: 'gupReadLock' as const }, linux4_8]) {
      const { mm, stack } = withStack({ policy });
      // One caller is several readers here.
      mm.memory.sched.lockdep = null;
      api.mmapReadTrylock(mm);
      expect(api.lockMmAndFindVma(mm, AT - PAGE)).toBe(stack);
      expect([readerCount(mm.mmapLock), stack.start]).toEqual([2, AT - PAGE]);
      expect(api.lockMmAndFindVma(mm, AT + 9 * PAGE)).toBe(-EFAULT);
      mm.rlimitStack = 0;
      expect(api.lockMmAndFindVma(mm, AT - 2 * PAGE)).toBe(-EFAULT);
      expect(readerCount(mm.mmapLock)).toBe(2);
    }
    const { mm, stack } = withStack();
    mm.memory.sched.lockdep = null;
    api.mmapReadTrylock(mm);
    expect(codeOf(() => api.lockMmAndFindVma(mm, AT - PAGE))).toBe('DEADLOCK');
    expect(stack.start).toBe(AT);
  });
});

describe.each(builds)('%s: expandStack', (_, api) => {
  it('gives the read hold up, grows the stack, and has a read hold again', () => {
    const { mm, stack } = withStack();
    api.mmapReadTrylock(mm);
    expect(api.expandStack(mm, AT - 2 * PAGE)).toBe(stack);
    expect([stack.start, readerCount(mm.mmapLock)]).toEqual([AT - 2 * PAGE, 1]);
  });

  it('somebody has mapped the address by now: that VMA', () => {
    const { mm } = withStack();
    const other = addVma(mm, AT - PAGE, 1, RW);
    api.mmapReadTrylock(mm);
    expect(api.expandStack(mm, AT - PAGE)).toBe(other);
    expect(readerCount(mm.mmapLock)).toBe(1);
  });

  it('null where no stack may grow: mmap_lock is free', () => {
    const { mm, stack } = withStack();
    mm.rlimitStack = PAGE;
    for (const address of [AT - PAGE, AT + PAGE]) {
      api.mmapReadTrylock(mm);
      expect(api.expandStack(mm, address)).toBe(null);
      expect(isLocked(mm.mmapLock)).toBe(false);
    }
    expect(stack.start).toBe(AT);
  });
});

describe.each(formats)('sched %s: lockMmAndFindVma', () => {
  it('killed while it waits for the write hold, or for the read hold: -EINTR, nothing held and nothing grown', () => {
    for (const writer of [false, true]) {
      const { mm, stack } = withStack({ cpus: 2 });
      const { sched } = mm.memory;
      if (writer) mmapWriteTrylock(mm);
      else mmapReadTrylock(mm);
      let result: unknown = null;
      function* body(): Task<void> {
        result = yield* lockMmAndFindVma(mm, AT - PAGE);
      }
      const victim = spawn(sched, 'victim', body());
      const until = (state: number): void => {
        while (victim.state !== state) stepTask(sched, victim);
      };
      until(TASK_WAITING);
      killTask(victim);
      until(TASK_DONE);
      expect([result, stack.start, isWriteLocked(mm.mmapLock)]).toEqual([-EINTR, AT, writer]);
      if (writer) mmapWriteUnlock(mm);
      else mmapReadUnlock(mm);
      expect(isLocked(mm.mmapLock)).toBe(false);
    }
  });
});
