/** MAP_DROPPABLE (6.11), as a program asked 6.18: flags, what excludes it, mlock, advice, fork, merging. */
import { describe, expect, it } from 'vitest';
import { EINVAL, ENOMEM, EPERM, FOLL_LONGTERM, FOLL_WRITE } from '@mmkit/base';
import {
  MADV_DODUMP,
  MADV_DONTDUMP,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_POPULATE_WRITE,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_DROPPABLE,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MCL_CURRENT,
  MCL_FUTURE,
  PROT_READ,
} from '@mmkit/mm';
import { failAllocations, PG_SWAPBACKED, testFlag } from '@mmkit/phys';
import { findVma, vmFlagLetters } from '@mmkit/vma';
import { ANON, builds, Cpu, PAGE, RW } from './builds.ts';

const AT = 0x1000_0000;
const DROPPABLE = MAP_DROPPABLE | MAP_ANONYMOUS | MAP_FIXED;
const MADE = 'rd wr mr mw me nr wf dd dp';

describe.each(builds)('%s build: MAP_DROPPABLE', (_name, api) => {
  function start(length = 2 * PAGE, prot = RW) {
    const machine = api.createMachine({ ramBytes: 128 * PAGE });
    const process = api.createProcess(machine)!;
    const { mm } = process;
    const map = (at: number, flags: number, size = 2 * PAGE): number => api.mmap(mm, at, size, RW, flags);
    expect(api.mmap(mm, AT, length, prot, DROPPABLE)).toBe(AT);
    const flags = (at: number): string => vmFlagLetters(findVma(mm.vmas, at)!).join(' ');
    return { machine, process, mm, map, flags, cpu: new Cpu(api, machine) };
  }

  it('is private memory that is not reserved, not dumped, and wiped on fork', () => {
    const { map, flags } = start();
    expect(flags(AT)).toBe(MADE);
    for (const extra of [MAP_STACK, MAP_NORESERVE, MAP_POPULATE]) expect(map(AT, DROPPABLE | extra)).toBe(AT);
  });

  it('excludes MAP_LOCKED, MAP_GROWSDOWN, MAP_HUGETLB, another kind of sharing, and files', () => {
    const { mm, machine, map } = start();
    const file = api.createMemfd(machine, PAGE);
    for (const extra of [MAP_LOCKED, MAP_GROWSDOWN, MAP_PRIVATE, MAP_SHARED]) {
      expect(map(AT, DROPPABLE | extra)).toBe(-EINVAL);
    }
    expect(map(AT, DROPPABLE | MAP_HUGETLB)).toBeLessThan(0);
    expect(api.mmap(mm, AT, PAGE, RW, MAP_DROPPABLE | MAP_FIXED, file, 0)).toBe(-EINVAL);
    mm.rlimitMemlock = 0;
    mm.capIpcLock = false;
    expect(map(AT, DROPPABLE | MAP_LOCKED)).toBe(-EPERM);
  });

  it('mlock and mlockall populate it and do not lock it', () => {
    const { mm, map, flags } = start();
    expect(api.mlock(mm, AT, 2 * PAGE)).toBe(0);
    const there = (at: number): number[] => {
      const pages = new Uint8Array(2);
      expect(api.mincore(mm, at, 2 * PAGE, pages)).toBe(0);
      return [...pages];
    };
    expect([flags(AT), mm.lockedVm, there(AT)]).toEqual([MADE, 0, [1, 1]]);
    expect(api.mlockall(mm, MCL_FUTURE)).toBe(0);
    expect(map(AT + 8 * PAGE, DROPPABLE)).toBe(AT + 8 * PAGE);
    expect([flags(AT + 8 * PAGE), mm.lockedVm, there(AT + 8 * PAGE)]).toEqual([MADE, 0, [1, 1]]);
    api.munlockall(mm);
    map(AT + 16 * PAGE, DROPPABLE);
    expect(api.mlockall(mm, MCL_CURRENT)).toBe(0);
    expect([flags(AT + 16 * PAGE), there(AT + 16 * PAGE)]).toEqual([MADE, [1, 1]]);
  });

  it('advice takes neither mark away, and KSM passes over it', () => {
    const { mm, flags } = start();
    const advise = (advice: number): number => api.madvise(mm, AT, PAGE, advice);
    expect([MADV_KEEPONFORK, MADV_DODUMP].map(advise)).toEqual([-EINVAL, -EINVAL]);
    expect([MADV_WIPEONFORK, MADV_DONTDUMP, MADV_MERGEABLE, MADV_FREE].map(advise)).toEqual([0, 0, 0, 0]);
    expect([flags(AT), mm.vmas.mapCount]).toEqual([MADE, 1]);
  });

  it('merges with its like only', () => {
    const { mm, map } = start();
    map(AT + 2 * PAGE, DROPPABLE);
    expect(mm.vmas.mapCount).toBe(1);
    map(AT + 4 * PAGE, ANON | MAP_FIXED);
    expect(mm.vmas.mapCount).toBe(2);
    api.mprotect(mm, AT, PAGE, PROT_READ);
    expect(mm.vmas.mapCount).toBe(3);
    api.mprotect(mm, AT, PAGE, RW);
    expect(mm.vmas.mapCount).toBe(2);
  });

  it('a child finds zeros; pages are not swap-backed; pins hold them as any', () => {
    const { machine, process, mm, cpu } = start();
    cpu.poke(process, AT, 7);
    const pages = new Uint32Array(1);
    expect(api.pinUserPagesFast(mm, AT, 1, FOLL_WRITE | FOLL_LONGTERM, pages)).toBe(1);
    expect(testFlag(machine.memory.phys, pages[0]!, PG_SWAPBACKED)).toBe(false);
    const child = api.forkProcess(machine, process).process!;
    expect([cpu.peek(child, AT), cpu.peek(process, AT)]).toEqual([0, 7]);
    expect(vmFlagLetters(findVma(child.mm.vmas, AT)!).join(' ')).toBe(MADE);
    api.unpinUserPages(machine.memory, pages, 1);
    api.checkMachine(machine);
  });

  it('N.2 #4: a fault that finds no page is no error: the access is made again', () => {
    const { machine, process, cpu } = start();
    cpu.poke(process, AT, 1);
    failAllocations(machine.memory.phys, { nth: 1 });
    const { pgfault } = machine.memory.stat;
    expect(cpu.poke(process, AT + PAGE, 5)).toBe(0);
    expect([cpu.peek(process, AT + PAGE), machine.memory.stat.pgfault]).toEqual([5, pgfault + 2]);
  });

  it('6.18: where memory stays short and the OOM killer would end the process, the access is -ENOMEM', () => {
    const { machine, process, mm, cpu } = start(16 * PAGE);
    cpu.poke(process, AT, 1);
    failAllocations(machine.memory.phys, { order: 0 });
    const { pgfault } = machine.memory.stat;
    expect([cpu.poke(process, AT + PAGE, 5), machine.memory.stat.pgfault]).toEqual([-ENOMEM, pgfault + 2]);
    const pages = new Uint32Array(3);
    expect(api.pinUserPagesFast(mm, AT, 3, FOLL_WRITE, pages)).toBe(1);
    api.unpinUserPages(machine.memory, pages, 1);
    expect(api.pinUserPagesFast(mm, AT + PAGE, 3, FOLL_WRITE, pages)).toBe(-ENOMEM);
    expect(api.madvise(mm, AT, 4 * PAGE, MADV_POPULATE_WRITE)).toBe(-ENOMEM);
    failAllocations(machine.memory.phys, null);
    expect([cpu.poke(process, AT + PAGE, 5), cpu.peek(process, AT), api.munmap(mm, AT, 16 * PAGE)]).toEqual([0, 1, 0]);
    api.checkMachine(machine);
  });

  it('6.18: a machine without a free page: so too, until somebody frees one', () => {
    const { process, mm, cpu } = start(256 * PAGE);
    let page = 0;
    while (page < 256 && cpu.poke(process, AT + page * PAGE, 1) === 0) page++;
    expect(page).toBeGreaterThan(16);
    expect([page < 256, cpu.poke(process, AT + page * PAGE, 1)]).toEqual([true, -ENOMEM]);
    api.madvise(mm, AT, PAGE, MADV_DONTNEED);
    expect(cpu.poke(process, AT + page * PAGE, 1)).toBe(0);
  });
});
