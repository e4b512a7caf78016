/** Frames as Linux shows them: `/proc/kpageflags` bits, and the letters, names and table of the tool page-types. */
import { frameZone } from './buddy.ts';
import { compoundHead, folioMapcount } from './folio.ts';
import {
  checkFrame,
  HOT_FLAGS,
  HOT_OWNER,
  HOT_REFCOUNT,
  MAX_PAGE_ORDER,
  OWNER_ANON,
  OWNER_KIND_MASK,
  OWNER_NONE,
} from './frame.ts';
import type { Phys } from './frame.ts';
import { touchedRanges } from './free-area.ts';
import {
  ORDER_SHIFT,
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_ARCH_1,
  PG_BUDDY,
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
  PG_TABLE,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WRITEBACK,
} from './page-flags.ts';
import { PAGEBLOCK_NONE } from './zone.ts';

/** Bits of kpageflags that come from a page flag: bit, flag. */
const FROM_FLAGS = [
  [0, PG_LOCKED],
  [2, PG_REFERENCED],
  [3, PG_UPTODATE],
  [4, PG_DIRTY],
  [5, PG_LRU],
  [6, PG_ACTIVE],
  [8, PG_WRITEBACK],
  [9, PG_RECLAIM],
  [14, PG_SWAPBACKED],
  [18, PG_UNEVICTABLE],
  [32, PG_RESERVED],
  [33, PG_MLOCKED],
  [34, PG_ANON_EXCLUSIVE],
  [35, PG_PRIVATE],
  [36, PG_PRIVATE_2],
  [37, PG_OWNER_PRIV_1],
  [38, PG_ARCH_1],
] as const;
/** A free block's head. */
const KPF_BUDDY = 10;
/** Page tables map it. */
const KPF_MMAP = 11;
/** Anonymous memory. */
const KPF_ANON = 12;
/** Head of a large folio. */
const KPF_COMPOUND_HEAD = 15;
/** Inside a large folio. */
const KPF_COMPOUND_TAIL = 16;
/** The memory is bad. */
const KPF_HWPOISON = 19;
/** There is no such frame. */
const KPF_NOPAGE = 20;
/** Of a large folio. */
const KPF_THP = 22;
/** The zero page. */
const KPF_ZERO_PAGE = 24;
/** A page table. */
const KPF_PGTABLE = 26;

/** Letter and name of each bit, as page-types has them; -: it has none. */
const KPF_NAMES =
  'L:locked E:error R:referenced U:uptodate D:dirty l:lru A:active S:slab W:writeback I:reclaim B:buddy M:mmap ' +
  'a:anonymous s:swapcache b:swapbacked H:compound_head T:compound_tail G:huge u:unevictable X:hwpoison n:nopage x:ksm ' +
  't:thp o:offline z:zero_page i:idle_page g:pgtable - - - - - r:reserved m:mlocked d:owner_2 P:private p:private_2 ' +
  'O:owner_private h:arch';

/** The order of the free block in the buddy lists, used before or not, that holds a frame; −1: none does. */
export function freeOrder(phys: Phys, pfn: number): number {
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    const flags = phys.hot[((pfn & -(1 << order)) << 2) + HOT_FLAGS]!;
    if ((flags & PG_BUDDY) !== 0 && flags >>> ORDER_SHIFT >= order) return flags >>> ORDER_SHIFT;
  }
  const { fresh } = frameZone(phys, pfn);
  return fresh.some((end, i) => (i & 1) === 1 && pfn >= fresh[i - 1]! && pfn < end) ? MAX_PAGE_ORDER : -1;
}

/** Whether a frame lies in a pageblock without any memory. */
export function isHole(phys: Phys, pfn: number): boolean {
  return (phys.pageblocks[pfn >> phys.pageblockOrder]! & 7) === PAGEBLOCK_NONE;
}

