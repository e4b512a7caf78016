/** Random calls of the allocator and machines to make them on, for model.test.ts and long-run.ts. */
import {
  GFP_ATOMIC,
  GFP_COMP,
  GFP_DMA,
  GFP_DMA32,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MEMALLOC,
  GFP_NOWAIT,
  GFP_RECLAIMABLE,
  GFP_THISNODE,
  GFP_ZERO,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { PhysOptions } from '../src/index.ts';

/** One random call; what `pick` and `refs` mean depends on `op`. */
export interface Step {
  readonly op: keyof typeof WEIGHTS;
  readonly pick: number;
  readonly order: number;
  readonly refs: number;
  readonly gfp: number;
}

/** The calls, and how often each shall come. */
const WEIGHTS = {
  alloc: 10,
  allocNode: 2,
  free: 4,
  giveBack: 3,
  put: 3,
  unpin: 3,
  get: 1,
  tryGet: 1,
  grabGet: 1,
  grabPin: 1,
  fastPin: 1,
  addPin: 1,
  map: 1,
  mapWhole: 1,
  unmap: 1,
  unmapWhole: 1,
  splitPage: 1,
  drain: 1,
  cpu: 1,
  poison: 1,
  unpoison: 2,
} as const;

/** The calls to draw from. */
export const OPS: readonly (keyof typeof WEIGHTS)[] = Object.entries(WEIGHTS).flatMap(([op, weight]) =>
  new Array<keyof typeof WEIGHTS>(weight).fill(op as keyof typeof WEIGHTS),
);

const GFPS = [0, 0, GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_DMA, GFP_DMA32, GFP_ATOMIC, GFP_NOWAIT, GFP_MEMALLOC];
const EXTRAS = [0, 0, 0, GFP_COMP, GFP_COMP, GFP_ZERO, GFP_RECLAIMABLE, GFP_THISNODE];
/** Allocation flags of all sorts. */
export const ALL_GFPS: readonly number[] = GFPS.flatMap((a) => EXTRAS.flatMap((b) => EXTRAS.map((c) => a | b | c)));

/** Machines: small and medium, of several zones, nodes, CPUs and page sizes, with holes. */
export const MACHINES: readonly PhysOptions[] = [
  { frames: 16 },
  { frames: 61 },
  { frames: 90, holes: [[30, 41]], cpus: 2 },
  { frames: 200, pageSize: 65536, minFreeKbytes: 640 },
  { frames: 3000, cpus: 2, minFreeKbytes: 400 },
  { frames: 2100, pageSize: 16384, shared: true },
  {
    frames: 5000,
    cpus: 2,
    holes: [[700, 1300]],
    zones: [
      { kind: ZONE_DMA, start: 0, end: 1024 },
      { kind: ZONE_NORMAL, start: 1024, end: 5000 },
    ],
  },
  {
    frames: 7000,
    cpus: 3,
    minFreeKbytes: 256,
    contents: false,
    holes: [
      [1500, 1600],
      [4000, 4500],
    ],
    zones: [
      { kind: ZONE_DMA32, start: 0, end: 1024 },
      { kind: ZONE_NORMAL, start: 1024, end: 3072 },
      { kind: ZONE_NORMAL, start: 3072, end: 5120, node: 1 },
      { kind: ZONE_MOVABLE, start: 5120, end: 7000, node: 1 },
    ],
  },
];
