/** The semaphore on shared memory: one view after the other in this thread, and many threads at once. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { ETIME } from '@mmkit/base';
import {
  assertHeld,
  assertHeldWrite,
  attachRwsem,
  COUNT,
  createSharedRwsem,
  downgradeWrite,
  downRead,
  downReadAsync,
  downReadTimeout,
  downReadTrylock,
  downWrite,
  downWriteAsync,
  downWriteTimeout,
  downWriteTrylock,
  HANDOFF,
  MAX_SLOTS,
  READ_FAIL,
  READER_BIAS,
  reportDead,
  upRead,
  upWrite,
  WAITERS,
  WRITER_LOCKED,
} from '@mmkit/rwsem/shared';
import type { SharedRwSem } from '@mmkit/rwsem/shared';
import type { Replacement } from './shared-worker-words.ts';
import { stress } from './stress.ts';
import { thrown } from './builds.ts';

const TIMEOUT = 120_000;
const TAKE = '/src/shared-wait.ts';
const GIVE = '/src/shared-release.ts';
const CORE = '/src/shared-core.ts';

/** `name = words[COUNT]`, and some time after it the word becomes `value`. */
function plain(name: string, value: string): string {
  return `const ${name} = words[COUNT]!; for (let i = 0; i < 20; i++) Atomics.load(words, 0); words[COUNT] = ${value};`;
}

/** A rule of the package, and what breaks it. */
const BROKEN: readonly (Replacement & { what: string })[] = [
  {
    what: 'a reader comes by a plain change',
    file: TAKE,
    line: 'const count = Atomics.add(words, COUNT, READER_BIAS) + READER_BIAS;',
    text: `${plain('was', 'was + READER_BIAS')} const count = was + READER_BIAS;`,
  },
  {
    what: 'a reader leaves by a plain change',
    file: GIVE,
    line: 'const count = Atomics.sub(words, COUNT, READER_BIAS) - READER_BIAS;',
    text: `${plain('was', 'was - READER_BIAS')} const count = was - READER_BIAS;`,
  },
  {
    what: 'a writer leaves by a plain change',
    file: GIVE,
    line: 'if ((Atomics.sub(words, COUNT, WRITER_LOCKED) & WAITERS) !== 0) wakeQueue(sem, true);',
    text: `${plain('was', 'was - WRITER_LOCKED')} if ((was & WAITERS) !== 0) wakeQueue(sem, true);`,
  },
  {
    what: 'a woken writer does not look again',
    file: CORE,
    line: 'if (step !== WRITE_TAKE || (count & READ_FAIL) !== 0) return false;',
    text: 'if ((count & READ_FAIL) !== 0) return false;',
  },
  {
    what: 'a reader comes in beside a writer',
    file: TAKE,
    line: 'const got = (count & (READ_FAILED_MASK | READ_FAIL)) === 0;',
    text: 'const got = (count & (READ_FAILED_MASK & ~WRITER_LOCKED)) === 0;',
  },
  {
    what: 'nobody is notified',
    file: TAKE,
    line: 'for (const at of woken) Atomics.notify(words, at + WAKE);',
    text: '',
  },
];

describe('N.18: threads on one semaphore', () => {
  it.each([2, 5])(
    '%i threads: no reader beside a writer, no change lost, and all end',
    async (threads) => {
      expect(await stress(threads, 100_000)).toBe('');
    },
    TIMEOUT,
  );

  it.each(BROKEN)(
    'is found out: $what',
    async (replacement) => {
      expect(await stress(4, 4_000_000, [replacement], 3000)).not.toBe('');
    },
    TIMEOUT,
  );
});

/** A semaphore for `n` threads, and views of it, one for each but where `here` says how many. */
function views(n: number, here: number = n): { words: Int32Array; sems: SharedRwSem[] } {
  const words = createSharedRwsem(n);
  return { words, sems: Array.from({ length: here }, (_, slot) => attachRwsem(words, slot)) };
}

