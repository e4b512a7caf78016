/**
 * Single frames as Linux shows them. The kpageflags values are what Linux 6.18 printed for pages of a small program
 * (anonymous, mlocked, shared memory, a huge page, the zero page).
 */
import { FOLL_GET, FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  createPhys,
  dumpPage,
  folioAddRmapPmd,
  folioAddRmapPtes,
  freePages,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  HOT_OWNER,
  kpageFlags,
  OWNER_ANON,
  OWNER_FILE,
  pageOrder,
  pageTypeLetters,
  pageTypeNames,
  pageTypesSummary,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_TABLE,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  Phys,
  refCountParts,
  setFlag,
  setHwpoison,
  tryGrabFolio,
} from '../src/index.ts';
import { refusal } from './support.ts';

function machine(): Phys {
  return createPhys({ frames: 4096, holes: [[2048, 3072]] });
}

/** An anonymous page, mapped once, with these flags besides. */
function anonPage(phys: Phys, order: number, flags: number): number {
  const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE | (order === 0 ? 0 : GFP_COMP), order);
  phys.hot[pfn * 4 + HOT_OWNER] = (7 << 2) | OWNER_ANON;
  setFlag(phys, pfn, PG_UPTODATE | PG_SWAPBACKED | flags);
  if (order === 0) folioAddRmapPtes(phys, pfn);
  else folioAddRmapPmd(phys, pfn);
  return pfn;
}

describe('/proc/kpageflags', () => {
  it('an anonymous page just made: recorded 0x400005808', () => {
    const phys = machine();
    expect(kpageFlags(phys, anonPage(phys, 0, PG_ANON_EXCLUSIVE))).toBe(0x4_0000_5808);
  });

  it('the same mlocked: recorded 0x60004582c', () => {
    const phys = machine();
    const flags = PG_ANON_EXCLUSIVE | PG_REFERENCED | PG_LRU | PG_UNEVICTABLE | PG_MLOCKED;
    expect(kpageFlags(phys, anonPage(phys, 0, flags))).toBe(0x6_0004_582c);
  });

  it('shared memory, dirty: recorded 0x4818', () => {
    const phys = machine();
    const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
    phys.hot[pfn * 4 + HOT_OWNER] = (3 << 2) | OWNER_FILE;
    setFlag(phys, pfn, PG_UPTODATE | PG_DIRTY | PG_SWAPBACKED);
    folioAddRmapPtes(phys, pfn);
    expect(kpageFlags(phys, pfn)).toBe(0x4818);
  });

  it('a huge page: recorded 0x40040d828 for the head, 0x400415828 for a tail', () => {
    const phys = machine();
    const pfn = anonPage(phys, 9, PG_ANON_EXCLUSIVE | PG_LRU);
    expect(kpageFlags(phys, pfn)).toBe(0x4_0040_d828);
    expect(kpageFlags(phys, pfn + 1)).toBe(0x4_0041_5828);
  });

  it('the zero page: recorded 0x101000004, of which referenced is its history', () => {
    expect(kpageFlags(machine(), 1)).toBe(0x1_0100_0000);
  });

  it('a free block, a page table, bad memory, a hole', () => {
    const phys = machine();
    // All frames of a free block, as a count of the recorded machine's bits shows; never used or not.
    expect([1024, 1500, 4095].map((pfn) => kpageFlags(phys, pfn))).toEqual([2 ** 10, 2 ** 10, 2 ** 10]);
    const pfn = allocPages(phys, GFP_KERNEL, 4);
    freePages(phys, pfn, 4);
    const head = phys.zones[0]!.heads.findLast((first) => first !== 0)!;
    expect([kpageFlags(phys, head), kpageFlags(phys, head + 1)]).toEqual([2 ** 10, 2 ** 10]);
    const table = allocPages(phys, GFP_KERNEL, 0);
    setFlag(phys, table, PG_TABLE);
    expect(kpageFlags(phys, table)).toBe(2 ** 26);
    const bad = allocPages(phys, GFP_KERNEL, 0);
    expect(setHwpoison(phys, bad)).toBe(0);
    expect(kpageFlags(phys, bad)).toBe(2 ** 19);
    expect(kpageFlags(phys, 2500)).toBe(2 ** 20);
    expect(refusal(() => kpageFlags(phys, 4096))).toBe('RangeError');
  });

  it('letters and names are those of page-types', () => {
    expect(pageTypeLetters(0x868)).toBe('___U_lA____M______________________');
    expect(pageTypeNames(0x5868)).toBe('uptodate,lru,active,mmap,anonymous,swapbacked');
    expect(pageTypeNames(0)).toBe('');
    expect(pageTypeNames(0x6_0004_582c)).toBe(
      'referenced,uptodate,lru,mmap,anonymous,swapbacked,unevictable,mlocked,owner_2',
    );
  });
});

