/** The TLB rules of `checkMachine`: what is cached must be what the tables say, or less (reference E.3 #5, N.11). */
import { InvariantError } from '@mmkit/base';
import { MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import { createDecoded, createEntry, E_WRITE, ENTRY_LEAF, leafIndex, leafTable, readEntry } from '@mmkit/pgtable';
import { pageRefCount } from '@mmkit/phys';
import type { Machine } from './machine.ts';
import type { Process } from './process.ts';

/**
 * Words of a TLB slot, by the layout in @mmkit/pgtable's tlb.ts: root, page number, PFN, flags and the page's high
 * bits.
 */
const SLOT_WORDS = 4;
const PAGE_WORD = 0x1_0000_0000;

/**
 * Throws InvariantError: TLB_TO_FREE (a translation to a free frame), TLB_STALE (of no living process, to another frame
 * than the tables say, or writable where they are not), TLB_UNMASKED (on a CPU that the process's flushes do not
 * reach).
 */
export function checkTlbs(machine: Machine): void {
  machine.memory.tlbs.forEach((tlb, cpu) => {
    for (let at = 0; at < tlb.words.length; at += SLOT_WORDS) {
      const root = tlb.words[at]!;
      if (root === 0) continue;
      const flags = tlb.words[at + 3]!;
      const page = (flags >>> 16) * PAGE_WORD + (tlb.words[at + 1]! >>> 0);
      checkCached(machine, cpu, root, page * tlb.pageSize, tlb.words[at + 2]!, flags);
    }
  });
}

function checkCached(machine: Machine, cpu: number, root: number, address: number, pfn: number, flags: number): void {
  const { phys, tables, format } = machine.memory;
  const what = `cpu ${cpu}, root ${root}, address ${address}, frame ${pfn}`;
  if (pageRefCount(phys, pfn) === 0) throw new InvariantError('TLB_TO_FREE', what);
  const process = processOf(machine, root);
  if (process === null) throw new InvariantError('TLB_STALE', `${what}: no such process`);
  const table = leafTable(tables, root, address);
  const entry = createEntry();
  const decoded = createDecoded();
  if (table >= 0) {
    readEntry(tables, table, leafIndex(format, address), entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
  }
  const excess = flags & ~decoded.flags & E_WRITE;
  if (decoded.kind !== ENTRY_LEAF || decoded.pfn !== pfn || excess !== 0) throw new InvariantError('TLB_STALE', what);
  if (((process.mm.words[MM_CPUMASK]! >>> cpu) & 1) === 0) throw new InvariantError('TLB_UNMASKED', what);
}

function processOf(machine: Machine, root: number): Process | null {
  for (const process of machine.processes.values()) if (process.mm.words[MM_ROOT] === root) return process;
  return null;
}
