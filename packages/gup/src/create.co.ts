/** Composing an address space from its parts. */
import { Mm } from '@mmkit/aspace';
import type { FaultHandler, Memory } from '@mmkit/aspace';
import { handleMmFault } from '@mmkit/fault/sched';
import { allocRoot } from '@mmkit/pgtable';
import { createRwsem } from '@mmkit/rwsem';
import type { RwSem } from '@mmkit/rwsem';
import { createVmaTree } from '@mmkit/vma';
import type { VmaTree } from '@mmkit/vma';

export interface MmOptions {
  /** The machine's memory. */
  readonly memory: Memory;
  /** mmap_lock (default: a new one). */
  readonly lock?: RwSem;
  /** The VMAs (default: none). */
  readonly vmas?: VmaTree;
  /** The page-fault handler (default: `handleMmFault` of the same build). */
  readonly faults?: FaultHandler;
}

/** Makes an empty address space; null when there is no page for its top table. */
export function createMm(options: MmOptions): Mm | null {
  const { memory } = options;
  const root = allocRoot(memory.tables);
  if (root < 0) return null;
  const lock = options.lock ?? createRwsem('mmap_lock');
  const vmas =
    options.vmas ??
    createVmaTree({ pageSize: memory.phys.pageSize as 4096 | 16384 | 65536, taskSize: memory.format.userEnd });
  return new Mm(memory, root, lock, vmas, options.faults ?? handleMmFault);
}