/**
 * The bits of `/proc/kpageflags` of a frame (below 2^39). A large folio's pages all show their folio's flags and a free
 * block's frames all are buddy, as Linux shows them; frames on per-CPU lists show nothing. A compound page without
 * owner is not a huge page but a kernel's block. Swap cache, slab, hugetlb, KSM and idle bits are never set: nothing
 * here knows them. Where there is no memory at all Linux 6.18 shows 0, older ones the bit NOPAGE.
 */
export function kpageFlags(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  if (isHole(phys, pfn)) return 2 ** KPF_NOPAGE;
  const own = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  const head = compoundHead(phys, pfn);
  const flags = phys.hot[(head << 2) + HOT_FLAGS]!;
  const bits: number[] = [];
  for (const [bit, flag] of FROM_FLAGS) if ((flags & flag) !== 0) bits.push(bit);
  if (phys.hot[(head << 2) + HOT_REFCOUNT] === 0 && freeOrder(phys, pfn) >= 0) bits.push(KPF_BUDDY);
  if (folioMapcount(phys, head) > 0 && (flags & PG_RESERVED) === 0) bits.push(KPF_MMAP);
  const kind = phys.hot[(head << 2) + HOT_OWNER]! & OWNER_KIND_MASK;
  if (kind === OWNER_ANON) bits.push(KPF_ANON);
  if ((own & PG_HEAD) !== 0) bits.push(KPF_COMPOUND_HEAD);
  if ((own & PG_TAIL) !== 0) bits.push(KPF_COMPOUND_TAIL);
  if ((own & (PG_HEAD | PG_TAIL)) !== 0 && kind !== OWNER_NONE) bits.push(KPF_THP);
  if ((own & PG_HWPOISON) !== 0) bits.push(KPF_HWPOISON);
  if (pfn === phys.zeroPfn) bits.push(KPF_ZERO_PAGE);
  if ((flags & PG_TABLE) !== 0) bits.push(KPF_PGTABLE);
  return bits.reduce((sum, bit) => sum + 2 ** bit, 0);
}

/** The letters page-types prints for kpageflags bits: one place a flag, `_` where it is not set. */
export function pageTypeLetters(kpf: number): string {
  return kpfNames(kpf, (name, set) => (set ? name[0]! : '_')).join('');
}

/** The names page-types prints, joined by commas. */
export function pageTypeNames(kpf: number): string {
  return kpfNames(kpf, (name, set) => (set ? name.slice(2) : ''))
    .filter((name) => name !== '')
    .join(',');
}

function kpfNames(kpf: number, say: (name: string, set: boolean) => string): string[] {
  const said: string[] = [];
  KPF_NAMES.split(' ').forEach((name, bit) => {
    if (name !== '-') said.push(say(name, Math.floor(kpf / 2 ** bit) % 2 === 1));
  });
  return said;
}

/**
 * All frames by their bits, as page-types prints them: how many there are of each kind, in MB too, letters and names.
 * It walks the frames ever used; those never used count as buddy.
 */
export function pageTypesSummary(phys: Phys): string {
  const counts = new Map<number, number>();
  const count = (kpf: number, frames: number): void => void counts.set(kpf, (counts.get(kpf) ?? 0) + frames);
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; pfn++) count(kpageFlags(phys, pfn), 1);
  }
  for (const { fresh } of phys.zones) {
    for (let i = 0; i < fresh.length; i += 2) count(2 ** KPF_BUDDY, fresh[i + 1]! - fresh[i]!);
  }
  const rows = [...counts].sort(([a], [b]) => a - b);
  const row = (first: string, frames: number, rest: string): string => {
    const mb = Math.floor((frames * phys.pageSize) / 2 ** 20);
    return `${first}\t${String(frames).padStart(10)} ${String(mb).padStart(8)}${rest}\n`;
  };
  let text = '             flags\tpage-count       MB  symbolic-flags\t\t\tlong-symbolic-flags\n';
  for (const [kpf, frames] of rows) {
    text += row(`0x${kpf.toString(16).padStart(16, '0')}`, frames, `  ${pageTypeLetters(kpf)}\t${pageTypeNames(kpf)}`);
  }
  const total = rows.reduce((sum, [, frames]) => sum + frames, 0);
  return text + row('             total', total, '');
}
