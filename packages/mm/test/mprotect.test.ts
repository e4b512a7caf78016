/** N.14, FACTS 9, 10, 19, D.2: mprotect. */
import { describe, expect, it } from 'vitest';
import { EACCES, EINVAL, ENOMEM, EPERM, FOLL_WRITE } from '@mmkit/base';
import { fileRmap } from '@mmkit/aspace';
import { createInode, OpenFile } from '@mmkit/filemap';
import { MAP_FIXED, MAP_SHARED, PROT_GROWSDOWN, PROT_GROWSUP, PROT_NONE, PROT_READ, PROT_SEM } from '@mmkit/mm';
import { createVmaTree } from '@mmkit/vma';
import { ANON, BASE, builds, mapPages, PAGE, pfnAt, RW, setUp, thrown, touch, vmas } from './builds.ts';

describe.each(builds)('%s build: mprotect', (_name, api) => {
  const faults = (mm: ReturnType<typeof setUp>): number => mm.memory.stat.pgfault;

  it('FACTS 10: made writable again, an exclusive page takes no fault, a shared one does', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    touch(api, mm, BASE, 2);
    api.mprotect(mm, BASE, 2 * PAGE, PROT_READ);
    api.mprotect(mm, BASE, 2 * PAGE, RW);
    const before = faults(mm);
    expect([touch(api, mm, BASE, 2), faults(mm) - before]).toEqual([2, 0]);
    api.dupMm(mm);
    api.mprotect(mm, BASE, 2 * PAGE, PROT_READ);
    api.mprotect(mm, BASE, 2 * PAGE, RW);
    expect([touch(api, mm, BASE, 2), faults(mm) - before]).toEqual([2, 2]);
  });

  it('N.14: PROT_NONE keeps the page, and gives it back; nobody gets at it meanwhile', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const pfn = pfnAt(mm, BASE);
    expect(api.mprotect(mm, BASE, PAGE, PROT_NONE)).toBe(0);
    expect(api.getUserPagesFast(mm, BASE, 1, 0, new Uint32Array(1))).toBeLessThan(0);
    expect(pfnAt(mm, BASE)).toBe(pfn);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ)).toBe(0);
    const pages = new Uint32Array(1);
    expect([api.getUserPagesFast(mm, BASE, 1, 0, pages), pages[0]]).toEqual([1, pfn]);
  });

  it('D.2: a pinned page made read-only stays pinned and in place', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    const pages = new Uint32Array(1);
    expect(api.pinUserPagesFast(mm, BASE, 1, FOLL_WRITE, pages)).toBe(1);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ)).toBe(0);
    expect(pfnAt(mm, BASE)).toBe(pages[0]);
    api.unpinUserPages(mm.memory, pages, 1);
  });

  it('read-only memory takes no write any more', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    api.mprotect(mm, BASE, PAGE, PROT_READ);
    expect(api.getUserPagesFast(mm, BASE, 1, FOLL_WRITE, new Uint32Array(1))).toBeLessThan(0);
  });

  it('FACTS 19: locked memory that becomes writable gets its own pages at once', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, 2 * PAGE, PROT_READ, ANON | MAP_FIXED);
    expect(api.mlock(mm, BASE, 2 * PAGE)).toBe(0);
    expect(mm.anonPages).toBe(0);
    const before = faults(mm);
    expect(api.mprotect(mm, BASE, 2 * PAGE, RW)).toBe(0);
    expect([mm.anonPages, faults(mm) - before]).toEqual([2, 2]);
  });

  it('a hole: ENOMEM, and what lies before it has the rights', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    mapPages(api, mm, 2, 1);
    expect(api.mprotect(mm, BASE, 3 * PAGE, PROT_READ)).toBe(-ENOMEM);
    expect(touch(api, mm, BASE)).toBeLessThan(0);
    expect(touch(api, mm, BASE + 2 * PAGE)).toBe(1);
    expect(api.mprotect(mm, BASE + PAGE, PAGE, PROT_READ)).toBe(-ENOMEM);
    expect(api.mprotect(mm, BASE + 2 * PAGE, Number.MAX_SAFE_INTEGER, PROT_NONE)).toBe(-ENOMEM);
    expect(touch(api, mm, BASE + 2 * PAGE)).toBeLessThan(0);
  });

  it('EACCES where the file is not open for it, EPERM where it is sealed, EINVAL for bad arguments', () => {
    const mm = setUp(api);
    const inode = createInode(mm.memory.files, null, fileRmap(mm.memory));
    inode.size = PAGE;
    api.mmap(mm, BASE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, new OpenFile(inode, true, false));
    expect(api.mprotect(mm, BASE, PAGE, RW)).toBe(-EACCES);
    mapPages(api, mm, 4, 1);
    expect(api.mseal(mm, BASE + 4 * PAGE, PAGE)).toBe(0);
    expect(api.mprotect(mm, BASE + 4 * PAGE, PAGE, PROT_READ)).toBe(-EPERM);
    expect(api.mprotect(mm, BASE + 1, PAGE, PROT_READ)).toBe(-EINVAL);
    expect(api.mprotect(mm, BASE, PAGE, 0x10)).toBe(-EINVAL);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ | PROT_SEM)).toBe(0);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP)).toBe(-EINVAL);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ | PROT_GROWSDOWN)).toBe(-EINVAL);
    expect(api.mprotect(mm, BASE, PAGE, PROT_READ | PROT_GROWSUP)).toBe(-EINVAL);
    expect(api.mprotect(mm, BASE, 0, PROT_READ)).toBe(0);
    expect(thrown(() => api.mprotect(mm, 0.5, PAGE, PROT_READ))).toBe('RangeError');
  });

  it('ENOMEM when a split would exceed the map count', () => {
    const mm = setUp(api, 64, createVmaTree({ maxMapCount: 1 }));
    mapPages(api, mm, 0, 3);
    expect(api.mprotect(mm, BASE + PAGE, PAGE, PROT_READ)).toBe(-ENOMEM);
    expect(vmas(mm)).toEqual(['0-3']);
  });
});
