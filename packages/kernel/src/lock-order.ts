/** The classes of the machine's own locks; those of memory management are in `@mmkit/task`. */
import type { LockClass } from '@mmkit/task';

/** pipe->mutex: outside mmap_lock, as vmsplice takes pages under it. */
export const PIPE_LOCK: LockClass = Object.freeze({ name: 'pipe lock' });
