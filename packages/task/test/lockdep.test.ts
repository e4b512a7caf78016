/** The lock-order checker. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import * as plain from '@mmkit/task';
import {
  bitLockKey,
  createLockdep,
  createSched,
  formatLockOrder,
  killTask,
  LOCK_EXCLUSIVE,
  LOCK_ORDER,
  LOCK_SHARED,
  LOCK_SHARED_RECURSIVE,
  lockAcquire,
  lockAcquired,
  lockClass,
  lockHolders,
  lockRelease,
  Mutex,
  mutexTrylock,
  mutexUnlock,
  PAGE_TABLE_LOCK,
  registerLockOrder,
  runAll,
  runTask,
  SINGLE_DEPTH_NESTING,
  spawn,
  spinUnlockBit,
  stepTask,
  unlockBit,
} from '@mmkit/task';
import type { Lockdep, Sched, Task } from '@mmkit/task';
import * as coloured from '@mmkit/task/sched';
import { thrown } from './builds.ts';

function watched(cpus = 1): Sched {
  const sched = createSched({ cpus });
  sched.lockdep = createLockdep();
  return sched;
}

/** One thing a task does: a letter is a lock; small: lock, `?`: try, `-`: unlock; `/`: lock with a subclass. */
type Locks = Readonly<Record<string, Mutex>>;

function runPlain(sched: Sched, locks: Locks, script: string): void {
  for (const op of script.split(' ')) {
    const mutex = locks[op[0]!]!;
    if (op[1] === '?') plain.mutexTrylock(sched, mutex);
    else if (op[1] === '-') plain.mutexUnlock(sched, mutex);
    else plain.mutexLock(sched, mutex, op[1] === '/' ? SINGLE_DEPTH_NESTING : 0);
  }
}

function* scripted(sched: Sched, locks: Locks, script: string): Task<void> {
  for (const op of script.split(' ')) {
    const mutex = locks[op[0]!]!;
    if (op[1] === '?') mutexTrylock(sched, mutex);
    else if (op[1] === '-') mutexUnlock(sched, mutex);
    else yield* coloured.mutexLock(sched, mutex, op[1] === '/' ? SINGLE_DEPTH_NESTING : 0);
  }
}

const runners: readonly (readonly [string, (sched: Sched, locks: Locks, script: string) => void])[] = [
  ['plain', runPlain],
  ['sched', (sched, locks, script) => runTask(sched, scripted(sched, locks, script))],
];

const names = (...all: string[]): Locks => Object.fromEntries(all.map((name) => [name, new Mutex(name)]));

function edges(lockdep: Lockdep): string[] {
  return [...lockdep.edges].flatMap(([from, inner]) => [...inner.keys()].map((to) => `${from}→${to}`));
}

function message(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe.each(runners)('%s', (_build, run) => {
  it('two orders are LOCK_ORDER though nobody waits: the cycle, and the stacks of all four acquisitions', () => {
    const sched = watched();
    const locks = names('a', 'b');
    run(sched, locks, 'a b b- a-');
    const text = message(() => run(sched, locks, 'b a'));
    expect(text).toMatch(/^LOCK_ORDER: \w+ takes a while it holds b, against the order a → b\nb → a, now by \w+:/);
    expect(text).toMatch(/a → b, first by \w+:/);
    expect(text.match(/ {2}(a|b) taken\n {4}at .*/g)).toHaveLength(2);
    expect(text.match(/ {2}then (a|b)\n {4}at .*/g)).toHaveLength(2);
    expect(text.match(/lockdep\.test\.ts/g)!.length).toBeGreaterThanOrEqual(4);
  });

  it('the refused acquisition takes nothing and adds no edge', () => {
    const sched = watched();
    const locks = names('a', 'b', 'c');
    run(sched, locks, 'a b b- a-');
    expect(thrown(() => run(sched, locks, 'c b a'))).toBe('LOCK_ORDER');
    expect([locks['a']!.owner, edges(sched.lockdep!)]).toEqual([null, ['a→b', 'c→b']]);
  });

  it('a cycle of three is found, and named whole', () => {
    const sched = watched();
    const locks = names('a', 'b', 'c');
    run(sched, locks, 'a b b- a-');
    run(sched, locks, 'b c c- b-');
    expect(() => run(sched, locks, 'c a')).toThrow('takes a while it holds c, against the order a → b → c\n');
  });

  it('a trylock adds no edge, but what it took is held', () => {
    const sched = watched();
    const locks = names('a', 'b');
    run(sched, locks, 'a b b- a-');
    run(sched, locks, 'b a? a- b-');
    expect(edges(sched.lockdep!)).toEqual(['a→b']);
    expect(thrown(() => run(sched, locks, 'b? a'))).toBe('LOCK_ORDER');
  });

  it('locks given back in any order leave nothing held', () => {
    const sched = watched();
    const locks = names('a', 'b', 'c');
    run(sched, locks, 'a b c a- c- b-');
    expect(sched.lockdep!.held.size).toBe(0);
    run(sched, locks, 'b c b- c-');
    expect(edges(sched.lockdep!)).toEqual(['a→b', 'a→c', 'b→c']);
  });

  it('N.23: two locks of one class need a subclass, as fork has for the mmap_lock of the child', () => {
    const sched = watched();
    const mmapLock = lockClass('mmap_lock');
    const locks: Locks = { p: new Mutex('parent', mmapLock), c: new Mutex('child', mmapLock) };
    expect(() => run(watched(), locks, 'p c')).toThrow('takes a second mmap_lock inside the first, without a subclass');
    for (const lock of Object.values(locks)) lock.owner = null;
    run(sched, locks, 'p c/ c- p-');
    run(sched, locks, 'c p/ p- c-');
    expect(edges(sched.lockdep!)).toEqual(['mmap_lock→mmap_lock/1']);
  });

  it('the first acquisition against the order is refused, none before: as the transitive closure says', () => {
    const order = fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(order, { maxLength: 12 }), (nestings) => {
        const sched = watched();
        const reach = Array.from({ length: 5 }, () => new Set<number>());
        for (const nesting of nestings) {
          const locks = names('0', '1', '2', '3', '4');
          const wrong = nesting.some((inner, i) => {
            if (nesting.slice(0, i).some((outer) => reach[inner]!.has(outer))) return true;
            for (const outer of nesting.slice(0, i)) {
              for (const from of reach) {
                if (from !== reach[outer] && !from.has(outer)) continue;
                for (const to of [inner, ...reach[inner]!]) from.add(to);
              }
            }
            return false;
          });
          const script = [...nesting, ...nesting.map((lock) => `${lock}-`)].join(' ');
          expect(thrown(() => run(sched, locks, script))).toBe(wrong ? 'LOCK_ORDER' : 'nothing');
          if (wrong) return;
        }
      }),
    );
  });

  it('is off while sched.lockdep is null', () => {
    const sched = createSched();
    const locks = names('a', 'b');
    run(sched, locks, 'a b b- a-');
    run(sched, locks, 'b a a- b-');
    expect(lockHolders(sched, locks['a']!)).toEqual([]);
  });
});

