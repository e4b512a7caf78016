/**
 * The translation cache of one CPU. Only its CPU looks up and inserts; whoever changes page tables flushes it, by IPI
 * in Linux (`flush_tlb_page`, `flush_tlb_range`, `flush_tlb_mm`). Intel SDM volume 3, "Caching translation
 * information"; Arm ARM, "Translation Lookaside Buffers".
 *
 * A tag tells address spaces apart: a PCID, an ASID, or, where every root has its own, the PFN of the root table. A
 * translation with E_GLOBAL (x86: G; arm64: not nG) answers under every tag. Pages are named by number: the address
 * divided by the page size, which is exact for every 64-bit address; functions that take addresses take those of user
 * memory.
 *
 * Direct mapped, one page a slot: a huge leaf is cached page by page, and a flush of any of its pages drops all of
 * them, as INVLPG does. An entry that refuses the access is a miss, so the walk finds the fault or the newer entry; a
 * write through an entry whose leaf is not dirty walks again, which sets Dirty. Differs: contiguous entries are not
 * cached as one.
 *
 * The slot of a page is (page number ^ tag) mod slots, of a global one page number mod slots. A hit reads one object;
 * packed in an Int32Array and a Float64Array, which both are checked at every access, it took half as long again, in one
 * Int32Array a fifth. With no test but the tag's, and not counted, it would take 0.7 of its time. Page numbers compared as
 * two integers instead of one double spared a hit nothing, and two more fields to fill made a miss a fifth longer.
 */
import { checkInteger } from '@mmkit/base';
import { ACCESS_WRITE } from './access.ts';
import { E_DIRTY, E_GLOBAL } from './flags.ts';
import { PFN_LIMIT } from './format.ts';
import type { Mmu } from './mmu.ts';
import { checkUse, createTlbCheck, TlbCheck, type TlbCheckOptions } from './tlb-check.ts';
import { forgetKinds, forgetTables, type WalkCache } from './walk-cache.ts';
import type { Translation } from './walker.ts';

/** `tlbFlushPages`: translations of the tag. */
export const FLUSH_TAG = 1;
/** `tlbFlushPages`: translations of every other tag. */
export const FLUSH_OTHERS = 2;
/** `tlbFlushPages`: global translations. */
export const FLUSH_GLOBAL = 4;

/** `TlbEntry.tag`: every tag. */
const GLOBAL = -1;
/** Numbers of accesses: all ACCESS_* bits together are below. */
const ACCESSES = 32;
/** Values of flags remembered, a power of two. */
const RIGHTS = 16;
/** Above every page number. */
const END = 2 ** 52;

/** What one slot holds. */
export class TlbEntry {
  /** Page number; NaN, which no page number equals: empty. A field of doubles from the start, so that V8 keeps it one. */
  page: number;
  /** Tag it answers under; -1: every tag. */
  tag: number;
  /** Frame of that page. */
  pfn: number;
  /** E_* flags, as `Translation.flags`. */
  flags: number;
  /** Bit n: a hit for access n (ACCESS_* bits together); 0 in debug mode: `flags` decide. This package only. */
  allowed: number;
  /** Pages of the leaf. This package only. */
  span: number;

  constructor() {
    this.page = NaN;
    this.tag = 0;
    this.pfn = 0;
    this.flags = 0;
    this.allowed = 0;
    this.span = 1;
  }
}

