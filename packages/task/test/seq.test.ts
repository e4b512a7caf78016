/** Sequence counts. */
import { describe, expect, it } from 'vitest';
import { createSched, isRunnable, spawn, stepTask } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { readSeqBegin, readSeqRetry, writeSeqBegin, writeSeqEnd } from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

describe.each(builds)('%s', (_build, task) => {
  it('is odd while a writer is inside, and has grown by two when it has left', () => {
    const words = Int32Array.of(7, 4);
    expect(task.readSeqBegin(words, 1)).toBe(4);
    task.writeSeqBegin(words, 1);
    expect(task.readSeqBegin(words, 1)).toBe(5);
    task.writeSeqEnd(words, 1);
    expect([...words]).toEqual([7, 6]);
  });

  it('readSeqRetry is true when a writer has gone in since', () => {
    const words = Int32Array.of(0);
    expect(task.readSeqRetry(words, 0, 0)).toBe(false);
    task.writeSeqBegin(words, 0);
    expect(task.readSeqRetry(words, 0, 0)).toBe(true);
    task.writeSeqEnd(words, 0);
    expect([task.readSeqRetry(words, 0, 0), task.readSeqRetry(words, 0, 2)]).toEqual([true, false]);
  });

  it('a second writer is SEQ_NESTED, an end without a writer SEQ_NOT_HELD; nothing changes', () => {
    const words = Int32Array.of(0);
    expect(thrown(() => task.writeSeqEnd(words, 0))).toBe('SEQ_NOT_HELD');
    expect(words[0]).toBe(0);
    task.writeSeqBegin(words, 0);
    expect(thrown(() => task.writeSeqBegin(words, 0))).toBe('SEQ_NESTED');
    expect(words[0]).toBe(1);
  });

  it('the count wraps at 32 bits and stays odd and even', () => {
    const words = Int32Array.of(-2);
    task.writeSeqBegin(words, 0);
    task.writeSeqEnd(words, 0);
    expect(words[0]).toBe(0);
    words[0] = 2 ** 31 - 2;
    task.writeSeqBegin(words, 0);
    task.writeSeqEnd(words, 0);
    expect([words[0], thrown(() => task.writeSeqEnd(words, 0))]).toEqual([-(2 ** 31), 'SEQ_NOT_HELD']);
  });
});

describe('sched', () => {
  /** Reads two words beside a writer that changes both, in the order of the bits of `schedule`. */
  function race(schedule: number): { seen: [number, number]; accepted: boolean } {
    const sched = createSched({ cpus: 2 });
    const words = Int32Array.of(0, 10, 10);
    let seen: [number, number] = [0, 0];
    let accepted = false;
    const read = function* (): Task<void> {
      const sequence = yield* readSeqBegin(words, 0);
      if ((sequence & 1) !== 0) return;
      const first = words[1]!;
      yield 100;
      seen = [first, words[2]!];
      accepted = !(yield* readSeqRetry(words, 0, sequence));
    };
    const write = function* (): Task<void> {
      yield* writeSeqBegin(words, 0);
      words[1] = 20;
      yield 101;
      words[2] = 20;
      yield* writeSeqEnd(words, 0);
    };
    const tasks = [spawn(sched, 'reader', read()), spawn(sched, 'writer', write())] as const;
    for (let i = 0; i < 12; i++) {
      const task = tasks[(schedule >> i) & 1]!;
      if (isRunnable(task)) stepTask(sched, task);
    }
    return { seen, accepted };
  }

  it('in every schedule a reader accepts both old values or both new ones; mixed ones occur and are refused', () => {
    const kinds = new Set<string>();
    for (let schedule = 0; schedule < 4096; schedule++) {
      const { seen, accepted } = race(schedule);
      if (seen[0] !== 0) kinds.add(`${seen[0]} ${seen[1]} ${accepted ? 'accepted' : 'refused'}`);
    }
    expect([...kinds].sort()).toEqual([
      '10 10 accepted',
      '10 10 refused',
      '10 20 refused',
      '20 20 accepted',
      '20 20 refused',
    ]);
  });
});
