/** What one would write first: a buddy allocator of a Set of free blocks for each order. The measure beside phys. */

const MAX_ORDER = 10;

export interface SetAllocator {
  /** First PFNs of the free blocks, by order. */
  readonly free: Set<number>[];
}

export function createSetAllocator(frames: number): SetAllocator {
  const free = Array.from({ length: MAX_ORDER + 1 }, () => new Set<number>());
  for (let pfn = 0; pfn < frames; pfn += 1 << MAX_ORDER) free[MAX_ORDER]!.add(pfn);
  return { free };
}

/** A block of `order`: its first PFN, −1 when there is none. */
export function setAlloc({ free }: SetAllocator, order: number): number {
  for (let current = order; current <= MAX_ORDER; current++) {
    for (const pfn of free[current]!) {
      free[current]!.delete(pfn);
      while (current > order) free[--current]!.add(pfn + (1 << current));
      return pfn;
    }
  }
  return -1;
}

/** Gives a block back, merged with its buddies as far as they are free. */
export function setFree({ free }: SetAllocator, pfn: number, order: number): void {
  while (order < MAX_ORDER && free[order]!.delete(pfn ^ (1 << order))) {
    pfn &= ~(1 << order);
    order++;
  }
  free[order]!.add(pfn);
}
