/** Describing a machine: zones, holes, CPUs, contents; and descriptions that are refused. */
import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  buddyInfo,
  checkPhys,
  countFrames,
  createPhys,
  drainPages,
  freePages,
  frameZone,
  GFP_MOVABLE,
  GFP_ZERO,
  MAX_FRAMES,
  MIN_FRAMES,
  readBytes,
  writeBytes,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Phys, PhysOptions } from '../src/index.ts';
import { expectRefused } from './support.ts';

/** All frames an allocator gives out one by one, ascending. */
function all(phys: Phys): number[] {
  const frames: number[] = [];
  for (let pfn = allocPages(phys, GFP_MOVABLE, 0); pfn > 0; pfn = allocPages(phys, GFP_MOVABLE, 0)) frames.push(pfn);
  return frames.sort((a, b) => a - b);
}

const normal = (
  start: number,
  end: number,
  node: number = 0,
): { kind: number; start: number; end: number; node: number } => ({
  kind: ZONE_NORMAL,
  start,
  end,
  node,
});

/** The option, as the message begins, and a machine that has it wrong. */
const REFUSED: readonly (readonly [string, PhysOptions])[] = [
  ['frames: ', { frames: 0 }],
  ['frames: ', { frames: MIN_FRAMES - 1 }],
  ['frames: ', { frames: MAX_FRAMES + 1 }],
  ['frames: ', { frames: 2 ** 29 }],
  ['frames: ', { frames: 64.5 }],
  ['frames: ', { frames: NaN }],
  ['pageSize: ', { frames: 64, pageSize: 8192 as 4096 }],
  ['cpus: ', { frames: 64, cpus: 0 }],
  ['cpus: ', { frames: 64, cpus: 1025 }],
  ['cpus: ', { frames: 64, cpus: 1.5 }],
  ['minFreeKbytes: ', { frames: 64, minFreeKbytes: -1 }],
  ['minFreeKbytes: ', { frames: 64, minFreeKbytes: 2 ** 31 }],
  ['watermarkScaleFactor: ', { frames: 64, watermarkScaleFactor: 0 }],
  ['watermarkScaleFactor: ', { frames: 64, watermarkScaleFactor: 3001 }],
  ['hole start: ', { frames: 64, holes: [[1, 8]] }],
  ['hole start: ', { frames: 64, holes: [[64, 65]] }],
  [
    'hole start: ',
    {
      frames: 64,
      holes: [
        [8, 16],
        [12, 20],
      ],
    },
  ],
  ['hole end: ', { frames: 64, holes: [[8, 8]] }],
  ['hole end: ', { frames: 64, holes: [[8, 65]] }],
  ['zones.length: ', { frames: 2048, zones: [] }],
  ['zones: ', { frames: 4096, zones: [normal(1024, 4096)] }],
  ['zones: ', { frames: 4096, zones: [normal(0, 1000), normal(1024, 4096, 1)] }],
  ['zone start: ', { frames: 4096, zones: [normal(0, 2048), normal(1024, 4096, 1)] }],
  ['zone end: ', { frames: 4096, zones: [normal(0, 5120)] }],
  ['zone end: ', { frames: 4096, zones: [normal(0, 0)] }],
  ['zone kind: ', { frames: 2048, zones: [{ kind: 4, start: 0, end: 2048 }] }],
  ['zone node: ', { frames: 2048, zones: [normal(0, 2048, -1)] }],
  ['zone node: ', { frames: 2048, zones: [normal(0, 2048, 32)] }],
  ['zones: expected nodes', { frames: 2048, zones: [normal(0, 2048, 1)] }],
  ['zones: expected at most one', { frames: 4096, zones: [normal(0, 1024), normal(1024, 4096)] }],
];

