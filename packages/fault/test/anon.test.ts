import { describe, expect, it } from 'vitest';
import {
  anonVmaId,
  folioAnonVma,
  folioTestAnon,
  linux6_18,
  MM_ROOT,
  pageAnonExclusive,
  zapPageRange,
} from '@mmkit/aspace';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM } from '@mmkit/fault';
import {
  E_DIRTY,
  E_EXEC,
  E_PROTNONE,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  freeAllTables,
  x86_64,
} from '@mmkit/pgtable';
import {
  allocPages,
  checkPhys,
  COLD_INDEX,
  COLD_WORDS,
  countFrames,
  freePages,
  GFP_KERNEL,
  pageRefCount,
  readBytes,
  writeBytes,
} from '@mmkit/phys';
import { VM_EXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ } from '@mmkit/vma';
import { AT, builds, counts, entryAt, exhaust, PAGE, rawAt, RW, space } from './builds.ts';

describe.each(builds)('%s: N.3, the first touch of anonymous memory', (_, handle) => {
  it('a read maps the zero page, special and read-only, uncounted', () => {
    const { mm, vma, memory } = space();
    expect(handle(mm, vma, AT, 0)).toBe(0);
    const { pfn, flags } = entryAt(mm, AT);
    expect(pfn).toBe(memory.phys.zeroPfn);
    expect(flags).toBe(E_USER | E_YOUNG | E_SPECIAL);
    expect(pageRefCount(memory.phys, pfn)).toBe(1);
    expect([mm.anonPages, vma.anonVma]).toEqual([0, null]);
  });

  it('E.2, N.20: the bits of that entry are those of the architecture', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, 0);
    const { lo, hi } = rawAt(mm, AT);
    const [low, high] = memory.format === x86_64 ? [0x225, 0x8000_0000] : [0xfc3, 0x0160_0000];
    expect([lo >>> 0, hi >>> 0]).toEqual([(memory.phys.zeroPfn << 12) | low, high]);
  });

  it('a write maps an own page: writable, dirty, young; E.1: 1 reference, 1 mapping; exclusive', () => {
    const { mm, vma, memory } = space();
    expect(handle(mm, vma, AT, FAULT_FLAG_WRITE)).toBe(0);
    const { pfn, flags } = entryAt(mm, AT);
    expect(flags).toBe(E_USER | E_YOUNG | E_DIRTY | E_WRITE);
    expect(counts(memory.phys, pfn)).toEqual([1, 1]);
    expect(folioTestAnon(memory.phys, pfn) && pageAnonExclusive(memory.phys, pfn)).toBe(true);
    expect(folioAnonVma(memory.phys, pfn)).toBe(anonVmaId(vma));
    expect(memory.phys.cold[pfn * COLD_WORDS + COLD_INDEX]).toBe(AT / PAGE);
    expect(mm.anonPages).toBe(1);
  });

  it('the own page holds zeros, whatever the frame held before, in place of the zero page too', () => {
    const { mm, vma, memory } = space();
    const { phys } = memory;
    handle(mm, vma, AT + PAGE, 0);
    for (const address of [AT, AT + PAGE]) {
      const dirty: number[] = [];
      for (let dirt = allocPages(phys, GFP_KERNEL, 0); dirt >= 0; dirt = allocPages(phys, GFP_KERNEL, 0)) {
        writeBytes(phys, dirt, 0, new Uint8Array(PAGE).fill(0xee), 0, PAGE);
        dirty.push(dirt);
      }
      for (const dirt of dirty) freePages(phys, dirt, 0);
      handle(mm, vma, address, FAULT_FLAG_WRITE);
      const dirt = entryAt(mm, address).pfn;
      expect(dirty).toContain(dirt);
      const bytes = new Uint8Array(PAGE);
      readBytes(phys, dirt, 0, bytes, 0, PAGE);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
    }
  });

  it('the VMA decides about execution, and about writing even for a write fault', () => {
    const { mm, vma } = space(VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE);
    handle(mm, vma, AT, 0);
    handle(mm, vma, AT + PAGE, FAULT_FLAG_WRITE);
    expect(entryAt(mm, AT).flags).toBe(E_USER | E_YOUNG | E_EXEC | E_SPECIAL);
    expect(entryAt(mm, AT + PAGE).flags).toBe(E_USER | E_YOUNG | E_EXEC | E_DIRTY);
  });

  it('without any permission the entry is PROT_NONE: there for Linux, absent for the MMU', () => {
    const { mm, vma, memory } = space(VM_MAYREAD | VM_MAYWRITE);
    handle(mm, vma, AT, 0);
    expect(entryAt(mm, AT).pfn).toBe(memory.phys.zeroPfn);
    expect(entryAt(mm, AT).flags).toBe(E_PROTNONE | E_YOUNG | E_SPECIAL);
    expect(rawAt(mm, AT).lo & 1).toBe(0);
  });

  it('one anon_vma a VMA, whichever page was first', () => {
    const { mm, vma, memory } = space();
    handle(mm, vma, AT, FAULT_FLAG_WRITE);
    handle(mm, vma, AT + PAGE, FAULT_FLAG_WRITE);
    expect(memory.nextAnonVma).toBe(2);
  });

  it('out of memory at each allocation: VM_FAULT_OOM, no entry, and nothing leaks', () => {
    for (const flags of [0, FAULT_FLAG_WRITE]) {
      const needed = flags === 0 ? 3 : 4;
      for (let left = 0; left <= needed; left++) {
        const { mm, vma, memory } = space(RW, { policy: linux6_18 });
        const giveBack = exhaust(memory.phys, left);
        expect(handle(mm, vma, AT, flags)).toBe(left < needed ? VM_FAULT_OOM : 0);
        expect(mm.anonPages).toBe(left < needed || flags === 0 ? 0 : 1);
        if (left < needed) expect(entryAt(mm, AT).kind).toBe(0);
        giveBack();
        checkPhys(memory.phys);
        zapPageRange(mm, AT, AT + PAGE);
        freeAllTables(memory.tables, mm.words[MM_ROOT]!);
        expect(countFrames(memory.phys).used).toBe(0);
      }
    }
  });
});
