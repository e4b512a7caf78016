/** What page tables have at an address: cases look at frames as /proc/PID/pagemap shows them. */
import { MM_ROOT } from '@mmkit/aspace';
import {
  createCursor,
  createDecoded,
  createEntry,
  type Decoded,
  ENTRY_LEAF,
  findEntry,
  readEntry,
} from '@mmkit/pgtable';
import { Actor, PAGE } from './world.ts';

/** One page of a process. */
export interface Seen {
  /** The frame; -1: none is there. */
  readonly pfn: number;
  /** First frame of the large entry that maps it; -1: a small one does. */
  readonly huge: number;
  /** The entry. */
  readonly entry: Decoded;
}

/** What is mapped at `address`. */
export function frameAt({ process }: Actor, address: number): Seen {
  const { tables, format } = process.mm.memory;
  const at = createCursor(0, 0);
  const entry = createEntry();
  const decoded = createDecoded();
  findEntry(tables, process.mm.words[MM_ROOT]!, address, at);
  readEntry(tables, at.table, at.index, entry);
  format.decode(entry.lo, entry.hi, at.level, decoded);
  if (decoded.kind !== ENTRY_LEAF) return { pfn: -1, huge: -1, entry: decoded };
  const huge = at.level > 0 ? decoded.pfn : -1;
  return { pfn: decoded.pfn + Math.floor((address - at.address) / PAGE), huge, entry: decoded };
}