export class Tlb {
  /** Says who may do what with a cached translation. */
  readonly mmu: Mmu;
  /** log2 of the page size. */
  readonly pageShift: number;
  /** `1 / page size`, exact. */
  readonly inverse: number;
  /** Number of slots, a power of two. */
  readonly slots: number;
  /** Slots − 1. */
  readonly mask: number;
  /** What each slot holds. This package only. */
  readonly entries: readonly TlbEntry[];
  /** `TlbEntry.allowed` for the flags in the word before it, by the flags' hash; -1 in the first: unused. This file only. */
  readonly rights: Int32Array;
  /** What it knows of walks; null before the first `tlbTranslate`. tlb-translate.ts only. */
  walks: WalkCache | null;
  /** Looks for stale translations at every hit, or null. */
  readonly check: TlbCheck | null;
  /** True when an entry of a huge leaf may be present. This file only. */
  huge: boolean;
  /** True when a global entry may be present, and in debug mode: a miss is not one yet. This file only. */
  special: boolean;
  /** Where `tlbTranslate` missed: as an argument, a double would be made an object. tlb-translate.ts only. */
  address: number;
  /** Lookups that gave a frame. */
  hits: number;
  /** Lookups that did not. */
  misses: number;
  /** Inserts that pushed out the translation of another page or tag. */
  evictions: number;
  /** Flushes of any kind; calls counted, not entries. */
  flushes: number;
  /** Translations that flushes dropped. */
  dropped: number;

  constructor(mmu: Mmu, slots: number, check: TlbCheck | null) {
    this.mmu = mmu;
    this.pageShift = mmu.pageShift;
    this.inverse = 2 ** -mmu.pageShift;
    this.slots = slots;
    this.mask = slots - 1;
    this.entries = makeEntries(slots);
    this.rights = new Int32Array(RIGHTS * 2).fill(-1);
    this.walks = null;
    this.check = check;
    this.huge = false;
    this.special = check !== null;
    this.address = NaN;
    this.hits = 0;
    this.misses = 0;
    this.evictions = 0;
    this.flushes = 0;
    this.dropped = 0;
  }
}

function makeEntries(slots: number): TlbEntry[] {
  const entries: TlbEntry[] = [];
  for (let slot = 0; slot < slots; slot++) entries.push(new TlbEntry());
  return entries;
}

export interface TlbOptions {
  /** Number of translations it holds, a power of two up to 65536; 64 unless given. */
  readonly slots?: number;
  /** Debug mode: every hit is compared with the tables as they are then. Off unless given. */
  readonly check?: TlbCheckOptions;
}

/** Makes an empty TLB for translations of `mmu`. */
export function createTlb(mmu: Mmu, options: TlbOptions = {}): Tlb {
  const { slots = 64, check } = options;
  checkInteger('slots', slots, 1, 0x1_0000);
  if ((slots & (slots - 1)) !== 0) throw new RangeError(`slots: expected a power of two, got ${slots}`);
  return new Tlb(mmu, slots, check === undefined ? null : createTlbCheck(mmu, check));
}

/** Makes a scratch entry. */
export function createTlbEntry(): TlbEntry {
  return new TlbEntry();
}

/**
 * Frame of the page of `address` (any integer from 0 to 2^53 − 1) under `tag` (0 to 2^30) for `access` (ACCESS_*), or
 * -1: walk the tables, then `tlbInsert`. In debug mode see `TlbCheckOptions.report`.
 */
export function tlbLookup(tlb: Tlb, tag: number, address: number, access: number): number {
  return tlbLookupPage(tlb, tag, Math.floor(address * tlb.inverse), access);
}

/** The same for a page number, 0 to 2^52 − 1. */
export function tlbLookupPage(tlb: Tlb, tag: number, page: number, access: number): number {
  const entry = tlb.entries[(page ^ tag) & tlb.mask]!;
  if (entry.page === page && entry.tag === tag && ((entry.allowed >>> access) & 1) !== 0) {
    tlb.hits++;
    return entry.pfn;
  }
  return lookupRest(tlb, tag, page, access);
}

/** The lookup among global entries too, and in debug mode. Apart, so that hits stay short. This package only. */
export function lookupRest(tlb: Tlb, tag: number, page: number, access: number): number {
  const entry = tlb.special ? find(tlb, tag, page) : null;
  if (entry === null || ((allowed(tlb, entry.flags) >>> access) & 1) === 0) {
    tlb.misses++;
    return -1;
  }
  if (tlb.check !== null) checkUse(tlb.check, tag, page, entry.pfn, entry.flags, access);
  tlb.hits++;
  return entry.pfn;
}

