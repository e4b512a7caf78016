import { expect, it } from 'vitest';
import * as plain from '@mmkit/filemap';
import * as coloured from '@mmkit/filemap/sched';

const COLOURED = [
  'addSeals',
  'evictInode',
  'fallocate',
  'filemapFdatawrite',
  'filemapGrabFolio',
  'filemapLockFolio',
  'filemapRead',
  'filemapReadFolio',
  'filemapWrite',
  'filemapWriteAndWait',
  'filemapWriteBegin',
  'filemapWriteChecks',
  'folioClearDirtyForIo',
  'folioLock',
  'folioLockKillable',
  'folioWaitLockedKillable',
  'folioWaitWriteback',
  'forcePageCacheReadahead',
  'invalidateInodePages2Range',
  'invalidateMappingPages',
  'punchHole',
  'reclaimFileFolio',
  'splitFileFolio',
  'truncateFailedWrite',
  'truncateSetSize',
  'waitBio',
  'waitIdle',
];

it('both entries export the same names and the same state classes', () => {
  expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
  for (const name of ['Bio', 'BlockDevice', 'FileCache', 'Inode', 'OpenFile'] as const) {
    expect(coloured[name]).toBe(plain[name]);
  }
});

it('the plain build has no generator; in the sched build those that may wait are generators', () => {
  const generator = Object.getPrototypeOf(function* () {});
  for (const value of Object.values(plain)) expect(Object.getPrototypeOf(value)).not.toBe(generator);
  const found = Object.entries(coloured).filter(([, value]) => Object.getPrototypeOf(value) === generator);
  expect(found.map(([name]) => name).sort()).toEqual(COLOURED);
});
