import { describe, expect, it } from 'vitest';
import { anonVmaId, folioAnonVma, MM_CPUMASK, MM_ROOT, pageAnonExclusive, zapPageRange } from '@mmkit/aspace';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_OOM } from '@mmkit/fault';
import { handleMmFault } from '@mmkit/fault/sched';
import {
  arm64,
  ACCESS_READ,
  createEntry,
  createTranslation,
  E_DIRTY,
  E_SOFT_DIRTY,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  freeAllTables,
  hwWalk,
  leafIndex,
  leafTable,
  tlbInsert,
  tlbLookup,
  writeEntry,
} from '@mmkit/pgtable';
import {
  checkPhys,
  countFrames,
  getPage,
  pageRefCount,
  PG_LOCKED,
  putPage,
  readBytes,
  testFlag,
  writeBytes,
} from '@mmkit/phys';
import { spawn, stepTask, TASK_DONE } from '@mmkit/task';
import { VM_WRITE } from '@mmkit/vma';
import { AT, builds, counts, entryAt, exhaust, forked, formats, PAGE, rawAt, RW, space } from './builds.ts';
import type { Handle, Space } from './builds.ts';

const WRITABLE = E_USER | E_YOUNG | E_DIRTY | E_WRITE;

/** A page written by a process that then forked: parent, child, and the page they share. */
function family(handle: Handle): { parent: Space; child: Space; pfn: number; phys: Space['memory']['phys'] } {
  const parent = space();
  handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
  const { pfn } = entryAt(parent.mm, AT);
  const { phys } = parent.memory;
  writeBytes(phys, pfn, 0, Uint8Array.of(7), 0, 1);
  return { parent, child: forked(parent), pfn, phys };
}

function firstByte(phys: Space['memory']['phys'], pfn: number): number {
  const byte = new Uint8Array(1);
  readBytes(phys, pfn, 0, byte, 0, 1);
  return byte[0]!;
}

/** Changes the flags of the entry at AT by hand. */
function setFlags({ mm, memory }: Space, flags: number): void {
  const decoded = entryAt(mm, AT);
  decoded.flags = flags;
  const entry = createEntry();
  memory.format.encode(decoded, 0, entry);
  writeEntry(memory.tables, leafTable(memory.tables, mm.words[MM_ROOT]!, AT), leafIndex(memory.format, AT), entry);
}

