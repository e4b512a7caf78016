/**
 * What all address spaces of a machine share: execution state, frames, page-table format, TLBs, rules, statistics.
 */
import { createFileCache, FileCache } from '@mmkit/filemap';
import { createPhys, Phys } from '@mmkit/phys';
import { createTables, createTlb, Tables, Tlb, x86_64 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { LOCK_ORDER, registerLockOrder, Sched } from '@mmkit/task';
import { linux6_18 } from './policy.ts';
import type { Policy } from './policy.ts';
import { watchMemory } from './watch.ts';

/** Event counts, named as in /proc/vmstat (pgfault, thp_fault_alloc, …). */
export class MemoryStat {
  /** Page faults handled, retries left out (A.10). */
  pgfault: number;
  /** Of those, the ones that touched storage. */
  pgmajfault: number;
  /** Huge pages that faults mapped, the huge zero page apart. */
  thpFaultAlloc: number;
  /** Faults that would have mapped one and had no memory for it. */
  thpFaultFallback: number;
  /** Huge pages made of small ones. */
  thpCollapseAlloc: number;
  /** Large entries that gave way to small ones. */
  thpSplitPmd: number;
  /** Pages taken by gup-fast (ours, not Linux's). */
  gupFast: number;
  /** Pages taken by the slow path (ours). */
  gupSlow: number;

  constructor() {
    this.pgfault = 0;
    this.pgmajfault = 0;
    this.thpFaultAlloc = 0;
    this.thpFaultFallback = 0;
    this.thpCollapseAlloc = 0;
    this.thpSplitPmd = 0;
    this.gupFast = 0;
    this.gupSlow = 0;
  }
}

export class Memory {
  readonly sched: Sched;
  readonly phys: Phys;
  readonly format: Format;
  readonly tables: Tables;
  /** The machine's files and their cached pages. */
  readonly files: FileCache;
  /** One TLB a CPU, by its id. */
  readonly tlbs: readonly Tlb[];
  /** Bit n: CPU n has the translation of an access and not yet moved its bytes. Written by whoever runs the CPUs. */
  accessing: number;
  readonly policy: Policy;
  readonly stat: MemoryStat;
  /** Told where Linux would WARN_ON_ONCE and go on. */
  readonly warn: (what: string) => void;
  /** Who gets huge pages of anonymous memory: every VMA, those advised (MADV_HUGEPAGE), none. May be changed at any time. */
  transparentHugepage: 'always' | 'madvise' | 'never';
  /** First frame of the huge zero page; -1 until one was needed. huge.ts only. */
  hugeZeroPfn: number;
  /** Number of the next address space (`Mm.id`). */
  nextMmId: number;
  /** Number of the next anon_vma identity (1 and up; it is kept in the owner word of a frame). */
  nextAnonVma: number;

  constructor(sched: Sched, phys: Phys, format: Format, policy: Policy, warn: (what: string) => void) {
    this.sched = sched;
    this.phys = phys;
    this.format = format;
    this.tables = createTables(phys, format);
    this.files = createFileCache(sched, phys);
    if (!policy.largeFolios) this.files.maxOrder = 0;
    this.tlbs = sched.cpus.map(() => createTlb(format));
    this.accessing = 0;
    this.policy = policy;
    this.stat = new MemoryStat();
    this.warn = warn;
    this.transparentHugepage = 'madvise';
    this.hugeZeroPfn = -1;
    this.nextMmId = 1;
    this.nextAnonVma = 1;
    sched.recorders.push(() => watchMemory(this));
  }
}

export interface MemoryOptions {
  readonly sched: Sched;
  /** Number of page frames (16 and up). */
  readonly frames: number;
  /** Page-table format (default x86-64, 4 levels). */
  readonly format?: Format;
  /** Kernel rules (default Linux 6.18). */
  readonly policy?: Policy;
  /** Where warnings go (default: nowhere). */
  readonly warn?: (what: string) => void;
}

/** Makes the memory of one machine. A checker of the lock order, if `sched` has one, is told the order of its locks. */
export function createMemory(options: MemoryOptions): Memory {
  const { sched, format = x86_64 } = options;
  const { lockdep } = sched;
  if (lockdep !== null) for (const chain of LOCK_ORDER) registerLockOrder(lockdep, chain);
  const phys = createPhys({ frames: options.frames, pageSize: (1 << format.pageShift) as 4096 | 16384 | 65536 });
  return new Memory(sched, phys, format, options.policy ?? linux6_18, options.warn ?? (() => {}));
}
