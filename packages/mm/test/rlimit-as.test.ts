/** RLIMIT_AS: the answers of a running 6.18 to the same calls with the same room. */
import { describe, expect, it } from 'vitest';
import { lockMmAndFindVma, Mm, mmapReadUnlock } from '@mmkit/aspace';
import { EEXIST, EFAULT, ENOMEM } from '@mmkit/base';
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
} from '@mmkit/mm';
import { ANON, BASE, builds, mapPages, PAGE, RW, setUp, vmas } from './builds.ts';
import type { Api } from './builds.ts';

const at = (page: number): number => BASE + page * PAGE;

describe.each(builds)('%s build: RLIMIT_AS', (_name, api: Api) => {
  const map = (mm: Mm, page: number, count: number, prot = RW, flags = MAP_FIXED): number =>
    api.mmap(mm, at(page), count * PAGE, prot, ANON | flags);
  /** Ten pages from page 0 on, and room for `room` more. */
  const limited = (room: number): Mm => {
    const mm = setUp(api);
    expect(mm.rlimitAs).toBe(Infinity);
    mapPages(api, mm, 0, 10);
    mm.rlimitAs = (10 + room) * PAGE;
    return mm;
  };

  it('6.18: mmap over it is ENOMEM, whatever the rights; a part of a page is no room', () => {
    const mm = limited(3);
    mm.rlimitAs += PAGE - 1;
    expect([map(mm, 100, 4), map(mm, 100, 4, PROT_NONE), vmas(mm)]).toEqual([-ENOMEM, -ENOMEM, ['0-10']]);
    expect([map(mm, 100, 3), map(mm, 200, 1)]).toEqual([at(100), -ENOMEM]);
  });

  it('6.18: what a fixed mapping replaces does not count twice; refused, it replaces nothing', () => {
    const mm = limited(3);
    expect([map(mm, 3, 10), mm.vmas.totalPages]).toEqual([at(3), 13]);
    expect([map(mm, 3, 11), vmas(mm)]).toEqual([-ENOMEM, ['0-13']]);
    expect([map(mm, 3, 10, PROT_NONE), vmas(mm)]).toEqual([at(3), ['0-3', '3-13']]);
  });

  it('6.18: under a limit that was lowered below what there is, even a mapping of what is there is refused', () => {
    const mm = limited(0);
    mm.rlimitAs = PAGE;
    expect([map(mm, 0, 1), map(mm, 0, 1, RW, MAP_FIXED_NOREPLACE)]).toEqual([-ENOMEM, -EEXIST]);
    expect(api.mremap(mm, at(0), 10 * PAGE, 10 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(50))).toBe(at(50));
    expect([api.munmap(mm, at(50), 5 * PAGE), vmas(mm)]).toEqual([0, ['55-60']]);
  });

  it('6.18: mremap: growth counts, in place and moving; a move does not; MREMAP_DONTUNMAP counts in full', () => {
    const mm = limited(2);
    expect(api.mremap(mm, at(0), 10 * PAGE, 13 * PAGE, 0)).toBe(-ENOMEM);
    expect(api.mremap(mm, at(0), 10 * PAGE, 12 * PAGE, 0)).toBe(at(0));
    const move = MREMAP_MAYMOVE | MREMAP_FIXED;
    expect(api.mremap(mm, at(0), 12 * PAGE, 12 * PAGE, move, at(500))).toBe(at(500));
    expect(api.mremap(mm, at(500), 12 * PAGE, 12 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)).toBe(-ENOMEM);
    expect(api.mremap(mm, at(500), 12 * PAGE, 13 * PAGE, MREMAP_MAYMOVE)).toBe(-ENOMEM);
    expect(vmas(mm)).toEqual(['500-512']);
  });

  it('6.18: a stack grows within it; fork passes it on', () => {
    const mm = limited(5);
    map(mm, 600, 1, RW, MAP_FIXED | MAP_GROWSDOWN);
    expect(lockMmAndFindVma(mm, at(595))).toBe(-EFAULT);
    expect(lockMmAndFindVma(mm, at(596))).not.toBe(-EFAULT);
    mmapReadUnlock(mm);
    expect(vmas(mm)).toEqual(['0-10', '596-601']);
    const child = api.dupMm(mm).mm!;
    expect(child.rlimitAs).toBe(15 * PAGE);
  });
});
