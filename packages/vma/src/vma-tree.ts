/**
 * The VMAs of one address space: Linux's `mm->mm_mt` with `mm->map_count`, find_vma and its relatives (reference N.16).
 * Below it a range tree of page numbers. Who merges with whom is in merge.ts, what a change comes to in plan.ts, where a
 * new one can go in area.ts. Every function needs the address space's mmap_lock: for reading to look up, for writing to
 * change; this package cannot check it.
 */
import { InvariantError, checkAddress, checkInteger } from '@mmkit/base';
import { checkTree } from './check.ts';
import type { RangeEntry } from './cursor.ts';
import { createRangeCursor, nextRange, seekRange } from './cursor.ts';
import { eraseRange, insertRange, resizeRange } from './edit.ts';
import { replaceRanges } from './replace.ts';
import type { RangeTree } from './tree.ts';
import { createRangeTree, findRange, rangeBefore } from './tree.ts';
import type { Vma } from './vma.ts';

/** vm.max_map_count as Linux starts with it: USHRT_MAX − 5. */
export const DEFAULT_MAX_MAP_COUNT = 65530;
/** stack_guard_gap as Linux starts with it, pages. */
export const STACK_GUARD_GAP = 256;

export class VmaTree {
  /** The VMAs by page numbers: address / pageSize, exact. Written by this file only. */
  readonly ranges: RangeTree<Vma>;
  /** Bytes a page has. */
  readonly pageSize: number;
  /** 1 / pageSize, a power of two, so multiplying by it is exact. */
  readonly pagesPerByte: number;
  /** First address no VMA may reach (TASK_SIZE). */
  readonly taskSize: number;
  /** vm.max_map_count; see `mapCountAllows`. The owner may change it. */
  maxMapCount: number;
  /**
   * Pages that stay free below a VMA that grows down, unless somebody asks for exactly them (stack_guard_gap); 0 up to
   * Linux 4.11. The owner may change it.
   */
  stackGuardGap: number;
  /**
   * Memory with an anon_vma may become one with a neighbour without (as observed on 6.18); false: it waits for the neighbour
   * to come to it (as observed on 6.12). The owner may change it.
   */
  mergeUnfaulted: boolean;
  /** Whose tree it is (vm_mm of its VMAs); null: nobody's. The owner of the address space sets it once. */
  owner: object | null;
  /** Pages of all VMAs (total_vm). Written by this file only. */
  totalPages: number;

  constructor(pageSize: number, taskSize: number, maxMapCount: number) {
    this.ranges = createRangeTree<Vma>();
    this.pageSize = pageSize;
    this.pagesPerByte = 1 / pageSize;
    this.taskSize = taskSize;
    this.maxMapCount = maxMapCount;
    this.stackGuardGap = STACK_GUARD_GAP;
    this.mergeUnfaulted = true;
    this.owner = null;
    this.totalPages = 0;
  }

  /** How many VMAs there are (mm->map_count). */
  get mapCount(): number {
    return this.ranges.size;
  }
}

/** What a tree is made of; all have defaults. */
export interface VmaTreeOptions {
  /** Bytes a page has: 4096 (default), 16384 or 65536. */
  readonly pageSize?: 4096 | 16384 | 65536;
  /** First address no VMA may reach, a multiple of the page size; 2^47 by default. */
  readonly taskSize?: number;
  /** vm.max_map_count, 65530 by default. */
  readonly maxMapCount?: number;
}

/** Makes an empty tree. Throws `RangeError` for a bad option. */
export function createVmaTree(options: VmaTreeOptions = {}): VmaTree {
  const { pageSize = 4096, taskSize = 2 ** 47, maxMapCount = DEFAULT_MAX_MAP_COUNT } = options;
  if (pageSize !== 4096 && pageSize !== 16384 && pageSize !== 65536) {
    throw new RangeError(`pageSize: expected 4096, 16384 or 65536, got ${String(pageSize)}`);
  }
  checkPageAddress('taskSize', taskSize, pageSize);
  checkInteger('maxMapCount', maxMapCount, 0, Number.MAX_SAFE_INTEGER);
  return new VmaTree(pageSize, taskSize, maxMapCount);
}

/** The first VMA whose end is above `address`: the one that contains it, else the next; null if none (find_vma). */
export function findVma(tree: VmaTree, address: number): Vma | null {
  checkAddress('address', address);
  return findRange(tree.ranges, address * tree.pagesPerByte);
}

