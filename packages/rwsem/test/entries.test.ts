import { expect, it } from 'vitest';
import * as plain from '@mmkit/rwsem';
import * as coloured from '@mmkit/rwsem/sched';

it('both entries export the same names and the same state classes', () => {
  expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
  expect([coloured.RwSem, coloured.Waiter]).toEqual([plain.RwSem, plain.Waiter]);
});
