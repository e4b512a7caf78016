/** The TLB rules of `checkMachine`: what is cached must be what the tables say, or less (reference E.3 #5, N.11). */
import { InvariantError } from '@mmkit/base';
import { MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import { createTlbCheck, createTlbEntry, staleEntry, tlbEntryAt } from '@mmkit/pgtable';
import { pageRefCount } from '@mmkit/phys';
import type { Machine } from './machine.ts';
import type { Process } from './process.ts';

/**
 * Throws InvariantError: TLB_TO_FREE (a translation to a free frame), TLB_STALE (of no living process, or not what the
 * tables give by the rule of @mmkit/pgtable's tlb-check.ts), TLB_UNMASKED (on a CPU that the process's flushes do not
 * reach).
 */
export function checkTlbs(machine: Machine): void {
  const { phys, tables, format, tlbs } = machine.memory;
  const check = createTlbCheck(format, { memory: tables.memory });
  const entry = createTlbEntry();
  tlbs.forEach((tlb, cpu) => {
    for (let slot = 0; slot < tlb.slots; slot++) {
      if (!tlbEntryAt(tlb, slot, entry)) continue;
      const { tag, page, pfn, flags } = entry;
      const what = `cpu ${cpu}, root ${tag}, page ${page}, frame ${pfn}`;
      if (pageRefCount(phys, pfn) === 0) throw new InvariantError('TLB_TO_FREE', what);
      const process = processOf(machine, tag);
      if (process === null) throw new InvariantError('TLB_STALE', `${what}: no such process`);
      const why = staleEntry(check, tag, page, pfn, flags);
      if (why !== '') throw new InvariantError('TLB_STALE', `${what}: ${why}`);
      if (((process.mm.words[MM_CPUMASK]! >>> cpu) & 1) === 0) throw new InvariantError('TLB_UNMASKED', what);
    }
  });
}

function processOf(machine: Machine, root: number): Process | null {
  for (const process of machine.processes.values()) if (process.mm.words[MM_ROOT] === root) return process;
  return null;
}
