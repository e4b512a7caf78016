/** What notes itself when an explorer asks: every field that steps may go by. */
import { describe, expect, it } from 'vitest';
import { createMemory, fileRmap } from '@mmkit/aspace';
import { createInode } from '@mmkit/filemap';
import { allocPagesNowait, GFP_KERNEL, pageRefCount } from '@mmkit/phys';
import { tlbFlushRange } from '@mmkit/pgtable';
import { createSched, startFootprint } from '@mmkit/task';

function started() {
  const sched = createSched({ cpus: 2 });
  const memory = createMemory({ sched, frames: 64 });
  const old = createInode(memory.files, null, fileRmap(memory));
  const tlbs = [...memory.tlbs];
  const footprint = startFootprint(sched);
  /** What `act` notes of `object`: its words, written ones with a `w`. */
  const noted = (object: object, act: () => void): string[] => {
    footprint.noted.length = 0;
    act();
    const pairs = footprint.noted
      .filter((_, i) => i % 2 === 0)
      .map((access, i) => [access, footprint.noted[i * 2 + 1]!]);
    const id = footprint.objects.get(object)!;
    const own = pairs.filter(([access]) => access! >> 1 === id);
    return [...new Set(own.map(([access, word]) => `${word}${access! & 1 ? 'w' : ''}`))].sort();
  };
  return { sched, memory, old, tlbs, noted };
}

describe('watchMemory', () => {
  it('a TLB that is used at all is written, that one alone', () => {
    const { memory, tlbs, noted } = started();
    const flush = (cpu: number): void => tlbFlushRange(memory.tlbs[cpu]!, 5, 0, 4096);
    expect(noted(tlbs[0]!, () => flush(0))).toEqual(['-1w']);
    expect(noted(tlbs[1]!, () => flush(0))).toEqual([]);
    expect(noted(tlbs[1]!, () => memory.tlbs.forEach(() => {}))).toEqual(['-1w']);
  });

  it('fields of the memory that change: read and written, each by itself', () => {
    const { memory, noted } = started();
    const fields = ['accessing', 'hugeZeroPfn', 'nextMmId', 'nextAnonVma'] as const;
    for (const [i, name] of fields.entries()) {
      expect(noted(memory, () => void memory[name])).toEqual([`${i}`]);
      expect(noted(memory, () => void (memory[name] = 7))).toEqual([`${i}w`]);
      expect(memory[name]).toBe(7);
    }
  });

  it('frames: the count of one is a word of the frame table', () => {
    const { memory, noted } = started();
    const pfn = allocPagesNowait(memory.phys, GFP_KERNEL, 0);
    expect(noted(memory.phys.hot, () => void pageRefCount(memory.phys, pfn))).toContain(`${pfn * 4}`);
  });
});

describe('watchInode', () => {
  it('containers are written where they are used, values as they are; files made before and after', () => {
    const { memory, old, noted } = started();
    for (const inode of [old, createInode(memory.files, null, fileRmap(memory))]) {
      expect(noted(inode, () => void inode.pages.get(3))).toEqual(['0w']);
      expect(noted(inode, () => void inode.blocks.size)).toEqual(['1w']);
      expect(noted(inode, () => void inode.unwritten.size)).toEqual(['2w']);
      expect(noted(inode, () => void inode.iMmap.size)).toEqual(['3w']);
      expect(noted(inode, () => void inode.buffers.size)).toEqual(['4w']);
      const values = ['size', 'nrDirty', 'writebackError', 'mmapWritable', 'seals'] as const;
      for (const [i, name] of values.entries()) {
        expect(noted(inode, () => void inode[name])).toEqual([`${5 + i}`]);
        expect(noted(inode, () => void (inode[name] = 9))).toEqual([`${5 + i}w`]);
        expect(inode[name]).toBe(9);
      }
    }
  });
});
