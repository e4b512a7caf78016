import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOMEM, FOLL_GET, FOLL_WRITE } from '@mmkit/base';
import { createInode, OpenFile } from '@mmkit/filemap';
import { fileRmap, isGuardMarker, MM_ROOT, Mm } from '@mmkit/aspace';
import {
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_WIPEONFORK,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
} from '@mmkit/mm';
import { createDecoded, createEntry, leafIndex, leafTable, readEntry } from '@mmkit/pgtable';
import { pageMapCount, pageRefCount } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { VM_LOCKED, VM_MAYBE_GUARD, VM_PFNMAP, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, RW, setUp, touch, vmas } from './builds.ts';

function isGuard(mm: Mm, address: number): boolean {
  const { tables, format } = mm.memory;
  const table = leafTable(tables, mm.words[MM_ROOT]!, address);
  if (table < 0) return false;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, table, leafIndex(format, address), entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  return isGuardMarker(decoded);
}

/** One letter a page from BASE on: `g` guard, `x` mapped, `.` nothing. */
function pages(mm: Mm, count: number): string {
  return Array.from({ length: count }, (_, i) => {
    const address = BASE + i * PAGE;
    if (isGuard(mm, address)) return 'g';
    return pfnAt(mm, address) >= 0 ? 'x' : '.';
  }).join('');
}