describe('readers', () => {
  const cls = lockClass('sem');
  const take = (sched: Sched, lock: object, how: number): void => {
    lockAcquire(sched, lock, cls, how);
    lockAcquired(sched, lock, cls, how);
  };

  it('N.18: reading again what a writer may wait for in between is LOCK_ORDER; LOCK_SHARED_RECURSIVE may', () => {
    const lock = {};
    const sched = watched();
    take(sched, lock, LOCK_SHARED);
    expect(() => take(sched, lock, LOCK_SHARED)).toThrow('takes sem for reading again: a writer that waits in between');
    take(sched, lock, LOCK_SHARED_RECURSIVE);
    expect(sched.lockdep!.held.get(sched.current)!.length).toBe(2);
  });

  it('of a lock held for writing, or for writing, nothing is recursive', () => {
    for (const [first, second] of [
      [LOCK_EXCLUSIVE, LOCK_SHARED_RECURSIVE],
      [LOCK_EXCLUSIVE, LOCK_SHARED],
      [LOCK_SHARED, LOCK_EXCLUSIVE],
    ] as const) {
      const lock = {};
      const sched = watched();
      take(sched, lock, first);
      expect(() => take(sched, lock, second)).toThrow('takes sem again');
    }
  });

  it('several tasks hold it; lockHolders names them, lockRelease is of the current task first', () => {
    const sched = watched();
    const lock = {};
    const other = spawn(sched, 'other', (function* (): Task<void> {})());
    take(sched, lock, LOCK_SHARED);
    sched.current = other;
    take(sched, lock, LOCK_SHARED);
    expect(lockHolders(sched, lock)).toEqual([sched.tasks[0], other]);
    lockRelease(sched, lock);
    expect(lockHolders(sched, lock)).toEqual([sched.tasks[0]]);
    lockRelease(sched, lock);
    lockRelease(sched, lock);
    expect(lockHolders(sched, lock)).toEqual([]);
  });
});