/** What answers for `page` under `tag`, or null. */
function find(tlb: Tlb, tag: number, page: number): TlbEntry | null {
  const own = tlb.entries[(page ^ tag) & tlb.mask]!;
  if (own.page === page && own.tag === tag) return own;
  const shared = tlb.entries[page & tlb.mask]!;
  return shared.page === page && shared.tag === GLOBAL ? shared : null;
}

/** Keeps what a walk found for `address` under `tag`; a frame of 2^29 or more, which is no RAM, is not kept. */
export function tlbInsert(tlb: Tlb, tag: number, address: number, translation: Translation): void {
  tlbInsertPage(tlb, tag, Math.floor(address * tlb.inverse), translation);
}

/** The same for a page number. */
export function tlbInsertPage(tlb: Tlb, tag: number, page: number, translation: Translation): void {
  const { pfn, shift, flags } = translation;
  if (pfn >= PFN_LIMIT) return;
  if (shift > tlb.pageShift) tlb.huge = true;
  insertEntry(tlb, tag, page, pfn, flags, allowed(tlb, flags), 2 ** (shift - tlb.pageShift));
}

/** The same with the fields of the entry given. This package only. */
export function insertEntry(
  tlb: Tlb,
  tag: number,
  page: number,
  pfn: number,
  flags: number,
  accesses: number,
  span: number,
): void {
  const global = (flags & E_GLOBAL) !== 0;
  const entry = tlb.entries[(page ^ (global ? 0 : tag)) & tlb.mask]!;
  fillEntry(tlb, entry, global ? GLOBAL : tag, page, pfn, flags, tlb.check === null ? accesses : 0, span);
  if (global) tlb.special = true;
}

/** Writes the entry; `accesses` as of `TlbEntry.allowed`. This package only. */
export function fillEntry(
  tlb: Tlb,
  entry: TlbEntry,
  owner: number,
  page: number,
  pfn: number,
  flags: number,
  accesses: number,
  span: number,
): void {
  if (entry.page >= 0 && (entry.page !== page || entry.tag !== owner)) tlb.evictions++;
  entry.page = page;
  entry.tag = owner;
  // `| 0`: a double among them, and V8 keeps every slot's frame in an object.
  entry.pfn = pfn | 0;
  entry.flags = flags;
  entry.allowed = accesses;
  entry.span = span;
}

/** The accesses that `flags` permit without a walk, as of `TlbEntry.allowed`. This package only. */
export function allowed(tlb: Tlb, flags: number): number {
  const { rights } = tlb;
  const at = ((flags ^ (flags >>> 13)) & (RIGHTS - 1)) << 1;
  if (rights[at] !== flags) {
    rights[at] = flags;
    rights[at + 1] = allowedAccesses(tlb.mmu, flags);
  }
  return rights[at + 1]!;
}

/** Bit n: `flags`, of a leaf that need not be marked used, permit access n without marking it. */
function allowedAccesses(mmu: Mmu, flags: number): number {
  const refused = mmu.refused | ((flags & E_DIRTY) === 0 ? ACCESS_WRITE : 0);
  let bits = 0;
  for (let access = 0; access < ACCESSES; access++) {
    if ((access & refused) === 0 && mmu.permits(mmu, flags, access) === 0) bits |= 1 << access;
  }
  return bits;
}

/**
 * To be called when the MMU's answers have changed without a flush being due (x86: PKRU was written): what is cached
 * stays, who may use it is asked again.
 */
export function tlbRightsChanged(tlb: Tlb): void {
  tlb.rights.fill(-1);
  if (tlb.walks !== null) forgetKinds(tlb.walks);
  if (tlb.check !== null) return;
  for (const entry of tlb.entries) entry.allowed = allowed(tlb, entry.flags);
}

/** Drops what is cached for the page of `address` under `tag`, a whole huge leaf included. x86: INVLPG; arm64: VAE1. */
export function tlbFlushPage(tlb: Tlb, tag: number, address: number): void {
  const page = Math.floor(address * tlb.inverse);
  tlbFlushPages(tlb, FLUSH_TAG | FLUSH_GLOBAL, tag, page, page + 1);
}

