/**
 * A dump as the memory a walker reads tables from. Pages are read when a walk needs them and kept, 16 MiB of them at most
 * (the one read first goes first), so the size of the dump plays no part.
 *
 * What a walker writes goes to the kept copy alone, and stays there as long as it is kept. A walk that shall leave no
 * trace there either takes a `debuggerMmu`.
 */
import { checkInteger } from '@mmkit/base';
import type { TableMemory } from '../memory.ts';
import { type Dump, readPhysical } from './dump.ts';

/** Words kept: 16 MiB. */
const KEPT_WORDS = 0x40_0000;

class DumpMemory implements TableMemory {
  readonly dump: Dump;
  /** Bytes of a page. */
  readonly pageSize: number;
  /** The kept pages, one behind the other. */
  readonly arena: Int32Array;
  /** The same memory, as the dump fills it. */
  readonly bytes: Uint8Array;
  /** Where a kept page begins in `arena`, by PFN. */
  readonly starts: Map<number, number>;
  /** PFN of each place for a page, -1 where there is none. */
  readonly pfns: Float64Array;
  /** The place that is filled next. */
  next: number;

  constructor(dump: Dump, pageShift: number) {
    this.dump = dump;
    this.pageSize = 2 ** pageShift;
    this.arena = new Int32Array(KEPT_WORDS);
    this.bytes = new Uint8Array(this.arena.buffer);
    this.starts = new Map();
    this.pfns = new Float64Array((KEPT_WORDS * 4) / this.pageSize).fill(-1);
    this.next = 0;
  }

  words(pfn: number): Int32Array | null {
    return this.starts.has(pfn) || this.keep(pfn) ? this.arena : null;
  }

  wordIndex(pfn: number): number {
    return this.starts.get(pfn)!;
  }

  /** Reads a page; false when the dump does not hold all of it. */
  keep(pfn: number): boolean {
    const { dump, pageSize, bytes, starts, pfns, next } = this;
    const address = pfn * pageSize;
    if (!Number.isSafeInteger(address)) return false;
    starts.delete(pfns[next]!);
    pfns[next] = -1;
    if (readPhysical(dump, address, bytes.subarray(next * pageSize, (next + 1) * pageSize)) < pageSize) return false;
    pfns[next] = pfn;
    starts.set(pfn, (next * pageSize) / 4);
    this.next = (next + 1) % pfns.length;
    return true;
  }
}

/**
 * The memory of `dump` in pages of `2 ** pageShift` bytes (12 to 16; `Mmu.pageShift`). A page that the dump holds only in
 * part is unknown, like one it does not hold. Reading throws `InvariantError('DUMP_IO')` when the source fails.
 */
export function dumpMemory(dump: Dump, pageShift: number): TableMemory {
  checkInteger('pageShift', pageShift, 12, 16);
  return new DumpMemory(dump, pageShift);
}
