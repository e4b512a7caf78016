/** The part of `checkPhys` that walks the frame table, block by block. Changes nothing. */
import { InvariantError } from '@mmkit/base';
import { frameZone, pageblockType } from './buddy.ts';
import { checkBounds } from './check-lists.ts';
import { tailWord } from './folio.ts';
import {
  COLD_INDEX,
  COLD_NEXT,
  COLD_PREV,
  COLD_PRIVATE,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  MAX_PAGE_ORDER,
  TAIL_ENTIRE_MAPCOUNT,
  TAIL_LARGE_MAPCOUNT,
  TAIL_NR_PAGES_MAPPED,
  TAIL_PINCOUNT,
} from './frame.ts';
import type { Phys } from './frame.ts';
import { freeFlags, touchedRanges } from './free-area.ts';
import { ORDER_SHIFT, PG_BUDDY, PG_HEAD, PG_HWPOISON, PG_LRU, PG_PCP, PG_RESERVED, PG_TAIL } from './page-flags.ts';
import { GUP_PIN_COUNTING_BIAS } from './refs.ts';
import { MIGRATE_PCPTYPES, MIGRATE_TYPES, PAGEBLOCK_NONE } from './zone.ts';

/** Flags only heads of blocks have, the order among them. */
const HEAD_ONLY = PG_HEAD | PG_BUDDY | PG_PCP | PG_LRU | (0xf << ORDER_SHIFT);

/** What the walk found, in frames unless said. */
export class FrameCensus {
  /** By zone and migrate type: free, in blocks marked PG_BUDDY. */
  readonly free: number[][];
  /** By zone: the number of these blocks. */
  readonly freeBlocks: number[];
  /** By zone: free, on per-CPU lists. */
  readonly cached: number[];
  /** The number of blocks marked PG_PCP. */
  pcpBlocks: number;
  /** By zone: in use, or poisoned. */
  readonly used: number[];
  /** By zone: reserved. */
  readonly reserved: number[];
  /** With PG_HWPOISON, in use or not. */
  poisoned: number;
  /** Pins there is room for: what the counts hold beyond mappings. */
  pins: number;

  constructor(zones: number) {
    const zeros = (): number[] => new Array<number>(zones).fill(0);
    this.free = zeros().map(() => new Array<number>(MIGRATE_TYPES).fill(0));
    this.freeBlocks = zeros();
    this.cached = zeros();
    this.pcpBlocks = 0;
    this.used = zeros();
    this.reserved = zeros();
    this.poisoned = 0;
    this.pins = 0;
  }
}

/** Walks all frames but the fresh ones and fills `census`. */
export function checkFrames(phys: Phys, census: FrameCensus): void {
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; ) {
      const order = phys.hot[(pfn << 2) + HOT_FLAGS]! >>> ORDER_SHIFT;
      if (order !== 0) checkBounds(frameZone(phys, pfn), pfn, order);
      checkBlock(phys, pfn, order, census);
      pfn += 1 << order;
    }
  }
}

/** What begins at `pfn`: a free block, one in use, a poisoned frame, or nothing (a hole). */
function checkBlock(phys: Phys, pfn: number, order: number, census: FrameCensus): void {
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  const zone = frameZone(phys, pfn).index;
  if (flags !== 0 && pageblockType(phys, pfn) === PAGEBLOCK_NONE) {
    throw new InvariantError('BAD_PAGEBLOCK', `frame ${pfn} lies in a pageblock that has no memory`);
  }
  if ((flags & (PG_BUDDY | PG_PCP)) !== 0) return checkFree(phys, pfn, order, zone, census);
  if ((flags & PG_TAIL) !== 0) throw new InvariantError('BAD_COMPOUND', `frame ${pfn} is a tail without a head`);
  if (phys.hot[(pfn << 2) + HOT_REFCOUNT] === 0) {
    if ((flags & ~PG_HWPOISON) !== 0)
      throw new InvariantError('NO_REFERENCE', `frame ${pfn} is in use without a reference`);
    expectZeroWords(phys, pfn, flags);
    if (flags !== 0) {
      census.poisoned++;
      census.used[zone]!++;
    }
    return;
  }
  if ((flags & PG_HEAD) !== 0) checkCompound(phys, pfn, order, census);
  else checkSimple(phys, pfn, order, census);
  const kind = (flags & PG_RESERVED) !== 0 ? census.reserved : census.used;
  kind[zone]! += 1 << order;
  for (let frame = pfn; frame < pfn + (1 << order); frame++) {
    if ((phys.hot[(frame << 2) + HOT_FLAGS]! & PG_HWPOISON) !== 0) census.poisoned++;
  }
  if (pfn + (1 << order) > phys.untouched && (flags & PG_RESERVED) === 0) {
    throw new InvariantError('BAD_UNTOUCHED', `frame ${pfn} is in use, but untouched is ${phys.untouched}`);
  }
}

/** BAD_FREE unless all words of a frame are zero, but for its flags and, on a buddy list, its links. */
function expectZeroWords(phys: Phys, pfn: number, flags: number): void {
  const { hot, cold } = phys;
  const at = pfn << 2;
  let words = hot[at + HOT_REFCOUNT]! | hot[at + HOT_MAPCOUNT]! | hot[at + HOT_OWNER]! | (hot[at + HOT_FLAGS]! ^ flags);
  words |= cold[at + COLD_INDEX]! | cold[at + COLD_PRIVATE]!;
  if ((flags & PG_BUDDY) === 0) words |= cold[at + COLD_NEXT]! | cold[at + COLD_PREV]!;
  if (words !== 0) throw new InvariantError('BAD_FREE', `frame ${pfn} is free, but not all its words are zero`);
}

