/** The lock-order checker over the whole machine: real calls, and orders against E.4. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lockIMmap, ptlLock } from '@mmkit/aspace/sched';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { Inode } from '@mmkit/filemap';
import { filemapReadFolio, folioLock, punchHole } from '@mmkit/filemap/sched';
import {
  createDiskFile,
  createMachine,
  createMemfd,
  createPipe,
  createProcess,
  store,
  vmsplice,
} from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import { MAP_SHARED, mmap } from '@mmkit/mm/sched';
import { HOT_FLAGS, HOT_WORDS, PG_LOCKED } from '@mmkit/phys';
import { assertHeld } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import { bitLockKey, createLockdep, formatLockOrder, killTask, lockHolders, runAll, runTask, spawn } from '@mmkit/task';
import { stepTask } from '@mmkit/task';
import type { Lockdep, Task } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import { formats, PAGE, RW, testedFormat, thrown } from './builds.ts';

interface Bench {
  machine: Machine;
  process: Process;
  inode: Inode;
  address: number;
}

/** A process that maps a file of 4 pages and has stored to the first two. */
function bench(lockdep: Lockdep | null = createLockdep()): Bench {
  const checked = lockdep === null ? {} : { lockdep };
  const machine = createMachine({ ramBytes: 256 * PAGE, cpus: 2, format: testedFormat(), ...checked });
  const { sched } = machine;
  const process = createProcess(machine)!;
  const file = createMemfd(machine, 4 * PAGE);
  const address = runTask(sched, mmap(process.mm, 0, 4 * PAGE, RW, MAP_SHARED, file, 0));
  runTask(sched, store(machine, process, address, new Uint8Array(2 * PAGE), 0, 2 * PAGE));
  return { machine, process, inode: file.inode, address };
}

/** What the error says that `body` ends with. */
function refusal({ machine }: Bench, body: Task<unknown>): string {
  spawn(machine.sched, 'wrong', body);
  try {
    runAll(machine.sched);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

function folioKey(pfn: number): number {
  return bitLockKey(pfn * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

describe.each(formats)('%s: E.4: the order of the locks of memory management', () => {
  it('is off unless asked for', () => {
    expect(bench(null).machine.sched.lockdep).toBeNull();
  });

  it('what ARCHITECTURE.md shows is what the packages give the checker', () => {
    const { lockdep } = bench().machine.sched;
    const text = readFileSync(new URL('../../../ARCHITECTURE.md', import.meta.url), 'utf8');
    const shown = /```text\n(inode lock\n[^`]*)\n```/.exec(text)?.[1];
    expect(shown).toBe(formatLockOrder(lockdep!));
  });

  it('an order seen once is the order: against it is refused at once, with where all four locks were taken', () => {
    const b = bench();
    const { sched } = b.machine;
    // Nothing is given: what the calls do counts.
    sched.lockdep = createLockdep();
    runTask(sched, punchHole(b.inode, 0, PAGE));
    const wrong = function* (): Task<void> {
      yield* lockIMmap(b.inode);
      yield* downWrite(sched, b.inode.iRwsem);
    };
    const text = refusal(b, wrong());
    expect(text).toMatch(
      /^LOCK_ORDER: wrong takes inode lock while it holds i_mmap_rwsem, against the order inode lock → /,
    );
    expect(text).toMatch(/inode lock → invalidate_lock, first by main:\n {2}inode lock taken\n[^→]*punchHole/);
    expect(text).toMatch(
      /invalidate_lock → i_mmap_rwsem, first by main:[^→]*\n {2}then i_mmap_rwsem\n[^→]*rmap\.co\.ts/,
    );
    expect(text).toMatch(
      /i_mmap_rwsem → inode lock, now by wrong:\n {2}i_mmap_rwsem taken\n[^→]*lockIMmap[^→]*lock-order\.test/,
    );
    expect(text).toMatch(/now by wrong:[^→]*\n {2}then inode lock\n[^→]*downWrite[^→]*lock-order\.test/);
    expect(thrown(() => assertHeld(b.inode.iRwsem))).toBe('LOCK_NOT_HELD');
  });

  it.each([
    [
      'mmap_lock while it holds folio lock',
      function* ({ machine, process, inode, address }: Bench): Task<void> {
        yield* folioLock(machine.memory, inode.pages.get(0)!);
        // Faults the third page in.
        yield* store(machine, process, address + 2 * PAGE, new Uint8Array(1), 0, 1);
      },
    ],
    [
      'a second folio lock inside the first, without a subclass',
      function* ({ machine, inode }: Bench): Task<void> {
        yield* folioLock(machine.memory, inode.pages.get(0)!);
        yield* folioLock(machine.memory, inode.pages.get(1)!);
      },
    ],
    [
      'a second page table lock inside the first, without a subclass',
      function* ({ machine, process }: Bench): Task<void> {
        const root = process.mm.words[0]!;
        const other = machine.memory.tables.allocTable();
        yield* ptlLock(machine.memory, root);
        yield* ptlLock(machine.memory, other);
      },
    ],
    [
      'page table lock while it holds page table lock/1',
      function* ({ machine, process }: Bench): Task<void> {
        const root = process.mm.words[0]!;
        yield* ptlLock(machine.memory, root, 1);
        yield* ptlLock(machine.memory, machine.memory.tables.allocTable());
      },
    ],
    [
      'i_mmap_rwsem while it holds page table lock',
      function* ({ machine, process, inode }: Bench): Task<void> {
        yield* ptlLock(machine.memory, process.mm.words[0]!);
        yield* lockIMmap(inode);
      },
    ],
    [
      'pipe lock while it holds mmap_lock',
      function* ({ machine, process }: Bench): Task<void> {
        yield* downWrite(machine.sched, process.mm.mmapLock as never);
        yield* mutexLock(machine.sched, createPipe(machine).lock);
      },
    ],
  ] as const)('against the order that is given, the first time: %s', (what, body) => {
    const b = bench();
    expect(refusal(b, body(b))).toMatch(`LOCK_ORDER: wrong takes ${what}`);
  });

  it('vmsplice takes mmap_lock inside the lock of the pipe', () => {
    const { machine, process, address } = bench();
    expect(runTask(machine.sched, vmsplice(createPipe(machine), process, address, 3 * PAGE))).toBe(3 * PAGE);
    expect(machine.sched.lockdep!.held.size).toBe(0);
  });

  it('a page being read in is locked by the I/O: a reader that is killed waiting holds nothing', () => {
    const { machine } = bench();
    const { sched, memory } = machine;
    const device = createBlockDevice(sched, memory.phys, createMemoryBackend(new Uint8Array(4 * PAGE)));
    const { inode } = createDiskFile(machine, device, { size: 4 * PAGE, offset: 0 });
    const reader = spawn(sched, 'reader', filemapReadFolio(inode, 0));
    while (sched.events.length === 0) stepTask(sched, reader);
    expect(lockHolders(sched, folioKey(inode.pages.get(0)!))).toEqual([]);
    killTask(reader);
    runAll(sched);
    expect([reader.result, sched.lockdep!.held.size]).toEqual([-4, 0]);
  });
});