describe.each(builds)('%s: N.4, a write to a read-only page', (_, handle) => {
  it('the zero page: an own zeroed page in its place', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, 0);
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    const { pfn, flags } = entryAt(mm, AT);
    expect(pfn).not.toBe(memory.phys.zeroPfn);
    expect(flags).toBe(WRITABLE);
    expect(counts(memory.phys, pfn)).toEqual([1, 1]);
    expect(pageRefCount(memory.phys, memory.phys.zeroPfn)).toBe(1);
    expect(mm.anonPages).toBe(1);
    checkPhys(memory.phys);
  });

  it('exclusive: reused in place, however many references it has (why pins are stable)', () => {
    const parent = space();
    const { mm, vma, memory } = parent;
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    const { pfn } = entryAt(mm, AT);
    getPage(memory.phys, pfn, 1024);
    setFlags(parent, E_USER);
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    expect([entryAt(mm, AT).pfn, entryAt(mm, AT).flags]).toEqual([pfn, WRITABLE]);
    expect(counts(memory.phys, pfn)).toEqual([1025, 1]);
  });

  it('shared by fork: the writer gets a copy, the other keeps the page', () => {
    const { parent, child, pfn, phys } = family(handle);
    expect(handle(child.mm, child.vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    const copy = entryAt(child.mm, AT);
    expect(copy.pfn).not.toBe(pfn);
    expect(copy.flags).toBe(WRITABLE);
    expect(counts(phys, copy.pfn)).toEqual([1, 1]);
    expect(pageAnonExclusive(phys, copy.pfn)).toBe(true);
    expect(folioAnonVma(phys, copy.pfn)).toBe(anonVmaId(child.vma));
    expect(firstByte(phys, copy.pfn)).toBe(7);
    expect([entryAt(parent.mm, AT).pfn, entryAt(parent.mm, AT).flags]).toEqual([pfn, E_USER | E_YOUNG | E_DIRTY]);
    expect(counts(phys, pfn)).toEqual([1, 1]);
    expect([parent.mm.anonPages, child.mm.anonPages]).toEqual([1, 1]);
    checkPhys(phys);
  });

  it('the last owner, found by its single reference, reuses the page and makes it its own', () => {
    const { parent, child, pfn, phys } = family(handle);
    handle(child.mm, child.vma, AT, FAULT_FLAG_WRITE);
    const free = phys.freeFrames;
    expect(handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    expect([entryAt(parent.mm, AT).pfn, entryAt(parent.mm, AT).flags]).toEqual([pfn, WRITABLE]);
    expect(pageAnonExclusive(phys, pfn)).toBe(true);
    expect(phys.freeFrames).toBe(free);
  });

  it('B.22 #8: an extra reference on a page that is not exclusive forces a copy; its holder keeps the old', () => {
    const { parent, child, pfn, phys } = family(handle);
    zapPageRange(child.mm, AT, AT + PAGE);
    getPage(phys, pfn);
    handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
    expect(entryAt(parent.mm, AT).pfn).not.toBe(pfn);
    expect(counts(phys, pfn)).toEqual([1, 0]);
    putPage(phys, pfn);
    checkPhys(phys);
  });

  it('a forced write: reuse keeps the entry read-only, dirty and young', () => {
    const parent = space(RW & ~VM_WRITE);
    handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
    const { pfn } = entryAt(parent.mm, AT);
    setFlags(parent, E_USER);
    handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
    expect([entryAt(parent.mm, AT).pfn, entryAt(parent.mm, AT).flags]).toEqual([pfn, E_USER | E_YOUNG | E_DIRTY]);
  });

  it('a forced write over the zero page: own page, read-only, dirty', () => {
    const { mm, vma, memory } = space(RW & ~VM_WRITE);
    handle(mm, vma, AT, 0);
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    expect(entryAt(mm, AT).pfn).not.toBe(memory.phys.zeroPfn);
    expect(entryAt(mm, AT).flags).toBe(E_USER | E_YOUNG | E_DIRTY);
  });

  it('the page-table lock is given back on every way', () => {
    const { parent, child, phys } = family(handle);
    for (const { mm, vma } of [child, parent, parent]) {
      handle(mm, vma, AT, FAULT_FLAG_WRITE);
      expect(testFlag(phys, leafTable(parent.memory.tables, mm.words[MM_ROOT]!, AT), PG_LOCKED)).toBe(false);
    }
  });

  it('out of memory for the copy: VM_FAULT_OOM, entry and counts as they were', () => {
    const { parent, child, pfn, phys } = family(handle);
    const giveBack = exhaust(phys, 0);
    const before = rawAt(child.mm, AT);
    for (const flags of [FAULT_FLAG_WRITE, FAULT_FLAG_UNSHARE]) {
      expect(handle(child.mm, child.vma, AT, flags)).toBe(VM_FAULT_OOM);
      expect(rawAt(child.mm, AT)).toEqual(before);
      expect(counts(phys, pfn)).toEqual([2, 2]);
    }
    giveBack();
    for (const { mm } of [parent, child]) {
      zapPageRange(mm, AT, AT + PAGE);
      freeAllTables(parent.memory.tables, mm.words[MM_ROOT]!);
    }
    expect(countFrames(phys).used).toBe(0);
  });

  it('out of memory over the zero page: VM_FAULT_OOM, the zero page stays', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, 0);
    const giveBack = exhaust(memory.phys, 0);
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(VM_FAULT_OOM);
    expect(entryAt(mm, AT).flags & E_SPECIAL).toBe(E_SPECIAL);
    giveBack();
    checkPhys(memory.phys);
  });
});

