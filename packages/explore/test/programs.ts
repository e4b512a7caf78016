/** Small random concurrent programs over few words and locks, and the scenarios they make. */
import fc from 'fast-check';
import { addEvent, createSched, localIrqRestore, Mutex, mutexUnlock, rcuReadUnlock, reads, spawn } from '@mmkit/task';
import { unlockBit, type Sched, type Task, wakeAll, WaitQueue, writes } from '@mmkit/task';
import { localIrqSave, lockBit, mutexLock, rcuReadLock, sendIpi, synchronizeRcu, waitOn } from '@mmkit/task/sched';
import type { Scenario } from '@mmkit/explore';

export const WORDS = 3;
const HERE = 1000;

/** One operation; `word` is 0 to 2, `known`: its point declares what it touches. */
export type Op =
  | { kind: 'read' | 'write' | 'add' | 'both' | 'await' | 'failIf' | 'event' | 'bit'; word: number; known: boolean }
  | { kind: 'lock' | 'irq' | 'rcu'; word: number; inner: Op[] }
  | { kind: 'grace' | 'ipi'; word: number };

const leaf = fc.record({
  kind: fc.constantFrom('read', 'write', 'add', 'both', 'failIf') as fc.Arbitrary<'read'>,
  word: fc.nat(WORDS - 1),
  known: fc.boolean(),
});
const known = leaf.map((op) => ({ ...op, known: true }));
const plainOp: fc.Arbitrary<Op> = fc.oneof({ weight: 6, arbitrary: known }, { weight: 1, arbitrary: leaf });
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 8, arbitrary: plainOp },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('lock', 'lock', 'irq', 'rcu') as fc.Arbitrary<'lock'>,
      word: fc.nat(1),
      inner: fc.array(plainOp, { maxLength: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('await', 'event', 'bit') as fc.Arbitrary<'await'>,
      word: fc.nat(WORDS - 1),
      known: fc.constant(true),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('grace', 'ipi') as fc.Arbitrary<'grace'>, word: fc.nat(1) }),
  },
);

export interface Program {
  readonly cpus: number;
  readonly tasks: readonly (readonly Op[])[];
}

export const program: fc.Arbitrary<Program> = fc.record({
  cpus: fc.integer({ min: 1, max: 2 }),
  tasks: fc.oneof(
    fc.array(fc.array(op, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 2 }),
    fc.array(fc.array(op, { minLength: 1, maxLength: 2 }), { minLength: 3, maxLength: 3 }),
  ),
});

/** The scenario; its "failure" is always the final state in words: every one of them is told from the others. */
export function scenarioOf({ cpus, tasks }: Program): Scenario {
  return () => {
    const sched = createSched({ cpus });
    const words = new Int32Array(WORDS);
    const bits = new Int32Array(WORDS);
    const locks = [new Mutex('m0'), new Mutex('m1')];
    const queues = Array.from({ length: WORDS }, (_, i) => new WaitQueue(`word ${i}`));
    const covered = [0, 0, 0, 0, 0];
    const perCpu = [0, 0];
    const seen: number[][] = tasks.map(() => []);

    function set(word: number, value: number): void {
      words[word] = value;
      wakeAll(queues[word]!);
    }
    function* run(me: number, ops: readonly Op[]): Task<void> {
      for (const each of ops) yield* one(me, each);
    }
    function* one(me: number, each: Op): Task<void> {
      const { word } = each;
      const next = (word + 1) % WORDS;
      switch (each.kind) {
        case 'read':
          yield each.known ? reads(sched, HERE, words, word) : HERE;
          seen[me]!.push(words[word]!);
          return;
        case 'write':
          yield each.known ? writes(sched, HERE, words, word) : HERE;
          set(word, me + 1);
          return;
        case 'add':
          yield each.known ? writes(sched, HERE, words, word) : HERE;
          set(word, words[word]! * 3 + me + 1);
          return;
        case 'both':
          yield each.known ? reads(sched, writes(sched, HERE, words, word), words, next) : HERE;
          set(word, words[next]! + 1);
          return;
        case 'failIf':
          yield each.known ? reads(sched, HERE, words, word) : HERE;
          if (words[word]! > 1) throw new Error(`task ${me} sees ${words[word]}`);
          return;
        case 'await':
          yield reads(sched, HERE, words, word);
          while (words[word] === 0) yield* waitOn(sched, queues[word]!);
          seen[me]!.push(words[word]!);
          return;
        case 'event':
          yield writes(sched, HERE, sched.events);
          addEvent(sched, 10, `of ${me}`, () => set(word, 7));
          return;
        case 'bit':
          yield* lockBit(sched, bits, word, 1);
          covered[2 + word] = covered[2 + word]! * 2 + me;
          yield reads(sched, HERE, words, word);
          covered[2 + word] = covered[2 + word]! + words[word]!;
          unlockBit(sched, bits, word, 1);
          return;
        case 'lock':
          yield* mutexLock(sched, locks[word]!);
          // Under the lock, without a point of its own.
          covered[word] = covered[word]! * 5 + me + 1;
          seen[me]!.push(covered[word]!);
          yield* run(me, each.inner);
          covered[word]!++;
          mutexUnlock(sched, locks[word]!);
          return;
        case 'irq':
          yield* localIrqSave(sched);
          perCpu[sched.current.cpu.id]!++;
          yield* run(me, each.inner);
          localIrqRestore(sched);
          return;
        case 'rcu':
          yield* rcuReadLock(sched);
          yield* run(me, each.inner);
          rcuReadUnlock(sched);
          return;
        case 'grace':
          yield* synchronizeRcu(sched);
          return;
        case 'ipi':
          yield* sendIpi(sched, 3, (cpu) => void (perCpu[cpu.id] = perCpu[cpu.id]! * 10));
          return;
      }
    }
    tasks.forEach((ops, me) => spawn(sched, `t${me}`, run(me, ops)));
    return { sched: sched as Sched, check: () => JSON.stringify([[...words], covered, perCpu, seen]) };
  };
}
