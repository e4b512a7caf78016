/**
 * The translation cache of one CPU, tagged by root table (as with one PCID for each root). Only its CPU looks up and
 * inserts; whoever changes page tables flushes it, by IPI in Linux (`flush_tlb_page`, `flush_tlb_range`,
 * `flush_tlb_mm`). Intel SDM volume 3, "Caching translation information".
 *
 * Direct mapped, one page an entry: a huge leaf is cached page by page, and a flush of any of its pages drops all of
 * them, as INVLPG does. An entry that lacks a right is a miss, so the walk finds the fault or the newer entry; a write
 * through an entry whose leaf is not dirty walks again, which sets Dirty. Differs: tables are not cached, global
 * entries are flushed like others.
 *
 * Layout of `words`, four a slot; the slot of a page is (page number ^ root) mod slots:
 *
 * | word | value |
 * |---|---|
 * | 0 | PFN of the root table; 0: empty |
 * | 1 | page number (address / page size), bits 31:0 |
 * | 2 | PFN |
 * | 3 | 7:0 E_WRITE, E_USER, E_EXEC, E_DIRTY; 15:8 log2 of the pages the leaf maps; 31:16 page number, bits 47:32 |
 */
import { alignDown, checkInteger, highWord, lowWord } from '@mmkit/base';
import { ACCESS_WRITE, accessRights } from './access.ts';
import { E_DIRTY, E_RIGHTS } from './flags.ts';
import { PFN_LIMIT } from './format.ts';
import type { Translation } from './walker.ts';

const SLOT_SHIFT = 2;
const ROOT = 0;
const PAGE = 1;
const PFN = 2;
const FLAGS = 3;
const LEAF_SHIFT = 8;
const LEAF_MASK = 0xff;
const HIGH_SHIFT = 16;
const HIGH_MASK = 0xffff_0000 | 0;
const PAGE_WORD = 0x1_0000_0000;

export class Tlb {
  /** The page size, bytes. */
  readonly pageSize: number;
  /** log2 of the page size. */
  readonly pageShift: number;
  /** Number of slots, a power of two. */
  readonly slots: number;
  /** See the layout. This file only. */
  readonly words: Int32Array;
  /** True when an entry of a huge leaf may be present. This file only. */
  huge: boolean;
  /** Lookups that gave a frame. */
  hits: number;
  /** Lookups that did not. */
  misses: number;
  /** Flushes of any kind; calls counted, not entries. */
  flushes: number;

  constructor(slots: number, pageShift: number) {
    this.pageSize = 2 ** pageShift;
    this.pageShift = pageShift;
    this.slots = slots;
    this.words = new Int32Array(slots << SLOT_SHIFT);
    this.huge = false;
    this.hits = 0;
    this.misses = 0;
    this.flushes = 0;
  }
}

export interface TlbOptions {
  /** Number of translations it holds, a power of two up to 65536; 64 unless given. */
  readonly slots?: number;
  /** log2 of the page size; 12 unless given. */
  readonly pageShift?: number;
}

/** Makes an empty TLB. */
export function createTlb(options: TlbOptions = {}): Tlb {
  const { slots = 64, pageShift = 12 } = options;
  checkInteger('slots', slots, 1, 0x1_0000);
  if ((slots & (slots - 1)) !== 0) throw new RangeError(`slots: expected a power of two, got ${slots}`);
  checkInteger('pageShift', pageShift, 12, 16);
  return new Tlb(slots, pageShift);
}

/** Index of the first word of the slot for a page number. */
function slotAt(tlb: Tlb, root: number, page: number): number {
  return ((lowWord(page) ^ root) & (tlb.slots - 1)) << SLOT_SHIFT;
}

