/** get_user_pages_remote and pin_user_pages_remote (B.3): the lock's contract, and whose faults they are (A.10). */
import { describe, expect, it } from 'vitest';
import { EINVAL, FOLL_FORCE, FOLL_TOUCH, FOLL_WRITE } from '@mmkit/base';
import { FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_REMOTE } from '@mmkit/fault';
import type { LockState } from '@mmkit/gup';
import { AT, builds, space } from './builds.ts';

describe.each(builds)('%s: remote', (_, build) => {
  const { gup } = build;

  it('B.3: get takes references and tells the fault handler REMOTE; mmap_lock is kept', () => {
    const seen: number[] = [];
    const s = space(build, {
      before: (_mm, _address, flags) => {
        seen.push(flags);
        return null;
      },
    });
    s.map(AT, 2);
    const pages = new Uint32Array(2);
    expect(s.locked(() => gup.getUserPagesRemote(s.mm, AT, 2, FOLL_WRITE, pages))).toBe(2);
    expect(seen.map((flags) => flags & (FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY))).toEqual([
      FAULT_FLAG_REMOTE,
      FAULT_FLAG_REMOTE,
    ]);
    expect(s.refs(pages[0]!)).toBe(2);
  });

  it('B.3: pin takes pins; with `locked` the fault may drop the lock, and `locked` says whether it did', () => {
    const s = space(build);
    s.map(AT, 1);
    const pages = new Uint32Array(1);
    const locked: LockState = { value: 1 };
    expect(s.locked(() => gup.pinUserPagesRemote(s.mm, AT, 1, FOLL_WRITE, pages, locked))).toBe(1);
    expect([locked.value, s.refs(pages[0]!)]).toEqual([1, 1025]);
  });

  it('B.2, B.22 #4: `locked` that says not held, and internal flags: -EINVAL from get, 0 from pin, nothing touched', () => {
    const s = space(build);
    s.map(AT, 1);
    const pages = new Uint32Array(1).fill(7);
    expect(s.locked(() => gup.getUserPagesRemote(s.mm, AT, 1, FOLL_FORCE, pages, { value: 0 }))).toBe(-EINVAL);
    expect(s.locked(() => gup.pinUserPagesRemote(s.mm, AT, 1, FOLL_FORCE, pages, { value: 0 }))).toBe(0);
    expect(s.locked(() => gup.getUserPagesRemote(s.mm, AT, 1, FOLL_TOUCH, pages))).toBe(-EINVAL);
    expect(s.locked(() => gup.pinUserPagesRemote(s.mm, AT, 1, FOLL_TOUCH, pages))).toBe(0);
    expect(pages[0]).toBe(7);
  });
});
