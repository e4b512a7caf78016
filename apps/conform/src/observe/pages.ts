/** Walks the page tables of a process: what is at each page of the arena, and the sums of smaps for each VMA. */
import { folioTestAnon, isGuardMarker, isZeroPage, MM_ROOT, vmNormalPage } from '@mmkit/aspace';
import type { Process } from '@mmkit/kernel';
import {
  createCursor,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_UFFD_WP,
  ENTRY_LEAF,
  nextRun,
  readEntry,
} from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';
import { compoundHead, PG_DIRTY, PG_SWAPBACKED, testFlag } from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import type { Vma } from '@mmkit/vma';
import { addressOf, ARENA, PAGE } from '../world/world.ts';
import { frameDigest } from './contents.ts';
import type { Observer } from './observer.ts';
import { frameLetters, mappings } from './page.ts';
import type { PageView, Place } from './page.ts';

/** What `scanPages` found. */
export interface Scan {
  /** By page of the arena, ascending. */
  readonly pages: Map<number, PageView>;
  /** The list of the `cnt` line. */
  readonly cnt: string;
}

/** Sums of one VMA, in pages. */
interface Sums {
  rss: number;
  dirty: number;
  anon: number;
  lazy: number;
}

/** Scans process `q`; `first` knows where each frame was first seen and is added to. */
export function scanPages(
  observer: Observer,
  q: number,
  process: Process,
  vmas: readonly Vma[],
  first: Map<number, Place>,
): Scan {
  const { memory } = process.mm;
  const { tables, format, phys } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const pages = new Map<number, PageView>();
  const sums = vmas.map((): Sums => ({ rss: 0, dirty: 0, anon: 0, lazy: 0 }));
  const cursor = createCursor(ARENA, addressOf(observer.world.trace.pages));
  let v = 0;
  while (nextRun(tables, process.mm.words[MM_ROOT]!, cursor)) {
    for (let i = 0; i < cursor.count; i++) {
      readEntry(tables, cursor.table, cursor.index + i, entry);
      if ((entry.lo | entry.hi) === 0) continue;
      format.decode(entry.lo, entry.hi, cursor.level, decoded);
      const address = cursor.address + i * PAGE;
      while (v < vmas.length && vmas[v]!.end <= address) v++;
      // A large entry maps many pages, one after the other.
      for (const end = decoded.pfn + format.spans[cursor.level]! / PAGE; decoded.pfn < end; decoded.pfn++) {
        const at = (address - ARENA) / PAGE + decoded.pfn - end + format.spans[cursor.level]! / PAGE;
        pages.set(at, viewOf(observer, decoded, cursor.level > 0, { q, b: at }, first));
        if (decoded.kind === ENTRY_LEAF && v < vmas.length) addSums(phys, sums[v]!, decoded);
      }
    }
  }
  return { pages, cnt: cntText(vmas, sums) };
}

function viewOf(observer: Observer, entry: Decoded, large: boolean, place: Place, first: Map<number, Place>): PageView {
  const { memory } = observer.world.machine;
  if (entry.kind !== ENTRY_LEAF) {
    return { letters: isGuardMarker(entry) ? 'g' : 'S', mapcount: 0, digest: '', ref: null };
  }
  const { pfn } = entry;
  const digest = frameDigest(observer.contents, pfn);
  let letters = frameLetters(memory, pfn, large ? 'P' : '');
  if (isZeroPage(memory, pfn)) return { letters, mapcount: 0, digest, ref: null };
  const mapcount = mappings(memory, pfn);
  // Of a huge page pagemap looks at the first page only.
  if ((large ? mappings(memory, compoundHead(memory.phys, pfn)) : mapcount) === 1) letters += 'E';
  if ((entry.flags & E_UFFD_WP) !== 0) letters += 'w';
  return { letters, mapcount, digest, ref: seeFrame(first, pfn, place) };
}

/** Where the frame was seen before; null, and `place` is noted, when this is the first. */
export function seeFrame(first: Map<number, Place>, pfn: number, place: Place): Place | null {
  const ref = first.get(pfn);
  if (ref !== undefined) return ref;
  first.set(pfn, place);
  return null;
}

function addSums(phys: Phys, sums: Sums, entry: Decoded): void {
  const pfn = vmNormalPage(entry);
  if (pfn < 0) return;
  const folio = compoundHead(phys, pfn);
  const dirty = (entry.flags & E_DIRTY) !== 0 || testFlag(phys, folio, PG_DIRTY);
  sums.rss++;
  if (dirty) sums.dirty++;
  if (!folioTestAnon(phys, pfn)) return;
  sums.anon++;
  if (!dirty && !testFlag(phys, folio, PG_SWAPBACKED)) sums.lazy++;
}

function cntText(vmas: readonly Vma[], sums: readonly Sums[]): string {
  const lists: string[] = [];
  vmas.forEach((vma, i) => {
    const { rss, dirty, anon, lazy } = sums[i]!;
    if (rss !== 0) lists.push(`[${(vma.start - ARENA) / PAGE},${rss},${dirty},${anon},${lazy},0]`);
  });
  return `[${lists.join(',')}]`;
}