describe('the count word', () => {
  it('N.18: readers add 256, a writer sets bit 0, a downgrade is −1 + 256', () => {
    const { words, sems } = views(2);
    const [a, b] = [sems[0]!, sems[1]!];
    downRead(a);
    downRead(a);
    expect(downReadTrylock(b)).toBe(true);
    expect(words[COUNT]).toBe(3 * READER_BIAS);
    expect(downWriteTrylock(b)).toBe(false);
    for (const sem of [a, a, b]) upRead(sem);
    downWrite(a);
    expect([words[COUNT], downReadTrylock(b), downWriteTrylock(b)]).toEqual([WRITER_LOCKED, false, false]);
    downgradeWrite(a);
    expect([words[COUNT], downReadTrylock(b)]).toEqual([READER_BIAS, true]);
    for (const sem of [a, b]) upRead(sem);
    expect([words[COUNT], downWriteTrylock(b)]).toEqual([0, true]);
    upWrite(b);
    expect(words[COUNT]).toBe(0);
  });

  it('misuse is refused and changes nothing', () => {
    const { words, sems } = views(2);
    const [a, b] = [sems[0]!, sems[1]!];
    const refused = (call: (sem: SharedRwSem) => unknown, sem: SharedRwSem, code: string): void => {
      const before = words.slice();
      expect(thrown(() => call(sem))).toBe(code);
      expect(words).toEqual(before);
    };
    for (const call of [upRead, upWrite, downgradeWrite, assertHeld, assertHeldWrite])
      refused(call, a, 'LOCK_NOT_HELD');
    downRead(a);
    assertHeld(a);
    for (const call of [upRead, assertHeld]) refused(call, b, 'LOCK_NOT_HELD');
    refused(assertHeldWrite, a, 'LOCK_NOT_HELD');
    upRead(a);
    downWrite(a);
    assertHeld(a);
    assertHeldWrite(a);
    for (const call of [upRead, upWrite, downgradeWrite]) refused(call, b, 'LOCK_NOT_HELD');
    refused((sem) => downReadTimeout(sem, -1), b, 'RangeError');
    expect(thrown(() => downWrite(a))).toBe('LOCK_RECURSION');
    expect(thrown(() => downRead(a))).toBe('LOCK_RECURSION');
    expect(words[COUNT]).toBe(WRITER_LOCKED);
    upWrite(a);
    words[COUNT] = 0x7fff_ff00;
    expect(thrown(() => downRead(a))).toBe('TOO_MANY_READERS');
    expect(words[COUNT]).toBe(0x7fff_ff00);
  });

  it('a wait with a limit ends with -ETIME and leaves no trace', () => {
    const { words, sems } = views(3);
    const [a, b, c] = [sems[0]!, sems[1]!, sems[2]!];
    downWrite(a);
    expect([downReadTimeout(b, 0), downReadTimeout(b, 9), downWriteTimeout(c, 2)]).toEqual([-ETIME, -ETIME, -ETIME]);
    expect(words[COUNT]).toBe(WRITER_LOCKED);
    upWrite(a);
    expect([downReadTimeout(b, 0), downWriteTimeout(c, 0)]).toEqual([0, -ETIME]);
    upRead(b);
    expect([downWriteTimeout(c, 0), words[COUNT]]).toEqual([0, WRITER_LOCKED]);
  });
});

