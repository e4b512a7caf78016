/** The part of `checkPhys` about LRU lists and their batches. Changes nothing. */
import { InvariantError } from '@mmkit/base';
import { frameZone } from './buddy.ts';
import { folioNrPages } from './folio.ts';
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, HOT_REFCOUNT } from './frame.ts';
import type { Phys } from './frame.ts';
import { touchedRanges } from './free-area.ts';
import { LRU_PENDING, pendingFolios } from './lru-batch.ts';
import { folioLruList, LRU_UNEVICTABLE, NR_LRU_LISTS } from './lru.ts';
import { ORDER_SHIFT, PG_BUDDY, PG_LRU, PG_PCP, PG_TAIL } from './page-flags.ts';

/** State of a frame that is no folio's head in use. */
const NO_FOLIO = PG_BUDDY | PG_PCP | PG_TAIL;

/**
 * Throws for the first rule broken:
 *
 * | code | rule |
 * |---|---|
 * | BAD_LRU | a list holds folios in use with PG_LRU, of its node and kind, linked both ways from first to last |
 * | LRU_LOST | each folio with PG_LRU that is not unevictable is on a list |
 * | LRU_PAGES | `zone.lruPages` is the number of pages of the zone on each list |
 * | BAD_BATCH | a folio in a batch has a reference for each time; just those that wait for a first list are marked |
 */
export function checkLru(phys: Phys): void {
  const linked = new Set<number>();
  for (let node = 0; node < phys.nodes.length; node++) {
    for (let list = 0; list < LRU_UNEVICTABLE; list++) checkList(phys, node, list, linked);
  }
  checkBatches(phys);
  const pending = new Set(pendingFolios(phys));
  const pages = phys.zones.map(() => new Array<number>(NR_LRU_LISTS).fill(0));
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; ) {
      const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
      if ((flags & NO_FOLIO) === 0) checkFolio(phys, pfn, linked, pending, pages[frameZone(phys, pfn).index]!);
      pfn += 1 << (flags >>> ORDER_SHIFT);
    }
  }
  for (const { index, lruPages } of phys.zones) {
    for (let list = 0; list < NR_LRU_LISTS; list++) {
      if (lruPages[list] === pages[index]![list]) continue;
      const found = pages[index]![list]!;
      throw new InvariantError('LRU_PAGES', `zone ${index}, list ${list}: ${lruPages[list]!} pages, found ${found}`);
    }
  }
}

/** Walks one list and notes who is on it. */
function checkList(phys: Phys, node: number, list: number, linked: Set<number>): void {
  const { hot, cold } = phys;
  const { lruHeads, lruTails } = phys.nodes[node]!;
  let prev = 0;
  for (let pfn = lruHeads[list]!; pfn !== 0; pfn = cold[(pfn << 2) + COLD_NEXT]!) {
    const flags = pfn > 0 && pfn < phys.frames ? hot[(pfn << 2) + HOT_FLAGS]! : 0;
    const fits = (flags & (PG_LRU | NO_FOLIO)) === PG_LRU && hot[(pfn << 2) + HOT_REFCOUNT] !== 0;
    if (!fits || linked.has(pfn) || folioLruList(phys, pfn) !== list || frameZone(phys, pfn).node !== node) {
      throw new InvariantError('BAD_LRU', `frame ${pfn} on LRU list ${list} of node ${node} does not belong there`);
    }
    expectLink(list, cold[(pfn << 2) + COLD_PREV]!, prev);
    linked.add(pfn);
    prev = pfn;
  }
  expectLink(list, lruTails[list]!, prev);
}

function expectLink(list: number, says: number, found: number): void {
  if (says !== found) throw new InvariantError('BAD_LRU', `LRU list ${list} links back to ${says}, not to ${found}`);
}

/** One block in use, or a frame that is in a hole or poisoned. */
function checkFolio(phys: Phys, pfn: number, linked: Set<number>, pending: Set<number>, pages: number[]): void {
  const marked = phys.cold[(pfn << 2) + COLD_NEXT] === LRU_PENDING;
  if (marked !== pending.has(pfn)) {
    throw new InvariantError('BAD_BATCH', `frame ${pfn} waits for an LRU list by its mark or its batch, not by both`);
  }
  if ((phys.hot[(pfn << 2) + HOT_FLAGS]! & PG_LRU) === 0) return;
  const list = folioLruList(phys, pfn);
  if (list !== LRU_UNEVICTABLE && !linked.has(pfn)) {
    throw new InvariantError('LRU_LOST', `frame ${pfn} has PG_LRU and is on no list`);
  }
  pages[list]! += folioNrPages(phys, pfn);
}

/** Each entry of a batch stands for a reference. */
function checkBatches(phys: Phys): void {
  const entries = new Map<number, number>();
  for (const { lruBatches } of phys.cpus) {
    for (const entry of lruBatches.flat()) entries.set(entry >>> 2, (entries.get(entry >>> 2) ?? 0) + 1);
  }
  for (const [pfn, count] of entries) {
    const refs = phys.hot[(pfn << 2) + HOT_REFCOUNT]!;
    if (refs < count) throw new InvariantError('BAD_BATCH', `frame ${pfn} is in batches ${count} times, count ${refs}`);
  }
}
