import { expect, it } from 'vitest';
import * as plain from '@mmkit/filemap';
import * as coloured from '@mmkit/filemap/sched';

it('both entries export the same names and the same state classes', () => {
  expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
  expect([coloured.Bio, coloured.BlockDevice]).toEqual([plain.Bio, plain.BlockDevice]);
});
