/**
 * The order in which locks are taken (Linux: lockdep). Off while `sched.lockdep` is null, which is all that a lock looks
 * at then. On, every acquisition that may wait adds an edge from the class of each lock held to the class wanted, with
 * the stacks of both; an edge that closes a cycle is 'LOCK_ORDER' the first time the order occurs, though nobody waits.
 *
 * What differs from Linux: classes are told apart by name; interrupt safety is not looked at; readers count as writers
 * (a waiting writer holds new readers off), but for locks that say LOCK_SHARED_RECURSIVE.
 */
import { InvariantError } from '@mmkit/base';
import { Sched, SimTask } from './state.ts';

/** Taken alone, or for writing. */
export const LOCK_EXCLUSIVE = 0;
/** Taken for reading; a waiting writer holds new readers off. */
export const LOCK_SHARED = 1;
/** Taken for reading, again by the same task even while a writer waits (Linux: read == 2). */
export const LOCK_SHARED_RECURSIVE = 2;
/** Subclass of the second lock of a class that is taken inside the first, as fork takes the child's mmap_lock (N.23). */
export const SINGLE_DEPTH_NESTING = 1;

/** What locks with the same place in the order have in common (Linux: struct lock_class_key). */
export interface LockClass {
  /** Tells classes apart, and names them in reports. */
  readonly name: string;
}

/** What a lock is told apart by: the object, or the number of a bit (`bitLockKey`). */
export type LockKey = object | number;

/** One lock that a task holds. */
export class HeldLock {
  readonly lock: LockKey;
  /** Name of its class, with the subclass behind a slash if there is one. */
  readonly name: string;
  /** LOCK_EXCLUSIVE, LOCK_SHARED or LOCK_SHARED_RECURSIVE. */
  readonly how: number;
  /** Where it was taken. An Error, because V8 makes the text of its stack when that is asked for: only for a report. */
  readonly takenAt: Error;

  constructor(lock: LockKey, name: string, how: number, takenAt: Error) {
    this.lock = lock;
    this.name = name;
    this.how = how;
    this.takenAt = takenAt;
  }
}

/** "The second class was taken while the first was held", as seen the first time. */
export class LockEdge {
  readonly to: string;
  /** Who did it, and where the outer lock was taken, and the inner one; null for an edge of `registerLockOrder`. */
  readonly seen: { readonly task: string; readonly heldAt: Error; readonly takenAt: Error } | null;

  constructor(to: string, seen: LockEdge['seen']) {
    this.to = to;
    this.seen = seen;
  }
}

export class Lockdep {
  /** Edges by the name of the outer class, then of the inner one. */
  readonly edges: Map<string, Map<string, LockEdge>>;
  /** What each task holds, in the order it was taken; tasks that hold nothing are not in it. */
  readonly held: Map<SimTask, HeldLock[]>;

  constructor() {
    this.edges = new Map();
    this.held = new Map();
  }
}

/** Makes a checker that knows of no order yet; put it into `sched.lockdep` while nobody holds a lock. */
export function createLockdep(): Lockdep {
  return new Lockdep();
}

/** Makes a class; a class of the same name is the same class. */
export function lockClass(name: string): LockClass {
  return Object.freeze({ name });
}

/** The key of the lock that is bit `mask` of word `index`. */
export function bitLockKey(index: number, mask: number): number {
  return index * 32 + 31 - Math.clz32(mask);
}

/**
 * Before an acquisition of `lock` that may wait: notes its place in the order. InvariantError 'LOCK_ORDER', with the
 * stacks of both orders, when tasks could wait for each other in a cycle, or one for itself. Nothing when it is off.
 */
export function lockAcquire(sched: Sched, lock: LockKey, cls: LockClass, how: number, subclass: number = 0): void {
  const { lockdep, current } = sched;
  const held = lockdep?.held.get(current);
  if (lockdep === null || held === undefined) return;
  const name = className(cls, subclass);
  const unknown = held.filter((outer) => lockdep.edges.get(outer.name)?.has(name) !== true);
  if (unknown.length === 0) return;
  const takenAt = new Error();
  for (const outer of unknown) {
    if (outer.name === name) checkNested(current, outer, lock, how, takenAt);
    else checkCycle(lockdep, current, outer, name, takenAt);
  }
  for (const { name: from, takenAt: heldAt } of unknown) {
    addEdge(lockdep, from, new LockEdge(name, { task: current.name, heldAt, takenAt }));
  }
}

/** The current task has got `lock`, by waiting or by trying. Nothing when the checker is off. */
export function lockAcquired(sched: Sched, lock: LockKey, cls: LockClass, how: number, subclass: number = 0): void {
  const { lockdep, current } = sched;
  if (lockdep === null) return;
  const held = new HeldLock(lock, className(cls, subclass), how, new Error());
  const list = lockdep.held.get(current);
  if (list === undefined) lockdep.held.set(current, [held]);
  else list.push(held);
}

