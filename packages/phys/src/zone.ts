/**
 * Zones: a range of frames with free lists, watermarks and per-CPU lists of its own (`struct zone`,
 * `struct per_cpu_pages`; N.15). State only: free-area.ts, pcp.ts and watermark.ts change it.
 *
 * A list of free blocks is named by its migrate type and order: `heads[type × 11 + order]`. Linked through the cold
 * words of each block's head, first to last as Linux keeps them.
 *
 * `fresh` are blocks of order MAX_PAGE_ORDER that nobody ever used: free and MOVABLE, but on no list, so that making a
 * machine touches nothing of them. They count as the end of the MOVABLE list of that order, in ascending order, which
 * is where Linux's boot puts them.
 */

/** Memory an ISA device reaches: below 16 MiB (`ZONE_DMA`). */
export const ZONE_DMA = 0;
/** Memory a 32-bit device reaches: below 4 GiB (`ZONE_DMA32`). */
export const ZONE_DMA32 = 1;
/** Ordinary memory (`ZONE_NORMAL`). */
export const ZONE_NORMAL = 2;
/** Memory that holds only what can be migrated (`ZONE_MOVABLE`). */
export const ZONE_MOVABLE = 3;
/** How many kinds of zone there are. */
export const ZONE_KINDS = 4;
/** Their names in /proc. */
export const ZONE_NAMES = ['DMA', 'DMA32', 'Normal', 'Movable'] as const;

/** Cannot move. */
export const MIGRATE_UNMOVABLE = 0;
/** Can be migrated. */
export const MIGRATE_MOVABLE = 1;
/** Can be reclaimed. */
export const MIGRATE_RECLAIMABLE = 2;
/** Types up to here have per-CPU lists. */
export const MIGRATE_PCPTYPES = 3;
/** Kept for callers that may not wait, orders above 0. */
export const MIGRATE_HIGHATOMIC = 3;
/** Of a contiguous memory area: lent to movable memory. */
export const MIGRATE_CMA = 4;
/** Given to nobody: being emptied. */
export const MIGRATE_ISOLATE = 5;
/** How many migrate types there are. */
export const MIGRATE_TYPES = 6;
/** Stands where a type would, in the byte of a pageblock without any memory. */
export const PAGEBLOCK_NONE = 7;
/** Their names in /proc/pagetypeinfo. */
export const MIGRATE_NAMES = ['Unmovable', 'Movable', 'Reclaimable', 'HighAtomic', 'CMA', 'Isolate'] as const;

/** Orders of the free lists: 0 to 10. */
export const NR_PAGE_ORDERS = 11;
/** Orders that have per-CPU lists, but for huge pages: 0 to 3 (`PAGE_ALLOC_COSTLY_ORDER`). */
export const PAGE_ALLOC_COSTLY_ORDER = 3;
/** Per-CPU lists of a zone: orders 0 to 3 of three types, and two of huge pages: 12 movable, 13 other. */
export const NR_PCP_LISTS = 14;
/** The first of the two lists of huge pages. */
export const PCP_THP = 12;

/** One per-CPU list: a stack of PFNs (blocks of one order) that is also taken from at its bottom. */
export class PcpList {
  readonly pcp: Pcp;
  /** That of `pcp`. */
  readonly zone: Zone;
  /** Its index in `pcp.lists`, and its bit in `pcp.filled`. */
  readonly index: number;
  /** Order of its blocks. */
  readonly order: number;
  /** The blocks' first PFNs: [0, top), the one longest there first. */
  slots: number[];
  /** Length of `slots`. */
  capacity: number;
  /** How many there are. */
  top: number;

  constructor(pcp: Pcp, index: number, order: number) {
    this.pcp = pcp;
    this.zone = pcp.zone;
    this.index = index;
    this.order = order;
    this.slots = [];
    this.capacity = 0;
    this.top = 0;
  }
}

/** The free frames a CPU keeps of a zone (`struct per_cpu_pages`). */
export class Pcp {
  readonly zone: Zone;
  /** By index: `3 × order + type`, or PCP_THP. */
  readonly lists: PcpList[];
  /** Frames on all lists. */
  count: number;
  /** Frames taken from the zone, or given back, at a time. */
  batch: number;
  /** With so many frames, `batch` go back: between highMin and highMax, raised by refills. */
  high: number;
  /** Least `high`. */
  highMin: number;
  /** Largest `high`. */
  highMax: number;
  /** Where the next bulk free begins: the lists take turns. */
  turn: number;
  /** Bit n is set when list n has a block; it may stay when the last is taken. */
  filled: number;

