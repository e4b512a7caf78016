/**
 * Fault-around (Linux: do_fault_around, filemap_map_pages; FACTS 30): a read fault maps what is cached in its
 * neighbourhood, 64 KiB of addresses that begin at a multiple of that, or with the VMA if that begins later (measured: the
 * window then moves along, it does not shrink), and lie in one page table. Only pages that nobody has locked and that
 * are uptodate, and only where nothing is mapped.
 *
 * All under one page-table lock, in one step: Linux takes each folio lock by trylock meanwhile.
 */
import type { Task } from '@mmkit/base';
import { ptlUnlock } from '@mmkit/aspace';
import { ptlLock } from '@mmkit/aspace/sched';
import { folioTestUptodate } from '@mmkit/filemap';
import { createEntry, leafIndex, leafTableAlloc, readEntry } from '@mmkit/pgtable';
import { getPage, PG_LOCKED, testFlag } from '@mmkit/phys';
import { mmRoot } from './entry.ts';
import { beyondEnd, FileFault } from './file-fault.ts';
import { VM_FAULT_NOPAGE, VM_FAULT_OOM } from './flags.ts';
import { setPte } from './map-file-page.ts';

/** Bytes of the neighbourhood (fault_around_bytes). */
const FAULT_AROUND_BYTES = 0x10000;

/** Maps what is there around a read fault: VM_FAULT_NOPAGE when its own page was, else 0; or VM_FAULT_OOM. */
export function* doFaultAround(fault: FileFault): Task<number> {
  const { mm, vma, inode, address } = fault;
  const { memory } = mm;
  const { phys, tables, format } = memory;
  const pages = FAULT_AROUND_BYTES / phys.pageSize;
  if (pages === 1) return 0;
  const table = leafTableAlloc(tables, mmRoot(mm), address);
  if (table < 0) return VM_FAULT_OOM;
  yield* ptlLock(memory, table);
  const own = leafIndex(format, address);
  const before = (address - vma.start) / phys.pageSize;
  const after = (vma.end - address) / phys.pageSize;
  const from = Math.max(own - (own % pages), own - before);
  const to = Math.min(from + pages, tables.entries, own + after);
  const entry = createEntry();
  let result = 0;
  for (let at = from; at < to; at++) {
    const index = fault.index + at - own;
    const pfn = inode.pages.get(index);
    if (pfn === undefined || beyondEnd(inode, index)) continue;
    if (testFlag(phys, pfn, PG_LOCKED) || !folioTestUptodate(phys, pfn)) continue;
    readEntry(tables, table, at, entry);
    if ((entry.lo | entry.hi) !== 0) continue;
    getPage(phys, pfn);
    setPte(fault, table, at, pfn, index);
    if (at === own) result = VM_FAULT_NOPAGE;
  }
  ptlUnlock(memory, table);
  return result;
}