describe('bit locks', () => {
  const folio = lockClass('folio lock');

  it.each([
    [
      'plain',
      (sched: Sched, words: Int32Array) => {
        plain.lockBit(sched, words, 1, 4, folio);
        plain.spinLockBit(sched, words, 2, 4, PAGE_TABLE_LOCK);
        plain.spinLockBit(sched, words, 3, 4, PAGE_TABLE_LOCK, SINGLE_DEPTH_NESTING);
      },
    ],
    [
      'sched',
      (sched: Sched, words: Int32Array) => {
        const body = function* (): Task<void> {
          yield* coloured.lockBit(sched, words, 1, 4, folio);
          yield* coloured.spinLockBit(sched, words, 2, 4, PAGE_TABLE_LOCK);
          yield* coloured.spinLockBit(sched, words, 3, 4, PAGE_TABLE_LOCK, SINGLE_DEPTH_NESTING);
        };
        const task = spawn(sched, 'main', body());
        runAll(sched);
        sched.current = task;
      },
    ],
  ] as const)('%s: those with a class have a place in the order; another task may give one back', (_build, take) => {
    const sched = watched();
    const words = new Int32Array(4);
    take(sched, words);
    expect(edges(sched.lockdep!)).toEqual([
      'folio lock→page table lock',
      'folio lock→page table lock/1',
      'page table lock→page table lock/1',
    ]);
    expect(lockHolders(sched, bitLockKey(2, 4))).toEqual([sched.current]);
    spinUnlockBit(sched, words, 3, 4);
    spinUnlockBit(sched, words, 2, 4);
    sched.current = sched.tasks[0]!;
    unlockBit(sched, words, 1, 4);
    expect(sched.lockdep!.held.size).toBe(0);
  });

  it('those without a class have none', () => {
    const sched = watched();
    const words = new Int32Array(4);
    plain.lockBit(sched, words, 1, 4);
    plain.lockBit(sched, words, 2, 4);
    unlockBit(sched, words, 1, 4);
    expect([edges(sched.lockdep!), sched.lockdep!.held.size]).toEqual([[], 0]);
  });

  it('keys of the bits of all words differ, bit 31 too', () => {
    const keys = [0, 1].flatMap((index) => Array.from({ length: 32 }, (_, bit) => bitLockKey(index, 1 << bit)));
    expect(new Set(keys).size).toBe(64);
  });
});

it('who is killed waiting holds nothing', () => {
  const sched = watched(2);
  const mutex = new Mutex('m');
  const words = Int32Array.of(0);
  const folio = lockClass('folio lock');
  const holder = function* (): Task<void> {
    yield* coloured.mutexLock(sched, mutex);
    yield* coloured.lockBitKillable(sched, words, 0, 1, folio);
  };
  const first = spawn(sched, 'holder', holder());
  runAll(sched);
  const all = [
    spawn(sched, 'a', coloured.mutexLockKillable(sched, mutex)),
    spawn(sched, 'b', coloured.mutexLockInterruptible(sched, mutex)),
    spawn(sched, 'c', coloured.lockBitKillable(sched, words, 0, 1, folio)),
  ];
  for (const task of [...all, ...all]) if (plain.isRunnable(task)) stepTask(sched, task);
  for (const task of all) killTask(task);
  runAll(sched);
  expect([[...sched.lockdep!.held.keys()], lockHolders(sched, mutex)]).toEqual([[first], [first]]);
});

describe('the order of E.4', () => {
  it('is a tree, and hugetlb has its own', () => {
    const lockdep = createLockdep();
    for (const chain of LOCK_ORDER) registerLockOrder(lockdep, chain);
    expect(formatLockOrder(lockdep).split('\n')).toEqual([
      'inode lock',
      '  mmap_lock',
      '    vma lock',
      '      invalidate_lock',
      '        folio lock',
      '          i_mmap_rwsem',
      '            anon_vma rwsem',
      '              page table lock',
      '                page table lock/1',
      '                  lruvec lock',
      '                  i_pages lock',
      '    hugetlb fault mutex',
      '      hugetlb vma lock',
      '        hugetlb i_mmap_rwsem',
      '          hugetlb folio lock',
      '            page table lock (above)',
    ]);
  });

  it('an edge that follows from others is not shown', () => {
    const lockdep = createLockdep();
    const [a, b, c] = ['a', 'b', 'c'].map(lockClass);
    registerLockOrder(lockdep, [a!, c!]);
    registerLockOrder(lockdep, [a!, b!, c!]);
    expect(formatLockOrder(lockdep)).toBe('a\n  b\n    c');
    expect(formatLockOrder(createLockdep())).toBe('');
  });

  it('an acquisition against it is LOCK_ORDER the first time, and says that it is given', () => {
    const sched = watched();
    for (const chain of LOCK_ORDER) registerLockOrder(sched.lockdep!, chain);
    const folio = new Mutex('folio lock');
    const mmapLock = new Mutex('mmap_lock');
    plain.mutexLock(sched, folio);
    const text = message(() => plain.mutexLock(sched, mmapLock));
    expect(text).toMatch('boot takes mmap_lock while it holds folio lock, against the order mmap_lock → vma lock');
    expect(text).toMatch('\nmmap_lock → vma lock is given\n');
  });

  it('a given order against what is known is LOCK_ORDER, and a class inside itself too', () => {
    const sched = watched();
    const locks = names('a', 'b');
    runPlain(sched, locks, 'a b b- a-');
    const [a, b] = [lockClass('a'), lockClass('b')];
    expect(() => registerLockOrder(sched.lockdep!, [b, a])).toThrow('LOCK_ORDER: b → a is against the order a → b');
    expect(thrown(() => registerLockOrder(sched.lockdep!, [a, a]))).toBe('LOCK_ORDER');
    expect(edges(sched.lockdep!)).toEqual(['a→b']);
  });
});
