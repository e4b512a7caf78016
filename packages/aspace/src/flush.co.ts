/**
 * TLB shootdown and waiting for walkers (Linux: flush_tlb_mm_range, tlb_remove_table_sync). A page may be given back
 * only after every CPU that could translate to it has been flushed (N.11). A CPU with interrupts off answers late.
 */
import { P_ZAP_FLUSH } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { tlbFlushRange } from '@mmkit/pgtable';
import { sendIpi } from '@mmkit/task/sched';
import { MM_CPUMASK, MM_ROOT, Mm } from './mm.ts';

/** Drops every CPU's translations of [start, end) of `mm`; returns when all have done so. */
export function* flushTlbRange(mm: Mm, start: number, end: number): Task<void> {
  yield P_ZAP_FLUSH;
  const { sched, tlbs, policy } = mm.memory;
  const root = mm.words[MM_ROOT]!;
  const own = sched.current.cpu.id;
  tlbFlushRange(tlbs[own]!, root, start, end);
  const mask = mm.words[MM_CPUMASK]! & ~(1 << own);
  if (mask === 0) return;
  if (policy.flushByIpi) yield* sendIpi(sched, mask, (cpu) => tlbFlushRange(tlbs[cpu.id]!, root, start, end));
  else for (const tlb of tlbs) tlbFlushRange(tlb, root, start, end);
}
