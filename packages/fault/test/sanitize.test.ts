import { describe, expect, it } from 'vitest';
import { pageAnonExclusive } from '@mmkit/aspace';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_SIGBUS, VM_FAULT_SIGSEGV } from '@mmkit/fault';
import { createEntry, E_DIRTY, E_USER, E_WRITE, E_YOUNG, leafIndex, leafTableAlloc, writeEntry } from '@mmkit/pgtable';
import { checkPhys } from '@mmkit/phys';
import { VM_MAYREAD, VM_MAYSHARE, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';
import { AT, builds, counts, entryAt, forked, PAGE, rawAt, RW, space, swapEntry } from './builds.ts';

const READ_ONLY = VM_READ | VM_MAYREAD | VM_MAYWRITE;

describe.each(builds)('%s: N.2, what handle_mm_fault refuses', (_, handle) => {
  const refused: [string, number, number][] = [
    ['write and unshare together', RW, FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE],
    ['a write where VM_MAYWRITE is not set', VM_READ | VM_MAYREAD, FAULT_FLAG_WRITE],
    ['a forced write in a shared mapping', VM_READ | VM_SHARED | VM_MAYSHARE | VM_MAYWRITE, FAULT_FLAG_WRITE],
  ];
  it.each(refused)('%s: SIGSEGV and a warning, nothing changed', (_, vmFlags, flags) => {
    const { mm, vma, memory, warnings } = space(vmFlags);
    const free = memory.phys.freeFrames;
    expect(handle(mm, vma, AT, flags)).toBe(VM_FAULT_SIGSEGV);
    expect(warnings.length).toBe(1);
    expect(memory.phys.freeFrames).toBe(free);
    expect(vma.anonVma).toBe(null);
  });

  it('A.10: errors are counted as faults too, and none of them as major', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE);
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    handle(mm, vma, AT, 0);
    expect([memory.stat.pgfault, memory.stat.pgmajfault]).toEqual([3, 0]);
  });

  it('a forced write reaches a private mapping without VM_WRITE: own page, dirty, read-only', () => {
    const { mm, vma, warnings } = space(READ_ONLY);
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    expect(entryAt(mm, AT).flags).toBe(E_USER | E_YOUNG | E_DIRTY);
    expect(warnings).toEqual([]);
  });

  it('UNSHARE is dropped where the mapping is not copy-on-write: the page stays shared', () => {
    const parent = space();
    handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
    const child = forked(parent);
    child.vma.flags = VM_READ | VM_MAYREAD;
    const { pfn } = entryAt(child.mm, AT);
    expect(handle(child.mm, child.vma, AT, FAULT_FLAG_UNSHARE)).toBe(0);
    expect(entryAt(child.mm, AT).pfn).toBe(pfn);
    expect(pageAnonExclusive(parent.memory.phys, pfn)).toBe(false);
    expect(counts(parent.memory.phys, pfn)).toEqual([2, 2]);
  });
});

describe.each(builds)('%s: N.2, the present entry', (_, handle) => {
  it('a read marks it young', () => {
    const parent = space();
    handle(parent.mm, parent.vma, AT, FAULT_FLAG_WRITE);
    const child = forked(parent);
    expect(entryAt(child.mm, AT).flags & E_YOUNG).toBe(0);
    expect(handle(child.mm, child.vma, AT, 0)).toBe(0);
    expect(entryAt(child.mm, AT).flags).toBe(E_USER | E_DIRTY | E_YOUNG);
  });

  it('a spurious fault changes nothing: 0', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    const before = rawAt(mm, AT);
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    expect(handle(mm, vma, AT, 0)).toBe(0);
    expect(rawAt(mm, AT)).toEqual(before);
    checkPhys(memory.phys);
  });

  it('a write to a writable clean entry marks it dirty and young', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    const { pfn } = entryAt(mm, AT);
    const decoded = entryAt(mm, AT);
    decoded.flags = E_USER | E_WRITE;
    const entry = createEntry();
    memory.format.encode(decoded, 0, entry);
    writeEntry(memory.tables, leafTableAlloc(memory.tables, mm.words[0]!, AT), leafIndex(memory.format, AT), entry);
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    expect([entryAt(mm, AT).pfn, entryAt(mm, AT).flags]).toEqual([pfn, E_USER | E_WRITE | E_DIRTY | E_YOUNG]);
  });

  it('an address inside the page means the page', () => {
    const { mm, vma } = space();
    expect(handle(mm, vma, AT + PAGE + 0x123, FAULT_FLAG_WRITE)).toBe(0);
    expect(entryAt(mm, AT + PAGE).flags & E_WRITE).toBe(E_WRITE);
    expect(rawAt(mm, AT)).toEqual(createEntry());
  });

  it('a non-present entry is not handled here: SIGBUS, nothing changed', () => {
    const { mm, vma, memory } = space();
    const swap = swapEntry(memory.format, 1);
    const table = leafTableAlloc(memory.tables, mm.words[0]!, AT);
    writeEntry(memory.tables, table, leafIndex(memory.format, AT), swap);
    for (const flags of [0, FAULT_FLAG_WRITE]) expect(handle(mm, vma, AT, flags)).toBe(VM_FAULT_SIGBUS);
    expect(rawAt(mm, AT)).toEqual(swap);
  });
});

describe.each(builds)('%s: N.3', (_, handle) => {
  it('shared memory without a file: SIGBUS, no table made', () => {
    const { mm, vma, memory } = space(VM_READ | VM_WRITE | VM_SHARED | VM_MAYSHARE | VM_MAYWRITE);
    const free = memory.phys.freeFrames;
    for (const flags of [0, FAULT_FLAG_WRITE]) expect(handle(mm, vma, AT, flags)).toBe(VM_FAULT_SIGBUS);
    expect(memory.phys.freeFrames).toBe(free);
  });
});
