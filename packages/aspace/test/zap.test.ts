import { describe, expect, it } from 'vitest';
import { linux6_18, Memory, Mm, MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { FOLL_PIN, P_ZAP_FREE } from '@mmkit/base';
import {
  ACCESS_READ,
  createEntry,
  createTranslation,
  E_SPECIAL,
  E_USER,
  freeAllTables,
  hwWalk,
  leafTable,
  tlbInsert,
  tlbLookup,
} from '@mmkit/pgtable';
import {
  checkPhys,
  countFrames,
  gupPutFolio,
  pageMapCount,
  pageRefCount,
  PG_LOCKED,
  readBytes,
  testFlag,
  tryGrabFolio,
  writeBytes,
} from '@mmkit/phys';
import {
  localIrqRestore,
  rcuReadUnlock,
  SimTask,
  spawn,
  stepTask,
  TASK_DONE,
  TASK_WAITING,
  wakeAll,
} from '@mmkit/task';
import { localIrqSave, rcuReadLock } from '@mmkit/task/sched';
import {
  addVma,
  AT,
  builds,
  entryAt,
  formats,
  machine,
  mapAnon,
  PAGE,
  rawAt,
  RW,
  setLeaf,
  setRaw,
  space,
  swapEntry,
} from './builds.ts';

const TABLE_SPAN = 0x20_0000;

/** What CPU `cpu` can translate `address` to without a walk: a PFN, or -1. */
function cached(mm: Mm, cpu: number, address: number): number {
  return tlbLookup(mm.memory.tlbs[cpu]!, mm.words[MM_ROOT]!, address, ACCESS_READ);
}

/** CPU `cpu` reads `address`: its TLB holds the translation from now on. */
function touch(mm: Mm, cpu: number, address: number): void {
  const found = createTranslation();
  expect(hwWalk(mm.memory.tables, mm.words[MM_ROOT]!, address, ACCESS_READ, found)).toBe(0);
  tlbInsert(mm.memory.tlbs[cpu]!, mm.words[MM_ROOT]!, address, found);
  mm.words[MM_CPUMASK]! |= 1 << cpu;
}

describe.each(builds)('%s: zapPageRange', (_, api) => {
  it('N.11: entries are cleared, pages and counts go, tables stay', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 4, RW);
    const before = countFrames(mm.memory.phys).free;
    const pfns = [0, 1, 2].map((i) => mapAnon(mm, vma, AT + i * PAGE));
    api.zapPageRange(mm, AT, AT + 4 * PAGE);
    expect(mm.anonPages).toBe(0);
    for (const pfn of pfns)
      expect([pageRefCount(mm.memory.phys, pfn), pageMapCount(mm.memory.phys, pfn)]).toEqual([0, 0]);
    expect(rawAt(mm, AT)).toEqual(createEntry());
    expect(countFrames(mm.memory.phys).free).toBe(before - 3);
    checkPhys(mm.memory.phys);
  });

  it('only the range: neighbours stay, over the edge of a leaf table too', () => {
    const mm = space(machine());
    const edge = TABLE_SPAN * 2;
    const vma = addVma(mm, edge - 2 * PAGE, 4, RW);
    const pfns = [-2, -1, 0, 1].map((i) => mapAnon(mm, vma, edge + i * PAGE));
    api.zapPageRange(mm, edge - PAGE, edge + PAGE);
    expect(pfns.map((pfn) => pageRefCount(mm.memory.phys, pfn))).toEqual([1, 0, 0, 1]);
    expect(mm.anonPages).toBe(2);
  });

  it('a range without tables, and an empty range, are left alone', () => {
    const mm = space(machine());
    const free = countFrames(mm.memory.phys).free;
    api.zapPageRange(mm, AT, AT + 64 * TABLE_SPAN);
    api.zapPageRange(mm, AT, AT);
    expect(countFrames(mm.memory.phys).free).toBe(free);
  });

  it('E.1: a pinned page survives unmapped, with its pins alone, until the last unpin', () => {
    const mm = space(machine());
    const { phys } = mm.memory;
    const pfn = mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    writeBytes(phys, pfn, 0, Uint8Array.of(1, 2, 3), 0, 3);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    api.zapPageRange(mm, AT, AT + PAGE);
    expect([pageRefCount(phys, pfn), pageMapCount(phys, pfn)]).toEqual([1024, 0]);
    const bytes = new Uint8Array(3);
    readBytes(phys, pfn, 0, bytes, 0, 3);
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3));
    gupPutFolio(phys, pfn, 1, FOLL_PIN);
    expect(pageRefCount(phys, pfn)).toBe(0);
    checkPhys(phys);
  });

  it('special and non-present entries go without any count', () => {
    const mm = space(machine());
    const { phys } = mm.memory;
    setLeaf(mm, AT, phys.zeroPfn, E_USER | E_SPECIAL);
    setRaw(mm, AT + PAGE, swapEntry(mm.memory.format, 1));
    api.zapPageRange(mm, AT, AT + 2 * PAGE);
    expect([rawAt(mm, AT), rawAt(mm, AT + PAGE)]).toEqual([createEntry(), createEntry()]);
    expect(pageRefCount(phys, phys.zeroPfn)).toBe(1);
    expect(mm.anonPages).toBe(0);
  });

  it('TLBs of the CPUs in the mask are flushed, of this range only', () => {
    const mm = space(machine({ cpus: 2 }));
    const vma = addVma(mm, AT, 2, RW);
    const pfns = [mapAnon(mm, vma, AT), mapAnon(mm, vma, AT + PAGE)];
    for (const cpu of [0, 1]) for (const i of [0, 1]) touch(mm, cpu, AT + i * PAGE);
    api.zapPageRange(mm, AT, AT + PAGE);
    expect([cached(mm, 0, AT), cached(mm, 1, AT)]).toEqual([-1, -1]);
    expect([cached(mm, 0, AT + PAGE), cached(mm, 1, AT + PAGE)]).toEqual([pfns[1], pfns[1]]);
  });

  it('the page-table lock is given back', () => {
    const mm = space(machine());
    mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    api.zapPageRange(mm, AT, AT + PAGE);
    const table = leafTable(mm.memory.tables, mm.words[MM_ROOT]!, AT);
    expect(testFlag(mm.memory.phys, table, PG_LOCKED)).toBe(false);
  });
});

