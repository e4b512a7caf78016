/** What the calls tell the tracepoints. */
import { FOLL_PIN } from '@mmkit/base';
import { TP_PIN, tracepoint } from '@mmkit/task';
import type { Sched } from '@mmkit/task';

/** `count` pages have been pinned, which lie in `pages` from slot `at` on; nothing for plain references. */
export function tracePins(sched: Sched, count: number, pages: Uint32Array | null, at: number, flags: number): void {
  if (count > 0 && pages !== null && (flags & FOLL_PIN) !== 0) tracepoint(sched, TP_PIN, count, pages[at]!, flags);
}
