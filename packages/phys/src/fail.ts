/**
 * Allocations made to fail (Linux's `fail_page_alloc`): the Nth one, all of an order, all at a named site, or some
 * drawn from a seed. For tests of what happens when memory runs out; the same calls fail the same way each time.
 */
import { checkInteger } from '@mmkit/base';
import type { Phys } from './frame.ts';

/** Which allocations fail, and what happened so far. */
export class Failures {
  /** Of the matching ones this one fails, 1 = the first; 0: not counted. */
  readonly nth: number;
  /** Only blocks of this order match; −1: any. */
  readonly order: number;
  /** Only allocations at this site match (the last argument of `allocPages`); null: any. */
  readonly site: string | null;
  /** Of the matching ones this share fails, drawn; 1: all. */
  readonly probability: number;
  /** State of the random numbers, uint32. */
  seed: number;
  /** Allocations that matched. */
  matched: number;
  /** Allocations that were made to fail. */
  failed: number;

  constructor(options: FailOptions) {
    this.nth = options.nth ?? 0;
    this.order = options.order ?? -1;
    this.site = options.site ?? null;
    this.probability = options.probability ?? 1;
    this.seed = options.seed ?? 0;
    this.matched = 0;
    this.failed = 0;
  }
}

/** Which allocations shall fail; each option narrows the choice. */
export interface FailOptions {
  /** Only the Nth of them, from 1. */
  readonly nth?: number;
  /** Only blocks of this order, 0 to 10. */
  readonly order?: number;
  /** Only at this site. */
  readonly site?: string;
  /** Only this share of them, more than 0 to 1, drawn from `seed`. */
  readonly probability?: number;
  /** Seed of the draw, 0 to 2^32 − 1. Default 0. */
  readonly seed?: number;
}

/**
 * Makes allocations of this machine fail from now on, in place of what failed before; null: none does. Returns the
 * record, whose `matched` and `failed` count. Throws RangeError for bad options.
 */
export function failAllocations(phys: Phys, options: FailOptions | null): Failures | null {
  if (options !== null) {
    if (options.nth !== undefined) checkInteger('nth', options.nth, 1, Number.MAX_SAFE_INTEGER);
    if (options.order !== undefined) checkInteger('order', options.order, 0, 10);
    if (options.seed !== undefined) checkInteger('seed', options.seed, 0, 0xffff_ffff);
    const probability = options.probability ?? 1;
    if (!(probability > 0 && probability <= 1)) {
      throw new RangeError(`probability: expected a number above 0 and up to 1, got ${String(probability)}`);
    }
  }
  phys.failures = options === null ? null : new Failures(options);
  return phys.failures;
}

/** Whether this allocation is made to fail; counts it. */
export function shouldFail(failures: Failures, order: number, site: string): boolean {
  if (failures.order >= 0 && failures.order !== order) return false;
  if (failures.site !== null && failures.site !== site) return false;
  failures.matched++;
  if (failures.nth !== 0 && failures.matched !== failures.nth) return false;
  if (failures.probability < 1 && nextRandom(failures) >= failures.probability) return false;
  failures.failed++;
  return true;
}

/** The next random number in [0, 1) (mulberry32). */
function nextRandom(failures: Failures): number {
  failures.seed = (failures.seed + 0x6d2b_79f5) >>> 0;
  let t = failures.seed;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
}