describe.each(formats)('sched %s: the order of N.11', (architecture) => {
  let memory: Memory;

  function until(task: SimTask, state: number): void {
    while (task.state !== state) stepTask(memory.sched, task);
  }

  /** A machine, and a page mapped in it. */
  function mapped(policy = linux6_18): { mm: Mm; pfn: number } {
    memory = machine({ cpus: 2, policy });
    const mm = space(memory);
    return { mm, pfn: mapAnon(mm, addVma(mm, AT, 1, RW), AT) };
  }

  it('a page is freed only after every CPU that could translate to it has been flushed', () => {
    const { mm, pfn } = mapped();
    touch(mm, 0, AT);
    touch(mm, 1, AT);
    const task = spawn(memory.sched, 'zap', coloured.zapPageRange(mm, AT, AT + PAGE), 0);
    let cleared = false;
    while (task.state !== TASK_DONE) {
      stepTask(memory.sched, task);
      const reachable = cached(mm, 0, AT) >= 0 || cached(mm, 1, AT) >= 0;
      if (reachable) expect(pageRefCount(memory.phys, pfn)).toBe(1);
      if (reachable && entryAt(mm, AT).kind === 0) cleared = true;
    }
    // The dangerous moment was there: the entry gone, a translation left.
    expect(cleared).toBe(true);
    expect(pageRefCount(memory.phys, pfn)).toBe(0);
  });

  const byInterrupt = (): void => {
    const { mm, pfn } = mapped();
    touch(mm, 1, AT);
    const walker = spawn(memory.sched, 'walker', irqOff(memory), 1);
    stepTask(memory.sched, walker);
    stepTask(memory.sched, walker);
    const task = spawn(memory.sched, 'zap', coloured.zapPageRange(mm, AT, AT + PAGE), 0);
    until(task, TASK_WAITING);
    expect(entryAt(mm, AT).kind).toBe(0);
    expect(cached(mm, 1, AT)).toBe(pfn);
    expect(pageRefCount(memory.phys, pfn)).toBe(1);
    stepTask(memory.sched, walker);
    while (task.point !== P_ZAP_FREE) stepTask(memory.sched, task);
    expect(cached(mm, 1, AT)).toBe(-1);
    expect(pageRefCount(memory.phys, pfn)).toBe(1);
    stepTask(memory.sched, task);
    expect(pageRefCount(memory.phys, pfn)).toBe(0);
  };

  const byBroadcast = (): void => {
    const { mm, pfn } = mapped();
    touch(mm, 1, AT);
    const walker = spawn(memory.sched, 'walker', irqOff(memory), 1);
    stepTask(memory.sched, walker);
    stepTask(memory.sched, walker);
    memory.accessing = 0b10;
    const task = spawn(memory.sched, 'zap', coloured.zapPageRange(mm, AT, AT + PAGE), 0);
    until(task, TASK_WAITING);
    expect(cached(mm, 1, AT)).toBe(-1);
    expect(pageRefCount(memory.phys, pfn)).toBe(1);
    memory.accessing = 0;
    wakeAll(memory.sched.cpus[1]!.irqOn);
    until(task, TASK_DONE);
    expect(memory.sched.cpus[1]!.irqOwner).toBe(walker);
    expect(pageRefCount(memory.phys, pfn)).toBe(0);
  };

  it.each([
    architecture === 'x86-64'
      ? ([
          'N.11: the flush waits for a CPU with interrupts off, and the page is not freed meanwhile',
          byInterrupt,
        ] as const)
      : ([
          'N.20: the flush waits for an access under way on another CPU, not for interrupts off there',
          byBroadcast,
        ] as const),
  ])('%s', (_rule, check) => check());

  it('a CPU outside the mask is not interrupted', () => {
    const { mm } = mapped();
    const walker = spawn(memory.sched, 'walker', irqOff(memory), 1);
    stepTask(memory.sched, walker);
    stepTask(memory.sched, walker);
    const task = spawn(memory.sched, 'zap', coloured.zapPageRange(mm, AT, AT + PAGE), 0);
    until(task, TASK_DONE);
    expect(memory.tlbs[1]!.flushes).toBe(0);
  });

  it.each([
    ['interrupts off', irqOff],
    ['an RCU read section', rcuReader],
  ])('B.11: page-table pages are not freed under %s', (_, reader) => {
    const { mm } = mapped();
    const task = freeing(mm, reader);
    until(task, TASK_WAITING);
    expect(countFrames(memory.phys).used).toBe(4);
    stepTask(memory.sched, memory.sched.tasks[1]!);
    until(task, TASK_DONE);
    expect(countFrames(memory.phys).used).toBe(1);
  });

  it('policy tableFreeWaits off: they are freed under the walker (the bug of C.8)', () => {
    const { mm } = mapped({ ...linux6_18, tableFreeWaits: false });
    const task = freeing(mm, irqOff);
    until(task, TASK_DONE);
    expect(countFrames(memory.phys).used).toBe(1);
    expect(memory.sched.cpus[1]!.irqOwner).not.toBe(null);
  });

  /** Everything unmapped, a reader inside its section on CPU 1, a task on CPU 0 about to free the tables. */
  function freeing(mm: Mm, reader: typeof irqOff): SimTask {
    const { sched } = memory;
    const walker = spawn(sched, 'walker', reader(memory), 1);
    stepTask(sched, walker);
    stepTask(sched, walker);
    const zap = spawn(sched, 'zap', coloured.zapPageRange(mm, AT, AT + PAGE), 0);
    until(zap, TASK_DONE);
    expect(countFrames(memory.phys).used).toBe(4);
    return spawn(sched, 'free', coloured.freePageTables(mm, AT, AT + PAGE, 0, memory.format.userEnd), 0);
  }
});

