/** Where a walker finds page tables: simulated RAM, a memory dump, or memory of yours. */
import { frameWordIndex, frameWords, type Phys } from '@mmkit/phys';

export interface TableMemory {
  /**
   * The words that hold page `pfn` (any integer of 0 or more), or null where nothing is. A walk writes accessed and dirty
   * bits to them.
   */
  words(pfn: number): Int32Array | null;
  /** Index of the page's first word in them; only asked where `words` found some. */
  wordIndex(pfn: number): number;
}

class PhysMemory implements TableMemory {
  readonly phys: Phys;

  constructor(phys: Phys) {
    this.phys = phys;
  }

  words(pfn: number): Int32Array | null {
    return pfn < this.phys.frames ? frameWords(this.phys, pfn) : null;
  }

  wordIndex(pfn: number): number {
    return frameWordIndex(this.phys, pfn);
  }
}

/** The RAM of `phys` from physical address 0 on. */
export function physMemory(phys: Phys): TableMemory {
  return new PhysMemory(phys);
}