/** Frame of the page of `address` for `access` (ACCESS_*), or -1: walk the tables, then `tlbInsert`. */
export function tlbLookup(tlb: Tlb, root: number, address: number, access: number): number {
  const { words } = tlb;
  const page = Math.floor(address / tlb.pageSize);
  const at = slotAt(tlb, root, page);
  const need = accessRights(access) | ((access & ACCESS_WRITE) !== 0 ? E_DIRTY : 0);
  const high = highWord(page) << HIGH_SHIFT;
  if (words[at + ROOT] === root && words[at + PAGE] === lowWord(page)) {
    if ((words[at + FLAGS]! & (need | HIGH_MASK)) === (need | high)) {
      tlb.hits++;
      return words[at + PFN]!;
    }
  }
  tlb.misses++;
  return -1;
}

/** Keeps what `hwWalk` found for `address` under `root`; a frame of 2^29 or more, which is no RAM, is not kept. */
export function tlbInsert(tlb: Tlb, root: number, address: number, translation: Translation): void {
  const { pfn, shift, flags } = translation;
  if (pfn >= PFN_LIMIT) return;
  const { words } = tlb;
  const page = Math.floor(address / tlb.pageSize);
  const at = slotAt(tlb, root, page);
  const leafShift = shift - tlb.pageShift;
  words[at + ROOT] = root;
  words[at + PAGE] = lowWord(page);
  words[at + PFN] = pfn;
  words[at + FLAGS] = (flags & (E_RIGHTS | E_DIRTY)) | (leafShift << LEAF_SHIFT) | (highWord(page) << HIGH_SHIFT);
  if (leafShift > 0) tlb.huge = true;
}

/** Drops what is cached for the page of `address` under `root`, a whole huge leaf included. x86: INVLPG. */
export function tlbFlushPage(tlb: Tlb, root: number, address: number): void {
  tlb.flushes++;
  const page = Math.floor(address / tlb.pageSize);
  flushPages(tlb, root, page, page + 1);
}

/** The same for every page that [start, end) touches. Linux: `flush_tlb_range`. */
export function tlbFlushRange(tlb: Tlb, root: number, start: number, end: number): void {
  tlb.flushes++;
  if (start >= end) return;
  flushPages(tlb, root, Math.floor(start / tlb.pageSize), Math.floor((end - 1) / tlb.pageSize) + 1);
}

/** Drops every entry under `root` whose leaf maps a page from `first` to `end - 1`. */
function flushPages(tlb: Tlb, root: number, first: number, end: number): void {
  const { words } = tlb;
  if (!tlb.huge && end - first <= tlb.slots) {
    for (let page = first; page < end; page++) {
      const at = slotAt(tlb, root, page);
      if (words[at + ROOT] === root && pageOf(words, at) === page) words[at + ROOT] = 0;
    }
    return;
  }
  for (let at = 0; at < words.length; at += 1 << SLOT_SHIFT) {
    if (words[at + ROOT] !== root) continue;
    const pages = 2 ** ((words[at + FLAGS]! >>> LEAF_SHIFT) & LEAF_MASK);
    const leaf = alignDown(pageOf(words, at), pages);
    if (leaf < end && leaf + pages > first) words[at + ROOT] = 0;
  }
}

/** The page number of the slot at `at`. */
function pageOf(words: Int32Array, at: number): number {
  return (words[at + FLAGS]! >>> HIGH_SHIFT) * PAGE_WORD + (words[at + PAGE]! >>> 0);
}

/** Drops everything under `root`. Linux: `flush_tlb_mm`; also to be done before its page becomes another root. */
export function tlbFlushRoot(tlb: Tlb, root: number): void {
  const { words } = tlb;
  tlb.flushes++;
  for (let at = 0; at < words.length; at += 1 << SLOT_SHIFT) if (words[at + ROOT] === root) words[at + ROOT] = 0;
}

/** Drops everything. Linux: `flush_tlb_all`. */
export function tlbFlushAll(tlb: Tlb): void {
  tlb.flushes++;
  tlb.words.fill(0);
  tlb.huge = false;
}