describe('N.18: the queue, in a thread that does not block', () => {
  it('a writer gone lets all readers in, those behind writers too; then the writers, in turn', async () => {
    const { words, sems } = views(6);
    const log: string[] = [];
    downWrite(sems[0]!);
    const reader = async (i: number): Promise<void> => {
      await downReadAsync(sems[i]!);
      log.push(`R${i}`);
    };
    const writer = async (i: number): Promise<void> => {
      await downWriteAsync(sems[i]!);
      log.push(`W${i}`);
      upWrite(sems[i]!);
    };
    const waits = [reader(1), writer(2), reader(3), writer(4), reader(5)];
    expect(words[COUNT]).toBe(WRITER_LOCKED + WAITERS);
    expect(thrown(() => downRead(sems[1]!))).toBe('SLOT_WAITS');
    expect(thrown(() => downWrite(sems[2]!))).toBe('SLOT_WAITS');
    expect(words[COUNT]).toBe(WRITER_LOCKED + WAITERS);
    upWrite(sems[0]!);
    expect(words[COUNT]).toBe(3 * READER_BIAS + WAITERS);
    await vi.waitFor(() => expect(log.toSorted()).toEqual(['R1', 'R3', 'R5']));
    expect(downReadTrylock(sems[0]!)).toBe(false);
    for (const i of [1, 3, 5]) upRead(sems[i]!);
    await Promise.all(waits);
    expect([log.slice(3), words[COUNT]]).toEqual([['W2', 'W4'], 0]);
  });

  it('a downgrade lets the readers at the head in, and no writer', async () => {
    const { words, sems } = views(3);
    downWrite(sems[0]!);
    const read = downReadAsync(sems[1]!);
    const write = downWriteAsync(sems[2]!);
    downgradeWrite(sems[0]!);
    expect([await read, words[COUNT]]).toEqual([0, 2 * READER_BIAS + WAITERS]);
    for (const i of [0, 1]) upRead(sems[i]!);
    expect([await write, words[COUNT]]).toEqual([0, WRITER_LOCKED]);
  });

  it('the first waiter asks for a handoff after 4 ms; nobody steals from then on', async () => {
    const { words, sems } = views(3);
    downWrite(sems[0]!);
    const write = downWriteAsync(sems[1]!);
    await vi.waitFor(() => expect(words[COUNT]).toBe(WRITER_LOCKED + WAITERS + HANDOFF));
    upWrite(sems[0]!);
    expect([words[COUNT], downReadTrylock(sems[2]!), downWriteTimeout(sems[2]!, 0)]).toEqual([
      WAITERS + HANDOFF,
      false,
      -ETIME,
    ]);
    expect([await write, words[COUNT]]).toEqual([0, WRITER_LOCKED]);
  });

  it('N.18: the last reader wakes the writer, which no more wakes by itself', async () => {
    const { words, sems } = views(3);
    for (const i of [0, 1]) downRead(sems[i]!);
    const write = downWriteAsync(sems[2]!);
    await vi.waitFor(() => expect(words[COUNT]).toBe(2 * READER_BIAS + WAITERS + HANDOFF));
    for (const i of [0, 1]) upRead(sems[i]!);
    expect([await write, words[COUNT]]).toEqual([0, WRITER_LOCKED]);
  });

  it('before that, one that comes takes the lock from a writer that was woken', async () => {
    const { words, sems } = views(3);
    downWrite(sems[0]!);
    const write = downWriteAsync(sems[1]!);
    upWrite(sems[0]!);
    downRead(sems[2]!);
    expect(words[COUNT]).toBe(READER_BIAS + WAITERS);
    upRead(sems[2]!);
    expect([await write, words[COUNT]]).toEqual([0, WRITER_LOCKED]);
  });

  it('who gives up at the head lets in those behind', async () => {
    const { words, sems } = views(3);
    downRead(sems[0]!);
    const write = downWriteAsync(sems[1]!, 2);
    const read = downReadAsync(sems[2]!);
    expect([await write, await read, words[COUNT]]).toEqual([-ETIME, 0, 2 * READER_BIAS]);
  });

  it('MAY_NOT_BLOCK where the thread may not, nothing taken; without a wait it goes', () => {
    const wait = vi.spyOn(Atomics, 'wait').mockImplementation(() => {
      throw new TypeError('Atomics.wait cannot be called in this context');
    });
    const { words, sems } = views(2);
    downWrite(sems[0]!);
    expect(thrown(() => downRead(sems[1]!))).toBe('MAY_NOT_BLOCK');
    expect(thrown(() => downWriteTimeout(sems[1]!, 5))).toBe('MAY_NOT_BLOCK');
    wait.mockRestore();
    expect(words[COUNT]).toBe(WRITER_LOCKED);
  });
});

