/**
 * Views of the allocator in Linux's own form: `/proc/buddyinfo`, `/proc/pagetypeinfo`, `/proc/zoneinfo` of 6.18. For
 * people and for programs that read those files; they walk lists, so they are not for hot paths.
 *
 * Differs from Linux: zones without memory are left out; zoneinfo has only the rows this package knows. Left out are
 * the per-node statistics but those of LRU lists, nr_zone_write_pending, nr_mlock, nr_zspages, the NUMA counters, the
 * threshold of per-CPU statistics, and node_unreclaimable.
 */
import type { Phys } from './frame.ts';
import { nodeLruPages } from './lru.ts';
import { MIGRATE_MOVABLE, MIGRATE_NAMES, MIGRATE_TYPES, NR_PAGE_ORDERS, ZONE_KINDS, ZONE_NAMES } from './zone.ts';
import type { Zone } from './zone.ts';

/** Names of the LRU lists in zoneinfo, by LRU_*. */
const LRU_NAMES = ['inactive_anon', 'active_anon', 'inactive_file', 'active_file', 'unevictable'] as const;
/** Zone kinds Linux has above ours: ZONE_DEVICE. */
const KINDS_ABOVE = 1;
/** Width of a statistic's name. */
const STAT_WIDTH = 12;

function zoneTitle(zone: Zone): string {
  return `zone ${ZONE_NAMES[zone.kind]!.padStart(8)}`;
}

/** `/proc/buddyinfo`: free blocks of each zone by order; per-CPU lists do not count. */
export function buddyinfoText(phys: Phys): string {
  let text = '';
  for (const zone of phys.zones) {
    const counts = Array.from(zone.nrFree, (count) => `${String(count).padStart(6)} `).join('');
    text += `Node ${zone.node}, ${zoneTitle(zone)} ${counts}\n`;
  }
  return text;
}

/** Free blocks of one list. */
function countList(phys: Phys, zone: Zone, type: number, order: number): number {
  let count = 0;
  for (let pfn = zone.heads[type * NR_PAGE_ORDERS + order]!; pfn !== 0; pfn = phys.cold[(pfn << 2) + 1]!) count++;
  if (type !== MIGRATE_MOVABLE || order !== NR_PAGE_ORDERS - 1) return count;
  for (let i = 0; i < zone.fresh.length; i += 2) count += (zone.fresh[i + 1]! - zone.fresh[i]!) >> order;
  return count;
}

/** Pageblocks of a zone by type; those without memory do not count. */
function countPageblocks(phys: Phys, zone: Zone): number[] {
  const counts = new Array<number>(MIGRATE_TYPES).fill(0);
  const end = Math.ceil(zone.end / 2 ** phys.pageblockOrder);
  for (let block = zone.start >> phys.pageblockOrder; block < end; block++) {
    const type = phys.pageblocks[block]! & 7;
    if (type < MIGRATE_TYPES) counts[type]!++;
  }
  return counts;
}

/** `/proc/pagetypeinfo` of a kernel with CMA: free blocks by zone, type and order, and pageblocks by type. */
export function pagetypeinfoText(phys: Phys): string {
  const orders = Array.from({ length: NR_PAGE_ORDERS }, (_, order) => order);
  let text = `Page block order: ${phys.pageblockOrder}\nPages per block:  ${1 << phys.pageblockOrder}\n\n`;
  text += `Free pages count per migrate type at order  ${orders.map((order) => `${String(order).padStart(6)} `).join('')}\n`;
  for (const zone of phys.zones) {
    for (let type = 0; type < MIGRATE_TYPES; type++) {
      const counts = orders.map((order) => `${String(countList(phys, zone, type, order)).padStart(6)} `).join('');
      text += `Node ${String(zone.node).padStart(4)}, ${zoneTitle(zone)}, type ${MIGRATE_NAMES[type]!.padStart(12)} ${counts}\n`;
    }
  }
  text += `\nNumber of blocks type  ${MIGRATE_NAMES.map((name) => `${name.padStart(12)} `).join('')}\n`;
  for (const zone of phys.zones) {
    const counts = countPageblocks(phys, zone).map((count) => `${String(count).padStart(12)} `);
    text += `Node ${zone.node}, ${zoneTitle(zone)} ${counts.join('')}\n`;
  }
  return text;
}

/** `/proc/zoneinfo`: free frames, watermarks, sizes, reserves, LRU lists, per-CPU lists. */
export function zoneinfoText(phys: Phys): string {
  return phys.zones.map((zone) => zoneText(phys, zone)).join('');
}

function zoneText(phys: Phys, zone: Zone): string {
  const lines = [`Node ${zone.node}, ${zoneTitle(zone)}`];
  const stat = (name: string, value: number): void => void lines.push(`      ${name.padEnd(STAT_WIDTH)} ${value}`);
  if (phys.nodes[zone.node]!.zones.find((one) => one !== null) === zone) {
    lines.push('  per-node stats');
    LRU_NAMES.forEach((name, list) => stat(`nr_${name}`, nodeLruPages(phys, zone.node, list)));
  }
  lines.push(`  pages free     ${zone.free}`);
  const { boost, min, low, high, promo, present, managed, cma } = zone;
  const rows = { boost, min, low, high, promo, spanned: zone.end - zone.start, present, managed, cma };
  for (const [name, value] of Object.entries(rows)) lines.push(`        ${name.padEnd(8)} ${value}`);
  const reserve = Array.from({ length: ZONE_KINDS + KINDS_ABOVE }, (_, kind) => reserveAgainst(zone, kind));
  lines.push(`        protection: (${reserve.join(', ')})`);
  stat('nr_free_pages', zone.free);
  stat('nr_free_pages_blocks', freeInBlocks(phys, zone));
  LRU_NAMES.forEach((name, list) => stat(`nr_zone_${name}`, zone.lruPages[list]!));
  stat('nr_free_cma', zone.freeCma);
  lines.push('  pagesets');
  zone.pcps.forEach((pcp, cpu) => {
    lines.push(`    cpu: ${cpu}`);
    const marks = { count: pcp.count, high: pcp.high, batch: pcp.batch, high_min: pcp.highMin, high_max: pcp.highMax };
    for (const [name, value] of Object.entries(marks)) lines.push(`              ${`${name}:`.padEnd(9)} ${value}`);
  });
  lines.push(`  start_pfn:           ${zone.start}`);
  return `${lines.join('\n')}\n`;
}

function reserveAgainst(zone: Zone, kind: number): number {
  return zone.lowmemReserve[Math.min(kind, ZONE_KINDS - 1)]!;
}

/** Free frames in blocks of a pageblock or more. */
function freeInBlocks(phys: Phys, zone: Zone): number {
  let frames = 0;
  for (let order = phys.pageblockOrder; order < NR_PAGE_ORDERS; order++) frames += zone.nrFree[order]! << order;
  return frames;
}