/** A free block: nothing in its words; its buddy is not free too. */
function checkFree(phys: Phys, pfn: number, order: number, zone: number, census: FrameCensus): void {
  const buddy = (phys.hot[(pfn << 2) + HOT_FLAGS]! & PG_BUDDY) !== 0;
  expectZeroWords(phys, pfn, buddy ? freeFlags(order) : PG_PCP | (order << ORDER_SHIFT));
  for (let frame = pfn + 1; frame < pfn + (1 << order); frame++) expectZeroWords(phys, frame, 0);
  if (!buddy) {
    census.pcpBlocks++;
    census.cached[zone]! += 1 << order;
    return;
  }
  census.freeBlocks[zone]!++;
  census.free[zone]![pageblockType(phys, pfn)]! += 1 << order;
  const other = pfn ^ (1 << order);
  if (order === MAX_PAGE_ORDER || other >= phys.frames) return;
  if (phys.hot[(other << 2) + HOT_FLAGS] !== freeFlags(order) || !mayMerge(phys, pfn, other)) return;
  throw new InvariantError('NOT_MERGED', `free blocks ${pfn} and ${other} of order ${order} are not merged`);
}

/** Whether two free buddies may be one block: of one type, or of types that mix. */
function mayMerge(phys: Phys, pfn: number, other: number): boolean {
  const type = pageblockType(phys, pfn);
  const otherType = pageblockType(phys, other);
  return type === otherType || (type < MIGRATE_PCPTYPES && otherType < MIGRATE_PCPTYPES);
}

/** A block in use that is not compound: its head has the references, for all its mappings. */
function checkSimple(phys: Phys, pfn: number, order: number, census: FrameCensus): void {
  const { hot } = phys;
  const at = pfn << 2;
  let mapped = mapcount(phys, pfn);
  for (let frame = pfn + 1; frame < pfn + (1 << order); frame++) {
    if (hot[(frame << 2) + HOT_REFCOUNT] !== 0 || (hot[(frame << 2) + HOT_FLAGS]! & (HEAD_ONLY | PG_TAIL)) !== 0) {
      throw new InvariantError(
        'BAD_BLOCK',
        `frame ${frame}, inside the block of ${pfn}, looks like a block of its own`,
      );
    }
    mapped += mapcount(phys, frame);
  }
  // A count below 0 has overflowed: there are more references than it can say.
  const count = hot[at + HOT_REFCOUNT]! >>> 0;
  // Mappings of the zero page are not counted.
  if ((hot[at + HOT_FLAGS]! & PG_RESERVED) !== 0) return;
  if (count < mapped) throw new InvariantError('BAD_COUNT', `frame ${pfn} has ${count} references, ${mapped} mappings`);
  census.pins += Math.floor((count - mapped) / GUP_PIN_COUNTING_BIAS);
}

/** A large folio. */
function checkCompound(phys: Phys, head: number, order: number, census: FrameCensus): void {
  const { hot, cold } = phys;
  if (order === 0) throw new InvariantError('BAD_COMPOUND', `frame ${head} is a head of order 0`);
  let mapped = mapcount(phys, head);
  let pages = mapped !== 0 ? 1 : 0;
  for (let frame = head + 1; frame < head + (1 << order); frame++) {
    const at = frame << 2;
    const tail = (hot[at + HOT_FLAGS]! & (PG_TAIL | HEAD_ONLY)) === PG_TAIL && hot[at + HOT_OWNER] === head;
    if (!tail || hot[at + HOT_REFCOUNT] !== 0) {
      throw new InvariantError('BAD_COMPOUND', `frame ${frame} is no tail of the folio at ${head}`);
    }
    const own = mapcount(phys, frame);
    mapped += own;
    if (own !== 0) pages++;
  }
  const entire = cold[tailWord(head, TAIL_ENTIRE_MAPCOUNT)]!;
  const large = cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]!;
  if (entire < 0 || large !== mapped + entire || cold[tailWord(head, TAIL_NR_PAGES_MAPPED)] !== pages) {
    throw new InvariantError(
      'BAD_MAPCOUNT',
      `the folio at ${head} has ${large} mappings by its count, other by its pages`,
    );
  }
  const count = hot[(head << 2) + HOT_REFCOUNT]! >>> 0;
  const pins = cold[tailWord(head, TAIL_PINCOUNT)]!;
  if (pins < 0 || pins > count) {
    throw new InvariantError('BAD_PINCOUNT', `the folio at ${head} has ${pins} pins, ${count} references`);
  }
  if (count < large + pins) {
    throw new InvariantError(
      'BAD_COUNT',
      `the folio at ${head} has ${count} references, ${large} mappings, ${pins} pins`,
    );
  }
  census.pins += pins;
}

/** Entries that map one frame; BAD_MAPCOUNT below 0. */
function mapcount(phys: Phys, pfn: number): number {
  const mapped = phys.hot[(pfn << 2) + HOT_MAPCOUNT]!;
  if (mapped < 0) throw new InvariantError('BAD_MAPCOUNT', `frame ${pfn} is mapped ${mapped} times`);
  return mapped;
}
