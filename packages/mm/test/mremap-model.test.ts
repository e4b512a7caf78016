/** Random mremap and madvise calls against the plainest model there is: what each page holds, and may do. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EFAULT, EINVAL, ENOMEM } from '@mmkit/base';
import type { Mm } from '@mmkit/aspace';
import {
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_SEQUENTIAL,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '@mmkit/mm';
import { checkVmaTree, VM_DONTCOPY, VM_SEQ_READ, vmaLookup } from '@mmkit/vma';
import { BASE, builds, framesUsed, mapPages, PAGE, pfnAt, setUp, touch } from './builds.ts';

const PAGES = 16;

/** One page: null not mapped; else its frame (0: none, -1: a guard) and the flags madvise gave it. */
interface Page {
  frame: number;
  flags: number;
}
type Space = (Page | null)[];

const EMPTY: Readonly<Page> = Object.freeze({ frame: 0, flags: 0 });
const ADVICE = new Map([
  [MADV_SEQUENTIAL, VM_SEQ_READ],
  [MADV_DONTFORK, VM_DONTCOPY],
]);

const place = fc.nat(PAGES - 1);
const size = fc.integer({ min: 1, max: 6 });
const op = fc.record({
  what: fc.constantFrom('map', 'write', 'fixed', 'fixed', 'resize', 'dontunmap', 'advise', 'drop', 'guard', 'unguard'),
  at: place,
  count: size,
  to: place,
  size,
  advice: fc.constantFrom(...ADVICE.keys()),
});

describe.each(builds)('%s build', (_name, api) => {
  /** The model of the machine's own pages, by what can be seen. */
  function seen(mm: Mm): unknown[] {
    checkVmaTree(mm.vmas);
    return Array.from({ length: PAGES }, (_, page) => {
      const vma = vmaLookup(mm.vmas, BASE + page * PAGE);
      if (vma === null) return null;
      return { frame: Math.max(pfnAt(mm, BASE + page * PAGE), 0), flags: vma.flags & (VM_SEQ_READ | VM_DONTCOPY) };
    });
  }

  it('property: mremap moves pages, guards and flags as an array of pages would', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 30 }), (calls) => {
        const mm = setUp(api);
        const model: Space = new Array<Page | null>(PAGES).fill(null);
        for (const call of calls) {
          const { what, at, advice } = call;
          const count = Math.min(call.count, PAGES - at);
          const range = model.slice(at, at + count);
          const address = BASE + at * PAGE;
          const hole = range.includes(null);
          const set = (change: (page: Page) => Page | null): void => {
            for (let i = at; i < at + count; i++) if (model[i] !== null) model[i] = change(model[i]!);
          };
          if (what === 'map') {
            mapPages(api, mm, at, count);
            model.fill({ ...EMPTY }, at, at + count);
          } else if (what === 'write') {
            for (let i = at; i < at + count; i++) {
              const page = model[i]!;
              const expected = page === null || page.frame < 0 ? -EFAULT : 1;
              expect(touch(api, mm, BASE + i * PAGE)).toBe(expected);
              if (expected === 1 && page.frame === 0) model[i] = { ...page, frame: pfnAt(mm, BASE + i * PAGE) };
            }
          } else if (what === 'drop') {
            expect(api.madvise(mm, address, count * PAGE, MADV_DONTNEED)).toBe(hole ? -ENOMEM : 0);
            set((page) => ({ ...page, frame: Math.min(page.frame, 0) }));
          } else if (what === 'guard') {
            expect(api.madvise(mm, address, count * PAGE, MADV_GUARD_INSTALL)).toBe(hole ? -ENOMEM : 0);
            set((page) => ({ ...page, frame: -1 }));
          } else if (what === 'unguard') {
            expect(api.madvise(mm, address, count * PAGE, MADV_GUARD_REMOVE)).toBe(hole ? -ENOMEM : 0);
            set((page) => ({ ...page, frame: Math.max(page.frame, 0) }));
          } else if (what === 'advise') {
            expect(api.madvise(mm, address, count * PAGE, advice)).toBe(hole ? -ENOMEM : 0);
            set((page) => ({ ...page, flags: page.flags | ADVICE.get(advice)! }));
          } else if (what === 'resize') {
            resize(mm, model, at, count, Math.min(call.size, PAGES - at));
          } else {
            move(mm, model, at, count, call.to, what === 'dontunmap');
          }
          expect(seen(mm)).toEqual(model.map((page) => page && { frame: Math.max(page.frame, 0), flags: page.flags }));
          expect(mm.anonPages).toBe(model.filter((page) => page !== null && page.frame > 0).length);
        }
        api.exitMm(mm);
        expect(framesUsed(mm)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  function resize(mm: Mm, model: Space, at: number, old: number, now: number): void {
    const result = api.mremap(mm, BASE + at * PAGE, old * PAGE, now * PAGE, 0);
    const first = model[at];
    if (first === null) {
      expect(result).toBe(-EFAULT);
    } else if (now <= old) {
      expect(result).toBe(BASE + at * PAGE);
      model.fill(null, at + now, at + old);
    } else if (result >= 0) {
      expect(model.slice(at + old, at + now).every((page) => page === null)).toBe(true);
      model.fill({ ...EMPTY, flags: first!.flags }, at + old, at + now);
    } else {
      expect([-EFAULT, -ENOMEM]).toContain(result);
      const free = model.slice(at + old, at + now).every((page) => page === null);
      const whole = model.slice(at, at + old).every((page) => page !== null);
      expect(free && whole && result === -ENOMEM).toBe(false);
    }
  }

  function move(mm: Mm, model: Space, at: number, count: number, to: number, keep: boolean): void {
    const n = Math.min(count, PAGES - to);
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? MREMAP_DONTUNMAP : 0);
    const result = api.mremap(mm, BASE + at * PAGE, n * PAGE, n * PAGE, flags, BASE + to * PAGE);
    if (Math.abs(at - to) < n) {
      expect(result).toBe(-EINVAL);
    } else if (model[at] === null) {
      expect(result).toBe(-EFAULT);
    } else {
      expect(result).toBe(BASE + to * PAGE);
      for (let i = 0; i < n; i++) {
        const page = model[at + i]!;
        if (page === null) continue;
        model[to + i] = page;
        model[at + i] = keep ? { ...page, frame: 0 } : null;
      }
    }
  }
});
