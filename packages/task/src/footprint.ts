/**
 * What a step touches, for an explorer that leaves out schedules in which only independent steps change places. Nothing
 * here acts unless `sched.footprint` is set: then it is the record of the step under way.
 *
 * A word is an object, compared by identity (a typed array, a lock, a queue), and an index into it, or the whole object.
 * A point declares what the step after it touches: `yield writes(sched, P_X, words, 3)`. What is done inside a step by
 * functions without points (giving back a lock) is added by `noteRead` and `noteWrite`. A point that is a bare number
 * declares nothing: its step counts as touching anything. What a held lock covers need not be declared, because nobody
 * else can touch it; taking and giving back the lock is.
 *
 * What many functions touch (frames, page tables) may note itself: its owner adds to `sched.recorders` a function that
 * puts stand-ins in its place, which note each access. A step that touches nothing else needs no list:
 * `yield noted(sched, P_X)`.
 */
import type { Sched } from './state.ts';

/** Word of an access: the whole object. */
export const WHOLE = -1;

/**
 * The record of one step. Accesses are pairs of numbers: object × 2, plus 1 for a write; then the word, or WHOLE.
 * Objects are numbered from 0 as they are first named, so the same steps give the same numbers in every run.
 */
export class Footprint {
  /** Numbers of the objects named so far. */
  readonly objects: Map<object, number>;
  /** Accesses added during the step under way. */
  readonly noted: number[];
  /** Accesses declared, by the point that ends the step, for the next step of the same task. */
  readonly declared: number[];
  /** The point that ends the step says that the next step notes or declares all it touches. */
  complete: boolean;

  constructor() {
    this.objects = new Map();
    this.noted = [];
    this.declared = [];
    this.complete = false;
  }
}

/** Begins to record what steps touch, for the rest of the machine's life. */
export function startFootprint(sched: Sched): Footprint {
  const footprint = new Footprint();
  sched.footprint = footprint;
  // Numbered now, so that they are the same objects in every run, whoever is first to touch them.
  for (const cpu of sched.cpus) objectNumber(footprint, cpu);
  for (const task of sched.tasks) objectNumber(footprint, task);
  for (const record of sched.recorders) record();
  return footprint;
}

/** The number of `object` in this run. */
export function objectNumber(footprint: Footprint, object: object): number {
  let id = footprint.objects.get(object);
  if (id === undefined) {
    id = footprint.objects.size;
    footprint.objects.set(object, id);
  }
  return id;
}

/**
 * Declares that the current task's next step reads word `index` of `object` (default: the whole of it), and returns
 * `point`, to be yielded. Nests, for a step with several accesses: `yield reads(sched, writes(sched, P_X, a), b, i)`.
 */
export function reads(sched: Sched, point: number, object: object, index: number = WHOLE): number {
  const { footprint } = sched;
  if (footprint !== null) footprint.declared.push(objectNumber(footprint, object) * 2, index);
  return noted(sched, point);
}

/** As `reads`, for a step that writes the word, or reads and writes it. */
export function writes(sched: Sched, point: number, object: object, index: number = WHOLE): number {
  const { footprint } = sched;
  if (footprint !== null) footprint.declared.push(objectNumber(footprint, object) * 2 + 1, index);
  return noted(sched, point);
}

/** As `reads`, for a step all of whose accesses note themselves. */
export function noted(sched: Sched, point: number): number {
  if (sched.footprint !== null) sched.footprint.complete = true;
  return point;
}

/** Adds to the step under way that it reads word `index` of `object` (default: the whole of it). */
export function noteRead(sched: Sched, object: object, index: number = WHOLE): void {
  const { footprint } = sched;
  if (footprint !== null) note(footprint, objectNumber(footprint, object) * 2, index);
}

/** Adds to the step under way that it writes word `index` of `object` (default: the whole of it). */
export function noteWrite(sched: Sched, object: object, index: number = WHOLE): void {
  const { footprint } = sched;
  if (footprint !== null) note(footprint, objectNumber(footprint, object) * 2 + 1, index);
}

/** The same access twice running, as of a loop over one table, is noted once. */
function note({ noted }: Footprint, access: number, index: number): void {
  const last = noted.length - 2;
  if (noted[last] !== access || noted[last + 1] !== index) noted.push(access, index);
}