/** `lock` is given back, by who took it last: the current task, else another (a folio lock: by the end of its I/O). */
export function lockRelease(sched: Sched, lock: LockKey): void {
  const { lockdep, current } = sched;
  if (lockdep === null || drop(lockdep, current, lock)) return;
  for (const task of lockdep.held.keys()) if (drop(lockdep, task, lock)) return;
}

/** The tasks that hold `lock`; none when the checker is off. */
export function lockHolders(sched: Sched, lock: LockKey): SimTask[] {
  const holders: SimTask[] = [];
  for (const [task, held] of sched.lockdep?.held ?? []) if (held.some((one) => one.lock === lock)) holders.push(task);
  return holders;
}

/** Gives an order to begin with: each class is outside of the next. 'LOCK_ORDER' when it contradicts what is known. */
export function registerLockOrder(lockdep: Lockdep, order: readonly LockClass[]): void {
  for (let i = 1; i < order.length; i++) {
    const [outer, inner] = [order[i - 1]!.name, order[i]!.name];
    const path = outer === inner ? [] : findPath(lockdep, inner, outer);
    if (path !== null) throw new InvariantError('LOCK_ORDER', `${outer} → ${inner} is against ${known(inner, path)}`);
    addEdge(lockdep, outer, new LockEdge(inner, null));
  }
}

function className(cls: LockClass, subclass: number): string {
  return subclass === 0 ? cls.name : `${cls.name}/${subclass}`;
}

function addEdge(lockdep: Lockdep, from: string, edge: LockEdge): void {
  let inner = lockdep.edges.get(from);
  if (inner === undefined) lockdep.edges.set(from, (inner = new Map()));
  if (from !== edge.to && !inner.has(edge.to)) inner.set(edge.to, edge);
}

function drop(lockdep: Lockdep, task: SimTask, lock: LockKey): boolean {
  const held = lockdep.held.get(task);
  const at = held === undefined ? -1 : held.findLastIndex((one) => one.lock === lock);
  if (at < 0) return false;
  held!.splice(at, 1);
  if (held!.length === 0) lockdep.held.delete(task);
  return true;
}

/** A second lock of the class that is held already: needs a subclass, or a reader that may come in again. */
function checkNested(task: SimTask, outer: HeldLock, lock: LockKey, how: number, takenAt: Error): void {
  if (how === LOCK_SHARED_RECURSIVE && outer.how !== LOCK_EXCLUSIVE) return;
  const what =
    outer.lock !== lock
      ? `takes a second ${outer.name} inside the first, without a subclass`
      : how === LOCK_SHARED && outer.how !== LOCK_EXCLUSIVE
        ? `takes ${outer.name} for reading again: a writer that waits in between stops both`
        : `takes ${outer.name} again`;
  throw new InvariantError(
    'LOCK_ORDER',
    `${task.name} ${what}${taken(outer.name, outer.takenAt, outer.name, takenAt)}`,
  );
}

function checkCycle(lockdep: Lockdep, task: SimTask, outer: HeldLock, name: string, takenAt: Error): void {
  const path = findPath(lockdep, name, outer.name);
  if (path === null) return;
  throw new InvariantError(
    'LOCK_ORDER',
    `${task.name} takes ${name} while it holds ${outer.name}, against ${known(name, path)}` +
      `\n${outer.name} → ${name}, now by ${task.name}:${taken(outer.name, outer.takenAt, name, takenAt)}` +
      path.map((edge, i) => seen(i === 0 ? name : path[i - 1]!.to, edge)).join(''),
  );
}

function known(from: string, path: readonly LockEdge[]): string {
  return `the order ${[from, ...path.map((edge) => edge.to)].join(' → ')}`;
}

function seen(from: string, edge: LockEdge): string {
  if (edge.seen === null) return `\n${from} → ${edge.to} is given`;
  const { task, heldAt, takenAt } = edge.seen;
  return `\n${from} → ${edge.to}, first by ${task}:${taken(from, heldAt, edge.to, takenAt)}`;
}

function taken(outer: string, heldAt: Error, inner: string, takenAt: Error): string {
  return `\n  ${outer} taken\n${stackText(heldAt)}\n  then ${inner}\n${stackText(takenAt)}`;
}

/** The edges of a way from one class to another, or null. */
function findPath(lockdep: Lockdep, from: string, to: string, been: Set<string> = new Set()): LockEdge[] | null {
  been.add(from);
  for (const edge of lockdep.edges.get(from)?.values() ?? []) {
    if (edge.to === to) return [edge];
    if (been.has(edge.to)) continue;
    const rest = findPath(lockdep, edge.to, to, been);
    if (rest !== null) return [edge, ...rest];
  }
  return null;
}

/** The frames of the stack, without the message and this file's one. */
function stackText(at: Error): string {
  return (at.stack ?? '').split('\n').slice(2).join('\n');
}
