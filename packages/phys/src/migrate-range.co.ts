/**
 * Emptying an isolated range through the `migrate` port (`__alloc_contig_migrate_range`, `do_migrate_range`, N.12).
 *
 * Differs from Linux: one folio is moved at a time, not lists of up to 32; going offline gives up after as many tries
 * as a contiguous allocation does, where Linux goes on until a signal comes.
 */
import { EBUSY, ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { BLOCK_USED, blockKind, blockSize, walkStart } from './block-walk.ts';
import type { Phys } from './frame.ts';
import { awaitPort } from './port.sched.ts';

/** Tries for a folio. */
const MIGRATE_TRIES = 5;

/**
 * Moves all that is in use in [start, end), whose pageblocks are isolated, elsewhere; a block that begins before or
 * ends behind as a whole. 0, -EBUSY when one could not be moved in five tries, or nobody can move it, -ENOMEM as soon
 * as there is no memory to move it to. It sleeps where the port does.
 */
export function* migrateRange(phys: Phys, start: number, end: number): Task<number> {
  for (let pfn = walkStart(start); pfn < end; ) {
    const next = pfn + blockSize(phys, pfn);
    if (next > start && blockKind(phys, pfn) === BLOCK_USED) {
      const error = yield* migrateBlock(phys, pfn);
      if (error !== 0) return error;
    }
    // Meanwhile others freed blocks, but none was made: at worst the walk goes on inside a free one, frame by frame.
    pfn = next;
  }
  return 0;
}

/** Moves the block at `pfn`, unless its users let go of it by themselves. */
function* migrateBlock(phys: Phys, pfn: number): Task<number> {
  if (phys.migrate === null) return -EBUSY;
  for (let i = 0; i < MIGRATE_TRIES && blockKind(phys, pfn) === BLOCK_USED; i++) {
    const error = yield* awaitPort(phys.migrate(phys, pfn));
    if (error === 0 || error === -ENOMEM) return error;
  }
  return blockKind(phys, pfn) === BLOCK_USED ? -EBUSY : 0;
}