/** The same for every page that [start, end) touches. Linux: `flush_tlb_range`. */
export function tlbFlushRange(tlb: Tlb, tag: number, start: number, end: number): void {
  const first = Math.floor(start * tlb.inverse);
  const last = start < end ? Math.floor((end - 1) * tlb.inverse) : first - 1;
  tlbFlushPages(tlb, FLUSH_TAG | FLUSH_GLOBAL, tag, first, last + 1);
}

/**
 * Drops everything under `tag` but what is global. x86: MOV to CR3, INVPCID type 1; arm64: ASIDE1; Linux:
 * `flush_tlb_mm`. Also to be done before another address space gets the tag.
 */
export function tlbFlushTag(tlb: Tlb, tag: number): void {
  tlbFlushPages(tlb, FLUSH_TAG, tag, 0, END);
}

/** Drops everything but what is global. x86: INVPCID type 3. */
export function tlbFlushNonGlobal(tlb: Tlb): void {
  tlbFlushPages(tlb, FLUSH_TAG | FLUSH_OTHERS, 0, 0, END);
}

/** Drops everything. x86: INVPCID type 2, a change of CR4.PGE; arm64: VMALLE1; Linux: `flush_tlb_all`. */
export function tlbFlushAll(tlb: Tlb): void {
  tlbFlushPages(tlb, FLUSH_TAG | FLUSH_OTHERS | FLUSH_GLOBAL, 0, 0, END);
  tlb.huge = false;
  tlb.special = tlb.check !== null;
}

/**
 * Drops the translations that `which` names (FLUSH_* together) whose leaf maps a page from `first` to `end - 1`. All
 * other flushes are cases of this one; those without a name: INVPCID type 0 is FLUSH_TAG for one page, arm64's VAAE1
 * all three for one page.
 */
export function tlbFlushPages(tlb: Tlb, which: number, tag: number, first: number, end: number): void {
  tlb.flushes++;
  if (first >= end) return;
  if (tlb.walks !== null) forgetTables(tlb.walks);
  const { entries, mask } = tlb;
  if (tlb.huge || (which & FLUSH_OTHERS) !== 0 || end - first > tlb.slots) {
    for (const entry of entries) {
      if (entry.page >= 0 && isNamed(entry, which, tag) && overlaps(entry, first, end)) drop(tlb, entry);
    }
    return;
  }
  for (let page = first; page < end; page++) {
    const own = entries[(page ^ tag) & mask]!;
    if (own.page === page && isNamed(own, which, tag)) drop(tlb, own);
    const shared = entries[page & mask]!;
    if (tlb.special && shared.page === page && isNamed(shared, which, tag)) drop(tlb, shared);
  }
}

/** True when the entry is one of those that `which` and `tag` name. */
function isNamed(entry: TlbEntry, which: number, tag: number): boolean {
  if (entry.tag === GLOBAL) return (which & FLUSH_GLOBAL) !== 0;
  return (which & (entry.tag === tag ? FLUSH_TAG : FLUSH_OTHERS)) !== 0;
}

/** True when the entry's leaf maps one of the pages. */
function overlaps({ page, span }: TlbEntry, first: number, end: number): boolean {
  const leaf = page - (page & (span - 1));
  return leaf < end && leaf + span > first;
}

function drop(tlb: Tlb, entry: TlbEntry): void {
  entry.page = NaN;
  tlb.dropped++;
}

/** What slot `slot` (0 to `slots - 1`) holds; false when it is empty, and then `out` is as it was. */
export function tlbEntryAt(tlb: Tlb, slot: number, out: TlbEntry): boolean {
  const entry = tlb.entries[slot]!;
  if (Number.isNaN(entry.page)) return false;
  out.page = entry.page;
  out.tag = entry.tag;
  out.pfn = entry.pfn;
  out.flags = entry.flags;
  return true;
}
