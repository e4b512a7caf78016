/**
 * One leaf entry where it lies: found by one walk, then read, compared and written without looking for its words again
 * (Linux: a pte_t pointer, with what a fault has read there in vmf->orig_pte). Locks are as for `readEntry` and `writeEntry`.
 */
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { type Entry, ENTRY_LEAF, setDecoded } from './flags.ts';
import { entryIndex, leafTable, leafTableAlloc, type Tables } from './tables.ts';

/** A scratch object: make it once a task, find it often. */
export class Pte {
  /** PFN of the leaf table; -1: there is none. */
  table: number;
  /** The words of the RAM it lies in; until it is found, some others. */
  words: Int32Array;
  /** Index of its low word in them, that of the high one is `low ^ 1`; -1: not found yet, nothing is written then. */
  low: number;
  /** Bits 31:0 when last read, int32. */
  lo: number;
  /** Bits 63:32 when last read, int32. */
  hi: number;

  constructor(words: Int32Array) {
    this.table = -1;
    this.words = words;
    this.low = -1;
    this.lo = 0;
    this.hi = 0;
  }
}

/** Makes a scratch entry that lies nowhere. */
export function createPte(tables: Tables): Pte {
  return new Pte(tables.phys.hot);
}

/** Finds the leaf entry of `address` (bytes); false, with `pte.table` -1, without a leaf table. Linux: `pte_offset_map`. */
export function pteOffset(tables: Tables, root: number, address: number, pte: Pte): boolean {
  return place(tables, leafTable(tables, root, address), address, pte);
}

/** The same, the tables made where missing; false where that fails. Throws as `tableAtAlloc`. Linux: `pte_alloc_map`. */
export function pteAlloc(tables: Tables, root: number, address: number, pte: Pte): boolean {
  return place(tables, leafTableAlloc(tables, root, address), address, pte);
}

function place(tables: Tables, table: number, address: number, pte: Pte): boolean {
  const { phys } = tables;
  pte.table = table;
  if (table < 0) return false;
  pte.words = frameWords(phys, table);
  pte.low = frameWordIndex(phys, table) + (entryIndex(tables, 0, address) << 1) + tables.lowAt;
  return true;
}

/** Reads the entry, whole even while a worker changes it; true when it is none. Linux: `ptep_get_lockless`, `pte_none`. */
export function pteRead(pte: Pte): boolean {
  const { words, low } = pte;
  let lo: number;
  let hi: number;
  do {
    lo = words[low]!;
    hi = words[low ^ 1]!;
  } while (words[low] !== lo);
  pte.lo = lo;
  pte.hi = hi;
  return (lo | hi) === 0;
}

/** True when the entry is what was read last, bit for bit. Linux: `pte_same`. */
export function pteSame({ words, low, lo, hi }: Pte): boolean {
  return words[low] === lo && words[low ^ 1] === hi;
}

/** Writes the entry. Linux: `set_pte`. */
export function pteWrite({ words, low }: Pte, entry: Entry): void {
  words[low] = 0;
  words[low ^ 1] = entry.hi;
  words[low] = entry.lo;
}

/** Makes the entry a leaf that maps `pfn` with `flags` (E_*). Linux: `set_pte(mk_pte())`. */
export function pteWriteLeaf(tables: Tables, pte: Pte, pfn: number, flags: number): void {
  const { format, decoded, entry } = tables;
  setDecoded(decoded, ENTRY_LEAF, pfn, flags);
  format.encode(decoded, 0, entry);
  pteWrite(pte, entry);
}

/** Makes the entry none. Linux: `pte_clear`. */
export function pteClear({ words, low }: Pte): void {
  words[low] = 0;
  words[low ^ 1] = 0;
}
