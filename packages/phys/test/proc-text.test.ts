/**
 * The /proc views against files that a running Linux 6.18 printed: x86-64, two CPUs, 16 GiB of memory with large holes,
 * min_free_kbytes 67584 (test/data).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { setPageblockType } from '../src/buddy.ts';
import { moveFreepagesBlock } from '../src/fallback.ts';
import {
  allocPages,
  buddyinfoText,
  checkPhys,
  createPhys,
  drainPages,
  folioAddLru,
  freePages,
  GFP_COMP,
  GFP_DMA32,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MOVABLE,
  linuxZones,
  MIGRATE_UNMOVABLE,
  pagetypeinfoText,
  PG_SWAPBACKED,
  Phys,
  setFlag,
  splitPage,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_NORMAL,
  zoneinfoText,
} from '../src/index.ts';

function recorded(name: string): string {
  return readFileSync(new URL(`data/${name}.txt`, import.meta.url), 'utf8');
}

/** The recorded machine: the same zones, with holes so that each has as many frames to give. */
function recordedMachine(): Phys {
  const starts = [0, 4096, 1_048_576, 1_048_576 + 5_505_024];
  const managed = [3840, 772_917, 3_112_960];
  const zones = [ZONE_DMA, ZONE_DMA32, ZONE_NORMAL].map((kind) => ({
    kind,
    start: starts[kind]!,
    end: starts[kind + 1]!,
  }));
  const holes = zones.map(({ kind, start, end }): [number, number] => {
    // DMA: below 1 MiB, as on a PC; the others: at their end.
    return kind === ZONE_DMA ? [2, 256] : [start + managed[kind]!, end];
  });
  return createPhys({ frames: starts[3]!, zones, holes, cpus: 2, minFreeKbytes: 67_584, contents: false });
}

/** The lines of each zone of a zoneinfo text, by the zone's name. */
function zonesOf(text: string): Map<string, string[]> {
  const parts = text.split(/^Node \d+, zone +/m).slice(1);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part.split('\n')]));
}

describe('/proc/zoneinfo', () => {
  const linux = zonesOf(recorded('zoneinfo'));
  const ours = zonesOf(zoneinfoText(recordedMachine()));

  it.each(['DMA', 'DMA32', 'Normal'])(
    '%s: watermarks, reserves and per-CPU marks are those Linux printed (N.15)',
    (name) => {
      const rows = /^ +(boost|min|low|high|promo|managed|cma|protection:|batch:|high_min:|high_max:|cpu:)/;
      // `high` of the watermarks has eight spaces before it; that of a per-CPU list moves with use.
      const pick = (lines: string[]): string[] => lines.filter((line) => rows.test(line) && !/^ {14}high:/.test(line));
      expect(pick(ours.get(name)!)).toEqual(pick(linux.get(name)!));
    },
  );

  it('every row is one Linux has, in its order and width', () => {
    for (const [name, lines] of ours) {
      const shape = (line: string): string => line.replace(/\d+/g, '0');
      const known = linux.get(name)!.map(shape);
      const said = lines.slice(1).map(shape);
      let at = 0;
      for (const line of said) {
        const found = known.indexOf(line, at);
        expect(found, `${name}: ${line}`).toBeGreaterThanOrEqual(0);
        at = found;
      }
    }
  });

  it('nr_free_pages and the per-CPU counts follow an allocation', () => {
    const phys = recordedMachine();
    const pfn = allocPages(phys, GFP_KERNEL, 0);
    const zone = phys.zones[2]!;
    expect(pfn).toBeGreaterThanOrEqual(zone.start);
    const lines = zonesOf(zoneinfoText(phys)).get('Normal')!;
    expect(lines).toContain(`      nr_free_pages ${zone.managed - 63}`);
    expect(lines).toContain('              count:    62');
  });

  it('nr_inactive_anon of the node and nr_zone_inactive_anon of the zone follow the LRU lists', () => {
    const phys = recordedMachine();
    const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE | GFP_COMP, 3);
    setFlag(phys, pfn, PG_SWAPBACKED);
    folioAddLru(phys, pfn);
    const zones = zonesOf(zoneinfoText(phys));
    expect(zones.get('DMA')!.slice(1, 4)).toEqual([
      '  per-node stats',
      '      nr_inactive_anon 8',
      '      nr_active_anon 0',
    ]);
    expect(zones.get('Normal')).toContain('      nr_zone_inactive_anon 8');
    expect(zones.get('Normal')).not.toContain('  per-node stats');
  });
});