describe.each(builds)('%s: N.4 and B.15 #6, an unshare fault', (_, handle) => {
  it('shared: an own copy, read-only and clean', () => {
    const { child, pfn, phys } = family(handle);
    expect(handle(child.mm, child.vma, AT, FAULT_FLAG_UNSHARE)).toBe(0);
    const copy = entryAt(child.mm, AT);
    expect(copy.pfn).not.toBe(pfn);
    expect(copy.flags).toBe(E_USER | E_YOUNG);
    expect(pageAnonExclusive(phys, copy.pfn)).toBe(true);
    expect(firstByte(phys, copy.pfn)).toBe(7);
    expect(counts(phys, pfn)).toEqual([1, 1]);
  });

  it('soft-dirty (where the architecture has it) and uffd-wp marks are kept', () => {
    const { child } = family(handle);
    const marks = child.memory.format === arm64 ? E_UFFD_WP : E_SOFT_DIRTY | E_UFFD_WP;
    setFlags(child, E_USER | E_DIRTY | marks);
    handle(child.mm, child.vma, AT, FAULT_FLAG_UNSHARE);
    expect(entryAt(child.mm, AT).flags).toBe(E_USER | E_YOUNG | marks);
  });

  it('exclusive, or the only reference: the entry is not touched, the page is exclusive', () => {
    const { parent, child, pfn, phys } = family(handle);
    zapPageRange(child.mm, AT, AT + PAGE);
    const before = rawAt(parent.mm, AT);
    for (let i = 0; i < 2; i++) {
      expect(handle(parent.mm, parent.vma, AT, FAULT_FLAG_UNSHARE)).toBe(0);
      expect(rawAt(parent.mm, AT)).toEqual(before);
      expect(pageAnonExclusive(phys, pfn)).toBe(true);
    }
    expect(counts(phys, pfn)).toEqual([1, 1]);
  });

  it('the zero page: an own page, read-only', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, 0);
    handle(mm, vma, AT, FAULT_FLAG_UNSHARE);
    expect(entryAt(mm, AT).pfn).not.toBe(memory.phys.zeroPfn);
    expect(entryAt(mm, AT).flags).toBe(E_USER | E_YOUNG);
    expect(mm.anonPages).toBe(1);
  });

  it('a writable entry needs no unsharing', () => {
    const { mm, vma } = space();
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    const before = rawAt(mm, AT);
    expect(handle(mm, vma, AT, FAULT_FLAG_UNSHARE)).toBe(0);
    expect(rawAt(mm, AT)).toEqual(before);
  });
});

describe.each(formats)('sched %s: N.4, the copy and the TLBs', () => {
  it('the old translation is gone everywhere before the new entry can be seen', () => {
    const { child, pfn } = family(builds[0]![1]);
    const { mm, memory } = child;
    const root = mm.words[MM_ROOT]!;
    const found = createTranslation();
    hwWalk(memory.tables, root, AT, ACCESS_READ, found);
    tlbInsert(memory.tlbs[1]!, root, AT, found);
    mm.words[MM_CPUMASK] = 2;
    const task = spawn(memory.sched, 'write', handleMmFault(mm, child.vma, AT, FAULT_FLAG_WRITE), 0);
    let gap = false;
    while (task.state !== TASK_DONE) {
      stepTask(memory.sched, task);
      const stale = tlbLookup(memory.tlbs[1]!, root, AT, ACCESS_READ) === pfn;
      const { kind, pfn: now } = entryAt(mm, AT);
      if (kind === 0) gap = true;
      if (stale) expect(kind === 0 || now === pfn).toBe(true);
    }
    expect(gap).toBe(true);
    expect(tlbLookup(memory.tlbs[1]!, root, AT, ACCESS_READ)).toBe(-1);
  });
});
