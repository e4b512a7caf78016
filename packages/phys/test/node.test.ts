/** Zones and nodes: which zone a caller gets, near memory first, memory policies (N.15, set_mempolicy(2)). */
import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  checkPhys,
  createMempolicy,
  createPhys,
  freePages,
  GFP_DMA,
  GFP_DMA32,
  GFP_HIGHMEM,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MOVABLE,
  GFP_THISNODE,
  linuxZones,
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_INTERLEAVE,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';

/** Four zones of 1024 frames in one node: DMA, DMA32, NORMAL, MOVABLE. */
function oneNode(): Phys {
  const zones = [ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE].map((kind) => ({
    kind,
    start: kind * 1024,
    end: kind * 1024 + 1024,
  }));
  return createPhys({ frames: 4096, zones });
}

/** Three nodes of 2048 frames, six CPUs. */
function threeNodes(): Phys {
  const zones = [0, 1, 2].map((node) => ({ kind: ZONE_NORMAL, start: node * 2048, end: node * 2048 + 2048, node }));
  return createPhys({ frames: 6144, zones, cpus: 6 });
}

describe('linuxZones', () => {
  it('N.15: DMA below 16 MiB, DMA32 below 4 GiB, NORMAL above, the last frames MOVABLE', () => {
    expect(linuxZones(2 ** 21)).toEqual([
      { kind: ZONE_DMA, start: 0, end: 4096 },
      { kind: ZONE_DMA32, start: 4096, end: 2 ** 20 },
      { kind: ZONE_NORMAL, start: 2 ** 20, end: 2 ** 21 },
    ]);
    expect(linuxZones(1000)).toEqual([{ kind: ZONE_DMA, start: 0, end: 1000 }]);
    expect(linuxZones(10_000, 4096, 3000)).toEqual([
      { kind: ZONE_DMA, start: 0, end: 4096 },
      { kind: ZONE_DMA32, start: 4096, end: 6144 },
      { kind: ZONE_MOVABLE, start: 6144, end: 10_000 },
    ]);
    // 64 KiB pages: 16 MiB are 256 frames, less than a zone may have.
    expect(linuxZones(2 ** 20, 65536).map(({ end }) => end)).toEqual([1024, 65_536, 2 ** 20]);
  });
});

