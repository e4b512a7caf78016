/**
 * The documented call: `__get_user_pages(tsk, mm, start, nr_pages, gup_flags, pages, vmas, nonblocking)` of Linux 3.9 to
 * 3.16 (reference A.1, A.3), over the same engine as today's family. Names and argument order are the manual page's.
 */
import { checkAddress, checkInteger, checkPages, FOLL_UNLOCKABLE, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import type { Vma } from '@mmkit/vma';
import { FOLL_GET, FOLL_TRIED, knownFlags, modernFlags } from './classic-flags.ts';
import { getUserPagesRange } from './engine.co.ts';
import { Request } from './request.ts';
import type { FaultCounters, LockState } from './request.ts';

/**
 * Pins user pages in memory. mmap_sem of `mm` is held for reading or writing; with `nonblocking` it may be dropped, and
 * `nonblocking.value` is 0 then.
 *
 * `tsk`: whose min_flt and maj_flt are raised, or null. `nr_pages`: 0 returns 0 at once; it is unsigned, so a negative
 * integer is huge and the walk goes to the first page that fails. `pages`: PFNs, as many slots as pages asked for; each
 * page got is to be given back with `put_page`; null (and no FOLL_GET): only fault in. `vmas`: the VMA of each page, valid
 * while mmap_sem is held.
 *
 * Returns the number of pages, which may be fewer than asked for; a negative errno when there was none; 0 when the first
 * needed a wait that `nonblocking` or FOLL_NOWAIT forbids. RangeError for bad JavaScript values; InvariantError 'FLAGS' for a flag that
 * does not fit `pages` or is not one of classic-flags.ts.
 */
export function* __get_user_pages(
  tsk: FaultCounters | null,
  mm: Mm,
  start: number,
  nr_pages: number,
  gup_flags: number,
  pages: Uint32Array | null,
  vmas: (Vma | null)[] | null,
  nonblocking: LockState | null,
): Task<number> {
  checkAddress('start', start);
  if (!Number.isSafeInteger(nr_pages)) throw new RangeError(`nr_pages: expected an integer, got ${String(nr_pages)}`);
  checkInteger('gup_flags', gup_flags, 0, 0xffff_ffff);
  if (pages !== null) checkPages('pages', pages, Math.max(nr_pages, 0));
  if (vmas !== null && !Array.isArray(vmas)) throw new RangeError('vmas: expected an array or null');
  const { policy } = mm.memory;
  if ((gup_flags & ~knownFlags(policy)) !== 0) throw new InvariantError('FLAGS', `unknown gup_flags ${gup_flags}`);
  if ((pages !== null) !== ((gup_flags & FOLL_GET) !== 0))
    throw new InvariantError('FLAGS', 'pages goes with FOLL_GET');
  if (nonblocking !== null && (gup_flags & FOLL_TRIED) !== 0)
    throw new InvariantError('FLAGS', 'FOLL_TRIED excludes nonblocking');
  if (nr_pages === 0) return 0;
  const flags = modernFlags(policy, gup_flags) | (nonblocking === null ? 0 : FOLL_UNLOCKABLE);
  const request = new Request(flags, pages, nonblocking, vmas, tsk, true);
  return yield* getUserPagesRange(mm, start, nr_pages < 0 ? Infinity : nr_pages, request);
}
