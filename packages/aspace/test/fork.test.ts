import { describe, expect, it } from 'vitest';
import {
  anonVmaId,
  anonVmaPrepare,
  folioAnonVma,
  linux6_18,
  Memory,
  Mm,
  MM_FLAGS,
  MM_ROOT,
  MM_WRITE_PROTECT_SEQ,
  MMF_HAS_PINNED,
  pageAnonExclusive,
} from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { ENOMEM, FOLL_PIN, P_FORK_TEST, P_FORK_WRPROTECT } from '@mmkit/base';
import {
  ACCESS_WRITE,
  createTranslation,
  E_DIRTY,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_NONE,
  freeAllTables,
  hwWalk,
  leafTable,
} from '@mmkit/pgtable';
import {
  allocPages,
  checkPhys,
  countFrames,
  freePages,
  getPage,
  GFP_KERNEL,
  pageMapCount,
  pageRefCount,
  PG_LOCKED,
  putPage,
  readBytes,
  testFlag,
  tryGrabFolio,
  writeBytes,
} from '@mmkit/phys';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { Vma, VM_MAYSHARE, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';
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

const WRITABLE = E_USER | E_YOUNG | E_DIRTY | E_WRITE;

interface Family {
  memory: Memory;
  mm: Mm;
  vma: Vma;
  child: Mm;
  copy: Vma;
}

/** A parent with one VMA that has been written to, and the child that dup_mmap would hand to copy_page_range. */
function family(flags = RW, policy: Policy = linux6_18, frames = 64): Family {
  const memory = machine({ policy, frames });
  const mm = space(memory);
  const child = space(memory);
  const vma = addVma(mm, AT, 8, flags);
  const copy = addVma(child, AT, 8, flags);
  anonVmaPrepare(memory, vma);
  anonVmaPrepare(memory, copy);
  return { memory, mm, vma, child, copy };
}

/** The page at AT as the pin of somebody sees it. */
function pin({ memory, mm }: Family, pfn: number): void {
  tryGrabFolio(memory.phys, pfn, 1, FOLL_PIN);
  mm.words[MM_FLAGS]! |= MMF_HAS_PINNED;
}

function counts(memory: Memory, pfn: number): number[] {
  return [pageRefCount(memory.phys, pfn), pageMapCount(memory.phys, pfn)];
}

describe.each(builds)('%s: copyPageRange, row by row of N.10', (_, api) => {
  const copyAll = ({ mm, vma, child, copy }: Family): number => api.copyPageRange(child, mm, vma, copy);

  it('vma_needs_copy: without an anon_vma nothing is copied', () => {
    const f = family();
    setLeaf(f.mm, AT, f.memory.phys.zeroPfn, E_USER | E_YOUNG | E_SPECIAL);
    f.vma.anonVma = null;
    const used = countFrames(f.memory.phys).used;
    expect(copyAll(f)).toBe(0);
    expect(countFrames(f.memory.phys).used).toBe(used);
  });

  it('anon, not pinned: both map it read-only, one more reference and mapping, shared', () => {
    const f = family();
    const pfn = mapAnon(f.mm, f.vma, AT);
    expect(copyAll(f)).toBe(0);
    expect(counts(f.memory, pfn)).toEqual([2, 2]);
    expect(pageAnonExclusive(f.memory.phys, pfn)).toBe(false);
    expect([entryAt(f.mm, AT).pfn, entryAt(f.child, AT).pfn]).toEqual([pfn, pfn]);
    expect([f.mm.anonPages, f.child.anonPages]).toEqual([1, 1]);
    checkPhys(f.memory.phys);
  });

  it('the parent keeps young and dirty; the child is old, and dirty as a private mapping is', () => {
    const f = family();
    mapAnon(f.mm, f.vma, AT);
    copyAll(f);
    expect(entryAt(f.mm, AT).flags).toBe(E_USER | E_YOUNG | E_DIRTY);
    expect(entryAt(f.child, AT).flags).toBe(E_USER | E_DIRTY);
  });

  it('the child of a shared mapping is clean, and the parent is not write-protected', () => {
    const f = family(VM_READ | VM_WRITE | VM_SHARED | VM_MAYSHARE | VM_MAYWRITE);
    setLeaf(f.mm, AT, 50, WRITABLE | E_SPECIAL);
    const before = rawAt(f.mm, AT);
    copyAll(f);
    expect(rawAt(f.mm, AT)).toEqual(before);
    expect(entryAt(f.child, AT).flags).toBe(E_USER | E_WRITE | E_SPECIAL);
    expect(f.mm.words[MM_WRITE_PROTECT_SEQ]).toBe(0);
  });

  it('a uffd-wp mark is not inherited', () => {
    const f = family();
    mapAnon(f.mm, f.vma, AT, E_USER | E_UFFD_WP);
    copyAll(f);
    expect(entryAt(f.mm, AT).flags).toBe(E_USER | E_UFFD_WP);
    expect(entryAt(f.child, AT).flags).toBe(E_USER);
  });

  it('the zero page is copied as an entry, without counts', () => {
    const f = family();
    const { phys } = f.memory;
    setLeaf(f.mm, AT, phys.zeroPfn, E_USER | E_YOUNG | E_SPECIAL);
    copyAll(f);
    expect([entryAt(f.child, AT).pfn, entryAt(f.child, AT).flags]).toEqual([phys.zeroPfn, E_USER | E_SPECIAL]);
    expect(pageRefCount(phys, phys.zeroPfn)).toBe(1);
    expect(f.child.anonPages).toBe(0);
  });

  it('a non-present entry is copied', () => {
    const f = family();
    const swap = swapEntry(f.memory.format, 1);
    setRaw(f.mm, AT, swap);
    copyAll(f);
    expect(rawAt(f.child, AT)).toEqual(swap);
  });

  it('B.22 #6, pinned and exclusive: the child gets a copy at once, the parent is not touched', () => {
    const f = family();
    const { phys } = f.memory;
    const pfn = mapAnon(f.mm, f.vma, AT);
    writeBytes(phys, pfn, 100, Uint8Array.of(42), 0, 1);
    pin(f, pfn);
    const before = rawAt(f.mm, AT);
    expect(copyAll(f)).toBe(0);
    expect(rawAt(f.mm, AT)).toEqual(before);
    expect(counts(f.memory, pfn)).toEqual([1025, 1]);
    expect(pageAnonExclusive(phys, pfn)).toBe(true);
    const { pfn: own, flags } = entryAt(f.child, AT);
    expect(own).not.toBe(pfn);
    expect(flags).toBe(WRITABLE);
    expect(counts(f.memory, own)).toEqual([1, 1]);
    expect([pageAnonExclusive(phys, own), folioAnonVma(phys, own)]).toEqual([true, anonVmaId(f.copy)]);
    const byte = new Uint8Array(1);
    readBytes(phys, own, 100, byte, 0, 1);
    expect(byte[0]).toBe(42);
    expect(f.child.anonPages).toBe(1);
  });

  it('G.25: the early copy is writable only if the VMA is, and dirty either way', () => {
    const f = family(RW & ~VM_WRITE);
    pin(f, mapAnon(f.mm, f.vma, AT, E_USER | E_YOUNG));
    copyAll(f);
    expect(entryAt(f.child, AT).flags).toBe(E_USER | E_YOUNG | E_DIRTY);
  });

  it('an mm that never pinned shares a page with 1100 references; one that did copies it (B.22 #30)', () => {
    for (const flag of [0, MMF_HAS_PINNED]) {
      const f = family();
      const pfn = mapAnon(f.mm, f.vma, AT);
      getPage(f.memory.phys, pfn, 1100);
      f.mm.words[MM_FLAGS] = flag;
      copyAll(f);
      expect(entryAt(f.child, AT).pfn === pfn).toBe(flag === 0);
      expect(counts(f.memory, pfn)).toEqual(flag === 0 ? [1102, 2] : [1101, 1]);
    }
  });

  it('a page that may be pinned but is not exclusive is shared', () => {
    const f = family();
    const pfn = mapAnon(f.mm, f.vma, AT);
    copyAll(f);
    pin(f, pfn);
    const grandchild = space(f.memory);
    const copy = addVma(grandchild, AT, 8, RW);
    anonVmaPrepare(f.memory, copy);
    expect(api.copyPageRange(grandchild, f.mm, f.vma, copy)).toBe(0);
    expect(entryAt(grandchild, AT).pfn).toBe(pfn);
    expect(counts(f.memory, pfn)).toEqual([1027, 3]);
  });

  it('policy earlyCopy off: a pinned page is shared (the bug of C.6)', () => {
    const f = family(RW, { ...linux6_18, earlyCopy: false });
    const pfn = mapAnon(f.mm, f.vma, AT);
    pin(f, pfn);
    copyAll(f);
    expect(entryAt(f.child, AT).pfn).toBe(pfn);
    expect(entryAt(f.mm, AT).flags & E_WRITE).toBe(0);
  });

  it('pages over the edge of a leaf table, holes between them', () => {
    const memory = machine();
    const [mm, child] = [space(memory), space(memory)];
    const start = 0x20_0000 - 2 * PAGE;
    const vma = addVma(mm, start, 4, RW);
    const copy = addVma(child, start, 4, RW);
    const pfns = [0, 3].map((i) => mapAnon(mm, vma, start + i * PAGE));
    expect(api.copyPageRange(child, mm, vma, copy)).toBe(0);
    expect(pfns).toEqual([entryAt(child, start).pfn, entryAt(child, start + 3 * PAGE).pfn]);
    expect(entryAt(child, start + PAGE).kind).toBe(ENTRY_NONE);
  });

  it('B.16: the write-protect sequence has moved by a whole round, unless the policy has none', () => {
    for (const writeProtectSeq of [true, false]) {
      const f = family(RW, { ...linux6_18, writeProtectSeq });
      mapAnon(f.mm, f.vma, AT);
      copyAll(f);
      expect(f.mm.words[MM_WRITE_PROTECT_SEQ]).toBe(writeProtectSeq ? 2 : 0);
      expect(f.child.words[MM_WRITE_PROTECT_SEQ]).toBe(0);
    }
  });

  it('out of memory for the early copy: -ENOMEM, the part copied stays, locks and sequence are given back', () => {
    const f = family();
    const { phys, tables } = f.memory;
    const shared = mapAnon(f.mm, f.vma, AT);
    const pinned = mapAnon(f.mm, f.vma, AT + PAGE);
    pin(f, pinned);
    rawAt(f.child, AT); // the child's tables are there
    const hoard = exhaust(phys);
    expect(copyAll(f)).toBe(-ENOMEM);
    expect(counts(f.memory, shared)).toEqual([2, 2]);
    expect(counts(f.memory, pinned)).toEqual([1025, 1]);
    expect(entryAt(f.mm, AT + PAGE).flags).toBe(WRITABLE);
    expect(f.mm.words[MM_WRITE_PROTECT_SEQ]! % 2).toBe(0);
    for (const mm of [f.mm, f.child]) {
      expect(testFlag(phys, leafTable(tables, mm.words[MM_ROOT]!, AT), PG_LOCKED)).toBe(false);
    }
    for (const pfn of hoard) freePages(phys, pfn, 0);
    checkPhys(phys);
  });

  it('out of memory for a table of the child, at each of the three: -ENOMEM, nothing leaks', () => {
    for (let left = 0; left <= 3; left++) {
      const f = family();
      const { phys, tables } = f.memory;
      const pfn = mapAnon(f.mm, f.vma, AT);
      const hoard = exhaust(phys, left);
      expect(copyAll(f)).toBe(left < 3 ? -ENOMEM : 0);
      expect(counts(f.memory, pfn)).toEqual(left < 3 ? [1, 1] : [2, 2]);
      for (const frame of hoard) freePages(phys, frame, 0);
      api.zapPageRange(f.child, AT, AT + PAGE);
      freeAllTables(tables, f.child.words[MM_ROOT]!);
      expect(countFrames(phys).used).toBe(5);
      expect(pageRefCount(phys, pfn)).toBe(1);
    }
  });
});

/** Takes all frames but `left`. */
function exhaust(phys: Memory['phys'], left = 0): number[] {
  const hoard: number[] = [];
  for (;;) {
    const pfn = allocPages(phys, GFP_KERNEL, 0);
    if (pfn < 0) break;
    hoard.push(pfn);
  }
  for (let i = 0; i < left; i++) freePages(phys, hoard.pop()!, 0);
  return hoard;
}

describe.each(formats)('sched %s: between the points of fork', () => {
  function forking(f: Family): { step: () => number; done: () => boolean } {
    const task = spawn(f.memory.sched, 'fork', coloured.copyPageRange(f.child, f.mm, f.vma, f.copy));
    return {
      step: () => {
        stepTask(f.memory.sched, task);
        return task.point;
      },
      done: () => task.state === TASK_DONE,
    };
  }

  it('B.16: the sequence is odd from before the first test to after the last write-protect', () => {
    const f = family();
    for (const i of [0, 1]) mapAnon(f.mm, f.vma, AT + i * PAGE);
    const { step, done } = forking(f);
    while (!done()) {
      const point = step();
      const inside = point === P_FORK_TEST || point === P_FORK_WRPROTECT;
      if (inside) expect(f.mm.words[MM_WRITE_PROTECT_SEQ]).toBe(1);
    }
    expect(f.mm.words[MM_WRITE_PROTECT_SEQ]).toBe(2);
  });

  it('a store between the test and the write-protect is not lost: dirty in parent and child', () => {
    const f = family();
    mapAnon(f.mm, f.vma, AT, E_USER | E_YOUNG | E_WRITE);
    const { step, done } = forking(f);
    while (step() !== P_FORK_WRPROTECT);
    const root = f.mm.words[MM_ROOT]!;
    expect(hwWalk(f.memory.tables, root, AT, ACCESS_WRITE, createTranslation())).toBe(0);
    while (!done()) step();
    expect(entryAt(f.mm, AT).flags).toBe(E_USER | E_YOUNG | E_DIRTY);
    expect(entryAt(f.child, AT).flags).toBe(E_USER | E_DIRTY);
  });

  it("both tables are locked while entries are copied, the child's first", () => {
    const f = family();
    mapAnon(f.mm, f.vma, AT);
    rawAt(f.child, AT);
    const { step, done } = forking(f);
    const locked = (mm: Mm): boolean =>
      testFlag(f.memory.phys, leafTable(f.memory.tables, mm.words[MM_ROOT]!, AT), PG_LOCKED);
    const seen: string[] = [];
    while (!done()) {
      step();
      const state = (locked(f.child) ? 'child ' : '') + (locked(f.mm) ? 'parent' : '');
      if (seen[seen.length - 1] !== state) seen.push(state);
    }
    expect(seen).toEqual(['', 'child ', 'child parent', '']);
  });

  it('the parent page may lose its other owner while it is shared: counts stay right', () => {
    const f = family();
    const pfn = mapAnon(f.mm, f.vma, AT);
    getPage(f.memory.phys, pfn);
    const { step, done } = forking(f);
    while (step() !== P_FORK_WRPROTECT);
    putPage(f.memory.phys, pfn);
    while (!done()) step();
    expect(counts(f.memory, pfn)).toEqual([2, 2]);
  });
});
