/** Composing an address space from its parts. */
import { Mm } from '@mmkit/aspace';
import type { FaultHandler, Memory, MmapLock } from '@mmkit/aspace';
import { handleMmFault } from '@mmkit/fault/sched';
import { allocRoot } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { createRwsem } from '@mmkit/rwsem';
import type { RwSem } from '@mmkit/rwsem';
import { MMAP_LOCK } from '@mmkit/task';
import { createVmaTree } from '@mmkit/vma';
import type { VmaTree } from '@mmkit/vma';

export interface MmOptions {
  /** The machine's memory. */
  readonly memory: Memory;
  /** The page-table format, for a caller that counts on it: that of the memory. */
  readonly format?: Format;
  /** mmap_lock: a reader-writer semaphore (default: a new one) or a lock of the caller's own. */
  readonly lock?: RwSem | MmapLock;
  /** The VMAs (default: none). */
  readonly vmas?: VmaTree;
  /** The page-fault handler (default: `handleMmFault` of the same build). */
  readonly faults?: FaultHandler;
}

/**
 * Makes an empty address space; null when there is no page for its top table. `RangeError` when `format` is not the
 * memory's: page tables belong to a machine.
 */
export function createMm(options: MmOptions): Mm | null {
  const { memory, format = memory.format } = options;
  if (format !== memory.format) throw new RangeError(`format: expected ${memory.format.name}, got ${format.name}`);
  const root = allocRoot(memory.tables);
  if (root < 0) return null;
  const lock = options.lock ?? createRwsem('mmap_lock', MMAP_LOCK);
  const vmas =
    options.vmas ??
    createVmaTree({ pageSize: memory.phys.pageSize as 4096 | 16384 | 65536, taskSize: memory.format.taskSize });
  return new Mm(memory, root, lock, vmas, options.faults ?? handleMmFault);
}
