/** RLIMIT_DATA: the answers of a running 6.18 to the same calls with the same room. */
import { describe, expect, it } from 'vitest';
import { dataPages, lockMmAndFindVma, Mm, mmapReadUnlock } from '@mmkit/aspace';
import { EFAULT, ENOMEM } from '@mmkit/base';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_READ,
} from '@mmkit/mm';
import { ANON, BASE, builds, PAGE, RW, setUp, vmas } from './builds.ts';
import type { Api } from './builds.ts';

const at = (page: number): number => BASE + page * PAGE;

describe.each(builds)('%s build: RLIMIT_DATA', (_name, api: Api) => {
  const map = (mm: Mm, page: number, count: number, prot = RW, flags = ANON): number =>
    api.mmap(mm, at(page), count * PAGE, prot, flags | MAP_FIXED);
  const room = (mm: Mm, pages: number): void => {
    mm.rlimitData = (dataPages(mm) + pages) * PAGE;
  };

  it('6.18: mprotect that makes data of more than fits is ENOMEM and changes nothing of that VMA', () => {
    const mm = setUp(api);
    expect(mm.rlimitData).toBe(Infinity);
    map(mm, 0, 10, PROT_READ);
    room(mm, 4);
    const protect = (page: number, pages: number, prot: number): (number | string)[] => [
      api.mprotect(mm, at(page), pages * PAGE, prot),
      ...vmas(mm),
    ];
    expect(protect(0, 10, RW)).toEqual([-ENOMEM, '0-10']);
    expect(protect(0, 4, RW)).toEqual([0, '0-4', '4-10']);
    expect(protect(0, 5, RW)).toEqual([-ENOMEM, '0-4', '4-10']);
    expect(protect(0, 4, RW | PROT_EXEC)).toEqual([0, '0-4', '4-10']);
    expect(protect(2, 2, PROT_READ)).toEqual([0, '0-2', '2-10']);
    expect(protect(0, 5, RW)).toEqual([-ENOMEM, '0-2', '2-10']);
    // Data that is data already may stay, though there is too much.
    room(mm, -1);
    expect(protect(0, 1, RW | PROT_EXEC)).toEqual([0, '0-1', '1-2', '2-10']);
    expect(protect(5, 1, RW)).toEqual([-ENOMEM, '0-1', '1-2', '2-10']);
  });

  it('6.18: mremap: what is private and writable counts when it grows or is left behind; nothing else does, nor moving', () => {
    const mm = setUp(api);
    map(mm, 0, 4);
    map(mm, 20, 4, PROT_READ);
    map(mm, 40, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
    map(mm, 2000, 4, RW, ANON | MAP_GROWSDOWN);
    room(mm, 2);
    const grow = (page: number, from: number, to: number): number =>
      api.mremap(mm, at(page), from * PAGE, to * PAGE, 0);
    expect([grow(0, 4, 7), grow(20, 4, 7), grow(2000, 4, 7), grow(0, 4, 6)]).toEqual([
      -ENOMEM,
      at(20),
      at(2000),
      at(0),
    ]);
    const leave = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
    expect(api.mremap(mm, at(0), 6 * PAGE, 6 * PAGE, leave)).toBe(-ENOMEM);
    expect(api.mremap(mm, at(20), 7 * PAGE, 7 * PAGE, leave)).toBeGreaterThan(0);
    expect(api.mremap(mm, at(0), 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(100))).toBe(at(100));
    // What is replaced is room, whatever it was; over the limit even data for data is too much.
    expect([map(mm, 20, 1), map(mm, 100, 1)]).toEqual([at(20), -ENOMEM]);
    expect([map(mm, 200, 1, RW, ANON | MAP_NORESERVE), map(mm, 200, 1, PROT_READ)]).toEqual([-ENOMEM, at(200)]);
    expect(lockMmAndFindVma(mm, at(1999))).not.toBe(-EFAULT);
    mmapReadUnlock(mm);
  });

  it('6.18: a limit of 0 binds the heap alone; fork passes the limit on', () => {
    const mm = setUp(api);
    mm.startBrk = at(0);
    mm.brk = at(0);
    mm.rlimitData = 0;
    expect([map(mm, 100, 1), api.brk(mm, at(1)), vmas(mm)]).toEqual([at(100), at(0), ['100-101']]);
    room(mm, 2);
    expect(api.dupMm(mm).mm!.rlimitData).toBe(3 * PAGE);
  });
});