/** The VMA that contains `address`, or null (vma_lookup). */
export function vmaLookup(tree: VmaTree, address: number): Vma | null {
  const vma = findVma(tree, address);
  return vma !== null && vma.start <= address ? vma : null;
}

/** The first VMA with a byte in [start, end), or null (find_vma_intersection). */
export function findVmaIntersection(tree: VmaTree, start: number, end: number): Vma | null {
  checkAddress('end', end);
  const vma = findVma(tree, start);
  return vma !== null && vma.start < end ? vma : null;
}

/** The VMA after `vma`, or null. Throws `InvariantError('VMA_ABSENT')` if `vma` is not in the tree. */
export function nextVma(tree: VmaTree, vma: Vma): Vma | null {
  checkPresent(tree, vma);
  return findRange(tree.ranges, vma.end * tree.pagesPerByte);
}

/** The VMA before `vma`, or null. Throws `InvariantError('VMA_ABSENT')` if `vma` is not in the tree. */
export function prevVma(tree: VmaTree, vma: Vma): Vma | null {
  checkPresent(tree, vma);
  return rangeBefore(tree.ranges, vma.start * tree.pagesPerByte);
}

/** All VMAs with a byte in [start, end), in order: a list of its own, so the tree may change while it is walked. */
export function vmasIn(tree: VmaTree, start: number, end: number): Vma[] {
  const first = findVmaIntersection(tree, start, end);
  if (first === null) return [];
  const list = [first];
  if (first.end >= end) return list;
  const cursor = createRangeCursor(tree.ranges);
  seekRange(cursor, first.end * tree.pagesPerByte);
  while (cursor.value !== null && cursor.value.start < end) {
    list.push(cursor.value);
    nextRange(cursor);
  }
  return list;
}

/** True if `more` further VMAs stay within vm.max_map_count. Callers ask first and return -ENOMEM, as Linux's do. */
export function mapCountAllows(tree: VmaTree, more: number): boolean {
  return tree.mapCount + more <= tree.maxMapCount;
}

/**
 * Adds a VMA (vma_link). Throws `RangeError` for bounds that are empty, not page-aligned or above `taskSize`, and for a
 * `pgoff` that is not an integer of 0 or more, `InvariantError('VMA_ATTACHED')` if it is in a tree already,
 * `InvariantError('VMA_OVERLAP')` if another is in the way.
 */
export function insertVma(tree: VmaTree, vma: Vma): void {
  const { start, end } = vma;
  checkPageAddress('vma.start', start, tree.pageSize);
  checkPageAddress('vma.end', end, tree.pageSize);
  checkInteger('vma.end', end, start + tree.pageSize, tree.taskSize);
  checkInteger('vma.pgoff', vma.pgoff, 0, Number.MAX_SAFE_INTEGER);
  if (vma.tree !== null) throw new InvariantError('VMA_ATTACHED', `${describe(vma)} is in a tree already`);
  const other = findVmaIntersection(tree, start, end);
  if (other !== null) throw new InvariantError('VMA_OVERLAP', `${describe(vma)} overlaps ${describe(other)}`);
  linkVma(tree, vma);
}

/** Adds a VMA, which is in no tree, where nothing is and one may be. */
export function linkVma(tree: VmaTree, vma: Vma): void {
  const { start, end } = vma;
  insertRange(tree.ranges, start * tree.pagesPerByte, end * tree.pagesPerByte, vma);
  vma.tree = tree;
  tree.totalPages += (end - start) * tree.pagesPerByte;
}

/** Removes a VMA; its fields stay. Throws `InvariantError('VMA_ABSENT')` if it is not in the tree. */
export function eraseVma(tree: VmaTree, vma: Vma): void {
  checkPresent(tree, vma);
  eraseRange(tree.ranges, vma.start * tree.pagesPerByte);
  vma.tree = null;
  tree.totalPages -= (vma.end - vma.start) * tree.pagesPerByte;
}

/**
 * Gives a VMA other bounds (vma_adjust): `pgoff` moves with `start`. Throws `InvariantError('VMA_ABSENT')` if `vma` is not
 * in the tree, `RangeError` for bounds as of `insertVma`, `InvariantError('VMA_OVERLAP')` if another VMA is in the way.
 */
