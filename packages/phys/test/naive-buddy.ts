/**
 * N.15's buddy lists re-stated with arrays, one zone, no per-CPU lists: exactly which block comes out. The first
 * element of an array is the front of the list.
 */

const MAX_ORDER = 10;
/** N.15: the types to take from instead of UNMOVABLE 0, MOVABLE 1, RECLAIMABLE 2. */
const FALLBACK = [
  [2, 1],
  [2, 0],
  [0, 1],
] as const;

export class NaiveBuddy {
  readonly frames: number;
  readonly pageblockOrder: number;
  /** By type and order: first PFNs of free blocks. */
  readonly lists: number[][][];
  /** By pageblock: its type. */
  readonly types: number[];

  constructor(frames: number, pageblockOrder: number) {
    this.frames = frames;
    this.pageblockOrder = pageblockOrder;
    this.lists = [0, 1, 2].map(() => Array.from({ length: MAX_ORDER + 1 }, () => []));
    this.types = new Array<number>(Math.ceil(frames / 2 ** pageblockOrder)).fill(1);
    // At boot the largest blocks that fit, ascending, each to the end of its list; frames 0 and 1 are reserved.
    for (let pfn = 2; pfn < frames; ) {
      let order = MAX_ORDER;
      while (pfn % 2 ** order !== 0 || pfn + 2 ** order > frames) order--;
      this.lists[1]![order]!.push(pfn);
      pfn += 2 ** order;
    }
  }

  typeOf(pfn: number): number {
    return this.types[Math.floor(pfn / 2 ** this.pageblockOrder)]!;
  }

  setType(pfn: number, order: number, type: number): void {
    const first = Math.floor(pfn / 2 ** this.pageblockOrder);
    this.types.fill(type, first, first + Math.max(2 ** (order - this.pageblockOrder), 1));
  }

  isFree(pfn: number, order: number): boolean {
    return this.lists.some((orders) => orders[order]?.includes(pfn));
  }

  take(pfn: number, order: number): void {
    for (const orders of this.lists) {
      const at = orders[order]!.indexOf(pfn);
      if (at >= 0) orders[order]!.splice(at, 1);
    }
  }

  /** "Lower half kept splitting, upper halves to free lists". */
  split(pfn: number, from: number, to: number, type: number): number {
    for (let order = from - 1; order >= to; order--) this.lists[type]![order]!.unshift(pfn + 2 ** order);
    return pfn;
  }

  smallest(order: number, type: number): number {
    for (let from = order; from <= MAX_ORDER; from++) {
      const pfn = this.lists[type]![from]!.shift();
      if (pfn !== undefined) return this.split(pfn, from, order, type);
    }
    return 0;
  }

  other(order: number, type: number): number | undefined {
    return FALLBACK[type]!.find((each) => this.lists[each]![order]!.length > 0);
  }

  /** "Take a fallback block and claim the pageblock if can_steal and enough compatible free pages", largest first. */
  claim(order: number, type: number): number {
    for (let from = MAX_ORDER; from >= order; from--) {
      const other = this.other(from, type);
      if (other === undefined) continue;
      if (type === 1 && from < Math.floor(this.pageblockOrder / 2)) return 0;
      const pfn = this.lists[other]![from]![0]!;
      if (from >= this.pageblockOrder) {
        this.take(pfn, from);
        this.setType(pfn, from, type);
        return this.split(pfn, from, order, type);
      }
      if (this.claimPageblock(pfn - (pfn % 2 ** this.pageblockOrder), type)) return this.smallest(order, type);
    }
    return 0;
  }

  /** False: less than half of it is free, or in use for what is alike. */
  claimPageblock(start: number, type: number): boolean {
    const size = 2 ** this.pageblockOrder;
    const inside: { pfn: number; order: number }[] = [];
    for (let order = 0; order <= MAX_ORDER; order++) {
      for (const pfn of this.lists[this.typeOf(start)]![order]!) {
        if (pfn >= start && pfn < start + size) inside.push({ pfn, order });
      }
    }
    const free = inside.reduce((sum, { order }) => sum + 2 ** order, 0);
    // Nothing is on the LRU here: what is in use of a movable block is alike for the other two types, nothing else is.
    const alike = type !== 1 && this.typeOf(start) === 1 ? size - free : 0;
    if (free + alike < size / 2) return false;
    for (const { pfn, order } of inside.sort((a, b) => a.pfn - b.pfn)) {
      this.take(pfn, order);
      this.lists[type]![order]!.push(pfn);
    }
    this.setType(start, this.pageblockOrder, type);
    return true;
  }

  /** "Smallest fallback block from order upward, no retyping". */
  steal(order: number, type: number): number {
    for (let from = order; from <= MAX_ORDER; from++) {
      const other = this.other(from, type);
      if (other === undefined) continue;
      return this.split(this.lists[other]![from]!.shift()!, from, order, other);
    }
    return 0;
  }

  /** The first PFN of the block that comes out, 0 = none. */
  alloc(order: number, type: number): number {
    return this.smallest(order, type) || this.claim(order, type) || this.steal(order, type);
  }

  /** "Freed to head, or tail if the next-higher buddy is likely to merge". */
  free(pfn: number, order: number): void {
    const type = this.typeOf(pfn);
    while (order < MAX_ORDER) {
      const buddy = pfn % 2 ** (order + 1) === 0 ? pfn + 2 ** order : pfn - 2 ** order;
      if (!this.isFree(buddy, order)) break;
      this.take(buddy, order);
      if (order >= this.pageblockOrder) this.setType(buddy, order, type);
      pfn = Math.min(pfn, buddy);
      order++;
    }
    const pair = pfn - (pfn % 2 ** (order + 1));
    const higher = pair % 2 ** (order + 2) === 0 ? pair + 2 ** (order + 1) : pair - 2 ** (order + 1);
    if (order < MAX_ORDER - 1 && this.isFree(higher, order + 1)) this.lists[type]![order]!.push(pfn);
    else this.lists[type]![order]!.unshift(pfn);
  }
}
