/** 6.18: a page that one call munlocks and mlocks again waits in the CPU's batch for both, and the second may be lost. */
import { describe, expect, it } from 'vitest';
import { fileRmap } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import { createInode, OpenFile } from '@mmkit/filemap';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_LOCKED, MAP_SHARED, MREMAP_FIXED, MREMAP_MAYMOVE } from '@mmkit/mm';
import { PG_MLOCKED, testFlag } from '@mmkit/phys';
import { ANON, BASE, builds, PAGE, pfnAt, RW, setUp } from './builds.ts';

describe.each(builds)('%s build: munlocked and mlocked in one call', (_name, api) => {
  const shmem = (mm: Mm): OpenFile => {
    const inode = createInode(mm.memory.files, null, fileRmap(mm.memory));
    inode.size = 64 * PAGE;
    return new OpenFile(inode, true, true);
  };
  const map = (mm: Mm, page: number, count: number, file: OpenFile, offset = 0): number =>
    api.mmap(mm, BASE + page * PAGE, count * PAGE, RW, MAP_SHARED | MAP_FIXED | MAP_LOCKED, file, offset * PAGE);
  /** `1` for an mlocked page, `.` for another, from page `page` on. */
  const marks = (mm: Mm, page: number, count: number): string =>
    Array.from({ length: count }, (_, i) =>
      testFlag(mm.memory.phys, pfnAt(mm, BASE + (page + i) * PAGE), PG_MLOCKED) ? '1' : '.',
    ).join('');

  it.each([
    [1, '.'],
    [16, `${'.'.repeat(15)}1`],
    [30, `.${'1'.repeat(29)}`],
    [31, '1'.repeat(31)],
    [40, '1'.repeat(40)],
  ])('6.18: mmap over its own place, %i pages: lost up to where the batch of 31 is full', (count, want) => {
    const mm = setUp(api);
    const file = shmem(mm);
    map(mm, 0, count, file);
    expect(marks(mm, 0, count)).toBe('1'.repeat(count));
    map(mm, 0, count, file);
    expect(marks(mm, 0, count)).toBe(want);
  });

  it('6.18: what is unmapped beside fills the batch too', () => {
    const mm = setUp(api);
    const file = shmem(mm);
    map(mm, 20, 20, file);
    api.mmap(mm, BASE, 20 * PAGE, RW, ANON | MAP_FIXED | MAP_LOCKED);
    map(mm, 0, 40, file);
    expect(marks(mm, 0, 40)).toBe(`${'1'.repeat(11)}${'.'.repeat(9)}${'1'.repeat(20)}`);
  });

  it('6.18: mremap that grows over the place of what it grows by', () => {
    const mm = setUp(api);
    map(mm, 0, 4, shmem(mm));
    const flags = MREMAP_FIXED | MREMAP_MAYMOVE;
    expect(api.mremap(mm, BASE, PAGE, 3 * PAGE, flags, BASE + PAGE)).toBe(BASE + PAGE);
    expect(marks(mm, 1, 3)).toBe('1..');
  });

  it('6.18: not a page that another locked mapping has, nor another page of the file', () => {
    const mm = setUp(api);
    const file = shmem(mm);
    map(mm, 0, 4, file);
    map(mm, 8, 2, file);
    map(mm, 0, 4, file);
    expect(marks(mm, 0, 4)).toBe('11..');
    map(mm, 0, 4, file, 16);
    expect(marks(mm, 0, 4)).toBe('1111');
  });

  it('6.18: nor shared anonymous memory, whose pages are new', () => {
    const mm = setUp(api);
    const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED;
    api.mmap(mm, BASE, 4 * PAGE, RW, flags);
    api.mmap(mm, BASE, 4 * PAGE, RW, flags);
    expect(marks(mm, 0, 4)).toBe('1111');
  });

  it('the batch is drained at the end of a call: munmap and then mmap, mlock', () => {
    const mm = setUp(api);
    const file = shmem(mm);
    map(mm, 0, 4, file);
    api.munmap(mm, BASE, 4 * PAGE);
    map(mm, 0, 4, file);
    expect([marks(mm, 0, 4), mm.mlockBatch]).toEqual(['1111', null]);
    map(mm, 0, 4, file);
    expect(marks(mm, 0, 4)).toBe('....');
    expect(api.mlock(mm, BASE, 4 * PAGE)).toBe(0);
    expect(api.munlock(mm, BASE, 4 * PAGE)).toBe(0);
    expect(api.mlock(mm, BASE, 4 * PAGE)).toBe(0);
    expect(marks(mm, 0, 4)).toBe('1111');
  });
});