describe.each(BUILDS)('zones and nodes, $name', (build) => {
  const { allocPages, allocPagesNode, allocPagesNodemask, allocPagesMpol } = build;
  const zoneOf = (phys: Phys, pfn: number): number =>
    phys.zones.findIndex((zone) => pfn >= zone.start && pfn < zone.end);

  it.each([
    ['GFP_DMA', GFP_DMA, [0]],
    ['GFP_DMA32', GFP_DMA32, [1, 0]],
    ['GFP_KERNEL', GFP_KERNEL, [2, 1, 0]],
    ['MOVABLE alone', GFP_MOVABLE, [2, 1, 0]],
    ['HIGHMEM alone', GFP_HIGHMEM, [2, 1, 0]],
    ['GFP_HIGHUSER_MOVABLE', GFP_HIGHUSER_MOVABLE, [3, 2, 1, 0]],
  ] as const)('N.15: %s: zones in turn', (_, gfp, zones) => {
    const phys = oneNode();
    for (const zone of phys.zones) zone.lowmemReserve.fill(0);
    const seen: number[] = [];
    for (let pfn = allocPages(phys, gfp, 5); pfn > 0; pfn = allocPages(phys, gfp, 5)) {
      if (!seen.includes(zoneOf(phys, pfn))) seen.push(zoneOf(phys, pfn));
    }
    expect(seen).toEqual(zones);
    checkPhys(phys);
  });

  it.each([0, 1, 2, 3])(
    'N.15: no zone a caller may have: -ENOMEM, whatever lies on per-CPU lists (order %i)',
    (order) => {
      const phys = createPhys({ frames: 65_536 });
      for (const gfp of [GFP_DMA32, GFP_DMA]) {
        for (let each = 0; each <= 3; each++) freePages(phys, allocPages(phys, 0, each), each);
        expect(phys.zones[0]!.pcps[0]!.count).toBeGreaterThan(8);
        expect(allocPages(phys, gfp, order)).toBe(-ENOMEM);
        expect(phys.freeFrames).toBe(65_534);
        checkPhys(phys);
      }
    },
  );

  it('N.15: a CPU allocates from its node, then from the next ones', () => {
    const phys = threeNodes();
    expect(phys.cpus.map((cpu) => cpu.node)).toEqual([0, 1, 2, 0, 1, 2]);
    expect(phys.nodes.map((node) => node.cpus)).toEqual([2, 2, 2]);
    phys.cpu = phys.cpus[4]!;
    // The second block of a node would leave it below its low watermark: that of the next nodes comes before.
    const nodes = Array.from({ length: 6 }, () => zoneOf(phys, allocPages(phys, GFP_MOVABLE, 10)));
    expect(nodes).toEqual([1, 2, 0, 1, 2, -1]);
    checkPhys(phys);
  });

  it('GFP_THISNODE: from no other node', () => {
    const phys = threeNodes();
    phys.cpu = phys.cpus[2]!;
    let blocks = 0;
    for (let pfn = allocPages(phys, GFP_THISNODE, 6); pfn > 0; pfn = allocPages(phys, GFP_THISNODE, 6)) {
      expect(zoneOf(phys, pfn)).toBe(2);
      blocks++;
    }
    expect(blocks).toBe(32);
    expect(zoneOf(phys, allocPages(phys, 0, 6))).toBe(0);
  });

  it('allocPagesNode begins at a node, allocPagesNodemask keeps to some', () => {
    const phys = threeNodes();
    expect(zoneOf(phys, allocPagesNode(phys, 0, 3, 2))).toBe(2);
    expect(zoneOf(phys, allocPagesNode(phys, 0, 0, 1))).toBe(1);
    expect(zoneOf(phys, allocPagesNodemask(phys, 0, 0, 0, 0b110))).toBe(1);
    expect(zoneOf(phys, allocPagesNodemask(phys, 0, 0, 2, 0b011))).toBe(0);
    expect(allocPagesNodemask(phys, GFP_THISNODE, 0, 2, 0b011)).toBe(-ENOMEM);
    for (const node of [3, -1, 0.5]) expectRefused(phys, 'RangeError', () => allocPagesNode(phys, 0, 0, node));
  });

  it('MPOL_BIND: from its nodes only; MPOL_DEFAULT: near the CPU', () => {
    const phys = threeNodes();
    const bind = createMempolicy(phys, MPOL_BIND, 0b110);
    const nodes = Array.from({ length: 6 }, () => zoneOf(phys, allocPagesMpol(phys, GFP_MOVABLE, 10, bind)));
    expect(new Set(nodes)).toEqual(new Set([1, 2, -1]));
    expect(zoneOf(phys, allocPagesMpol(phys, 0, 0, createMempolicy(phys, MPOL_DEFAULT)))).toBe(0);
  });

  it('MPOL_INTERLEAVE: from its nodes in turn, from others where one has nothing left', () => {
    const phys = threeNodes();
    const policy = createMempolicy(phys, MPOL_INTERLEAVE, 0b101);
    const take = (order: number): number => zoneOf(phys, allocPagesMpol(phys, GFP_MOVABLE, order, policy));
    expect([0, 0, 0, 0, 0].map(take)).toEqual([0, 2, 0, 2, 0]);
    expect([10, 10, 10, 10, 10].map(take)).toEqual([2, 0, 1, 1, -1]);
    checkPhys(phys);
  });
});

describe('createMempolicy', () => {
  it('refuses what is no policy', () => {
    const phys = threeNodes();
    expectRefused(phys, 'BAD_POLICY', () => createMempolicy(phys, MPOL_BIND));
    expectRefused(phys, 'BAD_POLICY', () => createMempolicy(phys, MPOL_INTERLEAVE, 0b1000));
    expectRefused(phys, 'RangeError', () => createMempolicy(phys, 1, 1));
    expectRefused(phys, 'RangeError', () => createMempolicy(phys, MPOL_BIND, -1));
  });
});