function* irqOff(memory: Memory): Generator<number, void, void> {
  yield* localIrqSave(memory.sched);
  yield 1;
  localIrqRestore(memory.sched);
}

function* rcuReader(memory: Memory): Generator<number, void, void> {
  yield* rcuReadLock(memory.sched);
  yield 1;
  rcuReadUnlock(memory.sched);
}

describe.each(builds)('%s: freePageTables', (_, api) => {
  it('N.11: frees the tables that served nothing else, keeps those of a neighbour', () => {
    const mm = space(machine());
    const { phys, format } = mm.memory;
    const vma = addVma(mm, AT, 1, RW);
    const neighbour = addVma(mm, AT + PAGE, 1, RW);
    mapAnon(mm, vma, AT);
    mapAnon(mm, neighbour, AT + PAGE);
    api.zapPageRange(mm, AT, AT + PAGE);
    api.freePageTables(mm, AT, AT + PAGE, 0, neighbour.start);
    expect(countFrames(phys).used).toBe(5);
    api.zapPageRange(mm, AT + PAGE, AT + 2 * PAGE);
    api.freePageTables(mm, AT + PAGE, AT + 2 * PAGE, 0, format.userEnd);
    expect(countFrames(phys).used).toBe(1);
    checkPhys(phys);
  });

  it('drops cached translations of the range before it frees, and leaves nothing to leak', () => {
    const mm = space(machine());
    const { phys, tables, format } = mm.memory;
    mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    touch(mm, 0, AT);
    const flushes = mm.memory.tlbs[0]!.flushes;
    api.zapPageRange(mm, AT, AT + PAGE);
    api.freePageTables(mm, AT, AT + PAGE, 0, format.userEnd);
    expect(mm.memory.tlbs[0]!.flushes).toBe(flushes + 2);
    freeAllTables(tables, mm.words[MM_ROOT]!);
    expect(countFrames(phys).used).toBe(0);
  });

  it('nothing to free: no flush', () => {
    const mm = space(machine());
    api.freePageTables(mm, AT, AT + PAGE, 0, mm.memory.format.userEnd);
    expect(mm.memory.tlbs[0]!.flushes).toBe(0);
  });
});

describe.each(builds)('%s: flushTlbRange', (_, api) => {
  it('flushes this CPU even when the mask does not name it, and other roots nowhere', () => {
    const memory = machine({ cpus: 2 });
    const [mm, other] = [space(memory), space(memory)];
    const pfn = mapAnon(other, addVma(other, AT, 1, RW), AT);
    mapAnon(mm, addVma(mm, AT, 1, RW), AT);
    touch(mm, 0, AT);
    touch(other, 0, AT);
    mm.words[MM_CPUMASK] = 0;
    api.flushTlbRange(mm, AT, AT + PAGE);
    expect(cached(mm, 0, AT)).toBe(-1);
    expect(cached(other, 0, AT)).toBe(pfn);
  });
});

describe.each(formats)('%s: memory', () => {
  it('countFrames sees what a machine is made of: nothing used, a TLB a CPU, no faults', () => {
    const memory = machine({ cpus: 3, frames: 32 });
    expect(countFrames(memory.phys).used).toBe(0);
    expect(memory.tlbs.length).toBe(3);
    expect(Object.values(memory.stat).every((count) => count === 0)).toBe(true);
    expect(memory.warn('nobody listens')).toBe(undefined);
  });
});
