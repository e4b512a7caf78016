import { describe, expect, it } from 'vitest';
import { EINVAL, ENOMEM } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { createInode, filemapAddFolio, folioUnlock, Inode, OpenFile } from '@mmkit/filemap';
import { MADV_FREE, MADV_GUARD_INSTALL, MAP_FIXED, PROT_NONE } from '@mmkit/mm';
import { PG_UPTODATE, putPage, setFlag } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { insertVma, Vma, VM_MAYSHARE, VM_READ, VM_SHARED } from '@mmkit/vma';
import { ANON, BASE, builds, mapPages, PAGE, setUp, thrown, touch } from './builds.ts';
import type { Api } from './builds.ts';

/** The answer as a string of digits, or the errno. */
function ask(api: Api, mm: Mm, page: number, pages: number): string | number {
  const vec = new Uint8Array(pages).fill(7);
  const result = api.mincore(mm, BASE + page * PAGE, pages * PAGE, vec);
  return result === 0 ? vec.join('') : result;
}

/** A shmem file of `pages` pages, mapped at page 0 from its page `pgoff` on. */
function mapFile(mm: Mm, pages: number, pgoff: number, flags: number): Inode {
  const unused = (): never => {
    throw new Error('no page goes');
  };
  const inode = createInode(mm.memory.files, null, { unmapRange: unused, clean: unused });
  inode.size = (pages + pgoff) * PAGE;
  insertVma(mm.vmas, new Vma(BASE, BASE + pages * PAGE, flags, pgoff, new OpenFile(inode, true, true)));
  return inode;
}

function cache(inode: Inode, index: number, uptodate = true): void {
  const { files } = inode;
  const pfn = filemapAddFolio(inode, index);
  if (uptodate) setFlag(files.phys, pfn, PG_UPTODATE);
  folioUnlock(files, pfn);
  putPage(files.phys, pfn);
}

describe.each(builds)('%s build: mincore', (_name, api) => {
  it('6.18: anonymous pages are in memory once touched, the zero page and lazily free ones too', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    touch(api, mm, BASE);
    expect(api.getUserPagesUnlocked(mm, BASE + 2 * PAGE, 1, null, 0)).toBe(1);
    expect(ask(api, mm, 0, 4)).toBe('1010');
    api.madvise(mm, BASE, PAGE, MADV_FREE);
    expect(ask(api, mm, 0, 4)).toBe('1010');
  });

  it('6.18: guards are not; nor is what PROT_NONE never had', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    touch(api, mm, BASE, 2);
    api.madvise(mm, BASE, PAGE, MADV_GUARD_INSTALL);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect(ask(api, mm, 0, 3)).toBe('010');
  });

  it('6.18: for a page of a file that is not mapped the page cache tells, if it was read in', () => {
    for (const flags of [VM_READ, 0, VM_READ | VM_SHARED | VM_MAYSHARE]) {
      const mm = setUp(api);
      const inode = mapFile(mm, 5, 3, flags);
      cache(inode, 4);
      cache(inode, 6, false);
      cache(inode, 7);
      cache(inode, 2);
      expect(ask(api, mm, 0, 5)).toBe('01001');
      expect(ask(api, mm, 1, 3)).toBe('100');
    }
  });

  it('6.18: ENOMEM at a hole; what lies before it has been answered', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    mapPages(api, mm, 3, 1);
    touch(api, mm, BASE + PAGE);
    const vec = new Uint8Array(4).fill(7);
    expect(api.mincore(mm, BASE, 4 * PAGE, vec)).toBe(-ENOMEM);
    expect([...vec]).toEqual([0, 1, 7, 7]);
    expect(ask(api, mm, 2, 2)).toBe(-ENOMEM);
    expect(api.mincore(mm, api.format.userEnd, PAGE, vec)).toBe(-ENOMEM);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('6.18: EINVAL for an unaligned address, 0 for length 0 in a hole; a part of a page is the page', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    touch(api, mm, BASE, 2);
    const vec = new Uint8Array(2);
    expect(api.mincore(mm, BASE + 1, PAGE, vec)).toBe(-EINVAL);
    expect(api.mincore(mm, BASE + 8 * PAGE, 0, vec)).toBe(0);
    expect(api.mincore(mm, BASE, PAGE + 1, vec)).toBe(0);
    expect([...vec]).toEqual([1, 1]);
  });

  it('bad JavaScript values throw RangeError', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    expect(thrown(() => api.mincore(mm, 0.5, PAGE, new Uint8Array(1)))).toBe('RangeError');
    expect(thrown(() => api.mincore(mm, BASE, -1, new Uint8Array(1)))).toBe('RangeError');
    expect(thrown(() => api.mincore(mm, BASE, 2 * PAGE, new Uint8Array(1)))).toBe('RangeError');
    expect(isLocked(mm.mmapLock)).toBe(false);
  });
});
