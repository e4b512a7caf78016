/** One page as an observation shows it (trace format, section 5, `pages`). */
import { folioTestAnon, isZeroPage, pageAnonExclusive } from '@mmkit/aspace';
import type { Memory } from '@mmkit/aspace';
import {
  compoundHead,
  folioTestLarge,
  pageMapCount,
  PG_DIRTY,
  PG_MLOCKED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
  testFlag,
} from '@mmkit/phys';

/** What is at one page of a process, or one page of a pin. */
export interface PageView {
  /** FL. */
  readonly letters: string;
  readonly mapcount: number;
  /** DIGEST. */
  readonly digest: string;
  /** Q and B of the first place where the same physical page was seen; null: this is the first. */
  readonly ref: Place | null;
}

/** Where a page was seen: process `q` page `b`, or 100 + slot of a pin, 200 + pipe, and the index there. */
export interface Place {
  readonly q: number;
  readonly b: number;
}

/** The letters of a frame, without those that only a page table shows (`E`, `w`; `P` as `large`). */
export function frameLetters(memory: Memory, pfn: number, large: string = ''): string {
  const { phys } = memory;
  if (isZeroPage(memory, pfn)) return `Z${large}`;
  const folio = compoundHead(phys, pfn);
  let letters = 'F';
  if (folioTestAnon(phys, folio)) letters = pageAnonExclusive(phys, folio) ? 'AX' : 'A';
  if (testFlag(phys, folio, PG_SWAPBACKED)) letters += 'B';
  if (testFlag(phys, folio, PG_DIRTY)) letters += 'D';
  if (folioTestLarge(phys, folio)) letters += 'T';
  letters += large;
  if (testFlag(phys, folio, PG_MLOCKED)) letters += 'L';
  if (testFlag(phys, folio, PG_UNEVICTABLE)) letters += 'U';
  if (testFlag(phys, folio, PG_WRITEBACK)) letters += 'W';
  return letters;
}

/** How many page-table entries map a frame; the zero page's are not counted. */
export function mappings(memory: Memory, pfn: number): number {
  return isZeroPage(memory, pfn) ? 0 : pageMapCount(memory.phys, pfn);
}

/** `"Q:B"`. */
export function placeText(place: Place): string {
  return `"${place.q}:${place.b}"`;
}

/** True when both look the same, identity included. */
export function sameView(a: PageView | undefined, b: PageView | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.letters !== b.letters || a.mapcount !== b.mapcount || a.digest !== b.digest) return false;
  return a.ref === null || b.ref === null ? a.ref === b.ref : a.ref.q === b.ref.q && a.ref.b === b.ref.b;
}

/** The runs of `pages`, ascending; undefined: nothing is there now. Adjacent pages that continue one another share one. */
export function runsText(pages: readonly (readonly [at: number, view: PageView | undefined])[]): string {
  const runs: string[] = [];
  for (let i = 0; i < pages.length; ) {
    const [at, view] = pages[i]!;
    let n = 1;
    while (i + n < pages.length && pages[i + n]![0] === at + n && continues(view, pages[i + n]![1], n)) n++;
    runs.push(runText(at, n, view));
    i += n;
  }
  return `[${runs.join(',')}]`;
}

/** May `next`, `n` pages further, be in the run that begins with `first`? */
function continues(first: PageView | undefined, next: PageView | undefined, n: number): boolean {
  if (first === undefined || next === undefined || first.ref === null || next.ref === null)
    return sameView(first, next);
  const moved = { ...next, ref: { q: next.ref.q, b: next.ref.b - n } };
  return sameView(first, moved);
}

function runText(at: number, n: number, view: PageView | undefined): string {
  if (view === undefined) return `[${at},${n},""]`;
  const ref = view.ref === null ? '' : `,${placeText(view.ref)}`;
  return `[${at},${n},"${view.letters}",${view.mapcount},"${view.digest}"${ref}]`;
}
