/**
 * `checkPhys`: is the allocator's state consistent? For tests and for the explorer, at points where no call is under
 * way. It walks every frame that was ever used and nothing of what is fresh, so it is quick on a machine of any size.
 * In the spirit of Linux's CONFIG_DEBUG_VM and "Bad page state" reports, with what of reference E.3 frames can show.
 *
 * E.3 #14 (no long-term pin in ZONE_MOVABLE or CMA) is not to be seen here: a frame does not know what kind of pin it
 * has. E.3 #8: that the zero page is not pinned follows from PIN_BALANCE, for its count makes no room for pins.
 */
import { InvariantError } from '@mmkit/base';
import { checkFrames, FrameCensus } from './check-frames.ts';
import { checkFreeLists, checkPcps } from './check-lists.ts';
import { checkLru } from './check-lru.ts';
import { HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { hasPlenty } from './free-area.ts';
import { PG_DIRTY, PG_RESERVED } from './page-flags.ts';
import { frameWordIndex } from './ram.ts';
import {
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_TYPES,
  PAGEBLOCK_NONE,
} from './zone.ts';
import type { Zone } from './zone.ts';

/**
 * Throws InvariantError for the first rule broken, and changes nothing:
 *
 * | code | rule |
 * |---|---|
 * | ZERO_PAGE | the zero page is reserved, clean and holds zeros (E.3 #8) |
 * | BAD_PAGEBLOCK | a pageblock's byte names its zone and a migrate type, or says that it has no memory |
 * | BAD_FRESH | fresh ranges are whole blocks of the zone, ascending, MOVABLE, untouched (first and last looked at) |
 * | BAD_LIST | a free list holds free blocks of its zone and order, linked both ways from its first to its last |
 * | BAD_TYPE | a free block is on the list of its pageblock's type |
 * | BAD_ORDERS | `zone.orders` says which lists are not empty |
 * | NR_FREE | `zone.nrFree` is the number of free blocks of each order |
 * | LOST_BLOCK | each block marked free is on a list |
 * | BAD_PCP | per-CPU lists hold blocks marked so, of their zone and order; `filled` has their bits |
 * | PCP_TWICE | no block is on per-CPU lists twice |
 * | PCP_COUNT | `pcp.count` is the number of frames on the lists |
 * | PCP_LOST | each block marked so is on a per-CPU list |
 * | BAD_BLOCK | a block is aligned and inside its zone; inner frames of one that is not compound have no reference |
 * | BAD_FREE | the words of free frames are zero: no reference, mapping, owner (E.3 #5) |
 * | NOT_MERGED | no two free buddies that could be one block (E.3 #15) |
 * | BAD_COMPOUND | tails follow their head, name it and have no reference; nothing else looks like one |
 * | BAD_MAPCOUNT | no map count is below 0; a large folio's counts are the sums over its pages |
 * | BAD_PINCOUNT | a large folio has at least 0 pins and at most as many as references |
 * | NO_REFERENCE | a frame in use has references |
 * | BAD_COUNT | it has one for each mapping, and for each pin of a large folio (E.3 #4) |
 * | BAD_LRU, LRU_LOST, LRU_PAGES, BAD_BATCH | LRU lists and their batches: see check-lru.ts |
 * | BAD_POISON | `numPoisoned` is the number of frames with PG_HWPOISON |
 * | BAD_UNTOUCHED | no frame that was given out lies above `untouched` |
 * | ZONE_FREE, ZONE_FREE_CMA, ZONE_FREE_HIGHATOMIC, ZONE_FREE_ISOLATED | these counts are what a walk finds |
 * | ZONE_PLENTY | `plenty` is what the watermarks say |
 * | ZONE_HIGHATOMIC, ZONE_CMA | frames of the pageblocks of these types |
 * | ZONE_PRESENT | free + per-CPU + used + poisoned + reserved = present |
 * | ZONE_MANAGED | present − reserved = managed |
 * | PIN_BALANCE | pins acquired − released is at least 0, and no more than frames have room for (E.3 #11) |
 */
export function checkPhys(phys: Phys): void {
  const census = new FrameCensus(phys.zones.length);
  checkZeroPage(phys);
  for (const zone of phys.zones) {
    checkPageblocks(phys, zone);
    checkFresh(phys, zone);
  }
  const listed = phys.zones.map((zone) => checkFreeLists(phys, zone));
  const cached = checkPcps(phys);
  checkFrames(phys, census);
  for (const zone of phys.zones) {
    expectCount('LOST_BLOCK', zone, 'blocks on lists', listed[zone.index]!, census.freeBlocks[zone.index]!);
    checkZone(phys, zone, census);
  }
  if (cached !== census.pcpBlocks) {
    throw new InvariantError('PCP_LOST', `${cached} blocks on per-CPU lists, ${census.pcpBlocks} marked so`);
  }
  if (phys.numPoisoned !== census.poisoned) {
    throw new InvariantError('BAD_POISON', `numPoisoned is ${phys.numPoisoned}, found ${census.poisoned}`);
  }
  checkLru(phys);
  const live = phys.nrFollPinAcquired - phys.nrFollPinReleased;
  if (live < 0 || live > census.pins) {
    throw new InvariantError('PIN_BALANCE', `${live} pins by the counters, room for ${census.pins} in the frames`);
  }
}

/** Throws unless what a zone says and what was found agree. */
function expectCount(code: string, zone: Zone, what: string, says: number, found: number): void {
  if (says === found) return;
  throw new InvariantError(code, `zone ${zone.index}: ${what}: ${says}, found ${found}`);
}

/** Every pageblock of a zone belongs to it, and its type is one, unless it has no memory. */
function checkPageblocks(phys: Phys, zone: Zone): void {
  const { pageblocks, pageblockOrder } = phys;
  const end = Math.ceil(zone.end / 2 ** pageblockOrder);
  for (let block = zone.start >> pageblockOrder; block < end; block++) {
    const byte = pageblocks[block]!;
    const type = byte & 7;
    if (byte >> 3 !== zone.index || (type >= MIGRATE_TYPES && type !== PAGEBLOCK_NONE)) {
      throw new InvariantError('BAD_PAGEBLOCK', `pageblock ${block} of zone ${zone.index} says 0x${byte.toString(16)}`);
    }
  }
}

/** The fresh ranges of a zone. */
function checkFresh(phys: Phys, zone: Zone): void {
  const size = 1 << MAX_PAGE_ORDER;
  const shift = phys.pageblockOrder;
  const movable = (zone.index << 3) | MIGRATE_MOVABLE;
  let last = zone.start;
  for (let i = 0; i < zone.fresh.length; i += 2) {
    const start = zone.fresh[i]!;
    const end = zone.fresh[i + 1]!;
    const whole = start % size === 0 && end % size === 0 && start >= last && start < end && end <= zone.end;
    const sort = phys.pageblocks.subarray(start >> shift, end >> shift).every((byte) => byte === movable);
    if (!whole || !sort || !untouched(phys, start) || !untouched(phys, end - size)) {
      throw new InvariantError('BAD_FRESH', `zone ${zone.index}: frames ${start} to ${end} are not fresh blocks`);
    }
    last = end;
  }
}

/** True when the words of a block of the largest order are zero. */
function untouched(phys: Phys, pfn: number): boolean {
  const end = (pfn + (1 << MAX_PAGE_ORDER)) << 2;
  for (let at = pfn << 2; at < end; at++) if ((phys.hot[at]! | phys.cold[at]!) !== 0) return false;
  return true;
}

/** The counts of a zone against what the walk found. */
function checkZone(phys: Phys, zone: Zone, census: FrameCensus): void {
  const { index } = zone;
  const types = census.free[index]!;
  let fresh = 0;
  for (let i = 0; i < zone.fresh.length; i += 2) fresh += zone.fresh[i + 1]! - zone.fresh[i]!;
  const sum = fresh + types.reduce((a, b) => a + b, 0);
  const isolated = types[MIGRATE_ISOLATE]!;
  expectCount('ZONE_FREE', zone, 'free', zone.free, sum - isolated);
  expectCount('ZONE_FREE_CMA', zone, 'freeCma', zone.freeCma, types[MIGRATE_CMA]!);
  expectCount('ZONE_FREE_HIGHATOMIC', zone, 'freeHighatomic', zone.freeHighatomic, types[MIGRATE_HIGHATOMIC]!);
  expectCount('ZONE_FREE_ISOLATED', zone, 'freeIsolated', zone.freeIsolated, isolated);
  if (zone.plenty !== hasPlenty(zone)) {
    throw new InvariantError('ZONE_PLENTY', `zone ${index}: plenty is ${zone.plenty} with ${zone.free} frames free`);
  }
  const highatomic = framesOfType(phys, zone, MIGRATE_HIGHATOMIC);
  expectCount('ZONE_HIGHATOMIC', zone, 'reservedHighatomic', zone.reservedHighatomic, highatomic);
  expectCount('ZONE_CMA', zone, 'cma', zone.cma, framesOfType(phys, zone, MIGRATE_CMA));
  const found = sum + census.cached[index]! + census.used[index]! + census.reserved[index]!;
  expectCount('ZONE_PRESENT', zone, 'present', zone.present, found);
  expectCount('ZONE_MANAGED', zone, 'managed', zone.managed, zone.present - census.reserved[index]!);
}

/** Frames in the pageblocks of a type. */
function framesOfType(phys: Phys, zone: Zone, type: number): number {
  const shift = phys.pageblockOrder;
  const wanted = (zone.index << 3) | type;
  const blocks = phys.pageblocks.subarray(zone.start >> shift, Math.ceil(zone.end / 2 ** shift));
  return blocks.reduce((sum, byte) => (byte === wanted ? sum + 1 : sum), 0) * 2 ** shift;
}

/** The zero page is reserved, not dirty, and holds zeros. */
function checkZeroPage(phys: Phys): void {
  const { zeroPfn, pageSize } = phys;
  const flags = phys.hot[(zeroPfn << 2) + HOT_FLAGS]!;
  if ((flags & (PG_RESERVED | PG_DIRTY)) !== PG_RESERVED) {
    throw new InvariantError('ZERO_PAGE', 'the zero page is dirty, or not reserved');
  }
  const words = phys.chunks[zeroPfn >> phys.chunkShift];
  const start = frameWordIndex(phys, zeroPfn);
  for (let i = start; words !== undefined && i < start + pageSize / 4; i++) {
    if (words[i] !== 0) throw new InvariantError('ZERO_PAGE', 'the zero page was written');
  }
}
