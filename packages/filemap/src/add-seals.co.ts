/**
 * Adding seals (Linux: memfd_add_seals; fcntl(2), F_ADD_SEALS). F_SEAL_WRITE needs a file nobody can write to past the
 * file system: no shared writable mapping, and no page with a reference that is neither the cache's nor a mapping's,
 * which may be a device's pin. Such references get 150 ms of virtual time to go.
 */
import { checkInteger, EBUSY, EINTR, EINVAL, EPERM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { pageMapCount, pageRefCount } from '@mmkit/phys';
import { upWrite } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import { addEvent, WaitQueue, wakeAll } from '@mmkit/task';
import { waitOnKillable } from '@mmkit/task/sched';
import { Inode, OpenFile } from './inode.ts';
import { F_ALL_SEALS, F_SEAL_SEAL, F_SEAL_WRITE } from './seals.ts';

/** How long to wait before pages are looked at again, ns; each time twice as long. */
const FIRST_WAIT = 10_000_000;
/** How often. */
const WAITS = 4;

/**
 * Adds `seals`, F_SEAL_* bits: 0; -EPERM (not open for writing, or sealed against it), -EINVAL (unknown seals, or a file on
 * a device), -EBUSY (F_SEAL_WRITE while something could still write), -EINTR (killed while waiting).
 */
export function* addSeals(file: OpenFile, seals: number): Task<number> {
  checkInteger('seals', seals, 0, 0xffff_ffff);
  const { inode } = file;
  const { sched } = inode.files;
  if (!file.writable) return -EPERM;
  if ((seals & ~F_ALL_SEALS) !== 0 || inode.device !== null) return -EINVAL;
  yield* downWrite(sched, inode.iRwsem);
  let error = (inode.seals & F_SEAL_SEAL) !== 0 ? -EPERM : 0;
  if (error === 0 && (seals & F_SEAL_WRITE) !== 0 && (inode.seals & F_SEAL_WRITE) === 0) {
    error = inode.mmapWritable > 0 ? -EBUSY : yield* waitForPins(inode);
  }
  if (error === 0) inode.seals |= seals;
  upWrite(sched, inode.iRwsem);
  return error;
}

/** memfd_wait_for_pins: 0, -EBUSY, -EINTR. */
function* waitForPins(inode: Inode): Task<number> {
  const { sched } = inode.files;
  for (let round = 0; ; round++) {
    if (!hasExtraReferences(inode)) return 0;
    if (round === WAITS) return -EBUSY;
    const queue = new WaitQueue('pins of a file to be sealed');
    let over = false;
    addEvent(sched, FIRST_WAIT * 2 ** round, queue.name, () => {
      over = true;
      wakeAll(queue);
    });
    while (!over) if ((yield* waitOnKillable(sched, queue)) !== 0) return -EINTR;
  }
}

function hasExtraReferences(inode: Inode): boolean {
  const { phys } = inode.files;
  for (const pfn of inode.pages.values()) if (pageRefCount(phys, pfn) !== pageMapCount(phys, pfn) + 1) return true;
  return false;
}