describe('a thread that died', () => {
  it('held nothing: its slot is free again', () => {
    const { words, sems } = views(2);
    expect(reportDead(sems[0]!, 1)).toEqual({ slot: 1, readHolds: 0, writeHold: false, waiting: false, torn: false });
    expect(attachRwsem(words, 1).slot).toBe(1);
  });

  it('held it for reading: the report says how often, and who waits gets OWNER_DIED', async () => {
    const { sems } = views(4);
    downRead(sems[1]!);
    downRead(sems[1]!);
    downRead(sems[3]!);
    const write = downWriteAsync(sems[2]!);
    expect(reportDead(sems[0]!, 1)).toMatchObject({ readHolds: 2, writeHold: false, waiting: false, torn: false });
    await expect(write).rejects.toThrow('OWNER_DIED: the thread of slot 1 died with the semaphore');
    expect(thrown(() => downRead(sems[0]!))).toBe('OWNER_DIED');
    expect(thrown(() => downWrite(sems[0]!))).toBe('OWNER_DIED');
    expect(thrown(() => downReadTrylock(sems[0]!))).toBe('OWNER_DIED');
    expect(thrown(() => downWriteTrylock(sems[0]!))).toBe('OWNER_DIED');
    upRead(sems[3]!);
  });

  it('held it for writing: readers that wait get OWNER_DIED', async () => {
    const { sems } = views(3);
    downWrite(sems[1]!);
    const read = downReadAsync(sems[2]!);
    expect(reportDead(sems[0]!, 1)).toMatchObject({ readHolds: 0, writeHold: true });
    await expect(read).rejects.toThrow('OWNER_DIED');
  });

  it('only waited: it is taken out of the queue, and the next comes in', async () => {
    const { words, sems } = views(3);
    downRead(sems[0]!);
    void downWriteAsync(sems[1]!);
    const read = downReadAsync(sems[2]!);
    expect(reportDead(sems[0]!, 1)).toMatchObject({ waiting: true, torn: false });
    expect([await read, words[COUNT]]).toEqual([0, 2 * READER_BIAS]);
  });

  it('in the middle of giving back: the hold is reported', () => {
    const { words, sems } = views(2);
    const sub = vi.spyOn(Atomics, 'sub').mockImplementation(() => {
      throw new Error('killed here');
    });
    downRead(sems[1]!);
    expect(() => upRead(sems[1]!)).toThrow('killed here');
    sub.mockRestore();
    expect(reportDead(sems[0]!, 1)).toMatchObject({ readHolds: 1, writeHold: false, torn: false });
    expect(words[COUNT]! & READ_FAIL).toBe(READ_FAIL);
  });

  it('with the lock of the queue: torn, and the others go on to OWNER_DIED', async () => {
    const { sems } = views(3);
    downWrite(sems[0]!);
    const exchange = vi.spyOn(Atomics, 'exchange').mockImplementation(() => {
      throw new Error('killed here');
    });
    expect(() => downWriteTimeout(sems[1]!, 0)).toThrow('killed here');
    exchange.mockRestore();
    expect(reportDead(sems[2]!, 1)).toMatchObject({ readHolds: 0, writeHold: false, waiting: true, torn: true });
    expect(thrown(() => downRead(sems[2]!))).toBe('OWNER_DIED');
    upWrite(sems[0]!);
  });

  it('in the middle of taking it for writing: the hold is reported', () => {
    const { sems } = views(2);
    const swap = vi.spyOn(Atomics, 'compareExchange').mockImplementationOnce(() => {
      throw new Error('killed here');
    });
    expect(() => downWrite(sems[1]!)).toThrow('killed here');
    swap.mockRestore();
    expect(reportDead(sems[0]!, 1)).toMatchObject({ readHolds: 0, writeHold: true });
  });

  it('is found by whoever started it: a worker ended by force while it holds the semaphore', async () => {
    const { words, sems } = views(3, 2);
    const worker = new Worker(new URL('shared-holder.ts', import.meta.url), {
      workerData: words,
      execArgv: ['--conditions=@mmkit/source'],
    });
    await once(worker, 'message');
    const read = downReadAsync(sems[0]!);
    await worker.terminate();
    expect(reportDead(sems[1]!, 2)).toEqual({ slot: 2, readHolds: 0, writeHold: true, waiting: false, torn: false });
    await expect(read).rejects.toThrow('OWNER_DIED: the thread of slot 2 died with the semaphore');
  });

  it("SLOT_ALIVE for the caller's own, RangeError for none", () => {
    const { sems } = views(2);
    expect(thrown(() => reportDead(sems[0]!, 0))).toBe('SLOT_ALIVE');
    expect(thrown(() => reportDead(sems[0]!, 2))).toBe('RangeError');
  });
});

describe('createSharedRwsem, attachRwsem', () => {
  it.each([
    ['SharedArrayBuffer', undefined],
    ['crossOriginIsolated', false],
  ])('NO_SHARED_MEMORY names both headers where the page has no %s', (name, value) => {
    vi.stubGlobal(name, value);
    const make = (): unknown => createSharedRwsem();
    expect(thrown(make)).toBe('NO_SHARED_MEMORY');
    expect(make).toThrow(/Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/);
    vi.unstubAllGlobals();
  });

  it('up to 64 slots, one thread each', () => {
    const words = createSharedRwsem();
    expect(attachRwsem(words, MAX_SLOTS - 1).slot).toBe(63);
    expect(thrown(() => attachRwsem(words, 63))).toBe('SLOT_TAKEN');
    expect(thrown(() => attachRwsem(words, 64))).toBe('RangeError');
    expect(thrown(() => createSharedRwsem(0))).toBe('RangeError');
    expect(thrown(() => attachRwsem(new Int32Array(2000), 0))).toBe('RangeError');
  });
});