describe('createPhys', () => {
  it.each(REFUSED)('refuses by name: %s%j', (message, options) => {
    expect(() => createPhys(options)).toThrow(RangeError);
    expect(() => createPhys(options)).toThrow(message);
  });

  it('accepts the smallest and the largest machine', () => {
    const small = createPhys({ frames: MIN_FRAMES });
    expect(all(small)).toEqual(Array.from({ length: MIN_FRAMES - 2 }, (_, i) => i + 2));
    checkPhys(small);
    const large = createPhys({ frames: MAX_FRAMES, contents: false });
    expect(large.freeFrames).toBe(2 ** 29 - 3);
    const pfn = allocPages(large, 0, 10);
    freePages(large, pfn, 10);
    checkPhys(large);
  });

  it.each([
    [64, [[20, 24]]],
    [64, [[2, 3]]],
    [64, [[63, 64]]],
    [
      5000,
      [
        [1000, 1500],
        [1500, 1501],
        [3000, 5000],
      ],
    ],
    [5000, [[1024, 2048]]],
    [5000, [[1023, 4097]]],
  ] as [number, [number, number][]][])('a machine of %i frames without %j', (frames, holes) => {
    const phys = createPhys({ frames, holes });
    const there = Array.from({ length: frames - 2 }, (_, i) => i + 2);
    const wanted = there.filter((pfn) => !holes.some(([start, end]) => pfn >= start && pfn < end));
    expect(phys.zones[0]).toMatchObject({ present: wanted.length + 2, managed: wanted.length, free: wanted.length });
    checkPhys(phys);
    const fresh = buddyInfo(phys);
    expect(all(phys)).toEqual(wanted);
    checkPhys(phys);
    expect(countFrames(phys)).toMatchObject({ free: 0, used: wanted.length, reserved: 2 });
    for (const pfn of wanted) freePages(phys, pfn, 0);
    drainPages(phys);
    checkPhys(phys);
    expect(buddyInfo(phys)).toEqual(fresh);
  });

  it('has nothing between zones, and zones without memory', () => {
    const phys = createPhys({
      frames: 8192,
      zones: [
        { kind: ZONE_DMA, start: 0, end: 1024 },
        { kind: ZONE_DMA32, start: 2048, end: 4096 },
        { kind: ZONE_MOVABLE, start: 5120, end: 8192 },
      ],
      holes: [[1000, 4096]],
    });
    expect(phys.zones.map(({ present, managed, free }) => [present, managed, free])).toEqual([
      [1000, 998, 998],
      [0, 0, 0],
      [3072, 3072, 3072],
    ]);
    checkPhys(phys);
    expect(all(phys).length).toBe(998);
    expect(frameZone(phys, 700).kind).toBe(ZONE_DMA);
    expect(frameZone(phys, 6000).kind).toBe(ZONE_MOVABLE);
    checkPhys(phys);
  });

  it('of a node whose zones lie apart, and of nodes that take turns', () => {
    const phys = createPhys({
      frames: 4096,
      zones: [
        { kind: ZONE_DMA, start: 0, end: 1024, node: 1 },
        { kind: ZONE_NORMAL, start: 1024, end: 2048, node: 0 },
        { kind: ZONE_NORMAL, start: 2048, end: 3072, node: 1 },
        { kind: ZONE_MOVABLE, start: 3072, end: 4096, node: 0 },
      ],
      cpus: 2,
    });
    const kinds = phys.nodes.map((node) => node.zonelist.map((zone) => zone.index));
    expect(kinds).toEqual([
      [3, 1, 2, 0],
      [2, 0, 3, 1],
    ]);
    const pfn = allocPages(phys, 0, 0);
    expect(frameZone(phys, pfn).index).toBe(1);
    checkPhys(phys);
  });

  it('without contents counts and pins as always, but has no bytes: NO_CONTENTS', () => {
    const phys = createPhys({ frames: 64, contents: false });
    const pfn = allocPages(phys, GFP_ZERO, 2);
    freePages(phys, pfn, 2);
    expect(allocPages(phys, GFP_ZERO, 2)).toBe(pfn);
    const bytes = new Uint8Array(8);
    expectRefused(phys, 'NO_CONTENTS', () => readBytes(phys, pfn, 0, bytes, 0, 8));
    expectRefused(phys, 'NO_CONTENTS', () => writeBytes(phys, pfn, 0, bytes, 0, 8));
    checkPhys(phys);
    expect(allocPages(phys, 0, 6)).toBe(-ENOMEM);
  });
});