  constructor(zone: Zone, thpOrder: number) {
    this.zone = zone;
    this.lists = [];
    this.count = 0;
    this.batch = 1;
    this.high = 0;
    this.highMin = 0;
    this.highMax = 0;
    this.turn = 0;
    this.filled = 0;
    // Last: what a list says of a record that had all its fields is known to V8, and not tested at every use.
    for (let i = 0; i < NR_PCP_LISTS; i++) {
      this.lists.push(new PcpList(this, i, i < PCP_THP ? Math.trunc(i / MIGRATE_PCPTYPES) : thpOrder));
    }
  }
}

/** A zone (`struct zone`). All figures are frames unless said. */
export class Zone {
  /** Its index in `phys.zones`; the upper bits of a pageblock's byte. */
  readonly index: number;
  /** Its node. */
  readonly node: number;
  /** ZONE_*. */
  readonly kind: number;
  /** First PFN. */
  readonly start: number;
  /** PFN past the last. */
  readonly end: number;
  /** Frames that exist: not in a hole, and not offline. */
  present: number;
  /** Of these, the allocator's: not reserved. */
  managed: number;
  /** Free in the buddy lists (vmstat `nr_free_pages`): per-CPU lists do not count. */
  free: number;
  /** Of these, in blocks of type CMA (`nr_free_cma`). */
  freeCma: number;
  /** Of these, in blocks of type HIGHATOMIC. */
  freeHighatomic: number;
  /** Free in blocks of type ISOLATE, which `free` does not count. */
  freeIsolated: number;
  /** 1 while an ordinary caller for up to 2^3 frames passes the low watermark of this zone, else 0. free-area.ts only. */
  plenty: number;
  /** Frames in pageblocks of type HIGHATOMIC (`nr_reserved_highatomic`). */
  reservedHighatomic: number;
  /** Frames in pageblocks of type CMA. */
  cma: number;
  /** First block of each list, 0 = none. free-area.ts only. */
  readonly heads: number[];
  /** Last block of each list, 0 = none. free-area.ts only. */
  readonly tails: number[];
  /** By type: bit n is set when the list of order n has a block, `fresh` included. free-area.ts only. */
  readonly orders: Int32Array;
  /** Free blocks by order, all types (`nr_free`). free-area.ts only. */
  readonly nrFree: Int32Array;
  /** Pairs [start, end) of PFNs, ascending: blocks never used. free-area.ts only. */
  fresh: number[];
  /** `WMARK_MIN` without boost. */
  min: number;
  /** `WMARK_LOW` without boost. */
  low: number;
  /** `WMARK_HIGH` without boost. */
  high: number;
  /** `WMARK_PROMO` without boost. */
  promo: number;
  /** Added to each of them after types were mixed (`watermark_boost`). */
  boost: number;
  /** By kind of the zone a caller asked for: what this zone keeps from such callers (`lowmem_reserve`). */
  readonly lowmemReserve: Int32Array;
  /** Pages on the LRU lists, by LRU_* (`nr_zone_*`). lru.ts only. */
  readonly lruPages: number[];
  /** Per-CPU lists, by CPU. */
  readonly pcps: Pcp[];

  constructor(index: number, node: number, kind: number, start: number, end: number) {
    this.index = index;
    this.node = node;
    this.kind = kind;
    this.start = start | 0;
    this.end = end | 0;
    this.present = 0;
    this.managed = 0;
    this.free = 0;
    this.freeCma = 0;
    this.freeHighatomic = 0;
    this.freeIsolated = 0;
    this.plenty = 0;
    this.reservedHighatomic = 0;
    this.cma = 0;
    // Plain arrays of small integers: as fast as typed ones, and made four times faster at this length.
    this.heads = new Array<number>(MIGRATE_TYPES * NR_PAGE_ORDERS).fill(0);
    this.tails = new Array<number>(MIGRATE_TYPES * NR_PAGE_ORDERS).fill(0);
    this.orders = new Int32Array(MIGRATE_TYPES);
    this.nrFree = new Int32Array(NR_PAGE_ORDERS);
    this.fresh = [];
    this.min = 0;
    this.low = 0;
    this.high = 0;
    this.promo = 0;
    this.boost = 0;
    this.lowmemReserve = new Int32Array(ZONE_KINDS);
    this.lruPages = [0, 0, 0, 0, 0];
    this.pcps = [];
  }
}
