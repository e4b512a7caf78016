/** N.16: VMAs split, merged and given other flags, with their place in i_mmap and their anon_vma. */
import { describe, expect, it } from 'vitest';
import { ENOMEM } from '@mmkit/base';
import { anonVmaFork, anonVmaId, anonVmaPrepare, Mm, vmaInode } from '@mmkit/aspace';
import { createInode, OpenFile } from '@mmkit/filemap';
import { isLocked } from '@mmkit/rwsem';
import {
  checkVmaTree,
  insertVma,
  newTraits,
  Vma,
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_MAYSHARE,
  VM_READ,
  VM_SEALED,
  VM_SHARED,
  VM_SOFTDIRTY,
  vmaIsSealed,
  vmasIn,
} from '@mmkit/vma';
import { addVma, AT, builds, codeOf, machine, PAGE, RW, space } from './builds.ts';

const SHARED = RW | VM_SHARED | VM_MAYSHARE;

describe.each(builds)('%s: VMAs changed', (_name, api) => {
  /** `start-end flags` in pages after AT; the flags without RW. */
  function shape(mm: Mm): string[] {
    checkVmaTree(mm.vmas);
    return vmasIn(mm.vmas, 0, mm.memory.format.taskSize).map((vma) => {
      const extra = vma.flags & ~RW;
      return `${(vma.start - AT) / PAGE}-${(vma.end - AT) / PAGE}${extra === 0 ? '' : ` ${extra.toString(16)}`}`;
    });
  }
  /** Every VMA of the file, and nothing else, is in its i_mmap. */
  function checkLinks(mm: Mm, file: OpenFile): void {
    const mapping = vmasIn(mm.vmas, 0, mm.memory.format.taskSize).filter((vma) => vmaInode(vma) === file.inode);
    expect(new Set(mapping)).toEqual(file.inode.iMmap);
    expect([file.inode.mmapWritable, isLocked(file.inode.iMmapLock)]).toEqual([mapping.length, false]);
  }
  function fileVma(mm: Mm, file: OpenFile, first: number, last: number, pgoff = first): Vma {
    const vma = new Vma(AT + first * PAGE, AT + last * PAGE, SHARED, pgoff, file);
    insertVma(mm.vmas, vma);
    api.linkFileVma(vma);
    return vma;
  }
  const openFile = (mm: Mm): OpenFile =>
    new OpenFile(createInode(mm.memory.files, null, api.fileRmap(mm.memory)), true, true);
  const modify = (mm: Mm, vma: Vma, first: number, last: number, flags: number, flagsHigh?: number): Vma | number =>
    api.vmaModify(mm, vma, AT + first * PAGE, AT + last * PAGE, flags, ...(flagsHigh === undefined ? [] : [flagsHigh]));

  it('vmaModify of a part: split off at one end or at both, and the rest keeps its flags', () => {
    for (const [first, last, expected] of [
      [0, 8, ['0-8 2000']],
      [0, 3, ['0-3 2000', '3-8']],
      [3, 8, ['0-3', '3-8 2000']],
      [3, 5, ['0-3', '3-5 2000', '5-8']],
    ] as const) {
      const mm = space(machine());
      const vma = addVma(mm, AT, 8, RW);
      const part = modify(mm, vma, first, last, RW | VM_LOCKED) as Vma;
      expect([shape(mm), (part.start - AT) / PAGE, part.pgoff]).toEqual([expected, first, part.start / PAGE]);
    }
  });

  it('vmaModify: the part goes over to the neighbour that is like it then; a whole VMA joins both', () => {
    const mm = space(machine());
    const low = addVma(mm, AT, 2, RW | VM_LOCKED);
    const vma = addVma(mm, AT + 2 * PAGE, 6, RW);
    expect(modify(mm, vma, 2, 4, RW | VM_LOCKED)).toBe(low);
    expect([shape(mm), vma.pgoff]).toEqual([['0-4 2000', '4-8'], vma.start / PAGE]);
    expect(modify(mm, low, 2, 4, RW)).toBe(vma);
    expect([shape(mm), vma.pgoff]).toEqual([['0-2 2000', '2-8'], vma.start / PAGE]);
    const high = addVma(mm, AT + 8 * PAGE, 2, RW | VM_LOCKED);
    expect(modify(mm, vma, 2, 8, RW | VM_LOCKED)).toBe(low);
    expect([shape(mm), vma.tree, high.tree]).toEqual([['0-10 2000'], null, null]);
  });

  it('vmaModify: sealing splits as flags do, and the seal stays with later changes', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 4, RW);
    const part = modify(mm, vma, 1, 2, RW, VM_SEALED) as Vma;
    expect([shape(mm), vmaIsSealed(vma), vmaIsSealed(part)]).toEqual([['0-1', '1-2', '2-4'], false, true]);
    expect(vmaIsSealed(modify(mm, part, 1, 2, RW | VM_LOCKED) as Vma)).toBe(true);
  });

  it('vmaModify at the map count: ENOMEM; of two splits the first one stays', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 8, RW);
    mm.vmas.maxMapCount = 1;
    expect(modify(mm, vma, 2, 4, VM_READ)).toBe(-ENOMEM);
    expect(shape(mm)).toEqual(['0-8']);
    mm.vmas.maxMapCount = 2;
    expect(modify(mm, vma, 2, 4, VM_READ)).toBe(-ENOMEM);
    expect(shape(mm)).toEqual(['0-2', '2-8']);
    expect(modify(mm, vma, 0, 2, RW | VM_LOCKED)).toBe(vma);
    expect(shape(mm)).toEqual(['0-2 2000', '2-8']);
  });

  it('FACTS 18: sticky flags go over to what is merged, from either side', () => {
    const mm = space(machine());
    const low = addVma(mm, AT, 2, RW | VM_LOCKED);
    const vma = addVma(mm, AT + 2 * PAGE, 2, RW | VM_MAYBE_GUARD);
    addVma(mm, AT + 4 * PAGE, 2, RW | VM_LOCKED | VM_SOFTDIRTY);
    modify(mm, vma, 2, 4, vma.flags | VM_LOCKED);
    expect([shape(mm).length, low.flags]).toEqual([1, RW | VM_LOCKED | VM_MAYBE_GUARD | VM_SOFTDIRTY]);
  });

  it('FACTS 21: what is merged has the anon_vma of the side that had one, whichever that is', () => {
    for (const written of [0, 1, 2]) {
      const mm = space(machine());
      const vmas = [0, 1, 2].map((i) => addVma(mm, AT + i * 2 * PAGE, 2, i === 1 ? RW | VM_LOCKED : RW));
      anonVmaPrepare(mm.memory, vmas[written]!);
      const to = modify(mm, vmas[1]!, 2, 4, RW) as Vma;
      expect([shape(mm), to, anonVmaId(to), to.anonChain]).toEqual([['0-6'], vmas[0], 1, 1]);
    }
  });

  it('D.6: an inherited VMA (chain 2) does not merge with one that has no anon_vma', () => {
    const mm = space(machine());
    const parent = addVma(mm, AT, 2, RW);
    anonVmaPrepare(mm.memory, parent);
    const child = space(mm.memory);
    const copy = addVma(child, AT, 2, RW);
    anonVmaFork(mm.memory, copy, parent);
    expect([anonVmaId(copy), copy.anonChain]).toEqual([2, 2]);
    const traits = newTraits(RW, 0);
    const fresh = api.vmaMergeNew(child, AT + 2 * PAGE, AT + 3 * PAGE, { ...traits, pgoff: AT / PAGE + 2 });
    expect([shape(child), fresh === copy]).toEqual([['0-2', '2-3'], false]);
    anonVmaFork(mm.memory, fresh, addVma(mm, AT + 4 * PAGE, 1, RW));
    expect(fresh.anonVma).toBeNull();
  });

  it('vmaMergeNew: a VMA of its own; at the end, at the start, or between two that become one', () => {
    const mm = space(machine());
    const traits = newTraits(RW, 0);
    const add = (first: number, last: number): Vma =>
      api.vmaMergeNew(mm, AT + first * PAGE, AT + last * PAGE, { ...traits, pgoff: AT / PAGE + first });
    const low = add(0, 2);
    expect(add(2, 3)).toBe(low);
    const high = add(6, 8);
    expect(add(5, 6)).toBe(high);
    expect([shape(mm), high.pgoff]).toEqual([['0-3', '5-8'], high.start / PAGE]);
    expect(add(3, 5)).toBe(low);
    expect([shape(mm), high.tree]).toEqual([['0-8'], null]);
  });

  it('VMAs of a file are in its i_mmap whatever becomes of them: split, merged, swallowed', () => {
    const mm = space(machine());
    const file = openFile(mm);
    const vma = fileVma(mm, file, 0, 8);
    const part = modify(mm, vma, 2, 4, SHARED | VM_LOCKED) as Vma;
    checkLinks(mm, file);
    expect(shape(mm).length).toBe(3);
    modify(mm, part, 2, 4, SHARED);
    checkLinks(mm, file);
    expect(shape(mm).length).toBe(1);
    const upper = api.vmaSplit(mm, vma, AT + 5 * PAGE) as Vma;
    checkLinks(mm, file);
    expect([upper.pgoff, upper.file]).toEqual([5, file]);
    const traits = newTraits(SHARED, 0, file);
    api.vmaMergeNew(mm, AT + 8 * PAGE, AT + 9 * PAGE, { ...traits, pgoff: 8 });
    expect(shape(mm).length).toBe(2);
    api.vmaMergeNew(mm, AT + 9 * PAGE, AT + 10 * PAGE, { ...traits, pgoff: 3 });
    expect(shape(mm).length).toBe(3);
    checkLinks(mm, file);
  });

  it('misuse: a split outside the VMA, a new VMA over another: nothing changes', () => {
    const mm = space(machine());
    const vma = addVma(mm, AT, 4, RW);
    const traits = newTraits(VM_READ, 0);
    expect(codeOf(() => api.vmaSplit(mm, vma, AT))).toBe('VMA_SPLIT');
    expect(codeOf(() => api.vmaMergeNew(mm, AT, AT + PAGE, traits))).toBe('VMA_OVERLAP');
    expect(shape(mm)).toEqual(['0-4']);
  });
});
