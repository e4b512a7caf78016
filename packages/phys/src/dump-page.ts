/** One frame in words, like the kernel's `dump_page`, with its reference count taken apart. */
import { frameZone } from './buddy.ts';
import {
  compoundHead,
  folioEntireMapcount,
  folioMapcount,
  folioNrPages,
  folioOrder,
  folioPincount,
  folioTestLarge,
} from './folio.ts';
import {
  checkFrame,
  COLD_INDEX,
  HOT_FLAGS,
  HOT_OWNER,
  HOT_REFCOUNT,
  OWNER_ANON,
  OWNER_FILE,
  OWNER_KIND_MASK,
  OWNER_SHIFT,
} from './frame.ts';
import type { Phys } from './frame.ts';
import {
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_ARCH_1,
  PG_DIRTY,
  PG_HEAD,
  PG_HWPOISON,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_OWNER_PRIV_1,
  PG_PRIVATE,
  PG_PRIVATE_2,
  PG_RECLAIM,
  PG_REFERENCED,
  PG_RESERVED,
  PG_SWAPBACKED,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WAITERS,
  PG_WORKINGSET,
  PG_WRITEBACK,
} from './page-flags.ts';
import { freeOrder, isHole } from './page-types.ts';
import { GUP_PIN_COUNTING_BIAS } from './refs.ts';
import { ZONE_NAMES } from './zone.ts';

/** Names `dump_page` has for the page flags. */
const FLAG_NAMES = [
  [PG_LOCKED, 'locked'],
  [PG_WRITEBACK, 'writeback'],
  [PG_REFERENCED, 'referenced'],
  [PG_UPTODATE, 'uptodate'],
  [PG_DIRTY, 'dirty'],
  [PG_LRU, 'lru'],
  [PG_HEAD, 'head'],
  [PG_WAITERS, 'waiters'],
  [PG_ACTIVE, 'active'],
  [PG_WORKINGSET, 'workingset'],
  [PG_OWNER_PRIV_1, 'owner_priv_1'],
  [PG_ANON_EXCLUSIVE, 'anon_exclusive'],
  [PG_ARCH_1, 'arch_1'],
  [PG_RESERVED, 'reserved'],
  [PG_PRIVATE, 'private'],
  [PG_PRIVATE_2, 'private_2'],
  [PG_RECLAIM, 'reclaim'],
  [PG_SWAPBACKED, 'swapbacked'],
  [PG_UNEVICTABLE, 'unevictable'],
  [PG_MLOCKED, 'mlocked'],
  [PG_HWPOISON, 'hwpoison'],
] as const;

/** How many references of a frame's folio come from where. */
export interface RefCountParts {
  /** All of them. */
  readonly refcount: number;
  /** One for each mapping. */
  readonly mappings: number;
  /** One a page while it is in a file's cache. */
  readonly cache: number;
  /** Pins: each counts `pinBias`. */
  readonly pins: number;
  /** 1024, or 1 for a large folio. */
  readonly pinBias: number;
  /** What is left: gets, per-CPU batches, isolation. */
  readonly rest: number;
}

/**
 * Takes the reference count of the folio of `pfn` apart. A small folio's pins are what is left after mappings and
 * cache, divided by 1024: exact while it has fewer than 1024 other references. The zero page's mappings hold no
 * reference.
 */
export function refCountParts(phys: Phys, pfn: number): RefCountParts {
  checkFrame(phys, pfn);
  const head = compoundHead(phys, pfn);
  const refcount = phys.hot[(head << 2) + HOT_REFCOUNT]!;
  const large = folioTestLarge(phys, head);
  const mappings = head === phys.zeroPfn ? 0 : folioMapcount(phys, head);
  const kind = phys.hot[(head << 2) + HOT_OWNER]! & OWNER_KIND_MASK;
  const cache = kind === OWNER_FILE ? folioNrPages(phys, head) : 0;
  const others = refcount - mappings - cache;
  const pins = large ? folioPincount(phys, head) : Math.floor(Math.max(others, 0) / GUP_PIN_COUNTING_BIAS);
  const pinBias = large ? 1 : GUP_PIN_COUNTING_BIAS;
  return { refcount, mappings, cache, pins, pinBias, rest: others - pins * pinBias };
}

/** A frame in words, like the kernel's `dump_page`: counts, owner, flags, and the reference count taken apart. */
export function dumpPage(phys: Phys, pfn: number): string {
  checkFrame(phys, pfn);
  if (isHole(phys, pfn)) return `page: pfn:0x${pfn.toString(16)} there is no such frame\n`;
  const { hot, cold } = phys;
  const own = hot[(pfn << 2) + HOT_FLAGS]!;
  const head = compoundHead(phys, pfn);
  const parts = refCountParts(phys, pfn);
  const free = parts.refcount === 0 ? freeOrder(phys, pfn) : -1;
  if (free >= 0) return `page: pfn:0x${pfn.toString(16)} free, order ${free}\n`;
  const owner = hot[(head << 2) + HOT_OWNER]!;
  const kind = owner & OWNER_KIND_MASK;
  const mapping = kind === OWNER_ANON ? 'anon ' : kind === OWNER_FILE ? 'file ' : '';
  const lines = [
    `page: refcount:${parts.refcount} mapcount:${folioMapcount(phys, head)} mapping:${mapping}${owner >>> OWNER_SHIFT} ` +
      `index:0x${(cold[(head << 2) + COLD_INDEX]! + pfn - head).toString(16)} pfn:0x${pfn.toString(16)}`,
  ];
  if ((own & (PG_HEAD | PG_TAIL)) !== 0) {
    lines.push(
      `head: order:${folioOrder(phys, head)} mapcount:${folioMapcount(phys, head)} ` +
        `entire_mapcount:${folioEntireMapcount(phys, head)} pincount:${folioPincount(phys, head)}`,
    );
  }
  const flags = hot[(head << 2) + HOT_FLAGS]!;
  const names = FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name);
  const zone = frameZone(phys, pfn);
  lines.push(
    `flags: 0x${(flags & 0x3f_ffff).toString(16)}(${[...names, `node=${zone.node}`].join('|')}|zone=${ZONE_NAMES[zone.kind]!})`,
  );
  const { refcount, mappings, cache, pins, pinBias, rest } = parts;
  lines.push(`refcount ${refcount} = ${mappings} mappings + ${cache} cache + ${pinBias} × ${pins} pins + ${rest} rest`);
  return `${lines.join('\n')}\n`;
}
