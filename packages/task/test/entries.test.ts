import { expect, it } from 'vitest';
import * as plain from '@mmkit/task';
import * as coloured from '@mmkit/task/sched';

it('both entries export the same names and the same state classes', () => {
  expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
  const classes = (entry: typeof plain | typeof coloured): unknown[] => [
    entry.Completion,
    entry.Cpu,
    entry.Mutex,
    entry.PendingEvent,
    entry.Sched,
    entry.SimTask,
    entry.WaitQueue,
    entry.InvariantError,
  ];
  expect(classes(coloured)).toEqual(classes(plain));
});
