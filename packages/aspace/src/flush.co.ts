/**
 * TLB shootdown and waiting for walkers (Linux: flush_tlb_mm_range, tlb_remove_table_sync). A page may be given back
 * only after every CPU that could translate to it has been flushed (N.11). By interrupts: a CPU with interrupts off
 * answers late. By broadcast (arm64: TLBI, DSB): the translations go at once, and the barrier ends when the accesses that
 * had one are done; whoever has interrupts off is not waited for.
 */
import { highWord, lowWord, P_ZAP_FLUSH } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { tlbFlushRange } from '@mmkit/pgtable';
import { reads, TP_TLB_FLUSH, traceBegin, traceEnd } from '@mmkit/task';
import { sendIpi, spinOn } from '@mmkit/task/sched';
import { MM_CPUMASK, MM_ROOT, Mm } from './mm.ts';

/** Largest int32. */
const MAX_INT = 0x7fff_ffff;

/** Drops every CPU's translations of [start, end) of `mm`; returns when all have done so. */
export function* flushTlbRange(mm: Mm, start: number, end: number): Task<void> {
  yield reads(mm.memory.sched, P_ZAP_FLUSH, mm.words, MM_CPUMASK);
  const { sched, tlbs } = mm.memory;
  const root = mm.words[MM_ROOT]!;
  const own = sched.current.cpu.id;
  tlbFlushRange(tlbs[own]!, root, start, end);
  const mask = mm.words[MM_CPUMASK]! & ~(1 << own);
  if (sched.tracepoints !== null) {
    traceBegin(
      sched,
      TP_TLB_FLUSH,
      lowWord(start),
      highWord(start),
      Math.min((end - start) / mm.memory.phys.pageSize, MAX_INT),
    );
  }
  yield* flushOthers(mm, mask, start, end);
  if (sched.tracepoints !== null) traceEnd(sched, TP_TLB_FLUSH, mask);
}

/** The CPUs of `mask` drop theirs. */
function* flushOthers(mm: Mm, mask: number, start: number, end: number): Task<void> {
  if (mask === 0) return;
  const { sched, tlbs, policy, format } = mm.memory;
  const root = mm.words[MM_ROOT]!;
  if (policy.flushByIpi && !format.flushBroadcasts) {
    yield* sendIpi(sched, mask, (cpu) => tlbFlushRange(tlbs[cpu.id]!, root, start, end));
    return;
  }
  for (const tlb of tlbs) tlbFlushRange(tlb, root, start, end);
  for (const cpu of sched.cpus) {
    while ((mm.memory.accessing & (1 << cpu.id)) !== 0) yield* spinOn(sched, cpu.irqOn);
  }
}
