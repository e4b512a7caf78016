/** Where `allocPages` enters direct reclaim: the `relieve` port, in both builds (N.15). */
import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPagesNowait,
  checkPhys,
  createPhys,
  failAllocations,
  freePages,
  GFP_ATOMIC,
  GFP_DIRECT_RECLAIM,
  GFP_KERNEL,
  GFP_MOVABLE,
  GFP_NOFAIL,
  GFP_NOFS,
  GFP_NORETRY,
  GFP_NOWAIT,
  GFP_RETRY_MAYFAIL,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';

describe.each(BUILDS)('relieve, $name', ({ allocPages, allocPagesBulk, port }) => {
  /** A machine with nothing left; `relieve` notes its calls and does what `does` says with the frames in use. */
  function machine(does: (phys: Phys, used: number[], round: number) => number, frames: number = 64) {
    const calls: [number, number][] = [];
    const used: number[] = [];
    const relieve = port((phys: Phys, gfp: number, order: number): number => {
      calls.push([gfp, order]);
      return does(phys, used, calls.length);
    });
    const phys = createPhys({ frames, relieve });
    for (let pfn = allocPages(phys, GFP_ATOMIC, 0); pfn > 0; pfn = allocPages(phys, GFP_ATOMIC, 0)) used.push(pfn);
    expect(calls).toEqual([]);
    return { phys, calls, used };
  }
  /** Frees the frame that was taken first. */
  const freeOne = (phys: Phys, used: number[]): number => {
    freePages(phys, used.shift()!, 0);
    return 1;
  };
  const progressInVain = (): number => 1;

  it('is not called while there is something above the low watermark, nor where reserves or drained lists will do', () => {
    const relieve = port((): number => {
      throw new Error('called');
    });
    const phys = createPhys({ frames: 4096, cpus: 2, minFreeKbytes: 1024, relieve });
    while (phys.freeFrames > phys.zones[0]!.min + 1) {
      expect(allocPages(phys, GFP_KERNEL | GFP_MOVABLE, 0)).toBeGreaterThan(0);
      phys.cpu = phys.cpus[phys.freeFrames % 2]!;
    }
    checkPhys(phys);
  });

  it('is called with the flags and the order when the rest failed; the allocation is then tried again', () => {
    const { phys, calls } = machine(freeOne);
    expect(allocPages(phys, GFP_KERNEL, 0)).toBe(2);
    expect(calls).toEqual([[GFP_KERNEL, 0]]);
    checkPhys(phys);
  });

  it('that frees nothing is called once: -ENOMEM', () => {
    const { phys, calls } = machine(() => 0);
    expectRefused(phys, '', () => expect(allocPages(phys, GFP_NOFS, 0)).toBe(-ENOMEM));
    expect(calls).toEqual([[GFP_NOFS, 0]]);
  });

  it('that is absent: -ENOMEM', () => {
    const phys = createPhys({ frames: 64 });
    while (allocPagesNowait(phys, 0, 0) > 0);
    expectRefused(phys, '', () => expect(allocPages(phys, GFP_KERNEL, 0)).toBe(-ENOMEM));
  });

  it.each([
    ['GFP_ATOMIC', GFP_ATOMIC],
    ['GFP_NOWAIT', GFP_NOWAIT],
    ['GFP_KERNEL without __GFP_DIRECT_RECLAIM', GFP_KERNEL & ~GFP_DIRECT_RECLAIM],
    ['no flags', 0],
  ])('%s: a caller that may not wait does not reclaim', (_, gfp) => {
    const { phys, calls } = machine(freeOne);
    expect(allocPages(phys, gfp, 0)).toBe(-ENOMEM);
    expect(calls).toEqual([]);
  });

  it.each([
    ['GFP_KERNEL of an order up to 3: 16 rounds', GFP_KERNEL, 3, 16],
    ['__GFP_NORETRY: one round', GFP_KERNEL | GFP_NORETRY, 3, 1],
    ['a costly order: one round', GFP_KERNEL, 4, 1],
    ['a costly order with __GFP_RETRY_MAYFAIL: 16', GFP_KERNEL | GFP_RETRY_MAYFAIL, 4, 16],
    ['both: one', GFP_KERNEL | GFP_RETRY_MAYFAIL | GFP_NORETRY, 3, 1],
  ])('N.15: %s, as long as something is freed', (_, gfp, order, rounds) => {
    const { phys, calls } = machine(progressInVain);
    expect(allocPages(phys, gfp, order)).toBe(-ENOMEM);
    expect(calls).toEqual(new Array(rounds).fill([gfp, order]));
    checkPhys(phys);
  });

  it('stops in the round that frees enough', () => {
    const { phys, calls } = machine(freeOne);
    // Frames 2 to 9 come free one by one: the first aligned block of four is 4 to 7.
    expect(allocPages(phys, GFP_KERNEL, 2)).toBe(4);
    expect(calls.length).toBe(6);
    checkPhys(phys);
  });

  it('N.15: __GFP_NOFAIL goes on as long as something is freed', () => {
    const { phys, calls } = machine((each, used, round) => (round < 40 ? 1 : freeOne(each, used)));
    expect(allocPages(phys, GFP_KERNEL | GFP_NOFAIL, 0)).toBe(2);
    expect(calls.length).toBe(40);
  });

  it('__GFP_NOFAIL in vain: NOFAIL, nothing changed', () => {
    const { phys } = machine(() => 0);
    expectRefused(phys, 'NOFAIL', () => allocPages(phys, GFP_KERNEL | GFP_NOFAIL, 0));
    const without = createPhys({ frames: 64 });
    while (allocPagesNowait(without, 0, 0) > 0);
    expectRefused(without, 'NOFAIL', () => allocPages(without, GFP_KERNEL | GFP_NOFAIL, 0));
  });

  it('is not called by allocPagesNowait, for an order there is none of, and by an allocation made to fail', () => {
    const { phys, calls } = machine(freeOne);
    expect(allocPagesNowait(phys, GFP_KERNEL, 0)).toBe(-ENOMEM);
    expect(allocPages(phys, GFP_KERNEL, 11)).toBe(-ENOMEM);
    failAllocations(phys, {});
    expect(allocPages(phys, GFP_KERNEL, 0)).toBe(-ENOMEM);
    expect(calls).toEqual([]);
  });

  it('serves the frames of a bulk allocation, which ends at the first there is none for', () => {
    const { phys, calls, used } = machine((each, frames) => (frames.length > 59 ? freeOne(each, frames) : 0));
    const pages = new Uint32Array(6).fill(77);
    expect(used.length).toBe(62);
    expect(allocPagesBulk(phys, GFP_KERNEL, 5, pages)).toBe(3);
    expect([...pages]).toEqual([2, 3, 4, 77, 77, 77]);
    expect(calls.length).toBe(4);
    checkPhys(phys);
  });
});

describe.each(BUILDS)('allocPagesBulk, $name', ({ allocPagesBulk }) => {
  it('fills the pages in the order single allocations would come', () => {
    const phys = createPhys({ frames: 64 });
    const pages = new Uint32Array(5);
    expect(allocPagesBulk(phys, GFP_KERNEL, 4, pages)).toBe(4);
    expect([...pages]).toEqual([2, 3, 4, 5, 0]);
    expect(allocPagesBulk(phys, GFP_KERNEL, 0, pages)).toBe(0);
    checkPhys(phys);
  });

  it('refuses bad arguments', () => {
    const phys = createPhys({ frames: 64 });
    const pages = new Uint32Array(5);
    expectRefused(phys, 'RangeError', () => allocPagesBulk(phys, 0, 6, pages));
    expectRefused(phys, 'RangeError', () => allocPagesBulk(phys, 0, -1, pages));
    expectRefused(phys, 'RangeError', () => allocPagesBulk(phys, 0, 1, [] as unknown as Uint32Array));
  });
});
