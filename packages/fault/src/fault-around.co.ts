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
import { ptlLockLeaf } from '@mmkit/aspace/sched';
import { folioTestUptodate } from '@mmkit/filemap';
import { entryNone, leafIndex, leafTable, leafTableAlloc } from '@mmkit/pgtable';
import { compoundHead, getPage, PG_LOCKED, testFlag } from '@mmkit/phys';
import { mmRoot } from './entry.ts';
import { beyondEnd, FileFault } from './file-fault.ts';
import { VM_FAULT_NOPAGE, VM_FAULT_OOM } from './flags.ts';
import { setPte } from './map-file-page.ts';

/** Bytes of the neighbourhood (fault_around_bytes). */
const FAULT_AROUND_BYTES = 0x10000;

/** Maps what is there around a read fault: VM_FAULT_NOPAGE when its own page was, else 0; or VM_FAULT_OOM. */
export function* doFaultAround(fault: FileFault): Task<number> {
  const { mm, vma, address } = fault;
  const { memory } = mm;
  const { phys, tables, format } = memory;
  const pages = FAULT_AROUND_BYTES / phys.pageSize;
  if (pages === 1) return 0;
  const hadTable = leafTable(tables, mmRoot(mm), address) >= 0;
  const table = leafTableAlloc(tables, mmRoot(mm), address);
  if (table < 0) return VM_FAULT_OOM;
  const own = leafIndex(format, address);
  const before = (address - vma.start) / phys.pageSize;
  const after = (vma.end - address) / phys.pageSize;
  const from = Math.max(own - (own % pages), own - before);
  const to = Math.min(from + pages, tables.entries, own + after);
  const first = firstUsable(fault, fault.index + from - own, fault.index + to - own);
  // Measured on 6.18, files on a disk: nothing where there was no page table and the first page is the file's last.
  if (!hadTable && fault.inode.device !== null && first >= 0 && beyondEnd(fault.inode, first + 1)) return 0;
  if (!(yield* ptlLockLeaf(mm, table, address))) return 0;
  let result = 0;
  for (let at = from; at < to; at++) {
    const index = fault.index + at - own;
    if (!isUsable(fault, index) || !entryNone(tables, table, at)) continue;
    const pfn = fault.inode.pages.get(index)!;
    getPage(phys, pfn);
    setPte(fault, table, at, pfn, index);
    if (at === own) result = VM_FAULT_NOPAGE;
  }
  ptlUnlock(memory, table);
  return result;
}

/** The first index of [from, to) whose page can be mapped, or -1 (next_uptodate_folio). */
function firstUsable(fault: FileFault, from: number, to: number): number {
  for (let index = from; index < to; index++) if (isUsable(fault, index)) return index;
  return -1;
}

/** True when a page is cached there, is uptodate, and nobody has locked it. */
function isUsable(fault: FileFault, index: number): boolean {
  const { phys } = fault.mm.memory;
  const pfn = fault.inode.pages.get(index);
  if (pfn === undefined || beyondEnd(fault.inode, index)) return false;
  return !testFlag(phys, compoundHead(phys, pfn), PG_LOCKED) && folioTestUptodate(phys, pfn);
}