describe.each(builds)('%s build: guard regions', (_name, api) => {
  const guard = (mm: Mm, page: number, count: number): number =>
    api.madvise(mm, BASE + page * PAGE, count * PAGE, MADV_GUARD_INSTALL);
  const advise = (mm: Mm, page: number, count: number, advice: number): number =>
    api.madvise(mm, BASE + page * PAGE, count * PAGE, advice);

  it('FACTS 18: the pages go, guards come; the VMA is not split, has the flag for ever, and an anon_vma', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 6);
    touch(api, mm, BASE + PAGE, 2);
    const used = framesUsed(mm);
    expect(guard(mm, 2, 2)).toBe(0);
    expect([pages(mm, 6), vmas(mm), framesUsed(mm)]).toEqual(['.xgg..', ['0-6'], used - 1]);
    expect(advise(mm, 0, 6, MADV_GUARD_REMOVE)).toBe(0);
    expect(pages(mm, 6)).toBe('.x....');
    const vma = vmaLookup(mm.vmas, BASE)!;
    expect(vma.flags & VM_MAYBE_GUARD).toBe(VM_MAYBE_GUARD);
    expect([touch(api, mm, BASE + 2 * PAGE), isLocked(mm.mmapLock)]).toEqual([1, false]);
  });

  it('FACTS 18: an anon_vma is made though nothing was written', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    guard(mm, 0, 1);
    expect(vmaLookup(mm.vmas, BASE)!.anonVma).not.toBe(null);
  });

  it('6.18: a file mapping, private or shared, gets none: in a child it still merges with a neighbour', () => {
    for (const kind of [MAP_PRIVATE, MAP_SHARED]) {
      const mm = setUp(api);
      const file = new OpenFile(createInode(mm.memory.files, null, fileRmap(mm.memory)), true, true);
      expect(api.mmap(mm, BASE, PAGE, RW, kind | MAP_FIXED, file, 0)).toBe(BASE);
      expect(api.mmap(mm, BASE + PAGE, PAGE, PROT_READ, kind | MAP_FIXED, file, PAGE)).toBe(BASE + PAGE);
      expect(guard(mm, 0, 1)).toBe(0);
      expect(vmaLookup(mm.vmas, BASE)!.anonVma).toBe(null);
      const child = api.dupMm(mm).mm!;
      expect(api.mprotect(child, BASE + PAGE, PAGE, RW)).toBe(0);
      expect(vmas(child)).toEqual(['0-2']);
    }
  });

  it('D.5: GUP is refused with EFAULT, for reading, writing and pinning, fast and slow; pages before are taken', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 3);
    touch(api, mm, BASE, 3);
    guard(mm, 1, 1);
    const taken = new Uint32Array(3);
    for (const flags of [0, FOLL_WRITE]) {
      expect(api.getUserPagesUnlocked(mm, BASE + PAGE, 1, taken, flags | FOLL_GET)).toBe(-EFAULT);
      expect(api.pinUserPagesFast(mm, BASE + PAGE, 1, flags, taken)).toBe(-EFAULT);
      expect(api.pinUserPagesFast(mm, BASE, 3, flags, taken)).toBe(1);
      api.unpinUserPages(mm.memory, taken, 1);
    }
    expect(pages(mm, 3)).toBe('xgx');
  });

  it('FACTS 17: populate fails with EFAULT at a guard, pages before it are there', () => {
    for (const advice of [MADV_POPULATE_READ, MADV_POPULATE_WRITE]) {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      guard(mm, 2, 1);
      expect(advise(mm, 0, 4, advice)).toBe(-EFAULT);
      expect([pages(mm, 4), isLocked(mm.mmapLock)]).toEqual(['xxg.', false]);
    }
  });

  it.each([
    ['DONTNEED', MADV_DONTNEED],
    ['DONTNEED_LOCKED', MADV_DONTNEED_LOCKED],
    ['FREE', MADV_FREE],
  ])('FACTS 18: guards survive MADV_%s', (_advice, advice) => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 3);
    touch(api, mm, BASE + 2 * PAGE);
    guard(mm, 1, 1);
    expect(advise(mm, 0, 3, advice)).toBe(0);
    expect(pages(mm, 3)).toBe(advice === MADV_FREE ? '.gx' : '.g.');
  });

  it('munmap and a fixed mapping take them away', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 3);
    guard(mm, 0, 3);
    api.munmap(mm, BASE, PAGE);
    mapPages(api, mm, 0, 2);
    expect(pages(mm, 3)).toBe('..g');
  });

  it('FACTS 18: the child gets them, from a VMA without an anon_vma too; not with WIPEONFORK', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    guard(mm, 1, 1);
    vmaLookup(mm.vmas, BASE)!.anonVma = null;
    mapPages(api, mm, 4, 2);
    guard(mm, 4, 2);
    expect(advise(mm, 4, 2, MADV_WIPEONFORK)).toBe(0);
    const child = api.dupMm(mm).mm!;
    expect([pages(mm, 6), pages(child, 6)]).toEqual(['.g..gg', '.g....']);
    expect(api.getUserPagesUnlocked(child, BASE + PAGE, 1, null, 0)).toBe(-EFAULT);
  });

  it('FACTS 8: under a pin the page goes from the table, its frame lives on until the unpin', () => {
    const mm = setUp(api);
    const { phys } = mm.memory;
    mapPages(api, mm, 0, 1);
    const taken = new Uint32Array(1);
    expect(api.pinUserPagesFast(mm, BASE, 1, FOLL_WRITE, taken)).toBe(1);
    guard(mm, 0, 1);
    expect([pageMapCount(phys, taken[0]!), pageRefCount(phys, taken[0]!)]).toEqual([0, 1024]);
    api.unpinUserPages(mm.memory, taken, 1);
    expect(pageRefCount(phys, taken[0]!)).toBe(0);
  });

  it('6.18: a read-only VMA may have them', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, PAGE, PROT_READ, ANON | MAP_FIXED);
    expect([guard(mm, 0, 1), pages(mm, 1)]).toEqual([0, 'g']);
  });

  it('FACTS 17: EINVAL for a locked VMA, those before are done; removing is allowed there', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
    guard(mm, 2, 1);
    vmaLookup(mm.vmas, BASE + 2 * PAGE)!.flags |= VM_LOCKED;
    expect(guard(mm, 0, 3)).toBe(-EINVAL);
    expect(pages(mm, 3)).toBe('ggg');
    expect(advise(mm, 0, 3, MADV_GUARD_REMOVE)).toBe(0);
    expect([pages(mm, 3), isLocked(mm.mmapLock)]).toEqual(['...', false]);
  });

  it('6.18: EINVAL for memory of a device, to install and to remove; ENOMEM for a hole, after the rest is done', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    vmaLookup(mm.vmas, BASE)!.flags |= VM_PFNMAP;
    expect([guard(mm, 0, 1), advise(mm, 0, 1, MADV_GUARD_REMOVE)]).toEqual([-EINVAL, -EINVAL]);
    mapPages(api, mm, 3, 1);
    expect([guard(mm, 2, 3), pages(mm, 4)]).toEqual([-ENOMEM, '...g']);
    expect([advise(mm, 2, 3, MADV_GUARD_REMOVE), pages(mm, 4)]).toEqual([-ENOMEM, '....']);
  });
});
