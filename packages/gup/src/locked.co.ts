/** The lock loop around the slow engine (Linux: __get_user_pages_locked; B.9), and the mark of who has pinned. */
import {
  EAGAIN,
  EFAULT,
  EINTR,
  FOLL_GET,
  FOLL_NOWAIT,
  FOLL_PIN,
  FOLL_TRIED,
  FOLL_UNLOCKABLE,
  highWord,
  InvariantError,
  lowWord,
  P_HAS_PINNED,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, MM_FLAGS, mmapAssertLocked, mmapReadUnlock, MMF_HAS_PINNED } from '@mmkit/aspace';
import { mmapReadLockKillable } from '@mmkit/aspace/sched';
import { bookPins } from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';
import { TP_GUP_SLOW, traceBegin, traceEnd, writes } from '@mmkit/task';
import { getUserPagesRange } from './engine.co.ts';
import type { LockState } from './request.ts';
import { Request } from './request.ts';
import { tracePins } from './trace.ts';

/**
 * Takes mmap_lock where `locked.value` is 0, goes on after a fault that dropped it. 0 only for `nr` 0 or FOLL_NOWAIT.
 * On return `locked.value` says whether mmap_lock is held. Pins are booked to `scope`.
 */
export function* getUserPagesLocked(
  mm: Mm,
  start: number,
  nr: number,
  pages: Uint32Array | null,
  at: number,
  locked: LockState,
  flags: number,
  scope: PinScope | null = null,
): Task<number> {
  if (nr === 0) return 0;
  const { sched, phys, stat } = mm.memory;
  let mustUnlock = false;
  if (locked.value === 0) {
    if ((yield* mmapReadLockKillable(mm)) !== 0) return -EAGAIN;
    mustUnlock = true;
    locked.value = 1;
  } else {
    mmapAssertLocked(mm);
  }
  if (sched.tracepoints !== null) traceBegin(sched, TP_GUP_SLOW, lowWord(start), highWord(start), nr);
  if ((flags & FOLL_PIN) !== 0) yield* setHasPinned(mm);
  else if (pages !== null) flags |= FOLL_GET;
  const unlockable = (flags & FOLL_UNLOCKABLE) !== 0;
  const request = new Request(flags, pages, locked, null, null, false);
  request.at = at;
  let done = 0;
  let result = 0;
  let single = false;
  while (done < nr) {
    request.flags = single ? flags | FOLL_TRIED : flags;
    const got = yield* getUserPagesRange(mm, start + done * phys.pageSize, single ? 1 : nr - done, request);
    if (got > 0) done += got;
    else result = got;
    if (locked.value === 1) {
      // The page that was retried is there: back to whole ranges. Anything else ends the call.
      if (single && got === 1) {
        single = false;
        continue;
      }
      break;
    }
    if (!unlockable) throw new InvariantError('LOCK_DROPPED', 'a fault handler dropped mmap_lock without leave');
    mustUnlock = true;
    if (sched.current.killed || (yield* mmapReadLockKillable(mm)) !== 0) {
      result = -EINTR;
      break;
    }
    locked.value = 1;
    single = true;
  }
  if (mustUnlock && locked.value === 1) {
    mmapReadUnlock(mm);
    locked.value = 0;
  }
  stat.gupSlow += done;
  if (phys.pinLedger !== null && (flags & FOLL_PIN) !== 0) bookPins(phys, pages!, at, done, scope);
  if (sched.tracepoints !== null) {
    traceEnd(sched, TP_GUP_SLOW, done > 0 ? done : result);
    tracePins(sched, done, pages, at, flags);
  }
  if (done > 0) return done;
  if (result === 0 && (flags & FOLL_NOWAIT) === 0) {
    mm.memory.warn('get_user_pages got no page and no error');
    return -EFAULT;
  }
  return result;
}

/** Sets MMF_HAS_PINNED: from now on fork looks at the pins of this mm. */
export function* setHasPinned(mm: Mm): Task<void> {
  yield writes(mm.memory.sched, P_HAS_PINNED, mm.words, MM_FLAGS);
  mm.words[MM_FLAGS] = mm.words[MM_FLAGS]! | MMF_HAS_PINNED;
}
