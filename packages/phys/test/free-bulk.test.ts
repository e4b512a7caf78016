/** `release_pages` for single frames: all of them, or none. */
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  allocPagesBulk,
  checkPhys,
  createPhys,
  freePages,
  freePagesBulk,
  getPage,
  PG_LOCKED,
  setFlag,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { expectRefused } from './support.ts';

function withPages(count: number): { phys: Phys; pages: Uint32Array; free: number } {
  const phys = createPhys({ frames: 256 });
  const free = phys.freeFrames;
  const pages = new Uint32Array(count);
  expect(allocPagesBulk(phys, 0, count, pages)).toBe(count);
  return { phys, pages, free };
}

describe('freePagesBulk', () => {
  it('frees what allocPagesBulk took; 0 frames are none', () => {
    const { phys, pages, free } = withPages(100);
    freePagesBulk(phys, 0, pages);
    expect(phys.freeFrames).toBe(free - 100);
    freePagesBulk(phys, 60, pages);
    expect(phys.freeFrames).toBe(free - 40);
    freePagesBulk(phys, 40, pages.subarray(60));
    expect(phys.freeFrames).toBe(free);
    checkPhys(phys);
  });

  const broken: readonly (readonly [string, string, (phys: Phys, pages: Uint32Array) => void])[] = [
    ['a frame twice', 'DOUBLE_FREE', (_, pages) => pages.set([pages[0]!], 5)],
    ['a free frame', 'DOUBLE_FREE', (phys, pages) => freePages(phys, pages[7]!, 0)],
    ['a frame others hold', 'FREE_REFERENCED', (phys, pages) => getPage(phys, pages[7]!)],
    ['a locked frame', 'FREE_LOCKED', (phys, pages) => setFlag(phys, pages[7]!, PG_LOCKED)],
    ['a block', 'WRONG_ORDER', (phys, pages) => pages.set([allocPages(phys, 0, 1)], 7)],
    ['the zero page', 'FREE_RESERVED', (phys, pages) => pages.set([phys.zeroPfn], 7)],
    ['no frame of the machine', 'RangeError', (_, pages) => pages.set([256], 7)],
  ];
  it.each(broken)('%s among them: %s, and none is freed', (_, code, breakIt) => {
    const { phys, pages } = withPages(8);
    breakIt(phys, pages);
    expectRefused(phys, code, () => freePagesBulk(phys, 8, pages));
  });

  it('RangeError: more than the array has, or no array of PFNs', () => {
    const { phys, pages } = withPages(8);
    expectRefused(phys, 'RangeError', () => freePagesBulk(phys, 9, pages));
    expectRefused(phys, 'RangeError', () => freePagesBulk(phys, -1, pages));
    expectRefused(phys, 'RangeError', () => freePagesBulk(phys, 1, [] as unknown as Uint32Array));
  });
});
