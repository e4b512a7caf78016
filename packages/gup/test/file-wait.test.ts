/** What others do while GUP waits for a page of a file: real tasks. */
import { describe, expect, it } from 'vitest';
import { mmapIsLocked, mmapReadTrylock, mmapReadUnlock, mmapWriteUnlock } from '@mmkit/aspace';
import { mmapWriteLock, unlinkFileVma, zapPageRange } from '@mmkit/aspace/sched';
import { EFAULT, EINTR, FOLL_WRITE } from '@mmkit/base';
import { truncateSetSize } from '@mmkit/filemap/sched';
import * as coloured from '@mmkit/gup/sched';
import { countFrames } from '@mmkit/phys';
import { killTask, runAll, SimTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { eraseVma, Vma } from '@mmkit/vma';
import { AT, PAGE, schedBuilds, space } from './builds.ts';
import type { Space } from './builds.ts';
import { Disk, fileApi, LATENCY, SHARED, someSchedules } from './files.ts';

/** Steps a task until it sleeps or ends. */
function settle(s: Space, task: SimTask): void {
  while (task.state !== TASK_WAITING && task.state !== TASK_DONE) stepTask(s.sched, task);
}

/** What munmap does: everything under mmap_lock held for writing. Gives the time at which it got that. */
function* unmap(s: Space, vma: Vma): Task<number> {
  yield* mmapWriteLock(s.mm);
  const at = s.sched.now;
  yield* zapPageRange(s.mm, vma.start, vma.end);
  yield* unlinkFileVma(vma);
  eraseVma(s.mm.vmas, vma);
  mmapWriteUnlock(s.mm);
  return at;
}

describe.each(schedBuilds)('%s', (name, build) => {
  it('munmap gets mmap_lock while pin_user_pages_fast waits for the disk; the pin then finds nothing there', () => {
    const s = space(build);
    const disk = new Disk(name, s);
    const vma = disk.map(disk.file(), AT, SHARED);
    const pin = spawn(s.sched, 'pin', coloured.pinUserPagesFast(s.mm, AT, 2, FOLL_WRITE, new Uint32Array(2)));
    settle(s, pin);
    expect([pin.state, mmapIsLocked(s.mm)]).toEqual([TASK_WAITING, false]);
    const other = spawn(s.sched, 'munmap', unmap(s, vma));
    settle(s, other);
    expect([other.state, other.result]).toEqual([TASK_DONE, 0]);
    runAll(s.sched);
    expect([pin.result, countFrames(s.phys).pins]).toEqual([-EFAULT, 0]);
  });

  it('munmap waits for get_user_pages, which keeps mmap_lock', () => {
    const s = space(build);
    const disk = new Disk(name, s);
    const vma = disk.map(disk.file(), AT, SHARED);
    const pages = new Uint32Array(2);
    const get = spawn(s.sched, 'get', keepLocked(s, coloured.getUserPages(s.mm, AT, 2, 0, pages)));
    settle(s, get);
    expect([get.state, mmapIsLocked(s.mm)]).toEqual([TASK_WAITING, true]);
    const other = spawn(s.sched, 'munmap', unmap(s, vma));
    settle(s, other);
    expect(other.state).toBe(TASK_WAITING);
    runAll(s.sched);
    expect([get.result, other.result]).toEqual([2, 2 * LATENCY]);
    for (const pfn of pages) expect(s.refs(pfn)).toBe(2);
  });

  it('B.22 #18: killed while it waits: -EINTR, or the pages it has; mmap_lock is not held', () => {
    for (const there of [0, 2]) {
      const s = space(build);
      const disk = new Disk(name, s);
      const inode = disk.file();
      disk.map(inode, AT, SHARED);
      fileApi(name).filemapRead(inode, 0, new Uint8Array(there * PAGE), 0, there * PAGE);
      const get = spawn(s.sched, 'get', coloured.getUserPagesUnlocked(s.mm, AT, 4, new Uint32Array(4), 0));
      settle(s, get);
      killTask(get);
      settle(s, get);
      expect([get.result, mmapIsLocked(s.mm)]).toEqual([there === 0 ? -EINTR : there, false]);
      runAll(s.sched);
    }
  });

  it('get_user_pages does not notice the signal while it waits for the disk with mmap_lock held', () => {
    const s = space(build);
    const disk = new Disk(name, s);
    disk.map(disk.file(), AT, SHARED);
    const get = spawn(s.sched, 'get', keepLocked(s, coloured.getUserPages(s.mm, AT, 2, 0, new Uint32Array(2))));
    settle(s, get);
    killTask(get);
    expect(get.state).toBe(TASK_WAITING);
    runAll(s.sched);
    // The page that was on its way is mapped, but not taken: the signal is seen before the lookup.
    expect([get.result, s.sched.now]).toEqual([-EINTR, LATENCY]);
  });
});

/** Runs `body` with mmap_lock held for reading. */
function* keepLocked(s: Space, body: Task<number>): Task<number> {
  if (!mmapReadTrylock(s.mm)) throw new Error('mmap_lock is not free');
  const result = yield* body;
  mmapReadUnlock(s.mm);
  return result;
}

describe.each(schedBuilds)('%s: schedules', (_, build) => {
  it('N.13: a pin against truncation: either the page of the file, an orphan afterwards, or -EFAULT; never a mapping', () => {
    const seen = new Set<string>();
    const wrong = someSchedules(() => {
      const s = space(build, {}, { frames: 32 });
      const disk = new Disk('sched', s);
      const inode = disk.shmem(1);
      disk.map(inode, AT, SHARED, 1);
      s.touch(AT, 1);
      const pages = new Uint32Array(1);
      const got: number[] = [];
      const pin = function* (): Task<void> {
        got.push(yield* coloured.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages));
      };
      return {
        sched: s.sched,
        tasks: [pin(), truncateSetSize(inode, 0)],
        check: () => {
          seen.add(String(got[0]));
          if (s.entry(AT).kind !== 0) return 'a removed page is mapped';
          if (inode.pages.size !== 0) return 'a page is still cached';
          if (got[0] === -EFAULT) return countFrames(s.phys).pins === 0 ? null : 'a pin was left';
          const pfn = pages[0]!;
          if (got[0] !== 1 || s.refs(pfn) !== 1024 || s.maps(pfn) !== 0)
            return `got ${got[0]}, references ${s.refs(pfn)}`;
          return null;
        },
      };
    });
    expect(wrong).toEqual([]);
    expect([...seen].sort()).toEqual([String(-EFAULT), '1']);
  });
});
