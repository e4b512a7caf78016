/** The end of a file fault (Linux: finish_fault): the page is mapped if nobody was faster. */
import { P_FAULT_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { ptlUnlock } from '@mmkit/aspace';
import { ptlLockLeaf } from '@mmkit/aspace/sched';
import { entryNone, leafIndex, leafTableAlloc } from '@mmkit/pgtable';
import { noted } from '@mmkit/task';
import { mmRoot } from './entry.ts';
import { FileFault } from './file-fault.ts';
import { VM_FAULT_NOPAGE, VM_FAULT_OOM } from './flags.ts';
import { setPte } from './map-file-page.ts';

/**
 * Maps `pfn`, the file's page, which is locked, or a private copy: 0, and the caller's reference is the mapping's;
 * VM_FAULT_NOPAGE when something is mapped there by now; VM_FAULT_OOM.
 */
export function* finishFault(fault: FileFault, pfn: number): Task<number> {
  const { mm, address, index } = fault;
  const { memory } = mm;
  const table = leafTableAlloc(memory.tables, mmRoot(mm), address);
  if (table < 0) return VM_FAULT_OOM;
  yield noted(memory.sched, P_FAULT_LOCK);
  if (!(yield* ptlLockLeaf(mm, table, address))) return VM_FAULT_NOPAGE;
  const at = leafIndex(memory.format, address);
  const empty = entryNone(memory.tables, table, at);
  if (empty) setPte(fault, table, at, pfn, index);
  ptlUnlock(memory, table);
  return empty ? 0 : VM_FAULT_NOPAGE;
}
