/** A processor with our TLB that runs the scripts of apps/conform/native/tlb-scripts.h. */
import {
  ACCESS_READ,
  ACCESS_WRITE,
  allocRoot,
  clearEntry,
  createDecoded,
  createEntry,
  createTables,
  createTlb,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  FLUSH_GLOBAL,
  FLUSH_OTHERS,
  FLUSH_TAG,
  type Format,
  hwWalk,
  leafTableAlloc,
  levelIndex,
  readEntry,
  setDecoded,
  type Tables,
  tableAtAlloc,
  type Tlb,
  tlbFlushAll,
  tlbFlushNonGlobal,
  tlbFlushPage,
  tlbFlushPages,
  tlbFlushTag,
  tlbInsert,
  tlbLookup,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { createPhys } from '@mmkit/phys';

const PLACES = { p: 0x80_0000_1000, q: 0x80_0000_2000, h: 0x80_0020_0000, i: 0x80_0020_5000 };
type Place = keyof typeof PLACES;
/** First page of frame 0 of each size; leaves of 2 MiB are 512 frames apart. */
const SMALL = 0x200;
const HUGE_PAGES = 512;
const EVERYTHING = FLUSH_TAG | FLUSH_OTHERS | FLUSH_GLOBAL;
/** What an unmapped place shows. */
const FAULT = 0;

/** A: 0, B: 1. */
function spaceOf(letter: string): number {
  return letter.charCodeAt(0) - 65;
}

function isHuge(place: Place): boolean {
  return place === 'h' || place === 'i';
}

export class Processor {
  readonly format: Format;
  readonly tables: Tables;
  readonly roots: readonly number[];
  readonly tlb: Tlb;
  readonly reports: string[] = [];
  readonly seen: number[] = [];
  /** False: both address spaces have tag 0. */
  readonly tagged: boolean;
  /** The current address space, 0 or 1. */
  current = 0;

  constructor(format: Format, tagged: boolean) {
    this.format = format;
    this.tagged = tagged;
    this.tables = createTables(createPhys({ frames: 64 }), format);
    this.roots = [allocRoot(this.tables), allocRoot(this.tables)];
    for (const root of this.roots) leafTableAlloc(this.tables, root, PLACES.p);
    this.tlb = createTlb(format, {
      check: {
        memory: this.tables.memory,
        rootOf: (tag) => this.roots[tagged ? tag - 1 : this.current]!,
        report: (what) => this.reports.push(what),
      },
    });
  }

  tag(space: number): number {
    return this.tagged ? space + 1 : 0;
  }

  entryAt(space: number, place: Place): [table: number, index: number, level: number] {
    const level = isHuge(place) ? 1 : 0;
    const table = tableAtAlloc(this.tables, this.roots[space]!, PLACES[place], level);
    return [table, levelIndex(this.format, level, PLACES[place]), level];
  }

  setEntry(space: number, place: Place, frame: number, letters: string): void {
    const [table, index, level] = this.entryAt(space, place);
    const entry = createEntry();
    if (frame === FAULT) {
      clearEntry(this.tables, table, index, entry);
      return;
    }
    let flags = E_WRITE | E_USER | E_EXEC | E_YOUNG | E_DIRTY;
    if (letters.includes('g')) flags |= E_GLOBAL;
    // Linux's encoding keeps Dirty of a read-only entry elsewhere.
    if (letters.includes('r')) flags &= ~(E_WRITE | E_DIRTY);
    if (letters.includes('c')) flags &= ~E_DIRTY;
    const decoded = createDecoded();
    setDecoded(decoded, ENTRY_LEAF, isHuge(place) ? (frame + 1) * HUGE_PAGES : SMALL + frame, flags);
    this.format.encode(decoded, level, entry);
    writeEntry(this.tables, table, index, entry);
  }

  /** The script's number of the frame that an access reaches. */
  access(place: Place, access: number): number {
    const address = PLACES[place];
    const tag = this.tag(this.current);
    let pfn = tlbLookup(this.tlb, tag, address, access);
    if (pfn < 0) {
      const found = createTranslation();
      if (hwWalk(this.tables, this.roots[this.current]!, address, access, found) !== 0) return FAULT;
      tlbInsert(this.tlb, tag, address, found);
      ({ pfn } = found);
    }
    if (!isHuge(place)) return pfn - SMALL;
    // A wrong page of the right leaf is no frame of the script.
    return (pfn - ((address / 4096) % HUGE_PAGES)) / HUGE_PAGES - 1;
  }

  dirty(space: number, place: Place): number {
    const [table, index, level] = this.entryAt(space, place);
    const entry = createEntry();
    const decoded = createDecoded();
    readEntry(this.tables, table, index, entry);
    this.format.hardware(entry.lo, entry.hi, level, decoded);
    return (decoded.flags & E_DIRTY) !== 0 ? 1 : 0;
  }

  flush(name: string, first: string, second: string): void {
    const { tlb } = this;
    const tag = this.tag(spaceOf(first));
    const at = (place: string): number => PLACES[place as Place];
    const page = (place: string): number => at(place) / 4096;
    if (name === 'pge' || name === 'inv2' || name === 'vmalle1') tlbFlushAll(tlb);
    else if (name === 'inv3') tlbFlushNonGlobal(tlb);
    else if (name === 'inv1' || name === 'aside1') tlbFlushTag(tlb, tag);
    else if (name === 'inv0') tlbFlushPages(tlb, FLUSH_TAG, tag, page(second), page(second) + 1);
    else if (name === 'invlpg') tlbFlushPage(tlb, this.tag(this.current), at(first));
    else if (name === 'vae1') tlbFlushPage(tlb, tag, at(second));
    else if (name === 'vaae1') tlbFlushPages(tlb, EVERYTHING, 0, page(first), page(first) + 1);
    else throw new Error(`no step ${name}`);
  }

  step(step: string): void {
    let found = /^>([AB])(\+?)$/.exec(step);
    if (found !== null) {
      this.current = spaceOf(found[1]!);
      // MOV to CR3 flushes the tag, unless bit 63 is set; MSR TTBR0_EL1 nothing.
      if (this.format === x86_64 && found[2] === '') tlbFlushTag(this.tlb, this.tag(this.current));
      return;
    }
    found = /^([AB])\.([pqhi])=(\d)(\w*)$/.exec(step);
    if (found !== null) {
      this.setEntry(spaceOf(found[1]!), found[2] as Place, Number(found[3]), found[4]!);
      return;
    }
    found = /^([AB])\.([pqhi])\?/.exec(step);
    if (found !== null) {
      this.seen.push(this.dirty(spaceOf(found[1]!), found[2] as Place));
      return;
    }
    found = /^([pqhi])([:!])/.exec(step);
    if (found !== null) {
      this.seen.push(this.access(found[1] as Place, found[2] === '!' ? ACCESS_WRITE : ACCESS_READ));
      return;
    }
    const [name = '', first = '', second = ''] = step.split('.');
    this.flush(name, first, second);
  }
}