export function resizeVma(tree: VmaTree, vma: Vma, start: number, end: number): void {
  checkPresent(tree, vma);
  checkPageAddress('start', start, tree.pageSize);
  checkPageAddress('end', end, tree.pageSize);
  checkInteger('end', end, start + tree.pageSize, tree.taskSize);
  const below = start < vma.start ? findVmaIntersection(tree, start, Math.min(end, vma.start)) : null;
  const other = below ?? (end > vma.end ? findVmaIntersection(tree, Math.max(start, vma.end), end) : null);
  if (other !== null) throw new InvariantError('VMA_OVERLAP', `${describe(vma)} would overlap ${describe(other)}`);
  const scale = tree.pagesPerByte;
  const pgoff = vma.pgoff + (start - vma.start) * scale;
  checkInteger('pgoff', pgoff, 0, Number.MAX_SAFE_INTEGER);
  resizeRange(tree.ranges, vma.start * scale, start * scale, end * scale);
  tree.totalPages += (end - start - (vma.end - vma.start)) * scale;
  vma.start = start;
  vma.end = end;
  vma.pgoff = pgoff;
}

/**
 * Removes all VMAs in [start, end) in one step (vma_iter_clear over a span); their fields stay. Throws `RangeError` for bounds
 * that are empty, not page-aligned or above `taskSize`, `InvariantError('RANGE_OVERLAP')` if one lies partly in it.
 */
export function eraseVmas(tree: VmaTree, start: number, end: number): void {
  checkPageAddress('start', start, tree.pageSize);
  checkPageAddress('end', end, tree.pageSize);
  checkInteger('end', end, start + tree.pageSize, tree.taskSize);
  replaceVmas(tree, start, end, []);
}

/**
 * Puts `list`, bounds in pages and in order, in place of all VMAs in [start, end), bytes, in one step. A VMA of the list that
 * was there gets these bounds, and its `pgoff` moves with its start; one that is in the list alone comes into the tree. The
 * caller has seen to it that bounds are right and no VMA lies partly in the span.
 */
export function replaceVmas(tree: VmaTree, start: number, end: number, list: readonly RangeEntry<Vma>[]): void {
  const scale = tree.pagesPerByte;
  for (const gone of replaceRanges(tree.ranges, start * scale, end * scale, list)) {
    gone.value.tree = null;
    tree.totalPages -= gone.end - gone.start;
  }
  for (const { start: first, end: last, value: vma } of list) {
    vma.pgoff += first - vma.start * scale;
    vma.start = first * tree.pageSize;
    vma.end = last * tree.pageSize;
    vma.tree = tree;
    tree.totalPages += last - first;
  }
}

/**
 * Throws `InvariantError` unless the range tree is whole (`checkTree`) and every VMA lies where it says, knows its tree
 * and ends at or below `taskSize`, and they have `totalPages` pages. Time O(n).
 */
export function checkVmaTree(tree: VmaTree): void {
  checkTree(tree.ranges);
  const cursor = createRangeCursor(tree.ranges);
  seekRange(cursor, 0);
  let pages = 0;
  for (let vma = cursor.value; vma !== null; vma = nextRange(cursor) ? cursor.value : null) {
    const placed = cursor.start * tree.pageSize === vma.start && cursor.end * tree.pageSize === vma.end;
    if (!placed || vma.tree !== tree || vma.end > tree.taskSize) {
      throw new InvariantError('TREE_BROKEN', `${describe(vma)} is not where it says`);
    }
    pages += cursor.end - cursor.start;
  }
  if (pages !== tree.totalPages)
    throw new InvariantError('TREE_BROKEN', `totalPages is ${tree.totalPages}, found ${pages}`);
}

/** Throws `RangeError` unless `value` is an address and a multiple of the page size. */
export function checkPageAddress(name: string, value: number, pageSize: number): void {
  checkAddress(name, value);
  // Exact, as pageSize is a power of two, and cheaper than the remainder of two doubles.
  if (!Number.isInteger(value / pageSize)) {
    throw new RangeError(`${name}: expected a multiple of ${pageSize}, got ${value}`);
  }
}

/** Throws `InvariantError('VMA_ABSENT')` unless the VMA is in the tree. */
export function checkPresent(tree: VmaTree, vma: Vma): void {
  if (vma.tree !== tree) throw new InvariantError('VMA_ABSENT', `${describe(vma)} is not in the tree`);
}

function describe(vma: Vma): string {
  return `VMA [${hex(vma.start)}, ${hex(vma.end)})`;
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