describe('/proc/buddyinfo', () => {
  it('is byte for byte what Linux prints for the same counts', () => {
    const phys = recordedMachine();
    const lines = recorded('buddyinfo').trimEnd().split('\n');
    phys.zones.forEach((zone, i) => zone.nrFree.set(lines[i]!.trim().split(/ +/).slice(4).map(Number)));
    expect(buddyinfoText(phys)).toBe(recorded('buddyinfo'));
  });

  it('a fresh DMA zone has the blocks that Linux has left of its own', () => {
    expect(buddyinfoText(recordedMachine()).split('\n')[0]).toBe(recorded('buddyinfo').split('\n')[0]);
  });
});

/** Frees the first 2^order frames of a block of order 10, as frames of a type. */
function freePart(phys: Phys, block: number, order: number, type: number): void {
  if (order === 10) return freePages(phys, block, 10);
  setPageblockType(phys, block, type);
  splitPage(phys, block);
  for (let pfn = block; pfn < block + 2 ** order; pfn++) freePages(phys, pfn, 0);
}

describe('/proc/pagetypeinfo', () => {
  /** The text without what a kernel without CMA does not have. */
  function withoutCma(text: string): string {
    return text
      .split('\n')
      .filter((line) => !/type +CMA/.test(line))
      .map((line) => (line.startsWith('Number of') ? line.replace(/ {9}CMA /, '') : line))
      .map((line) => line.replace(/^(Node \d+, zone .{8} (?: *\d+ ){4}) *\d+ ( *\d+ )$/, '$1$2'))
      .join('\n');
  }

  it('header and the rows of the DMA zone are byte for byte what Linux printed', () => {
    const phys = recordedMachine();
    moveFreepagesBlock(phys, phys.zones[0]!, 0, MIGRATE_UNMOVABLE);
    const ours = withoutCma(pagetypeinfoText(phys)).split('\n');
    const linux = recorded('pagetypeinfo').split('\n');
    const wanted = linux.filter((line) => !/zone +(DMA32|Normal)/.test(line));
    expect(ours.filter((line) => !/zone +(DMA32|Normal)/.test(line))).toEqual(wanted);
    expect(wanted.length).toBeGreaterThan(10);
  });

  it('free lists that hold the blocks Linux had in its DMA32 zone give the rows it printed', () => {
    const phys = createPhys({ frames: 2 ** 20, zones: linuxZones(2 ** 20), contents: false });
    const blocks: number[] = [];
    for (let pfn = 4096; pfn >= 4096; ) {
      pfn = allocPages(phys, GFP_DMA32 | GFP_MOVABLE, 10);
      if (pfn >= 4096) blocks.push(pfn);
    }
    const rows = recorded('pagetypeinfo')
      .split('\n')
      .filter((line) => /zone +DMA32, type/.test(line));
    expect(rows).toHaveLength(5);
    rows.forEach((row, type) => {
      const counts = row.trim().split(/ +/).slice(-11).map(Number);
      counts.forEach((count, order) => {
        // One block of order 10 for each, so that nothing merges.
        for (let i = 0; i < count; i++) freePart(phys, blocks.pop()!, order, type);
      });
    });
    drainPages(phys);
    checkPhys(phys);
    expect(
      pagetypeinfoText(phys)
        .split('\n')
        .filter((line) => rows.includes(line)),
    ).toEqual(rows);
    const buddyinfo = recorded('buddyinfo').split('\n')[1]!;
    expect(buddyinfoText(phys).split('\n')[1]).toBe(buddyinfo);
  });

  it('pageblocks without memory are not counted; blocks never used are', () => {
    const text = pagetypeinfoText(recordedMachine());
    const movable = 3_112_960 / 512;
    expect(text).toContain(`Node 0, zone   Normal            0 ${String(movable).padStart(12)} `);
    expect(text).toMatch(new RegExp(`zone {3}Normal, type {6}Movable (?: +0 ){10} *${3_112_960 / 1024} `));
  });
});
