import { describe, expect, it } from 'vitest';
import * as plain from '@mmkit/gup';
import * as plainClassic from '@mmkit/gup/classic';
import * as colouredClassic from '@mmkit/gup/classic/sched';
import * as coloured from '@mmkit/gup/sched';

const generator: unknown = Object.getPrototypeOf(function* () {});

function generators(module: object): string[] {
  const found = Object.entries(module).filter(([, value]) => Object.getPrototypeOf(value) === generator);
  return found.map(([name]) => name).sort();
}

describe('entries', () => {
  it('both builds export the same names', () => {
    expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
    expect(Object.keys(colouredClassic).sort()).toEqual(Object.keys(plainClassic).sort());
  });

  it('the plain build has no generator', () => {
    expect([...generators(plain), ...generators(plainClassic)]).toEqual([]);
  });

  it('in the sched build those that may wait are generators', () => {
    expect(generators(coloured)).toEqual([
      'faultInSafeWriteable',
      'faultinPageRange',
      'fixupUserFault',
      'getDumpPage',
      'getUserPages',
      'getUserPagesFast',
      'getUserPagesFastOnly',
      'getUserPagesRemote',
      'getUserPagesUnlocked',
      'mmPopulate',
      'pinUserPages',
      'pinUserPagesFast',
      'pinUserPagesRemote',
      'pinUserPagesUnlocked',
      'populateLocked',
      'setPageDirtyLock',
      'unpinUserPageRangeDirtyLock',
      'unpinUserPagesDirtyLock',
    ]);
    expect(generators(colouredClassic)).toEqual([
      '__get_user_pages',
      '__get_user_pages_fast',
      '__get_user_pages_unlocked',
      'get_dump_page',
      'get_user_pages',
      'get_user_pages_fast',
      'get_user_pages_locked',
      'get_user_pages_unlocked',
      'set_page_dirty_lock',
    ]);
  });

  it('what never waits is the same function in both', () => {
    expect(coloured.unpinUserPages).toBe(plain.unpinUserPages);
    expect(coloured.putUserPages).toBe(plain.putUserPages);
    expect(colouredClassic.put_page).toBe(plainClassic.put_page);
    expect(colouredClassic.set_page_dirty).toBe(plainClassic.set_page_dirty);
  });

  it('A.2: the classic flags have the values of Linux 3.14 and 4.8; FOLL_MLOCK moved in 4.4', () => {
    expect({ ...plainClassic }).toMatchObject({
      FOLL_WRITE: 0x01,
      FOLL_TOUCH: 0x02,
      FOLL_GET: 0x04,
      FOLL_DUMP: 0x08,
      FOLL_FORCE: 0x10,
      FOLL_NOWAIT: 0x20,
      FOLL_MLOCK_3_14: 0x40,
      FOLL_POPULATE: 0x40,
      FOLL_SPLIT: 0x80,
      FOLL_HWPOISON: 0x100,
      FOLL_NUMA: 0x200,
      FOLL_MIGRATION: 0x400,
      FOLL_TRIED: 0x800,
      FOLL_MLOCK: 0x1000,
      FOLL_REMOTE: 0x2000,
    });
  });
});