it('page-types: all frames by their bits, those never used among them', () => {
  const phys = machine();
  allocPages(phys, GFP_KERNEL | GFP_COMP, 4);
  anonPage(phys, 9, PG_ANON_EXCLUSIVE | PG_LRU);
  expect(pageTypesSummary(phys)).toBe(
    [
      '             flags\tpage-count       MB  symbolic-flags\t\t\tlong-symbolic-flags',
      '0x0000000000000400\t      2542        9  __________B_______________________\tbuddy',
      '0x0000000000008000\t         1        0  _______________H__________________\tcompound_head',
      '0x0000000000010000\t        15        0  ________________T_________________\tcompound_tail',
      '0x0000000000100000\t      1024        4  ____________________n_____________\tnopage',
      '0x0000000100000000\t         1        0  ___________________________r______\treserved',
      '0x0000000101000000\t         1        0  ________________________z__r______\tzero_page,reserved',
      '0x000000040040d828\t         1        0  ___U_l_____Ma_bH______t______d____\t' +
        'uptodate,lru,mmap,anonymous,swapbacked,compound_head,thp,owner_2',
      '0x0000000400415828\t       511        1  ___U_l_____Ma_b_T_____t______d____\t' +
        'uptodate,lru,mmap,anonymous,swapbacked,compound_tail,thp,owner_2',
      '             total\t      4096       16',
      '',
    ].join('\n'),
  );
});

describe('the reference count taken apart', () => {
  it('B.7, small: mappings, cache, 1024 a pin, and the rest', () => {
    const phys = machine();
    const pfn = anonPage(phys, 0, 0);
    expect(tryGrabFolio(phys, pfn, 3, FOLL_PIN)).toBe(0);
    expect(tryGrabFolio(phys, pfn, 2, FOLL_GET)).toBe(0);
    expect(refCountParts(phys, pfn)).toEqual({
      refcount: 3075,
      mappings: 1,
      cache: 0,
      pins: 3,
      pinBias: 1024,
      rest: 2,
    });
  });

  it('B.7, large: a pin counts one there', () => {
    const phys = machine();
    const pfn = anonPage(phys, 9, 0);
    expect(tryGrabFolio(phys, pfn + 5, 512, FOLL_PIN)).toBe(0);
    expect(refCountParts(phys, pfn + 7)).toEqual({
      refcount: 513,
      mappings: 1,
      cache: 0,
      pins: 512,
      pinBias: 1,
      rest: 0,
    });
  });

  it("E.1: a file's page in the cache, mapped by nobody", () => {
    const phys = machine();
    const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
    phys.hot[pfn * 4 + HOT_OWNER] = (3 << 2) | OWNER_FILE;
    expect(refCountParts(phys, pfn)).toMatchObject({ refcount: 1, mappings: 0, cache: 1, pins: 0, rest: 0 });
  });

  it('dumpPage says it in words', () => {
    const phys = machine();
    const pfn = anonPage(phys, 0, PG_LOCKED);
    expect(tryGrabFolio(phys, pfn, 1, FOLL_PIN)).toBe(0);
    expect(dumpPage(phys, pfn)).toBe(
      `page: refcount:1025 mapcount:1 mapping:anon 7 index:0x0 pfn:0x${pfn.toString(16)}\n` +
        'flags: 0x20009(locked|uptodate|swapbacked|node=0|zone=Normal)\n' +
        'refcount 1025 = 1 mappings + 0 cache + 1024 × 1 pins + 0 rest\n',
    );
    const thp = anonPage(phys, 9, 0);
    expect(dumpPage(phys, thp + 1)).toContain('head: order:9 mapcount:1 entire_mapcount:1 pincount:0\n');
    expect(dumpPage(phys, 2500)).toBe('page: pfn:0x9c4 there is no such frame\n');
    expect(dumpPage(phys, 3073)).toBe('page: pfn:0xc01 free, order 10\n');
    const block = phys.zones[0]!.heads.findLast((head) => head !== 0)!;
    const order = pageOrder(phys, block);
    expect(dumpPage(phys, block + 2 ** order - 1)).toMatch(
      new RegExp(`^page: pfn:0x[0-9a-f]+ free, order ${order}\n$`),
    );
  });
});
